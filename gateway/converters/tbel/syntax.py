"""TBEL's syntax tree. Each node knows its place in the user's text, and how deep the tree below it is."""

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    depth: int = 1


# -- expressions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number(Node):
    text: str
    """As it was written, suffix included."""


@dataclass(frozen=True, slots=True)
class Text(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Constant(Node):
    value: Literal["true", "false", "null"]


@dataclass(frozen=True, slots=True)
class Variable(Node):
    name: str


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    values: "list[Expression]"


@dataclass(frozen=True, slots=True)
class MapLiteral(Node):
    entries: "list[tuple[Expression, Expression]]"


@dataclass(frozen=True, slots=True)
class Property(Node):
    target: "Expression"
    name: str
    safe: bool
    """Written with `.?`: where this is null, so is all that follows in the chain."""


@dataclass(frozen=True, slots=True)
class Index(Node):
    target: "Expression"
    key: "Expression"


@dataclass(frozen=True, slots=True)
class Method(Node):
    target: "Expression"
    name: str
    arguments: "list[Expression]"
    safe: bool


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    arguments: "list[Expression]"


@dataclass(frozen=True, slots=True)
class New(Node):
    type: str
    arguments: "list[Expression]"


@dataclass(frozen=True, slots=True)
class NewArray(Node):
    type: str
    length: "Expression | None"
    values: "list[Expression]"


@dataclass(frozen=True, slots=True)
class Unary(Node):
    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary(Node):
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True, slots=True)
class Assign(Node):
    target: "Expression"
    operator: str
    """That of `+=` and the like without its `=`; empty for a plain assignment."""
    value: "Expression"


@dataclass(frozen=True, slots=True)
class Step(Node):
    target: "Expression"
    operator: str
    before: bool


@dataclass(frozen=True, slots=True)
class Cast(Node):
    type: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class InstanceOf(Node):
    operand: "Expression"
    type: str


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    parameters: list[str]
    body: "list[Statement]"


# -- statements ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Declaration(Node):
    type: str
    """Empty for `var`."""
    variables: "list[tuple[str, Expression | None]]"


@dataclass(frozen=True, slots=True)
class Evaluate(Node):
    expression: "Expression"


@dataclass(frozen=True, slots=True)
class Return(Node):
    value: "Expression | None"


@dataclass(frozen=True, slots=True)
class Jump(Node):
    word: Literal["break", "continue"]


@dataclass(frozen=True, slots=True)
class Block(Node):
    statements: "list[Statement]"


@dataclass(frozen=True, slots=True)
class If(Node):
    arms: "list[tuple[Expression, Statement]]"
    """`if` and each `else if`."""
    otherwise: "Statement | None"


@dataclass(frozen=True, slots=True)
class While(Node):
    condition: "Expression"
    body: "Statement"
    until: bool
    after: bool
    """Whether the condition stands after the body."""


@dataclass(frozen=True, slots=True)
class For(Node):
    first: "Declaration | list[Expression] | None"
    condition: "Expression | None"
    step: "list[Expression]"
    body: "Statement"


@dataclass(frozen=True, slots=True)
class ForEach(Node):
    variable: str
    collection: "Expression"
    body: "Statement"


@dataclass(frozen=True, slots=True)
class Case(Node):
    value: "Expression | None"
    """None for `default`."""
    body: "list[Statement]"


@dataclass(frozen=True, slots=True)
class Switch(Node):
    subject: "Expression"
    cases: list[Case]


@dataclass(frozen=True, slots=True)
class Function(Node):
    name: str
    parameters: list[str]
    body: "list[Statement]"


@dataclass(frozen=True, slots=True)
class Nothing(Node):
    pass


Expression: TypeAlias = (
    Number
    | Text
    | Constant
    | Variable
    | ListLiteral
    | MapLiteral
    | Property
    | Index
    | Method
    | Call
    | New
    | NewArray
    | Unary
    | Binary
    | Conditional
    | Assign
    | Step
    | Cast
    | InstanceOf
    | Lambda
)

Statement: TypeAlias = (
    Declaration | Evaluate | Return | Jump | Block | If | While | For | ForEach | Switch | Function | Nothing
)
