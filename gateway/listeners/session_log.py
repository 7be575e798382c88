"""What the log says of DTLS sessions: a line each, and never more than a bounded number of lines in a second.

Whose session it is and where it comes from stand in the lines' fields too, so that one device can be followed.
"""

import logging
from collections.abc import Callable

from gateway.dtls.codes import AlertDescription
from gateway.dtls.events import (
    AddressChanged,
    AssociationClosed,
    HandshakeCompleted,
    HandshakeFailed,
    HandshakeHint,
    HostLockedOut,
)
from gateway.log_folding import LineBound
from gateway.logs import about
from gateway.model import Principal

_ABOUT_OUR_CERTIFICATE = frozenset(
    {
        AlertDescription.UNKNOWN_CA,
        AlertDescription.BAD_CERTIFICATE,
        AlertDescription.CERTIFICATE_UNKNOWN,
        AlertDescription.CERTIFICATE_EXPIRED,
        AlertDescription.UNSUPPORTED_CERTIFICATE,
    }
)

_log = logging.getLogger(__name__)


class SessionLog:
    """Writes the lines; those beyond the bound are counted, and their number is said in the next second."""

    def __init__(self, name_of: Callable[[bytes], str], is_known: Callable[[Principal], bool]) -> None:
        """`name_of` makes an address readable; `is_known` says whether there is such a pre-shared key."""
        self._name_of = name_of
        self._is_known = is_known
        self._bound = LineBound(_log, "sessions")

    def completed(self, event: HandshakeCompleted, now_s: float) -> None:
        """A session began."""
        association = event.association
        self._say(
            now_s,
            "%s has a session from %s: %s%s%s",
            describe(association.principal),
            self._name_of(association.address),
            association.suite.name,
            ", resumed" if association.resumed else "",
            f", connection ID {association.cid.hex()}" if association.cid else "",
            address=association.address,
            principal=association.principal,
        )

    def failed(self, event: HandshakeFailed, now_s: float) -> None:
        """A handshake came to nothing."""
        alert = event.alert.name.lower() if event.alert is not None else "no answer"
        reason, claimed = event.reason, event.claimed
        if claimed is not None and claimed.kind == "psk":
            # The peer must not be told which of the two it is (RFC 4279 §2); the operator has to know.
            known = "" if self._is_known(claimed) else "there is no such identity (gateway psk add); "
            reason = f"{describe(claimed)}: {known}{reason}"
        where = self._name_of(event.address)
        self._say(
            now_s,
            "handshake with %s failed: %s: %s",
            *(where, alert, reason),
            address=event.address,
            claimed=claimed,
        )

    def hinted(self, event: HandshakeHint, now_s: float) -> None:
        """A client complained, in the clear."""
        alert = event.alert.name.lower() if event.alert is not None else "of an unknown number"
        advice = ": has it the CA of the server's certificate?" if event.alert in _ABOUT_OUR_CERTIFICATE else ""
        text = "the client at %s sent alert %s (not authentic)%s"
        self._say(now_s, text, self._name_of(event.address), alert, advice, address=event.address)

    def locked_out(self, event: HostLockedOut, now_s: float) -> None:
        """A host had too many failures."""
        text = "too many handshakes failed: those of %s's host are ignored for %g s"
        self._say(now_s, text, self._name_of(event.address), event.seconds, address=event.address)

    def moved(self, event: AddressChanged, now_s: float) -> None:
        """A session's peer was heard from another address."""
        principal, before = event.association.principal, self._name_of(event.old)
        text = "the session of %s goes on from %s, before that from %s"
        where = self._name_of(event.new)
        self._say(now_s, text, describe(principal), where, before, address=event.new, principal=principal)

    def closed(self, event: AssociationClosed, now_s: float) -> None:
        """A session ended."""
        association = event.association
        self._say(
            now_s,
            "the session of %s from %s ended: %s",
            describe(association.principal),
            self._name_of(association.address),
            event.reason,
            address=association.address,
            principal=association.principal,
        )

    def catch_up(self, now_s: float) -> None:
        """Say how many lines were left out, if their second is over. To be called now and then."""
        self._bound.catch_up(now_s)

    def finish(self) -> None:
        """Say how many lines were left out, at the end."""
        self._bound.finish()

    def _say(
        self,
        now_s: float,
        text: str,
        *arguments: object,
        address: bytes,
        principal: Principal | None = None,
        claimed: Principal | None = None,
    ) -> None:
        if self._bound.admits(now_s):
            fields = about(peer=self._name_of(address), principal=principal, claimed=claimed)
            _log.info(text, *arguments, extra=fields)


def describe(principal: Principal | None) -> str:
    """Who it is, in one line of a log."""
    return "a client without identity" if principal is None else f"{principal.kind} {principal.name!r}"
