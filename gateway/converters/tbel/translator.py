"""Syntax tree → JavaScript: the statements. `expressions` has the rest."""

from dataclasses import dataclass

from gateway.converters.tbel.builder import failure
from gateway.converters.tbel.expressions import Expressions
from gateway.converters.tbel.parser import parse
from gateway.converters.tbel.scopes import Scope, function, variable
from gateway.converters.tbel.syntax import (
    Block,
    Case,
    Declaration,
    Evaluate,
    Expression,
    For,
    ForEach,
    Function,
    If,
    Jump,
    Nothing,
    Return,
    Statement,
    Switch,
    While,
)
from gateway.converters.tbel.vocabulary import CASTS, FUNCTIONS, HOLDERS, simple
from gateway.converters.tbel.writer import Places, Writer


@dataclass(frozen=True, slots=True)
class Translation:
    """The body of a JavaScript decoder. It takes its runtime from a function `$runtime` that must follow it."""

    javascript: str
    lines: int
    places: Places


def translate(source: str) -> Translation:
    """Raises ConverterError, with line and column, for what is not TBEL or not supported."""
    statements = parse(source)
    writer = Writer()
    translator = _Translator(writer, Scope(statements, ["payload", "metadata"]))
    writer.write("var $ = globalThis.$tbel ??= $runtime();")
    writer.end_line()
    writer.write("let v_payload = $.payload(payload), v_metadata = metadata;")
    writer.end_line()
    translator.body(statements, parameters=("payload", "metadata"))
    javascript = writer.javascript
    return Translation(javascript, javascript.count("\n"), writer.places)


class _Translator(Expressions):
    """Writes statements; each begins a line of its own."""

    def body(self, statements: list[Statement], parameters: tuple[str, ...] | list[str]) -> None:
        """A function's statements; the value of the last one is returned, where there is no `return`."""
        names = [name for name in self.scope.variables if name not in parameters]
        if names:
            self.writer.write("let ", ", ".join(f"{variable(name)} = null" for name in names), ";")
            self.writer.end_line()
        self._statements(statements, last=True)

    def function_body(self, parameters: list[str], statements: list[Statement]) -> None:
        """From the parameters' opening bracket to the body's closing one."""
        outer = self.scope
        self.scope = Scope(statements, parameters, outer)
        outer_jumps, self._loops, self._switches = (self._loops, self._switches), 0, 0
        self.writer.write("(", ", ".join(f"{variable(name)} = null" for name in dict.fromkeys(parameters)), ") {")
        self.writer.end_line()
        self.body(statements, parameters)
        self.writer.write("return null; }")
        self.scope = outer
        self._loops, self._switches = outer_jumps

    def _statements(self, statements: list[Statement], *, last: bool = False) -> None:
        real = [statement for statement in statements if not isinstance(statement, Nothing)]
        for i, statement in enumerate(real):
            self._statement(statement, last=last and i == len(real) - 1)

    def _statement(self, node: Statement, *, last: bool = False) -> None:
        write = self.writer.write
        match node:
            case Evaluate():
                # In brackets, so that no text becomes JavaScript's "use strict".
                write("return (" if last else "(")
                self.expression(node.expression)
                write(");")
            case Declaration():
                self._declaration(node)
            case Return():
                write("return ")
                if node.value is None:
                    write("null")
                else:
                    self.expression(node.value)
                write(";")
            case Jump():
                self._jump(node)
            case Block():
                write("{")
                self.writer.end_line()
                self._statements(node.statements, last=last)
                write("}")
            case If():
                self._if(node, last=last)
            case While():
                self._while(node)
            case For():
                self._for(node)
            case ForEach():
                self._for_each(node)
            case Switch():
                self._switch(node, last=last)
            case Function():
                self._function(node)
            case Nothing():
                write(";")
        self.writer.end_line()

    def _declaration(self, node: Declaration, *, separator: str = "; ") -> None:
        kind = simple(node.type)
        if kind and kind not in CASTS and kind not in HOLDERS:
            what = f"unknown type {node.type!r}: is a ';' or an operator missing after it?"
            raise failure(what, node.line, node.column)
        for i, (name, value) in enumerate(node.variables):
            if i:
                self.writer.write(separator)
            self.writer.write(variable(name), " = ")
            if value is None:
                self.writer.write("null")
            elif kind in CASTS:
                self.call(f"to_{CASTS[kind]}", node, value)
            else:
                self.expression(value)
        self.writer.write("" if separator == ", " else ";")

    def _jump(self, node: Jump) -> None:
        if not self._loops and not (self._switches and node.word == "break"):
            raise failure(f"SyntaxError: {node.word} stands outside of a loop", node.line, node.column)
        self.writer.write(node.word, ";")

    def _nested(self, node: Statement, *, last: bool = False) -> None:
        """A statement that hangs on another, in brackets of its own."""
        self.writer.write(" {")
        self.writer.end_line()
        self._statement(node, last=last)
        self.writer.write("}")

    def _if(self, node: If, *, last: bool) -> None:
        for i, (condition, then) in enumerate(node.arms):
            self.writer.write(" else if (" if i else "if (")
            self.condition(condition)
            self.writer.write(")")
            self._nested(then, last=last)
        if node.otherwise is not None:
            self.writer.write(" else")
            self._nested(node.otherwise, last=last)

    def _loop(self, body: Statement) -> None:
        self._loops += 1
        self._nested(body)
        self._loops -= 1

    def _while(self, node: While) -> None:
        if node.after:
            self.writer.write("do")
            self._loop(node.body)
        self.writer.write("while (", "!(" if node.until else "")
        self.condition(node.condition)
        self.writer.write(")" if node.until else "", ")")
        if node.after:
            self.writer.write(";")
        else:
            self._loop(node.body)

    def _for(self, node: For) -> None:
        self.writer.write("for (")
        if isinstance(node.first, Declaration):
            self._declaration(node.first, separator=", ")
        else:
            self._sequence(node.first or [])
        self.writer.write("; ")
        if node.condition is not None:
            self.condition(node.condition)
        self.writer.write("; ")
        self._sequence(node.step)
        self.writer.write(")")
        self._loop(node.body)

    def _sequence(self, expressions: list[Expression]) -> None:
        for i, expression in enumerate(expressions):
            if i:
                self.writer.write(", ")
            self.expression(expression)

    def _for_each(self, node: ForEach) -> None:
        self.writer.write("for (", variable(node.variable), " of ")
        self.call("each", node, node.collection)
        self.writer.write(")")
        self._loop(node.body)

    def _switch(self, node: Switch, *, last: bool) -> None:
        """TBEL runs one group of cases and never falls through to the next; JavaScript would."""
        self.writer.write("{ const subject = ")
        self.expression(node.subject)
        self.writer.write("; switch (true) {")
        self.writer.end_line()
        self._switches += 1
        for i, case in enumerate(node.cases):
            self._case(case, is_last=i == len(node.cases) - 1, last=last)
        self._switches -= 1
        self.writer.write("} }")

    def _case(self, case: Case, *, is_last: bool, last: bool) -> None:
        if case.value is None:
            if not is_last:
                raise failure("default is supported only as the last case", case.line, case.column)
            self.writer.write("default: {")
        else:
            self.writer.write("case ")
            self._open("equal")
            self.writer.write("subject, ")
            self.expression(case.value)
            self._close(case)
            self.writer.write(": {")
        self.writer.end_line()
        self._statements(case.body, last=last and is_last)
        self.writer.write("}")
        self.writer.end_line()
        if case.body and not is_last and not _leaves(case.body[-1]):
            raise failure("a case that does not end with break or return is not supported", case.line, case.column)

    def _function(self, node: Function) -> None:
        if node.name in FUNCTIONS:
            self.writer.write(";")
            return
        self.writer.write("function ", function(node.name))
        self.function_body(node.parameters, node.body)


def _leaves(statement: Statement) -> bool:
    match statement:
        case Return() | Jump():
            return True
        case Block():
            return bool(statement.statements) and _leaves(statement.statements[-1])
        case If():
            parts = [then for _, then in statement.arms]
            return statement.otherwise is not None and all(map(_leaves, [*parts, statement.otherwise]))
    return False
