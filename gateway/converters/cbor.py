"""`decodeCbor` for converters: a CBOR item (RFC 8949) as the values that their language has.

In Python it is cbor2's work. The JavaScript engine can't call into Python while a time limit holds, so there it is
written in JavaScript: time and memory that a hostile payload takes are then the converter's own, and end at its limits.
Both refuse the same payloads, and what both have gives the same (tests/converters/test_cbor.py holds them to that):

- an item is the whole payload, at most `MAX_LENGTH` bytes long, its containers and tags at most `MAX_DEPTH` deep;
- tags 2 and 3 (bignums) and 4 (decimal fraction) are numbers; 5 (bigfloat), 25 and 29 (references to other items) are
  refused, since their content alone would be a wrong value; of any other tag the content stands for itself, so that a
  time is its text or number;
- a key that comes twice is an error (RFC 8949 §5.6).

In JavaScript numbers are doubles, as those of `JSON.parse`; a byte string is an array of bytes, as `payload` is; a map
is an object: keys that are no texts become their text, byte strings in hex; arrays and maps are refused as keys. Python
has bytes, integers of any size, and keys as they came; `undefined` is None.

`JAVASCRIPT` evaluates to a function; called with the constants below, in their order, it gives `decodeCbor`. It must be
called before user code runs.
"""

import io
from collections.abc import Callable
from typing import Final, NoReturn

import cbor2

MAX_LENGTH: Final = 1 << 20
"""Longest payload, in bytes."""

MAX_DEPTH: Final = 64
"""How deep arrays, maps and tags may stand in each other: twice what a result may hold."""

MAX_BIGNUM_BYTES: Final = 128
"""Longest bignum: beyond 1,024 bits no double goes."""

_MAX_SAFE_INTEGER: Final = (1 << 53) - 1
"""Largest integer that each language holds exactly."""

_UNDEFINED: Final = b"\xf7"


class CborError(ValueError):
    """The payload is not CBOR, or holds what converters do not take."""


def decode_cbor(payload: bytes) -> object:
    """The CBOR item that the payload is. Raises CborError, whose message says what is wrong with it."""
    if len(payload) > MAX_LENGTH:
        raise CborError(f"decodeCbor: {len(payload)} bytes are too many, {MAX_LENGTH} is the most")
    stream = io.BytesIO(payload)
    other_tags: set[int] = set()

    def content_of(tag: cbor2.CBORTag, is_key: bool) -> object:
        other_tags.add(tag.tag)
        content: object = tag.value
        return content

    try:
        value: object = cbor2.load(
            stream, max_depth=MAX_DEPTH, allow_duplicate_keys=False, semantic_decoders=_TAGS, tag_hook=content_of
        )
    except cbor2.CBORError as error:
        reason = error.__cause__ if isinstance(error.__cause__, CborError) else error
        raise CborError(f"decodeCbor: {reason}") from None
    if stream.tell() < len(payload):
        raise CborError(f"decodeCbor: bytes are left over after the item (byte {stream.tell()})")
    # Almost no payload has such a byte; one that has it may mean something else by it.
    return _plain(value) if other_tags or _UNDEFINED in payload else value


def _plain(value: object) -> object:
    """With lists and dicts, where cbor2 made what is in a tag immutable, and without `undefined`."""
    if value is cbor2.undefined:
        return None
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict | cbor2.frozendict):
        if cbor2.undefined in value:
            raise CborError("decodeCbor: undefined can't be a key")
        return {key: _plain(part) for key, part in value.items()}
    return value


# -- tags: cbor2 calls with the content, and with whether it is a part of a key ----------------------


def _itself(content: object, is_key: bool) -> object:
    return content


def _positive(content: object, is_key: bool) -> int:
    if not isinstance(content, bytes) or len(content) > MAX_BIGNUM_BYTES:
        raise CborError(f"a bignum must be a byte string of at most {MAX_BIGNUM_BYTES} bytes")
    if is_key:  # whoever chooses them can choose integers that all have one hash
        raise CborError("a bignum can't be a key")
    return int.from_bytes(content)


def _negative(content: object, is_key: bool) -> int:
    return -1 - _positive(content, is_key)


def _decimal_fraction(content: object, is_key: bool) -> float:
    if isinstance(content, list | tuple) and len(content) == 2:
        exponent, mantissa = content
        if _is_safe(exponent) and _is_safe(mantissa):
            return float(f"{mantissa}e{exponent}")
    raise CborError("a decimal fraction must be an array of two integers below 2**53")


def _is_safe(value: object) -> bool:
    return type(value) is int and abs(value) <= _MAX_SAFE_INTEGER


def _refusal(tag: int) -> Callable[[object, bool], NoReturn]:
    def refuse(content: object, is_key: bool) -> NoReturn:
        raise CborError(f"tag {tag} is not supported")

    return refuse


_TAGS: Final[dict[int, Callable[[object, bool], object]]] = {
    # Those that cbor2 would make objects of, from times to e-mails, and a set where there was an array.
    **dict.fromkeys((0, 1, 28, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _itself),
    2: _positive,
    3: _negative,
    4: _decimal_fraction,
    5: _refusal(5),
    25: _refusal(25),
    29: _refusal(29),
}

JAVASCRIPT: Final = r"""(function (MAX_LENGTH, MAX_DEPTH, MAX_BIGNUM_BYTES) {
  "use strict";
  const { apply } = Reflect;
  const { defineProperty, hasOwn } = Object;
  const { isSafeInteger } = Number;
  const { fromCharCode } = String;
  const { slice: arraySlice } = Array.prototype;
  const { subarray, toHex } = Uint8Array.prototype;
  const { getFloat32, getFloat64 } = DataView.prototype;
  const Bytes = Uint8Array, View = DataView, Failure = Error, Wrong = TypeError;
  const toNumber = Number, toBigInt = BigInt, toText = String;
  const escapes = escape, fromUtf8 = decodeURIComponent;

  const NO_ARGUMENTS = [], MAX_ARGUMENTS = 60000, BREAK = 0xff, INDEFINITE = 31;
  const BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5;  // major types (RFC 8949 §3.1)
  const BIGNUM = 2, NEGATIVE_BIGNUM = 3, DECIMAL_FRACTION = 4;  // tags
  const ENTRY = { writable: true, enumerable: true, configurable: true };

  let bytes, view, at;
  let lastBytes;  // the array that the last byte string became

  // Thrown as a text and made an error by `decodeCbor`, whose stack then begins near the user's own line.
  function fail(what) {
    throw "decodeCbor: " + what + " (byte " + at + ")";
  }

  // Steps over the next bytes; gives where they begin.
  function take(count) {
    if (count > bytes.length - at) fail("the payload ends too early");
    at += count;
    return at - count;
  }

  function argument(info) {
    if (info < 24) return info;
    if (info > 27) fail("what no item begins with");
    const from = take(1 << info - 24);
    switch (info) {
      case 24: return bytes[from];
      case 25: return bytes[from] << 8 | bytes[from + 1];
      case 26: return uint32(from);
    }
    return uint32(from) * 4294967296 + uint32(from + 4);
  }

  function uint32(from) {
    return bytes[from] * 16777216 + (bytes[from + 1] << 16 | bytes[from + 2] << 8 | bytes[from + 3]);
  }

  // In one rounding: beyond 2**53 the argument is rounded already, and -1 - argument would be once more.
  function negative(info) {
    const value = argument(info);
    return info === 27 ? -(uint32(at - 8) * 4294967296 + (uint32(at - 4) + 1)) : -1 - value;
  }

  // -- texts and byte strings --------------------------------------------------------------------

  const toArray = (...parts) => parts;

  function byteString(length) {
    const from = take(length), part = apply(subarray, bytes, [from, at]);
    return length <= MAX_ARGUMENTS ? apply(toArray, undefined, part) : apply(arraySlice, part, NO_ARGUMENTS);
  }

  function text(length) {
    let from = take(length), characters = "";
    for (; from < at; from += MAX_ARGUMENTS) {
      const to = from + MAX_ARGUMENTS < at ? from + MAX_ARGUMENTS : at;
      characters += apply(fromCharCode, undefined, apply(subarray, bytes, [from, to]));
    }
    try {
      return fromUtf8(escapes(characters));
    } catch {
      fail("a text is not UTF-8");
    }
  }

  function chunk(type) {
    const initial = bytes[take(1)];
    if (initial >> 5 !== type || initial === (type << 5 | INDEFINITE)) fail("what no chunk begins with");
    return argument(initial & 31);
  }

  function atBreak() {
    if (at === bytes.length) take(1);
    if (bytes[at] !== BREAK) return false;
    at++;
    return true;
  }

  function chunkedText() {
    let whole = "";
    while (!atBreak()) whole += text(chunk(TEXT));
    return whole;
  }

  function chunkedBytes() {
    const whole = [];
    while (!atBreak()) {
      const length = chunk(BYTES), from = take(length);
      for (let i = from; i < at; i++) whole[whole.length] = bytes[i];
    }
    return whole;
  }

  // -- arrays and maps ---------------------------------------------------------------------------

  function array(info, levels) {
    const items = [];
    if (info === INDEFINITE) {
      while (!atBreak()) items[items.length] = item(levels);
    } else {
      const length = argument(info);
      if (length > bytes.length - at) fail("the payload ends too early");
      for (let i = 0; i < length; i++) items[i] = item(levels);
    }
    return items;
  }

  function map(info, levels) {
    const entries = {};
    if (info === INDEFINITE) {
      while (!atBreak()) addEntry(entries, levels);
    } else {
      const length = argument(info);
      if (2 * length > bytes.length - at) fail("the payload ends too early");
      for (let i = 0; i < length; i++) addEntry(entries, levels);
    }
    return entries;
  }

  function addEntry(entries, levels) {
    const name = key(levels);
    if (hasOwn(entries, name)) fail("the key " + name + " is there twice");
    const value = item(levels);
    if (name === "__proto__") defineProperty(entries, name, { __proto__: null, value, ...ENTRY });
    else entries[name] = value;
  }

  function key(levels) {
    const value = item(levels);
    if (typeof value === "string") return value;
    if (value !== undefined && value === lastBytes) return apply(toHex, new Bytes(value), NO_ARGUMENTS);
    if (value === undefined || (typeof value === "object" && value !== null)) {
      fail("a key must be a text, a number or a byte string");
    }
    return toText(value);
  }

  // -- the rest ----------------------------------------------------------------------------------

  function special(info) {
    switch (info) {
      case 20: return false;
      case 21: return true;
      case 22: return null;
      case 23: return undefined;
      case 25: return half(argument(info));
      case 26: return apply(getFloat32, view, [take(4)]);
      case 27: return apply(getFloat64, view, [take(8)]);
      case INDEFINITE: fail("a break where an item is expected");
    }
    fail("a simple value that has no meaning");
  }

  function half(bits) {
    const exponent = bits >> 10 & 31, fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent < 31 ? (1024 + fraction) * 2 ** (exponent - 25)
      : fraction === 0 ? Infinity : NaN;
    return bits & 0x8000 ? -size : size;
  }

  function tagged(tag, levels) {
    if (tag === 5 || tag === 25 || tag === 29) fail("tag " + tag + " is not supported");
    const content = item(levels);
    if (tag === BIGNUM || tag === NEGATIVE_BIGNUM) {
      if (content === undefined || content !== lastBytes || content.length > MAX_BIGNUM_BYTES) {
        fail("a bignum must be a byte string of at most " + MAX_BIGNUM_BYTES + " bytes");
      }
      const value = toBigInt("0x0" + apply(toHex, new Bytes(content), NO_ARGUMENTS));
      return toNumber(tag === BIGNUM ? value : -1n - value);
    }
    if (tag !== DECIMAL_FRACTION) return content;
    if (typeof content !== "object" || content === null || content.length !== 2 || !isSafeInteger(content[0])
        || !isSafeInteger(content[1])) {
      fail("a decimal fraction must be an array of two integers below 2**53");
    }
    return toNumber(content[1] + "e" + content[0]);
  }

  function item(levels) {
    const initial = bytes[take(1)], type = initial >> 5, info = initial & 31;
    if (type >= ARRAY && type < 7 && levels === 0) fail("it is nested more than " + MAX_DEPTH + " deep");
    switch (type) {
      case 0: return argument(info);
      case 1: return negative(info);
      case BYTES: return lastBytes = info === INDEFINITE ? chunkedBytes() : byteString(argument(info));
      case TEXT: return info === INDEFINITE ? chunkedText() : text(argument(info));
      case ARRAY: return array(info, levels - 1);
      case MAP: return map(info, levels - 1);
      case 6: return tagged(argument(info), levels - 1);
    }
    return special(info);
  }

  return function decodeCbor(payload) {
    if (typeof payload !== "object" || payload === null || !(payload.length >= 0)) {
      throw new Wrong("decodeCbor takes an array of bytes");
    }
    if (payload.length > MAX_LENGTH) {
      throw new Failure("decodeCbor: " + payload.length + " bytes are too many, " + MAX_LENGTH + " is the most");
    }
    bytes = new Bytes(payload);
    view = new View(bytes.buffer);
    at = 0;
    try {
      const value = item(MAX_DEPTH);
      if (at < bytes.length) fail("bytes are left over after the item");
      return value;
    } catch (thrown) {
      throw typeof thrown === "string" ? new Failure(thrown) : thrown;
    } finally {
      bytes = view = lastBytes = undefined;
    }
  };
})"""
