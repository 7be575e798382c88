"""What single calls of built-in functions can't do: `gateway.converters.guards`.

Each hostile call is made in a process of its own, that can be ended: the engine itself could not be stopped.
"""

import subprocess
import sys
from typing import Final

import pytest

from gateway.errors import ConverterError

from .rig import RECEIVED_MS, javascript

LIMIT_S: Final = 2.0
"""Longest wall time of a process that makes one call, with its start: without guards they take up to 35 s and more."""

PROGRAM: Final = """
import resource, sys
from gateway.converters.javascript import JavaScriptDecoder
from gateway.errors import ConverterError

decode = JavaScriptDecoder(sys.stdin.read(), time_limit_ms=100, memory_limit_bytes=16 << 20).bind({})
start_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
resource.setrlimit(resource.RLIMIT_CPU, (int(start_s) + 2, int(start_s) + 3))
try:
    decode(b"x", 0)
except ConverterError as error:
    print(error.message)
"""


def answer_of_process(statements: str) -> str:
    """How a call ends in a process that is ended at 2 s of CPU time; the wall limit allows for a busy machine."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=f"{statements}\nreturn [];",
        capture_output=True,
        text=True,
        timeout=10 * LIMIT_S,
        check=True,
    )
    return done.stdout


def value_of(expression: str) -> object:
    decode = javascript(f"return {{ deviceName: 'd', attributes: {{ value: {expression} }} }};")
    return decode(b"x", RECEIVED_MS)[0].attributes.get("value")


def failure(statements: str) -> str:
    with pytest.raises(ConverterError) as caught:
        javascript(statements)(b"x", RECEIVED_MS)
    return caught.value.message


LONG = "var s = 'a'.repeat(400000), n = 'a'.repeat(200000) + 'b';"


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (f"{LONG} s.indexOf(n);", "indexOf: a search of 400000 characters for 200001 takes too many steps"),
        (f"{LONG} s.lastIndexOf(n);", "lastIndexOf: a search"),
        (f"{LONG} s.includes(n);", "includes: a search"),
        (f"{LONG} s.split(n);", "split: a search"),
        (f"{LONG} s.replace(n, '');", "replace: a search"),
        (f"{LONG} s.replaceAll(n, '');", "replaceAll: a search"),
        (f"{LONG} s.indexOf({{ toString: () => n }});", "indexOf: a search"),
        (f"{LONG} String.prototype.indexOf.call({{ toString: () => s }}, n);", "indexOf: a search"),
        (f"{LONG} var i = 0; s.split({{ toString: () => n, get [Symbol.split]() {{ return i++ ? s : null; }} }});",
         "split: a search"),
        ("var s = 'a'.repeat(60000); s.indexOf(s.slice(0, 30000) + 'b');", "indexOf: a search"),
        ("var s = 'a'.repeat(60000), n = 'a'.repeat(1000) + 'b'; for (;;) s.indexOf(n);", "took longer than 100 ms"),
        ("'a'.repeat(1e6).replaceAll('a', '$$'.repeat(500000));", "replaceAll: 1000000 replacements of length 1000000"),
        ("('a' + '\\u0315\\u0300'.repeat(30000)).normalize('NFC');", "normalize: a text beyond ASCII of length 60001"),
        ("'a'.localeCompare('\\u0315\\u0300'.repeat(30000));", "localeCompare: a text beyond ASCII of length 60000"),
        ("((1n << 1000000n) - 1n).toString();", "toString: a BigInt of more than 60000 digits"),
        ("((1n << 1000000n) - 1n).toLocaleString();", "toLocaleString: a BigInt of more than 60000 digits"),
        ("BigInt('9'.repeat(300000));", "BigInt: a text of length 300000"),
        ("BigInt(['9'.repeat(300000)]);", "BigInt: a text of length 300000"),
        ("(1n).constructor('9'.repeat(300000));", "BigInt: a text of length 300000"),
        ("2n ** 10000000n;", "BigInt is too large"),
        ("new RegExp('[' + 'ac'.repeat(30000) + ']');", "RegExp: a pattern of length 60002"),
        ("/a/.constructor('[' + 'ac'.repeat(30000) + ']');", "RegExp: a pattern of length 60002"),
        ("'x'.match('[' + 'ac'.repeat(30000) + ']');", "match: a pattern of length 60002"),
        ("'x'.search('[' + 'ac'.repeat(30000) + ']');", "search: a pattern of length 60002"),
        ("/a/.compile('[' + 'ac'.repeat(30000) + ']');", "compile: a pattern of length 60002"),
        ("var a = []; for (var i = 0; i < 40; i++) a = [a, a]; a.flat(Infinity);", "took longer than 100 ms"),
        ("var a = []; for (var i = 0; i < 40; i++) a = [a, a]; return a;", "took longer than 100 ms"),
        ("var a = []; for (var i = 0; i < 40; i++) a = [a, a]; throw { a };", "took longer than 100 ms"),
        ("var a = []; for (var i = 0; i < 40; i++) a = [a, a]; JSON.stringify(a, null, 1);", "took longer than 100 ms"),
        ("String.raw({ raw: { length: 2 ** 53 - 1 } });", "raw: a template of length 9007199254740991"),
        ("JSON.stringify({}, Array.from({ length: 80000 }, (_, i) => 'k' + i));",
         "stringify: a list of keys of length 80000"),
    ],
)  # fmt: skip
def test_a_call_that_would_take_seconds_is_refused_with_its_name_and_bound(statements: str, message: str) -> None:
    assert message in answer_of_process(statements)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'a,b,c'.split(',')", ["a", "b", "c"]),
        ("'a,b,c'.split(',', 2)", ["a", "b"]),
        ("'a, b'.split(/, */)", ["a", "b"]),
        ("'abc'.split()", ["abc"]),
        ("'abc'.split('')", ["a", "b", "c"]),
        ("'undefined'.split(undefined)", ["undefined"]),
        ("'a1b'.split(1)", ["a", "b"]),
        ("'anullb'.split(null)", ["a", "b"]),
        ("'x'.repeat(20000).split('x').length", 20001),
        ("'aXbX'.replace('X', '$&-')", "aX-bX"),
        ("'aXbX'.replace(/X/g, (x, at) => at)", "a1b3"),
        ("'aXbX'.replaceAll('X', x => x + x)", "aXXbXX"),
        ("'aXbX'.replaceAll(/X/g, '.')", "a.b."),
        ("'a'.replace('a')", "undefined"),
        ("'abcabc'.indexOf('c')", 2),
        ("'abcabc'.indexOf('c', 3)", 5),
        ("'abcabc'.lastIndexOf('c')", 5),
        ("'abcabc'.lastIndexOf('c', 4)", 2),
        ("'abc'.includes('b', 2)", False),
        ("'undefined'.includes()", True),
        ("'x'.repeat(60000).indexOf('x'.repeat(60000))", 0),
        ("String.prototype.indexOf.call(1234, 3)", 2),
        ("'e\\u0301'.normalize()", "é"),
        ("'a'.repeat(60000).normalize('NFC').length", 60000),
        ("'a'.localeCompare('b')", -1),
        ("'a1b22'.match(/\\d+/g)", ["1", "22"]),
        ("[...'a1b2'.matchAll(/\\d/g)].length", 2),
        ("'ab1'.search('\\\\d')", 2),
        ("new RegExp('a(.)').exec('xab')[1]", "b"),
        ("RegExp('A', 'i').test('a')", True),
        ("/a/ instanceof RegExp && /a/.constructor === RegExp", True),
        ("new (class extends RegExp { get mine() { return this.source; } })('a').mine", "a"),
        ("Number(BigInt('12') + BigInt(30) + BigInt.asUintN(8, 256n))", 42),
        ("BigInt('0x1f').toString(16) + (255n).toString() + `${7n}`", "1f2557"),
        ("Number(new DataView(new Uint8Array([0, 0, 0, 0, 0, 0, 1, 2]).buffer).getBigUint64(0))", 258),
        ("[1, [2, [3, , [4]]]].flat(Infinity)", [1, 2, 3, 4]),
        ("[1, [2, [3]]].flat()", [1, 2, [3]]),
        ("[1, [2, [3, [4]]]].flat(2)", [1, 2, 3, [4]]),
        ("String.raw`a\\n${1}b`", "a\\n1b"),
        ("JSON.stringify({ a: 1, b: [2] }, ['b'], 1)", '{\n "b": [\n  2\n ]\n}'),
        ("JSON.stringify({ a: 1 }, (key, value) => value === 1 ? 2 : value)", '{"a":2}'),
        ("[''.split.length, ''.split.name, ''.indexOf.length, ''.normalize.length]", [2, "split", 1, 0]),
        ("Object.keys(String.prototype).length", 0),
    ],
)  # fmt: skip
def test_what_decoders_do_is_as_it_was(expression: str, value: object) -> None:
    assert value_of(expression) == value


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("String.prototype.indexOf.call(null, 'a');", "TypeError"),
        ("String.prototype.split.call(undefined, 'a');", "TypeError"),
        ("'a'.includes(/a/);", "TypeError"),
        ("'a'.replaceAll(/a/, '');", "TypeError: regexp must have the 'g' flag"),
        ("'a'.indexOf(Symbol());", "TypeError"),
        ("'a'.normalize('x');", "RangeError"),
        ("new BigInt(1);", "TypeError"),
        ("BigInt(1.5);", "RangeError"),
        ("BigInt('x');", "SyntaxError"),
        ("new RegExp('(');", "SyntaxError"),
    ],
)
def test_what_is_wrong_fails_as_it_did(statement: str, message: str) -> None:
    assert failure(statement).startswith(message)


def test_a_refusal_has_the_place_in_the_users_own_text() -> None:
    assert failure("var s = 'a'.repeat(60000), n = s.slice(0, 30000);\ns.indexOf(n);").endswith("(line 2, column 11)")
