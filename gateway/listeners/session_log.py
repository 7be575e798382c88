"""What the log says of DTLS sessions: a line each, and never more than a bounded number of lines in a second."""

import logging
from collections.abc import Callable

from gateway.dtls.codes import AlertDescription
from gateway.dtls.events import AssociationClosed, HandshakeCompleted, HandshakeFailed, HandshakeHint, HostLockedOut
from gateway.model import Principal

LINES_PER_SECOND = 20
"""Whoever can make handshakes fail must not fill the disk."""

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
        self._second = 0
        self._lines = 0
        self._left_out = 0

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
        )

    def failed(self, event: HandshakeFailed, now_s: float) -> None:
        """A handshake came to nothing."""
        alert = event.alert.name.lower() if event.alert is not None else "no answer"
        reason, claimed = event.reason, event.claimed
        if claimed is not None and claimed.kind == "psk":
            # The peer must not be told which of the two it is (RFC 4279 §2); the operator has to know.
            known = "" if self._is_known(claimed) else "there is no such identity (gateway psk add); "
            reason = f"{describe(claimed)}: {known}{reason}"
        self._say(now_s, "handshake with %s failed: %s: %s", self._name_of(event.address), alert, reason)

    def hinted(self, event: HandshakeHint, now_s: float) -> None:
        """A client complained, in the clear."""
        alert = event.alert.name.lower() if event.alert is not None else "of an unknown number"
        advice = ": has it the CA of the server's certificate?" if event.alert in _ABOUT_OUR_CERTIFICATE else ""
        self._say(
            now_s, "the client at %s sent alert %s (not authentic)%s", self._name_of(event.address), alert, advice
        )

    def locked_out(self, event: HostLockedOut, now_s: float) -> None:
        """A host had too many failures."""
        where = self._name_of(event.address)
        self._say(now_s, "too many handshakes failed: those of %s's host are ignored for %g s", where, event.seconds)

    def closed(self, event: AssociationClosed, now_s: float) -> None:
        """A session ended."""
        association = event.association
        who, where = describe(association.principal), self._name_of(association.address)
        self._say(now_s, "the session of %s from %s ended: %s", who, where, event.reason)

    def catch_up(self, now_s: float) -> None:
        """Say how many lines were left out, if their second is over. To be called now and then."""
        if int(now_s) != self._second:
            if self._left_out:
                _log.info("… and %d more lines about sessions", self._left_out)
            self._second, self._lines, self._left_out = int(now_s), 0, 0

    def _say(self, now_s: float, text: str, *arguments: object) -> None:
        self.catch_up(now_s)
        self._lines += 1
        if self._lines > LINES_PER_SECOND:
            self._left_out += 1
        else:
            _log.info(text, *arguments)


def describe(principal: Principal | None) -> str:
    """Who it is, in one line of a log."""
    return "a client without identity" if principal is None else f"{principal.kind} {principal.name!r}"
