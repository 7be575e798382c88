"""A DTLS session in a file, for `gateway send --session`: what it takes to resume it another time.

The file holds secrets: whoever has it can resume the session in the client's name. It has mode 0600, and a digest that
binds it to what the session was made with, so that neither another server nor other credentials pass for these.
"""

import hmac
import json
from pathlib import Path

from gateway.cli.inputs import read_file
from gateway.cli.output import print_note
from gateway.credentials.writing import write_secret
from gateway.dtls.alerts import DecodeError
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config
from gateway.dtls.tickets import TICKET_LIFETIME_S, Session
from gateway.errors import GatewayError, UsageError

FORMAT = "gateway dtls session 1"

MAX_FILE_BYTES = 1 << 17
"""Largest file that is read, in bytes: a ticket has 65,535 bytes at most, twice that in hex, but then no hello with it
would fit a datagram."""

MAX_TICKET_BYTES = 8192
"""Largest ticket that is kept, in bytes."""


def load_session(path: Path, binding: bytes, config: Config, now_s: float) -> Resumption | None:
    """The session in a file; None, with a note on standard error, where there is none to be resumed.

    `binding` is all that the session depends on. `now_s`: seconds since 1970.
    """
    if not path.exists():
        return None
    try:
        resumption = _decode(read_file(path, limit_bytes=MAX_FILE_BYTES), binding)
        _check(resumption.session, config, now_s)
    except UsageError as error:
        why = error.message
    except DecodeError as error:
        why = str(error)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        why = "it is damaged"
    else:
        return resumption
    print_note(f"note: the session in {path} is not resumed: {why}; it is replaced")
    return None


def store_session(path: Path, binding: bytes, resumption: Resumption | None) -> None:
    """Write a session to a file of mode 0600; with a note on standard error where that can't be done."""
    if resumption is None or not (resumption.ticket or resumption.session_id):
        print_note(f"note: the server lets no session be resumed: {path} is not written")
    elif len(resumption.ticket) > MAX_TICKET_BYTES:
        print_note(f"note: the server's ticket is too long: {path} is not written")
    else:
        try:
            write_secret(path, _encode(resumption, binding))
        except GatewayError as error:
            print_note(f"note: the session is not kept: {error.message}")


def _encode(resumption: Resumption, binding: bytes) -> bytes:
    parts = resumption.session.encode(), resumption.session_id, resumption.ticket
    session, session_id, ticket = (part.hex() for part in parts)
    fields = {
        "format": FORMAT,
        "warning": "holds secrets: keep it to yourself",
        "session": session,
        "session_id": session_id,
        "ticket": ticket,
        "digest": _digest(resumption, binding),
    }
    return json.dumps(fields, indent=2).encode() + b"\n"


def _decode(content: bytes, binding: bytes) -> Resumption:
    fields = json.loads(content)
    if fields["format"] != FORMAT:
        raise DecodeError("it is of another format")
    session, session_id, ticket = (bytes.fromhex(fields[name]) for name in ("session", "session_id", "ticket"))
    resumption = Resumption(Session.decode(session), session_id, ticket)
    if not hmac.compare_digest(_digest(resumption, binding), fields["digest"]):
        raise DecodeError("it is for another server or other credentials, or damaged")
    return resumption


def _check(session: Session, config: Config, now_s: float) -> None:
    """Raises DecodeError where a session is not to be resumed now, or not with this configuration."""
    expires_s = session.principal.expires_s if session.principal else None
    if not 0 <= now_s - session.created_s < TICKET_LIFETIME_S or (expires_s is not None and now_s > expires_s):
        raise DecodeError("it has expired")
    if session.suite not in config.suites:
        raise DecodeError(f"its cipher suite is {session.suite.name}")


def _digest(resumption: Resumption, binding: bytes) -> str:
    parts = resumption.session.encode(), resumption.session_id, resumption.ticket, binding
    content = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(resumption.session.master_secret, content, "sha256").hex()
