"""The JavaScript that runs in a converter's context before the user's own, and stands between it and Python.

It takes care of what only JavaScript can:

- The intrinsics that it needs are taken before user code runs, so that no decoder can break them.
- Everything that a decoder can throw is turned into text in here, where the time limit holds. The binding turns an
  exception that escapes into text outside of the limit, so a thrown `{toString() { for (;;); }}` would stop the
  process. One exception can't be caught in here, the engine's own "interrupted": its class is frozen, and
  `Error.prepareStackTrace` closed, so that turning it into text never runs a line of the user's.
- Many array methods never look at the clock. An assignment to an index that came with a payload makes an array of
  up to four thousand million holes, on which they would run for minutes: they refuse what is too long. (Found by
  calling every built-in function on such arrays; two methods of iterators that do the same are taken away.)
- More built-in functions that never look at the clock are bounded by `gateway.converters.guards`.
- `JSON.stringify` makes null of NaN, of Infinity and of an invalid Date without a word: these are errors.

`PRELUDE` evaluates to a function; called with the constants below, in their order, it gives `compile(source)`, which
gives a function (payload in hex, metadata as JSON) → answer, or an error answer where the source can't be compiled.
An answer is the result as JSON text, or `ERROR_MARK` and a JSON array of message and stack.
"""

from typing import Final

ERROR_MARK: Final = "!"
"""First character of an error answer; no JSON text begins with it."""

LINE_OFFSET: Final = 1000
"""The user's first line is the one after this, so that no line of the prelude is taken for one of the user's."""

MAX_ARRAY_LENGTH: Final = 1 << 20
"""Longest array that array methods take, holes included: more than 16 MiB can hold of anything else."""

MAX_RESULT_LENGTH: Final = 1 << 20
"""Longest result as JSON text, in characters: it is parsed outside of the time limit."""

PRELUDE: Final = r"""(function (ERROR_MARK, LINE_OFFSET, MAX_ARRAY_LENGTH, MAX_RESULT_LENGTH) {
  "use strict";
  const { parse, stringify } = JSON;
  const { apply } = Reflect;
  const { defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf } = Object;
  const { isPrototypeOf } = Object.prototype;
  const { isArray } = Array;
  const arrayPrototype = Array.prototype, { join: arrayJoin, slice: arraySlice } = arrayPrototype;
  const errorPrototype = Error.prototype, internalErrorPrototype = InternalError.prototype;
  const promisePrototype = Promise.prototype;
  const functionToText = Function.prototype.toString;
  const { includes, toWellFormed } = String.prototype;
  const { get: mapGet, set: mapSet } = Map.prototype;
  const { fromHex } = Uint8Array;
  const toText = String, PathMap = Map, TooLong = RangeError, NotFinite = TypeError, evaluate = eval;

  const NO_ARGUMENTS = [], NULL = ["null"];
  const MAX_ARGUMENTS = 60000;  // of one call; the engine takes 65,535
  const HEADER = "(function decoder(payload, metadata) {\n", FOOTER = "\n})";

  // Does nothing, but being called it lets the engine look at the clock: an array that holds one array twice, forty
  // deep, has 2⁴⁰ values.
  const keep = (key, value) => value;

  // -- what a thrown value says, as text ---------------------------------------------------------

  function is(prototype, value) {
    return typeof value === "object" && value !== null && apply(isPrototypeOf, prototype, [value]);
  }

  function shown(thrown) {
    if (typeof thrown !== "object" || thrown === null || is(errorPrototype, thrown)) return toText(thrown);
    return stringify(thrown, keep) ?? toText(thrown);
  }

  function wellFormed(text) {
    return apply(toWellFormed, text, NO_ARGUMENTS);
  }

  function failure(message, stack) {
    // Joined and not added: the sum of long strings is a rope, which the binding does not know.
    return apply(arrayJoin, [ERROR_MARK, stringify([wellFormed(message), wellFormed(stack)])], [""]);
  }

  function describe(thrown) {
    try {
      const stack = is(errorPrototype, thrown) ? thrown.stack : "";
      return failure(shown(thrown), typeof stack === "string" ? stack : "");
    } catch {
      return ERROR_MARK + '["the decoder threw something that can not be shown", ""]';
    }
  }

  // -- the result, as JSON text ------------------------------------------------------------------

  function refuseLoss() {
    const paths = new PathMap();
    return function (key, value) {
      const holder = apply(mapGet, paths, [this]), original = this[key];
      const path = holder === undefined ? "" : isArray(this) ? holder + "[" + key + "]"
        : holder === "" ? key : holder + "." + key;
      if (typeof value === "number" ? value - value !== 0
          : value === null ? original !== null : value === undefined && isArray(this)) {
        const what = (path === "" ? "the result" : path) + " is " + toText(original);
        throw new NotFinite(what + ", which JSON can't hold");
      }
      if (typeof value === "object" && value !== null) apply(mapSet, paths, [value, path]);
      return value;
    };
  }

  function encode(result) {
    const text = stringify(result, keep);
    if (text === undefined) return "null";
    if (text === "{}" && is(promisePrototype, result)) {
      return failure("the decoder returned a Promise: it must return the result itself, without async", "");
    }
    if (text.length > MAX_RESULT_LENGTH) {
      return failure("the result has more than " + MAX_RESULT_LENGTH + " characters of JSON", "");
    }
    return apply(includes, text, NULL) ? stringify(result, refuseLoss()) : text;
  }

  // -- one call ----------------------------------------------------------------------------------

  const toArray = (...bytes) => bytes;

  function bytesOf(hex) {
    const bytes = fromHex(hex);
    return hex.length <= 2 * MAX_ARGUMENTS ? apply(toArray, undefined, bytes) : apply(arraySlice, bytes, NO_ARGUMENTS);
  }

  function compile(source) {
    const text = HEADER + source + FOOTER;
    let decoder;
    try {
      decoder = evaluate("\n".repeat(LINE_OFFSET - 1) + text);
      if (typeof decoder !== "function" || "(" + apply(functionToText, decoder, NO_ARGUMENTS) + ")" !== text) {
        return failure("SyntaxError: a '}' ends the decoder before its last line", "");
      }
    } catch (error) {
      return describe(error);
    }
    return function (hex, metadata) {
      try {
        return encode(decoder(bytesOf(hex), parse(metadata)));
      } catch (error) {
        return describe(error);
      }
    };
  }

  // -- what must hold whatever a decoder does ----------------------------------------------------

  function fix(object, name, descriptor) {
    defineProperty(object, name, { ...descriptor, configurable: false });
  }

  fix(Error, "prepareStackTrace", { value: undefined, writable: false });
  fix(internalErrorPrototype, "stack", getOwnPropertyDescriptor(errorPrototype, "stack"));
  fix(internalErrorPrototype, "toString", { value: errorPrototype.toString });
  fix(internalErrorPrototype, Symbol.toPrimitive, { value: undefined });
  freeze(internalErrorPrototype);
  freeze(getPrototypeOf(Uint8Array.prototype));
  freeze(Uint8Array.prototype);

  function refuseLong(array) {
    if (array.length > MAX_ARRAY_LENGTH) {
      throw new TooLong("an array of length " + array.length + " is too long, " + MAX_ARRAY_LENGTH + " is the most");
    }
  }

  function refuseLongOnes(arrays) {
    for (let i = 0; i < arrays.length; i++) {
      if (isArray(arrays[i])) refuseLong(arrays[i]);
    }
  }

  function guard(name, check) {
    const native = arrayPrototype[name];
    const guarded = { [name](...args) {
      refuseLong(this);
      if (check !== undefined) check(this, args);
      return apply(native, this, args);
    } }[name];
    defineProperty(guarded, "length", { value: native.length });
    defineProperty(arrayPrototype, name, { value: guarded });
  }

  ["copyWithin", "flatMap", "join", "reverse", "shift", "slice", "sort", "splice", "toLocaleString", "toSpliced",
    "unshift"].forEach((name) => guard(name));
  delete Iterator.prototype.join;
  delete Iterator.prototype.includes;
  guard("concat", (array, args) => refuseLongOnes(args));
  guard("flat", (array) => refuseLongOnes(array));

  return compile;
})"""
