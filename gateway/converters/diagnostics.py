"""How a converter's failure is put into words that fit a CoAP diagnostic payload (RFC 7252 §5.5.2)."""

from typing import Final

MAX_LENGTH: Final = 256
"""Longest text of a failure, in characters: with the rest of the response it fits one datagram in any script."""


def brief(text: str) -> str:
    """One line of valid Unicode and of bounded length, whatever a converter put into its error."""
    line = " ".join(text[: 4 * MAX_LENGTH].split())
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 1] + "…"
