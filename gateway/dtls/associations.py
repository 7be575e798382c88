"""The established associations of an endpoint: by connection ID, by address, and in the order of their last records."""

from collections import OrderedDict
from collections.abc import Iterator

from gateway.dtls.association import Association


class Associations:
    """Associations with a connection ID of ours are found by it, wherever their peers are; the others by address.

    Several with connection IDs may be at one address, as behind a NAT that gave it to another device, beside one
    without: none of them can push out another.
    """

    __slots__ = ("_all", "_anonymous", "_at", "_by_cid", "at", "by_cid", "heard_from")

    def __init__(self) -> None:
        self._all: OrderedDict[Association, None] = OrderedDict()
        """The one that was silent for longest comes first."""
        self._anonymous: dict[Association, None] = {}
        """Those whose peer has no identity, the one that was made first coming first."""
        self._by_cid: dict[bytes, Association] = {}
        self._at: dict[bytes, Association] = {}
        """The one without a connection ID, or else the latest one that was heard from there."""
        # The dicts' own methods, for these are called for each record.
        self.by_cid = self._by_cid.get
        """Whom records with this connection ID are for, or None."""
        self.at = self._at.get
        """Whom records without connection ID from this address are for, or who was heard from there last, or None."""
        self.heard_from = self._all.move_to_end
        """Put an association last in the order."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Association]:
        return iter(self._all)

    def __contains__(self, association: Association) -> bool:
        return association in self._all

    def add(self, association: Association) -> None:
        """Take in one whose handshake is complete. Its connection ID, if any, must be new."""
        self._all[association] = None
        if association.principal is None:
            self._anonymous[association] = None
        if association.cid:
            self._by_cid[association.cid] = association
        self._settle(association)

    def most_dispensable(self) -> Association:
        """Who makes room for another: one without identity, so that those can't push out others that anyone may make;
        else the one that was silent for longest.
        """
        return next(iter(self._anonymous or self._all))

    def remove(self, association: Association) -> None:
        """Forget one."""
        del self._all[association]
        self._anonymous.pop(association, None)
        if association.cid:
            del self._by_cid[association.cid]
        self._leave(association)

    def move(self, association: Association, address: bytes) -> None:
        """Note another address of one that has a connection ID."""
        self._leave(association)
        association.address = address
        self._settle(association)

    def _settle(self, association: Association) -> None:
        there = self._at.get(association.address)
        if there is None or there.cid or not association.cid:
            self._at[association.address] = association

    def _leave(self, association: Association) -> None:
        if self._at.get(association.address) is association:
            del self._at[association.address]
