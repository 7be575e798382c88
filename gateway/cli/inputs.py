"""What the commands take: files, payloads and key-values from the command line."""

import binascii
import json
import sys
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import UsageError


def read_file(path: Path, *, limit_bytes: int) -> bytes:
    """A file's bytes, `-` being standard input; raises UsageError where it can't be read or is too large."""
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(limit_bytes + 1)
        else:
            with path.open("rb") as file:
                content = file.read(limit_bytes + 1)
    except OSError as error:
        raise UsageError(f"file {str(path)!r} can't be read: {error.strerror}") from None
    if len(content) > limit_bytes:
        raise UsageError(f"file {str(path)!r} is too large", hint=f"at most {limit_bytes} bytes are taken")
    return content


def parse_metadata(pairs: Sequence[str]) -> dict[str, str]:
    """`["site=Berlin"]` → `{"site": "Berlin"}`; raises UsageError for a pair without a key or a `=`."""
    metadata = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"--metadata {pair!r} is no key-value pair", hint="write it as KEY=VALUE")
        metadata[key] = value
    return metadata


def parse_hex(text: str) -> bytes:
    """`53 4e:2d` → three bytes; raises UsageError for what is not hexadecimal."""
    try:
        return bytes.fromhex(text.replace(":", " "))
    except ValueError:
        raise UsageError(
            f"--hex {text!r} is not hexadecimal", hint='write two digits a byte, such as "53 4e 2d"'
        ) from None


def parse_base64(text: str) -> bytes:
    """Bytes of base64, also of its form for URLs, padded or not; raises UsageError for what is neither."""
    digits = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"--base64 {text!r} is not base64", hint="such as U04tMDAx for SN-001") from None


def check_json(text: str) -> bytes:
    """JSON text as it stands, in UTF-8; raises UsageError with the place of a mistake."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--json is not JSON: {error}", hint="quote it for the shell: --json '{\"t\": 21}'") from None
    return text.encode("utf-8", "surrogateescape")
