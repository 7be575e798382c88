"""Sessions that a server keeps itself, for clients without tickets (RFC 5246 §7.4.1.2)."""

from collections import OrderedDict

from gateway.dtls.tickets import TICKET_LIFETIME_S, Session


class SessionCache:
    """Sessions by session ID; the one that was not asked for longest goes first."""

    __slots__ = ("_most", "_sessions")

    def __init__(self, most: int) -> None:
        self._most = most
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def put(self, session_id: bytes, session: Session) -> None:
        """Keep a session."""
        self._sessions[session_id] = session
        if len(self._sessions) > self._most:
            self._sessions.popitem(last=False)

    def get(self, session_id: bytes, wall_s: float) -> Session | None:
        """The session by that ID, unless it is unknown or too old."""
        session = self._sessions.get(session_id)
        if session is None:
            return None
        if not 0 <= wall_s - session.created_s < TICKET_LIFETIME_S:
            del self._sessions[session_id]
            return None
        self._sessions.move_to_end(session_id)
        return session

    def __len__(self) -> int:
        return len(self._sessions)
