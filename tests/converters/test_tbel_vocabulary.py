"""Each name that the translator lets through is there in the runtime, and in the documentation."""

import json
import re
from pathlib import Path

import pytest
from quickjs import Context

from gateway.converters.results import reports_of
from gateway.converters.tbel.runtime import RUNTIME
from gateway.converters.tbel.vocabulary import CASTS, CONSTANTS, FUNCTIONS, METHODS, NEW, STATIC_FUNCTIONS

from .rig import RECEIVED_MS, tbel

PAGE = (Path(__file__).parents[2] / "docs" / "tbel.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def context() -> Context:
    context = Context()
    context.eval(RUNTIME + "\nvar $ = $runtime();")
    return context


def test_every_function_type_and_constant_is_there(context: Context) -> None:
    functions = [*FUNCTIONS, *(name.replace(".", "_") for name in STATIC_FUNCTIONS)]
    functions += [f"to_{kind}" for kind in CASTS.values()] + [f"new_{kind}" for kind, _ in NEW.values()]
    missing = context.eval(f"{json.dumps(functions)}.filter((name) => typeof $[name] !== 'function').join()")
    assert missing == ""
    constants = [name.replace(".", "_") for name in CONSTANTS]
    assert context.eval(f"{json.dumps(constants)}.filter((name) => $[name] === undefined).join()") == ""


def test_every_method_is_one_of_something() -> None:
    tables = Context().eval(
        RUNTIME.removesuffix("return $;\n}")
        + """return [textMethods, listMethods, setMethods, mapMethods, entryMethods, numberMethods, booleanMethods,
        momentMethods].flatMap(Object.keys).join(); }; $runtime()"""
    )
    assert set(tables.split(",")) == METHODS


def test_the_documentation_names_every_helper_and_method() -> None:
    named = [*FUNCTIONS, *STATIC_FUNCTIONS, *(f".{name}" for name in METHODS)]
    assert [name for name in named if name not in PAGE] == []


def test_the_documentations_examples_do_what_it_says() -> None:
    assert [language for language, _ in BLOCKS] == [
        "tbel",
        "text",
        "json",
        "tbel",
        "json",
        "json",
        "tbel",
        "hex",
        "json",
    ]
    for at in range(0, len(BLOCKS), 3):
        (_, source), (kind, shown), (_, result) = BLOCKS[at : at + 3]
        payload = bytes.fromhex(shown) if kind == "hex" else shown.encode()
        assert tbel(source)(payload, RECEIVED_MS) == reports_of(json.loads(result), RECEIVED_MS)
