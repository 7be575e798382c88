"""TBEL text → syntax tree, by Lark.

The parser is a table and a stack, and the tree is built from the leaves up without recursion, so nesting costs no
Python frames. Text that nests too deeply for what walks over the tree later is refused here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final, NoReturn

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, VisitError

from gateway.converters.diagnostics import brief
from gateway.converters.tbel.builder import BUILDER, failure
from gateway.converters.tbel.grammar import GRAMMAR
from gateway.converters.tbel.syntax import Statement
from gateway.errors import ConverterError

MAX_LENGTH: Final = 50_000
"""Longest source, in characters, as in ThingsBoard."""


_CURES: Final[Mapping[str, str]] = {
    "in": "write foreach (x : list)",
    "let": "write var",
    "const": "write var",
    "empty": "compare with null, or ask .isEmpty()",
    "throw": "call raiseError(text)",
    "import": "java.util.ArrayList and others are there",
    "#": "texts are joined with +",
}
_BEGINNINGS: Final = frozenset(
    ["NAME", "VAR", "RETURN", "IF", "FOR", "FOREACH", "WHILE", "DO", "SWITCH", "FUNCTION", "TYPE"]
)
"""Tokens that mostly begin a statement."""


def parse(source: str) -> list[Statement]:
    """The statements of a decoder; raises ConverterError with the place of a mistake."""
    if len(source) > MAX_LENGTH:
        raise ConverterError(f"the source has {len(source)} characters, {MAX_LENGTH} is the most")
    try:
        return BUILDER.transform(_lark().parse(source))
    except UnexpectedCharacters as error:
        _refuse_text(source, error.pos_in_stream or 0, error.line, error.column)
    except UnexpectedToken as error:
        _refuse_token(source, error.token)
    except UnexpectedEOF:
        _refuse_end()
    except VisitError as error:
        if isinstance(error.orig_exc, ConverterError):
            raise error.orig_exc from None
        raise


@cache
def _lark() -> Lark:
    """Making the table takes 0.3 s, so it is made once, for the first converter."""
    return Lark(
        GRAMMAR,
        start="program",
        parser="lalr",
        propagate_positions=True,
        maybe_placeholders=True,
        lexer_callbacks={"UNSUPPORTED": _refuse_word, "UNSUPPORTED_OPERATOR": _refuse_word},
    )


def _refuse_word(token: Token) -> NoReturn:
    hint = _CURES.get(token, "")
    raise failure(f"{str(token)!r} is not supported{hint and ': '}{hint}", token.line or 1, token.column or 1)


def _refuse_text(source: str, at: int, line: int, column: int, hint: str = "") -> NoReturn:
    rest = source[at : at + 40]
    if rest[0] in "\"'":
        what = "a text without its closing quote"
    elif rest.startswith("/*"):
        what = "a comment without its end"
    elif rest[0] == "`":
        what = "texts in backquotes are not TBEL"
    elif source[max(0, at - 1) : at + 1] in ("=>", "->"):
        what = f"functions with {source[at - 1 : at + 1]} are not TBEL"
    else:
        word = rest.split()[0] if rest.strip() else rest
        what = f"unexpected {brief(hint or word)!r}"
    raise failure(f"SyntaxError: {what}", line, column)


def _refuse_token(source: str, token: Token) -> NoReturn:
    if token.type == "$END":
        _refuse_end()
    line, column = token.line or 1, token.column or 1
    word = brief(str(token))
    if token.type in _BEGINNINGS:
        what = f"SyntaxError: unexpected {word!r}: is a ';' or an operator missing before it?"
        raise failure(what, line, column)
    _refuse_text(source, token.start_pos or 0, line, column, word)


def _refuse_end() -> NoReturn:
    raise ConverterError("SyntaxError: the source ends too early: is a bracket not closed? (at the end)")
