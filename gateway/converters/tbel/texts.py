"""What a text in TBEL's quotes stands for."""

from typing import Final

from lark import Token

from gateway.errors import ConverterError

_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", "'": "'", '"': '"', "/": "/"}
_OCTAL: Final = "01234567"
_HEX: Final = "0123456789abcdefABCDEF"


def unescaped(token: Token) -> str:
    """The text of a token in quotes, its escapes replaced; raises ConverterError for one that MVEL does not know."""
    quoted = str(token)
    if "\\" not in quoted:
        return quoted[1:-1]
    parts = []
    at, end = 1, len(quoted) - 1
    while at < end:
        if quoted[at] != "\\":
            parts.append(quoted[at])
            at += 1
            continue
        letter = quoted[at + 1]
        code = quoted[at + 2 : min(at + 6, end)]
        if letter in _SIMPLE:
            parts.append(_SIMPLE[letter])
            at += 2
        elif letter == "u" and len(code) == 4 and all(digit in _HEX for digit in code):
            parts.append(chr(int(code, 16)))
            at += 6
        elif letter in _OCTAL:
            digits = 1
            while digits < 3 and quoted[at + 1 + digits] in _OCTAL and int(quoted[at + 1 : at + 2 + digits], 8) < 256:
                digits += 1
            parts.append(chr(int(quoted[at + 1 : at + 1 + digits], 8)))
            at += 1 + digits
        else:
            column = (token.column or 1) + at
            raise ConverterError(
                f"SyntaxError: unknown escape \\{letter} in a text (line {token.line}, column {column})"
            )
    return "".join(parts)
