"""Syntax tree → JavaScript: the expressions.

TBEL's operators work on Java's numbers, so nearly each becomes a call of the runtime, `$`, which knows them.
"""

from abc import ABC, abstractmethod
from typing import NoReturn

from gateway.converters.tbel.builder import failure
from gateway.converters.tbel.numbers import check_constant, number
from gateway.converters.tbel.operators import OPERATIONS, UNARY, is_boolean, may_end
from gateway.converters.tbel.scopes import Scope, function, variable
from gateway.converters.tbel.syntax import (
    Assign,
    Binary,
    Call,
    Cast,
    Conditional,
    Constant,
    Expression,
    Index,
    InstanceOf,
    Lambda,
    ListLiteral,
    MapLiteral,
    Method,
    New,
    NewArray,
    Node,
    Number,
    Property,
    Statement,
    Step,
    Text,
    Unary,
    Variable,
)
from gateway.converters.tbel.vocabulary import (
    ARRAY_ARITY,
    CASTS,
    CLASSES,
    CONSTANTS,
    FUNCTIONS,
    METHODS,
    NEW,
    STATIC_FUNCTIONS,
    TESTED_TYPES,
    Arity,
    simple,
)
from gateway.converters.tbel.writer import Writer, quoted


class Expressions(ABC):
    """Writes expressions. What a function's body is made of is for who derives from it."""

    def __init__(self, writer: Writer, scope: Scope) -> None:
        self.writer = writer
        self.scope = scope
        self._loops = 0
        self._switches = 0

    @abstractmethod
    def function_body(self, parameters: list[str], statements: list[Statement]) -> None: ...

    def call(self, operation: str, node: Node, *arguments: Expression) -> None:
        """A call of the runtime, in the node's name."""
        self._open(operation)
        self._list(list(arguments))
        self._close(node, bare=not arguments)

    def condition(self, node: Expression) -> None:
        """An expression that must be true or false."""
        if is_boolean(node):
            self.expression(node)
        else:
            self.call("truth", node, node)

    def expression(self, node: Expression) -> None:
        write = self.writer.write
        match node:
            case Number():
                write(number(node))
            case Text():
                write(quoted(node.value))
            case Constant():
                write(node.value)
            case Variable():
                self._variable(node)
            case ListLiteral():
                write("[")
                self._list(node.values)
                write("]")
            case MapLiteral():
                self._map(node)
            case Property():
                self._property(node)
            case Index():
                self.call("safeAt" if may_end(node.target) else "at", node, node.target, node.key)
            case Method():
                self._method(node)
            case Call():
                self._function_call(node)
            case Unary():
                self._unary(node)
            case Binary():
                self._binary(node)
            case Conditional():
                write("(")
                self.condition(node.condition)
                write(" ? ")
                self.expression(node.then)
                write(" : ")
                self.expression(node.otherwise)
                write(")")
            case Assign():
                self._assign(node)
            case Step():
                self._step(node)
            case Lambda():
                write("(function ")
                self.function_body(node.parameters, node.body)
                write(")")
            case _:
                self._typed(node)

    def _open(self, operation: str) -> None:
        self.writer.write("$.", operation, "(")

    def _close(self, node: Node, *, bare: bool = False) -> None:
        """Ends a call.

        For the engine a call stands where the last name in its arguments does. So there is one more argument, which
        the callee ignores, and which is the node's place.
        """
        self.writer.write("" if bare else ", ")
        self.writer.mark(node)
        self.writer.write("$)")

    def _list(self, values: list[Expression]) -> None:
        for i, value in enumerate(values):
            if i:
                self.writer.write(", ")
            self.expression(value)

    def _variable(self, node: Variable) -> None:
        name = node.name
        if self.scope.has_variable(name):
            self.writer.write(variable(name))
        elif self.scope.function(name) is not None:
            self.writer.write(function(name))
        elif name in CLASSES:
            raise failure(f"the class {name} can't stand alone", node.line, node.column)
        elif name in FUNCTIONS:
            raise failure(f"the function {name} can't stand without its arguments", node.line, node.column)
        else:
            raise failure(f"unknown variable {name!r}", node.line, node.column)

    def _map(self, node: MapLiteral) -> None:
        # Without a prototype, so that no key is there that the user did not write.
        self.writer.write("({__proto__: null")
        for key, value in node.entries:
            self.writer.write(", ")
            if isinstance(key, Text):
                # In brackets even __proto__ is a key like any other.
                self.writer.write(f"[{quoted(key.value)}]" if key.value == "__proto__" else quoted(key.value))
            else:
                self.writer.write("[")
                self.call("key", key, key)
                self.writer.write("]")
            self.writer.write(": ")
            self.expression(value)
        self.writer.write("})")

    def _class_of(self, target: Expression) -> str | None:
        """The class that a static function or a constant is taken from."""
        if isinstance(target, Variable) and target.name in CLASSES and not self.scope.has_variable(target.name):
            return target.name
        return None

    def _property(self, node: Property) -> None:
        class_name = self._class_of(node.target)
        if class_name is not None:
            name = f"{class_name}.{node.name}"
            if name not in CONSTANTS:
                raise failure(f"{name} is not supported", node.line, node.column)
            self.writer.write("$.", name.replace(".", "_"))
            return
        self._open("safeProperty" if may_end(node.target) else "property")
        self.expression(node.target)
        self.writer.write(", ", quoted(node.name))
        self._close(node)

    def _method(self, node: Method) -> None:
        class_name = self._class_of(node.target)
        if class_name is not None:
            name = f"{class_name}.{node.name}"
            if name not in STATIC_FUNCTIONS:
                raise failure(f"{name}() is not supported", node.line, node.column)
            self._known_call(name, name.replace(".", "_"), node, node.arguments, STATIC_FUNCTIONS[name])
            return
        if node.name not in METHODS:
            raise failure(f"the method .{node.name}() is not supported", node.line, node.column)
        self._open("safeMethod" if may_end(node.target) else "method")
        self.expression(node.target)
        self.writer.write(", ", quoted(node.name), ", [")
        self._list(node.arguments)
        self.writer.write("]")
        self._close(node)

    def _function_call(self, node: Call) -> None:
        if node.name in FUNCTIONS:
            self._known_call(node.name, node.name, node, node.arguments, FUNCTIONS[node.name])
            return
        declared = self.scope.function(node.name)
        if declared is not None:
            count = len(declared.parameters)
            if len(node.arguments) != count:
                _refuse_count(node.name, len(node.arguments), (count, count), node)
            self.writer.write(function(node.name), "(")
            self._list(node.arguments)
            self._close(node, bare=not node.arguments)
        elif self.scope.has_variable(node.name):
            self._open("apply")
            self.writer.write(variable(node.name), ", [")
            self._list(node.arguments)
            self.writer.write("]")
            self._close(node)
        else:
            raise failure(f"unknown function {node.name!r}", node.line, node.column)

    def _known_call(self, name: str, operation: str, node: Node, arguments: list[Expression], arity: Arity) -> None:
        """A call of one of the runtime's functions. Those that take any number of arguments get an array of them."""
        least, most = arity
        if not least <= len(arguments) <= most:
            _refuse_count(name, len(arguments), arity, node)
        self._open(operation)
        if most >= ARRAY_ARITY:
            self.writer.write("[")
            self._list(arguments)
            self.writer.write("]")
        else:
            self._list(arguments)
            missing = ", ".join(["void 0"] * (most - len(arguments)))
            self.writer.write(", " if missing and arguments else "", missing)
        self._close(node, bare=most == 0)

    # -- operators ---------------------------------------------------------------------------------

    def _unary(self, node: Unary) -> None:
        if node.operator == "!":
            self.writer.write("!")
            if is_boolean(node.operand):
                self.writer.write("(")
                self.expression(node.operand)
                self.writer.write(")")
            else:
                self.call("truth", node, node.operand)
        else:
            self.call(UNARY[node.operator], node, node.operand)

    def _binary(self, node: Binary) -> None:
        if node.operator in ("&&", "||"):
            self.writer.write("(")
            self.condition(node.left)
            self.writer.write(f" {node.operator} ")
            self.condition(node.right)
            self.writer.write(")")
        elif node.operator == "or":
            self._open("choose")
            self.expression(node.left)
            self.writer.write(", () => (")
            self.expression(node.right)
            self.writer.write(")")
            self._close(node)
        else:
            check_constant(node)
            self.call(OPERATIONS[node.operator], node, node.left, node.right)

    def _assign(self, node: Assign) -> None:
        match node.target:
            case Variable(name=name) as target:
                self._check_assignable(target)
                self.writer.write("(", variable(name), " = ")
                if node.operator:
                    self.call(OPERATIONS[node.operator], node, target, node.value)
                else:
                    self.expression(node.value)
                self.writer.write(")")
            case Property() | Index() as target:
                self._open("update" if node.operator else "assign")
                self._place(target)
                if node.operator:
                    self.writer.write(", $.", OPERATIONS[node.operator])
                self.writer.write(", ")
                self.expression(node.value)
                self._close(node)
            case target:
                raise failure("SyntaxError: nothing can be assigned to this", target.line, target.column)

    def _step(self, node: Step) -> None:
        operation = "add" if node.operator == "++" else "subtract"
        match node.target:
            case Variable(name=name) as target:
                self._check_assignable(target)
                name = variable(name)
                if not node.before:
                    self.writer.write("$.former(", name, ", ")
                self.writer.write("(", name, " = ")
                self._open(operation)
                self.writer.write(name, ", 1")
                self._close(node)
                self.writer.write(")" if node.before else "))")
            case Property() | Index() as target:
                self._open("update" if node.before else "updateFormer")
                self._place(target)
                self.writer.write(f", $.{operation}, 1")
                self._close(node)
            case target:
                raise failure(f"SyntaxError: {node.operator} needs a variable", target.line, target.column)

    def _check_assignable(self, node: Variable) -> None:
        if not self.scope.has_variable(node.name):
            raise failure(f"{node.name} is no variable", node.line, node.column)

    def _place(self, node: Property | Index) -> None:
        """What a value is put into, and its key there."""
        if self._class_of(node.target) is not None:
            raise failure("SyntaxError: nothing can be assigned to this", node.line, node.column)
        self.expression(node.target)
        self.writer.write(", ")
        if isinstance(node, Index):
            self.expression(node.key)
        elif node.safe:
            raise failure("SyntaxError: nothing can be assigned to what is taken with .?", node.line, node.column)
        else:
            self.writer.write(quoted(node.name))

    # -- types -------------------------------------------------------------------------------------

    def _typed(self, node: New | NewArray | Cast | InstanceOf) -> None:
        match node:
            case New():
                kind, arity = NEW.get(simple(node.type), ("", (0, 0)))
                if not kind:
                    raise failure(f"new {node.type}() is not supported", node.line, node.column)
                self._known_call(f"new {node.type}", f"new_{kind}", node, node.arguments, arity)
            case NewArray():
                self._open("array" if node.length else "arrayOf")
                self.writer.write(quoted(CASTS.get(node.type, "object")), ", ")
                if node.length:
                    self.expression(node.length)
                else:
                    self.writer.write("[")
                    self._list(node.values)
                    self.writer.write("]")
                self._close(node)
            case Cast():
                if node.type in CASTS:
                    self.call(f"to_{CASTS[node.type]}", node, node.operand)
                else:
                    self.expression(node.operand)
            case InstanceOf():
                kind = TESTED_TYPES.get(simple(node.type), "")
                if not kind:
                    raise failure(f"instanceof {node.type} is not supported", node.line, node.column)
                self._open("isInstance")
                self.expression(node.operand)
                self.writer.write(f', "{kind}"')
                self._close(node)


def _refuse_count(name: str, count: int, arity: Arity, node: Node) -> NoReturn:
    least, most = arity
    takes = str(least) if least == most else f"{least} to {most}"
    raise failure(f"{name} takes {takes} argument{'' if takes == '1' else 's'}, not {count}", node.line, node.column)
