"""Files as answers."""

from urllib.parse import quote


def attachment(name: str) -> dict[str, str]:
    """The headers with which browsers save an answer under this name (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"}
