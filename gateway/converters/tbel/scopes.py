"""Which name stands for what, by where it is declared.

As in TBEL a function's variables are its own, and it sees those of what it stands in; a name that is assigned without a
declaration belongs to the nearest function that has it, or else to the one that assigns it. (Within a function
everything is one scope, blocks included: TBEL has a scope for each block, but its `var` takes an outer one's variable.)
"""

from collections.abc import Iterator
from dataclasses import fields

from gateway.converters.tbel.builder import failure
from gateway.converters.tbel.syntax import (
    Assign,
    Declaration,
    ForEach,
    Function,
    Lambda,
    Node,
    Statement,
    Step,
    Variable,
)
from gateway.converters.tbel.vocabulary import FUNCTIONS


class Scope:
    """The names of the decoder's body, or of one function in it."""

    def __init__(self, statements: list[Statement], parameters: list[str], parent: "Scope | None" = None) -> None:
        """Raises ConverterError where a function or a parameter is there twice."""
        self.parent = parent
        self.variables = dict.fromkeys(parameters)
        self.functions: dict[str, Function] = {}
        assigned: list[str] = []
        for node in _walk(statements):
            match node:
                case Declaration():
                    self.variables |= dict.fromkeys(name for name, _ in node.variables)
                case ForEach():
                    self.variables[node.variable] = None
                case Assign(target=Variable(name=name)) | Step(target=Variable(name=name)):
                    assigned.append(name)
                case Function(name=name) if name not in FUNCTIONS:
                    # A function with a helper's name is never called: the helper is, as in ThingsBoard.
                    if name in self.functions:
                        raise failure(f"the function {name} is declared twice", node.line, node.column)
                    self.functions[name] = node
        for name in assigned:
            if not self.has_variable(name):
                self.variables[name] = None

    def has_variable(self, name: str) -> bool:
        return name in self.variables or (self.parent is not None and self.parent.has_variable(name))

    def function(self, name: str) -> Function | None:
        found = self.functions.get(name)
        return self.parent.function(name) if found is None and self.parent is not None else found


def _walk(part: object) -> Iterator[Node]:
    """Each node of a function's body, but not what stands in functions within it."""
    if isinstance(part, list | tuple):
        for value in part:
            yield from _walk(value)
    elif isinstance(part, Node):
        yield part
        if not isinstance(part, Function | Lambda):
            for field in fields(part):
                yield from _walk(getattr(part, field.name))


def variable(name: str) -> str:
    """The JavaScript name of a variable."""
    return "v_" + _ascii(name)


def function(name: str) -> str:
    """The JavaScript name of a function, which may be a variable's too."""
    return "f_" + _ascii(name)


def _ascii(name: str) -> str:
    return "".join(char if char.isascii() else f"$u{ord(char):x}_" for char in name)
