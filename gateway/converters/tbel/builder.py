"""What the parser gives → syntax tree, built from the leaves up and without recursion, so that nesting costs no Python
frames. Text that nests too deeply for what walks over the tree later is refused here.
"""

from typing import Any, Final

from lark import Token, v_args
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive

from gateway.converters.tbel.syntax import (
    Assign,
    Binary,
    Block,
    Call,
    Case,
    Cast,
    Conditional,
    Constant,
    Declaration,
    Evaluate,
    Expression,
    For,
    ForEach,
    Function,
    If,
    Index,
    InstanceOf,
    Jump,
    Lambda,
    ListLiteral,
    MapLiteral,
    Method,
    New,
    NewArray,
    Node,
    Nothing,
    Number,
    Property,
    Return,
    Statement,
    Step,
    Switch,
    Text,
    Unary,
    Variable,
    While,
)
from gateway.converters.tbel.texts import unescaped
from gateway.errors import ConverterError

MAX_DEPTH: Final = 150
"""How deep expressions and statements may stand in each other. A chain such as `a + b + c` counts each operator."""


def failure(what: str, line: int, column: int) -> ConverterError:
    """What is wrong, and where in the user's text."""
    return ConverterError(f"{what} (line {line}, column {column})")


def _depth(value: object) -> int:
    if isinstance(value, Node):
        return value.depth
    if isinstance(value, list | tuple):
        return max((_depth(part) for part in value), default=0)
    return 0


def _names(parts: list[Any] | None) -> list[str]:
    return [part for part in parts or [] if part is not None]


@v_args(meta=True)
class _Builder(Transformer_NonRecursive[Token, list[Statement]]):
    """Makes a node of each rule. Lark calls a method by the rule's name with what its parts gave."""

    def _node(self, kind: type[Any], meta: Meta | Token, **fields: Any) -> Any:
        depth = 1 + max(map(_depth, fields.values()), default=0)
        # An empty rule has no place; nothing that fails stands there.
        line, column = getattr(meta, "line", None) or 1, getattr(meta, "column", None) or 1
        if depth > MAX_DEPTH:
            raise failure(f"nested more than {MAX_DEPTH} deep", line, column)
        return kind(line=line, column=column, depth=depth, **fields)

    # -- statements --------------------------------------------------------------------------------

    def program(self, meta: Meta, parts: list[Any]) -> list[Statement]:
        statements: list[Statement] = parts[0]
        return statements

    def items(self, meta: Meta, parts: list[Any]) -> list[Statement]:
        return [part for part in parts if part is not None]

    def terminated(self, meta: Meta, parts: list[Any]) -> Any:
        return parts[0]

    def nothing(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Nothing, meta)

    def block(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Block, meta, statements=parts[0] if parts else [])

    def if_(self, meta: Meta, parts: list[Any]) -> Any:
        _, condition, then, _, otherwise = parts
        arms = [(condition, then)]
        if isinstance(otherwise, If):  # A chain of `else if` is as deep as its deepest part.
            arms, otherwise = arms + otherwise.arms, otherwise.otherwise
        return self._node(If, meta, arms=arms, otherwise=otherwise)

    def while_(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(While, meta, condition=parts[1], body=parts[2], until=False, after=False)

    def until(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(While, meta, condition=parts[1], body=parts[2], until=True, after=False)

    def do_while(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(While, meta, condition=parts[3], body=parts[1], until=False, after=True)

    def do_until(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(While, meta, condition=parts[3], body=parts[1], until=True, after=True)

    def for_(self, meta: Meta, parts: list[Any]) -> Any:
        _, first, condition, step, body = parts
        return self._node(For, meta, first=first, condition=condition, step=step or [], body=body)

    def expressions(self, meta: Meta, parts: list[Any]) -> list[Expression]:
        return parts

    def foreach(self, meta: Meta, parts: list[Any]) -> Any:
        _, _, name, collection, body = parts
        return self._node(ForEach, meta, variable=str(name), collection=collection, body=body)

    def switch(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Switch, meta, subject=parts[1], cases=parts[2:])

    def case(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Case, meta, value=parts[1], body=parts[2])

    def default(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Case, meta, value=None, body=parts[1])

    def function(self, meta: Meta, parts: list[Any]) -> Any:
        _, name, parameters, body = parts
        return self._node(Function, name, name=str(name), parameters=_names(parameters), body=body)

    def parameters(self, meta: Meta, parts: list[Any]) -> list[str]:
        return [str(part) for part in parts]

    def parameter(self, meta: Meta, parts: list[Any]) -> str:
        return str(parts[-1])

    def type_name(self, meta: Meta, parts: list[Any]) -> Any:
        return parts[0]

    def declaration(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Declaration, meta, type="", variables=parts[1:])

    def typed_declaration(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Declaration, meta, type=str(parts[0]), variables=parts[1:])

    def declarator(self, meta: Meta, parts: list[Any]) -> tuple[str, Expression | None]:
        return str(parts[0]), parts[1]

    def return_(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Return, meta, value=parts[1])

    def break_(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Jump, meta, word="break")

    def continue_(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Jump, meta, word="continue")

    def expression_statement(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Evaluate, meta, expression=parts[0])

    # -- operators ---------------------------------------------------------------------------------

    def assign(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Assign, meta, target=parts[0], operator="", value=parts[1])

    def assign_operation(self, meta: Meta, parts: list[Any]) -> Any:
        target, operator, value = parts
        return self._node(Assign, meta, target=target, operator=operator[:-1], value=value)

    def conditional(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Conditional, meta, condition=parts[0], then=parts[1], otherwise=parts[2])

    def choice(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Binary, meta, operator="or", left=parts[0], right=parts[2])

    def or_operation(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Binary, meta, operator="||", left=parts[0], right=parts[1])

    def and_operation(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Binary, meta, operator="&&", left=parts[0], right=parts[-1])

    def binary(self, meta: Meta, parts: list[Any]) -> Any:
        left, operator, right = parts
        return self._node(Binary, operator, operator=str(operator), left=left, right=right)

    def instance_of(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(InstanceOf, parts[1], operand=parts[0], type=parts[2])

    def sign(self, meta: Meta, parts: list[Any]) -> Any:
        operator, operand = parts
        if operator == "-" and isinstance(operand, Number) and operand.text[0] != "-":
            return self._node(Number, meta, text="-" + operand.text)
        return self._node(Unary, meta, operator=str(operator), operand=operand)

    def not_(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Unary, meta, operator="!", operand=parts[0])

    def bit_not(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Unary, meta, operator="~", operand=parts[0])

    def step_before(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Step, meta, target=parts[1], operator=str(parts[0]), before=True)

    def step_after(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Step, meta, target=parts[0], operator=str(parts[1]), before=False)

    def cast(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Cast, meta, type=str(parts[0]), operand=parts[1])

    # -- what operators stand between --------------------------------------------------------------

    def name(self, meta: Meta, parts: list[Any]) -> Any:
        return parts[0]

    def variable(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Variable, meta, name=str(parts[0]))

    def number(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Number, meta, text=str(parts[0]))

    def string(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Text, meta, value=unescaped(parts[0]))

    def true(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Constant, meta, value="true")

    def false(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Constant, meta, value="false")

    def null(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Constant, meta, value="null")

    def list_literal(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(ListLiteral, meta, values=_present(parts))

    def bracket_map(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(MapLiteral, meta, entries=_present(parts))

    def empty_map(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(MapLiteral, meta, entries=[])

    def map_literal(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(MapLiteral, meta, entries=_present(parts))

    def entry(self, meta: Meta, parts: list[Any]) -> tuple[Expression, Expression]:
        return parts[0], parts[1]

    pair = entry

    def key(self, meta: Meta, parts: list[Any]) -> Any:
        token: Token = parts[0]
        if token.type == "NUMBER":
            return self._node(Number, meta, text=str(token))
        return self._node(Text, meta, value=unescaped(token) if token.type == "STRING" else str(token))

    def property(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Property, parts[1], target=parts[0], name=str(parts[1]), safe=False)

    def safe_property(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Property, parts[1], target=parts[0], name=str(parts[1]), safe=True)

    def index(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Index, meta, target=parts[0], key=parts[1])

    def method(self, meta: Meta, parts: list[Any]) -> Any:
        target, name, arguments = parts
        return self._node(Method, name, target=target, name=str(name), arguments=arguments or [], safe=False)

    def safe_method(self, meta: Meta, parts: list[Any]) -> Any:
        target, name, arguments = parts
        return self._node(Method, name, target=target, name=str(name), arguments=arguments or [], safe=True)

    def call(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Call, meta, name=str(parts[0]), arguments=parts[1] or [])

    def arguments(self, meta: Meta, parts: list[Any]) -> list[Expression]:
        return parts

    def new(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(New, meta, type=parts[1], arguments=parts[2] or [])

    def new_array(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(NewArray, meta, type=str(parts[1]), length=parts[2], values=[])

    def new_array_of(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(NewArray, meta, type=str(parts[1]), length=None, values=parts[2] or [])

    def lambda_(self, meta: Meta, parts: list[Any]) -> Any:
        return self._node(Lambda, meta, parameters=_names(parts[1]), body=parts[2])

    def class_name(self, meta: Meta, parts: list[Any]) -> str:
        return ".".join(parts)


def _present(parts: list[Any]) -> list[Any]:
    return [part for part in parts if part is not None]


BUILDER: Final = _Builder()
