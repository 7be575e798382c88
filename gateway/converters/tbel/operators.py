"""TBEL's operators: the runtime's names for them, and what is known of an expression without running it."""

from collections.abc import Mapping
from typing import Final

from gateway.converters.tbel.syntax import (
    Binary,
    Constant,
    Expression,
    Index,
    InstanceOf,
    Method,
    Property,
    Unary,
)

OPERATIONS: Final[Mapping[str, str]] = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "%": "remainder",
    "**": "power",
    "<<": "shiftLeft",
    ">>": "shiftRight",
    ">>>": "shiftRightUnsigned",
    "&": "bitAnd",
    "|": "bitOr",
    "^": "bitXor",
    "<": "less",
    ">": "greater",
    "<=": "lessOrEqual",
    ">=": "greaterOrEqual",
    "==": "equal",
    "===": "equal",
    "!=": "unequal",
    "!==": "unequal",
    "contains": "contains",
    "~=": "matches",
    "or": "choose",
}
UNARY: Final[Mapping[str, str]] = {"-": "negate", "+": "plus", "~": "bitNot"}
_BOOLEAN_OPERATORS: Final = frozenset(["<", ">", "<=", ">=", "==", "===", "!=", "!==", "contains", "~=", "&&", "||"])


def may_end(target: Expression) -> bool:
    """Whether a chain has a `.?` in it up to here: where that finds nothing, all that follows is null."""
    while isinstance(target, Property | Method | Index):
        if not isinstance(target, Index) and target.safe:
            return True
        target = target.target
    return False


def is_boolean(node: Expression) -> bool:
    match node:
        case Constant(value=value):
            return value != "null"
        case Binary(operator=operator):
            return operator in _BOOLEAN_OPERATORS
        case Unary(operator=operator):
            return operator == "!"
        case InstanceOf():
            return True
    return False
