"""What hostile and runaway decoders can't do: `gateway.converters.prelude` and the limits."""

import gc
import time

import pytest

from gateway.converters.prelude import MAX_ARRAY_LENGTH, MAX_RESULT_LENGTH
from gateway.errors import ConverterError

from .rig import RECEIVED_MS, javascript

HEALTHY = b"ok"
"""A payload that the decoders below convert; `x` makes them misbehave."""

BOUND_S = 5.0
"""Longest that any call below may take: many times the limit, for a busy machine, but no endless loop."""


def misbehaving(statements: str) -> str:
    well = "return { deviceName: 'd', attributes: { n: payload.length } };"
    return f"if (payload.length === 1) {{ {statements} }}\n{well}"


def failure(statements: str, *, time_limit_ms: int = 100) -> str:
    """How a misbehaving call fails; the next call must be well again, twice."""
    decode = javascript(misbehaving(statements), time_limit_ms=time_limit_ms)
    assert decode(HEALTHY, RECEIVED_MS)[0].attributes == {"n": 2}
    for _ in range(2):
        before_s = time.process_time()
        with pytest.raises(ConverterError) as caught:
            decode(b"x", RECEIVED_MS)
        assert time.process_time() - before_s < BOUND_S
        assert decode(HEALTHY, RECEIVED_MS)[0].attributes == {"n": 2}
    assert len(caught.value.message) < 400
    return caught.value.message


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statements",
    [
        "for (;;);",
        "try { for (;;); } catch { } finally { }",
        "for (;;) { try { for (;;); } catch { } }",
        "/(a+)+$/.test('a'.repeat(40) + 'b');",
        "/^(([a-z])+.)+[A-Z]([a-z])+$/.test('a'.repeat(100));",
        "var f = () => { try { f(); } finally { f(); } }; f();",
        "return { toJSON() { for (;;); } };",
        "return { get deviceName() { for (;;); } };",
        "return new Proxy({}, { ownKeys() { for (;;); } });",
        "return { deviceName: null, get x() { return { toJSON() { for (;;); } }; } };",
        "throw { toString() { for (;;); }, toJSON() { for (;;); } };",
        "throw new Proxy({}, { get() { for (;;); }, getPrototypeOf() { for (;;); } });",
        "var e = new Error('x'); Object.defineProperty(e, 'stack', { get() { for (;;); } }); throw e;",
        "(async () => { for (;;); })();",
        "class A { static { for (;;); } }",
        "[1].indexOf.call({ length: 2 ** 53 - 1 }, 1);",
        # What the engine's "interrupted" itself must not run into, since nothing would stop that.
        "InternalError.prototype.toString = () => { for (;;); }; for (;;);",
        "InternalError.prototype.name = { toString() { for (;;); } }; for (;;);",
        "Error.prototype.toString = () => { for (;;); }; for (;;);",
        "Object.prototype[Symbol.toPrimitive] = () => { for (;;); }; for (;;);",
        "Object.defineProperty(Error.prototype, 'stack', { get() { for (;;); } }); for (;;);",
        "Object.defineProperty(Error.prototype, 'message', { get() { for (;;); } }); for (;;);",
        "Error.prepareStackTrace = () => ({ toString() { for (;;); } }); for (;;);",
        "Error.stackTraceLimit = 0; for (;;);",
    ],
)
def test_a_call_that_takes_too_long_is_stopped_and_the_next_one_is_well(statements: str) -> None:
    assert failure(statements).startswith("the converter took longer than 100 ms")


def test_the_time_limit_is_for_each_call_anew() -> None:
    decode = javascript("const end = Date.now() + 40; while (Date.now() < end); return [];")
    for _ in range(10):
        assert decode(b"x", RECEIVED_MS) == []


def test_the_time_limit_is_the_one_that_is_set() -> None:
    assert failure("for (;;);", time_limit_ms=20).startswith("the converter took longer than 20 ms")


HOLES = [
    "var a = []; a[3e9] = 1;",
    "payload[4e9] = 1; var a = payload;",
    "var a = new Array(2 ** 32 - 1);",
    "var a = { length: 2 ** 53 - 1, __proto__: Array.prototype };",
]


@pytest.mark.parametrize("holes", HOLES)
@pytest.mark.parametrize(
    "use",
    ["a.join('')", "a.reverse()", "a.sort()", "a.slice()", "[].concat(a)", "String(a)", "a.toLocaleString()",
     "a.flat()", "a.shift()", "a.unshift(1)", "a.splice(0, 1)", "a.copyWithin(1, 0)", "[a].flat()",
     "a.flatMap(Math.abs)"],
)  # fmt: skip
def test_an_array_of_holes_never_stops_the_process(holes: str, use: str) -> None:
    decode = javascript(f"{holes} {use}; return [];")
    before_s = time.process_time()
    try:
        assert decode(b"x", RECEIVED_MS) == []
    except ConverterError as error:
        assert "is too long" in error.message or "took longer" in error.message, error.message
    assert time.process_time() - before_s < BOUND_S


def test_an_array_that_is_too_long_is_refused_with_its_length_and_the_users_line() -> None:
    message = failure("var a = [];\na[3e9] = 1;\na.reverse();")
    assert (
        message
        == f"RangeError: an array of length 3000000001 is too long, {MAX_ARRAY_LENGTH} is the most (line 3, column 3)"
    )


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statements",
    [
        "var a = []; for (;;) a.push(new Array(1000).fill(0));",
        "var a = []; for (;;) a.push(new Uint8Array(100000));",
        "'x'.repeat(2 ** 29);",
        "new Array(2 ** 32 - 1).fill(0);",
        "var s = 'x'; for (let i = 0; i < 29; i++) s += s; s.trim();",
        "new SharedArrayBuffer(1 << 30);",
        "try { 'x'.repeat(2 ** 29); } catch (e) { throw e; }",
    ],
)
def test_a_call_that_takes_too_much_memory_fails_and_the_next_one_is_well(statements: str) -> None:
    message = failure(statements, time_limit_ms=2000)
    assert "needed more than 16 MiB of memory" in message


def test_memory_that_fills_up_over_many_calls_costs_no_uplink() -> None:
    decode = javascript(
        "if (typeof kept === 'undefined') kept = []; kept.push(new Array(10000).fill(1));"
        "return { deviceName: 'd', attributes: { kept: kept.length } };"
    )
    kept = [decode(b"x", RECEIVED_MS)[0].attributes["kept"] for _ in range(300)]
    assert kept[:3] == [1, 2, 3]
    assert 50 < max(kept) < 200


def test_promises_that_nobody_waits_for_cost_no_uplink() -> None:
    decode = javascript(
        "for (let i = 0; i < 1000; i++) Promise.resolve().then(() => { throw 1; }); return { deviceName: 'd' };",
        memory_limit_bytes=1 << 20,
    )
    for _ in range(50):
        assert len(decode(b"x", RECEIVED_MS)) == 1


def test_running_out_of_memory_again_and_again_leaves_the_process_whole() -> None:
    for _ in range(10):
        endless = "var m = new Map(); for (let i = 0; ; i++) m.set(i, [{}]);"
        decode = javascript(endless, memory_limit_bytes=1 << 20, time_limit_ms=5000)
        with pytest.raises(ConverterError, match="needed more than 1 MiB"):
            decode(b"x", RECEIVED_MS)
        del decode
        gc.collect()


def test_a_result_of_more_text_than_the_bound_is_refused() -> None:
    message = failure(f"return {{ deviceName: 'd', attributes: {{ a: 'x'.repeat({MAX_RESULT_LENGTH}) }} }};")
    assert message == f"the result has more than {MAX_RESULT_LENGTH} characters of JSON"


# -- stack -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ("var f = () => f(); f();", "Maximum call stack size exceeded"),
        ("JSON.parse('['.repeat(1e6));", "Maximum call stack size exceeded"),
        ("eval('('.repeat(1e6));", "Maximum call stack size exceeded"),
        ("new RegExp('(?:'.repeat(2700));", "SyntaxError"),
        ("var o = {}; for (let i = 0; i < 50000; i++) o = { o }; return o;", "Maximum call stack size exceeded"),
        (
            "var o = []; for (let i = 0; i < 2000; i++) o = [o]; return { deviceName: 'd', attributes: { o } };",
            "nested",
        ),
        ("var p = {}; for (let i = 0; i < 50000; i++) p = new Proxy(p, {}); p.x;", "Maximum call stack size exceeded"),
    ],
)
def test_deep_recursion_is_an_error_and_never_a_crash(statements: str, message: str) -> None:
    assert message in failure(statements, time_limit_ms=2000)


# -- results and pollution -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ("var o = {}; o.o = o; return o;", "TypeError: circular reference"),
        ("return { deviceName: 1n };", "TypeError: BigInt are forbidden in JSON.stringify"),
        ("return { get deviceName() { throw new Error('mine'); } };", "Error: mine (line 1, column 67)"),
        ("return { toJSON() { return 7; } };", "the result must be an object or an array of objects, not a number"),
        ("return Promise.resolve({ deviceName: 'd' });",
         "the decoder returned a Promise: it must return the result itself, without async"),
        ("return (async () => ({ deviceName: 'd' }))();",
         "the decoder returned a Promise: it must return the result itself, without async"),
        ("var r = Proxy.revocable({}, {}); r.revoke(); return r.proxy;", "TypeError: revoked proxy"),
        ("throw { get toJSON() { throw 1; } };", "the decoder threw something that can not be shown"),
        ("throw Object.create(null);", "{}"),
        ("throw '!';", "!"),
        ("throw '';", "the decoder threw an empty text"),
    ],
)  # fmt: skip
def test_a_hostile_result_is_an_ordinary_failure(statements: str, message: str) -> None:
    assert failure(statements) == message


@pytest.mark.parametrize(
    "statements",
    [
        "JSON.stringify = JSON.parse = () => { throw 1; };",
        "JSON = undefined; Uint8Array = undefined; Reflect = undefined; Map = undefined; Object = undefined;",
        "Uint8Array.fromHex = () => 1; String.prototype.includes = String.prototype.toWellFormed = () => { throw 1; };",
        "Array.prototype[Symbol.iterator] = () => { throw 1; };",
        "Array.prototype.push = Array.prototype.slice = Function.prototype.call = Function.prototype.apply = null;",
        "Object.defineProperty(Object.getPrototypeOf(Uint8Array).prototype, 'length', { get() { return 0; } });",
        "Object.setPrototypeOf(Uint8Array.prototype, null);",
        "Object.prototype.then = () => { throw 1; }; Promise.prototype.constructor = null; Promise = undefined;",
        "Object.freeze(payload); Object.freeze(metadata); Object.freeze(globalThis);",
        "delete Error.prototype.stack; Error = RangeError = TypeError = undefined;",
        "decoder = payload = metadata = null;",
    ],
)
def test_a_decoder_that_breaks_the_built_ins_breaks_nothing_of_the_gateways(statements: str) -> None:
    source = f"""
        var size = payload.length;
        try {{ {statements} }} catch {{ }}
        return {{ deviceName: 'd', attributes: {{ size: size, none: null }} }};
    """
    decode = javascript(source, {"site": "Berlin"})
    for _ in range(3):
        assert decode(b"abc", RECEIVED_MS)[0].attributes == {"size": 3}


@pytest.mark.parametrize(
    "stack",
    ["'\\ud800 (<input>:1001:1)'", "'(<input>:' + '9'.repeat(5000) + ':1)'", "'(<input>:1001:0)'", "'!'", "7", "null"],
)
def test_a_stack_that_a_decoder_made_up_is_an_ordinary_failure(stack: str) -> None:
    statements = f"var e = new Error('x'); Object.defineProperty(e, 'stack', {{ value: {stack} }}); throw e;"
    assert failure(statements).startswith("Error: x")


@pytest.mark.parametrize("length", [500, 10_000, 1_000_000])
def test_an_error_of_any_length_is_told_in_brief(length: int) -> None:
    assert failure(f"var s = 'x'.repeat({length}); throw s + s;") == "x" * 255 + "…"


def test_a_result_of_long_sums_arrives_whole() -> None:
    decode = javascript(
        "var s = 'x'.repeat(100000); s = s + 'y' + s; return { deviceName: 'd', attributes: { s: s } };"
    )
    assert decode(b"x", RECEIVED_MS)[0].attributes == {"s": "x" * 100_000 + "y" + "x" * 100_000}


def test_a_function_of_any_name_may_fail() -> None:
    assert failure("var f = { ['\\ud800']() { throw new Error('x'); } }; f['\\ud800']();").startswith(
        "Error: x (line 1"
    )


@pytest.mark.parametrize(
    "statements",
    [
        "Uint8Array = DataView = Number = BigInt = String = decodeURIComponent = escape = Reflect = null;",
        "Object.hasOwn = Object.defineProperty = String.fromCharCode = Number.isSafeInteger = null;",
        "Array.prototype.slice = Array.prototype.push = DataView.prototype.getFloat64 = null;",
        "Object.prototype.then = Object.prototype.toString = () => { throw 1; };",
    ],
)
def test_a_decoder_that_breaks_the_built_ins_can_still_decode_cbor(statements: str) -> None:
    decode = javascript(f"{statements} return {{ deviceName: 'd', attributes: decodeCbor(payload) }};")
    payload = bytes.fromhex("a4 6161 4101 6162 fb3ff8000000000000 6163 c24101 6164 c4822001")
    for _ in range(2):
        assert decode(payload, RECEIVED_MS)[0].attributes == {"a": [1], "b": 1.5, "c": 1, "d": 0.1}


@pytest.mark.parametrize(
    "argument",
    [
        "{ length: 1, get 0() { for (;;); } }",
        "{ get length() { for (;;); } }",
        "{ length: 1, [Symbol.iterator]: () => ({ next: () => ({ value: 1 }) }) }",
        "new Proxy([1], { get() { for (;;); } })",
    ],
)
def test_a_payload_that_never_ends_is_no_way_around_the_limits(argument: str) -> None:
    assert "the converter " in failure(f"decodeCbor({argument});")


def test_decoding_cbor_within_itself_harms_nobody() -> None:
    message = failure("decodeCbor({ length: 1, get 0() { return decodeCbor([5]); } }); decodeCbor([1, 2]);")
    assert "bytes are left over" in message


def test_decoders_share_nothing() -> None:
    one = javascript("globalThis.shared = Array.prototype.shared = 1; return [];")
    other = javascript("return { deviceName: 'd', attributes: { a: typeof shared, b: typeof [].shared } };")
    one(b"x", RECEIVED_MS)
    assert other(b"x", RECEIVED_MS)[0].attributes == {"a": "undefined", "b": "undefined"}


def test_waiting_is_not_possible() -> None:
    assert "cannot block" in failure("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);")
