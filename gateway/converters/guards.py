"""JavaScript that bounds built-in functions of the engine which never look at the clock.

The engine checks the time limit only between its own instructions, and only at every 10,000th jump or call. A single
call of a function that is written in C can take far longer than the limit: a search for `'a'.repeat(200000) + 'b'`
compares 40 thousand million characters. Each function below refuses, with a RangeError that names it and its bound,
what would take it more than about 100 ms; and a search pays for its work with turns of an empty loop, so that the
limit also holds for a loop of searches.

No guard is possible for operators (`*` and `**` of long BigInts, the text of one in `${n}`), nor for `eval`, which
would lose the local variables. docs/converters.md has their worst times. Whoever runs workers must watch them.

`GUARDS` evaluates to a function; called with the constants below, in their order, it changes the globals. It must be
called after the prelude has taken its intrinsics, and before user code runs.
"""

from typing import Final

MAX_SEARCH_STEPS: Final = 100_000_000
"""Most comparisons of characters in one search of a text: places where it may be × length of what is sought."""

MAX_NORMALIZED_LENGTH: Final = 10_000
"""Longest text beyond ASCII that is normalized, in UTF-16 units: combining marks cost the square of their number."""

MAX_PATTERN_LENGTH: Final = 8_192
"""Longest text that becomes a regular expression: a class of characters costs the square of its length."""

MAX_BIGINT_DIGITS: Final = 60_000
"""Longest text that becomes a BigInt, and the longest BigInt in decimal digits that becomes a text by a call."""

MAX_REPLACEMENT_STEPS: Final = 16_000_000
"""Most characters that the replacements of one `replaceAll` have together: more than 16 MiB can hold."""

MAX_KEY_LIST: Final = 4_096
"""Longest list of keys for `JSON.stringify`: each is compared with all before it."""

GUARDS: Final = r"""(function (MAX_SEARCH_STEPS, MAX_NORMALIZED_LENGTH, MAX_PATTERN_LENGTH, MAX_BIGINT_DIGITS,
    MAX_REPLACEMENT_STEPS, MAX_KEY_LIST) {
  "use strict";
  const { apply, construct } = Reflect;
  const { defineProperty } = Object;
  const { isArray } = Array;
  const TooMuch = RangeError, Wrong = TypeError;
  const arrayPrototype = Array.prototype, stringPrototype = String.prototype, bigIntPrototype = BigInt.prototype;
  const regExpPrototype = RegExp.prototype;
  const { includes: textIncludes } = stringPrototype;
  const { exec, test } = regExpPrototype;

  const ORDINARY = { writable: true, enumerable: true, configurable: true };
  const MAX_RAW_LENGTH = 1 << 20;
  const STEPS_PER_TURN = 1000, FREE_STEPS = 10000;

  // `make` gets the native function, and gives an object whose one method takes its place.
  function replaceFunction(holder, name, make) {
    const native = holder[name];
    const guarded = make(native)[name];
    defineProperty(guarded, "length", { value: native.length });
    defineProperty(holder, name, { value: guarded });
  }

  function refuse(name, what, length, most) {
    throw new TooMuch(name + ": " + what + " " + length + " is too long, " + most + " is the most");
  }

  // -- searches ----------------------------------------------------------------------------------

  function pay(name, text, sought) {
    const steps = (text.length - sought.length + 1) * sought.length;
    if (steps > MAX_SEARCH_STEPS) {
      throw new TooMuch(name + ": a search of " + text.length + " characters for " + sought.length
        + " takes too many steps, " + MAX_SEARCH_STEPS + " is the most");
    }
    for (let i = steps; i > 0; i -= STEPS_PER_TURN);
  }

  // What a native method of texts would take for its text. It throws for undefined and null itself.
  function textOf(native, value) {
    return value === undefined || value === null ? apply(native, value, []) : `${value}`;
  }

  ["indexOf", "lastIndexOf", "includes"].forEach((name) => replaceFunction(stringPrototype, name, (native) => ({
    [name](sought, position) {
      if (typeof this === "string" && typeof sought === "string" && this.length * sought.length <= FREE_STEPS) {
        return apply(native, this, [sought, position]);
      }
      const text = typeof this === "string" ? this : textOf(native, this);
      if (typeof sought !== "string") {
        if (name === "includes") apply(native, "", [sought]);  // which throws for a regular expression
        sought = `${sought}`;
      }
      pay(name, text, sought);
      return apply(native, text, [sought, position]);
    },
  })));

  function refuseWithoutG(pattern) {
    if (pattern[Symbol.match] !== undefined && !apply(textIncludes, `${pattern.flags}`, ["g"])) {
      throw new Wrong("regexp must have the 'g' flag");
    }
  }

  function refuseReplacements(text, sought, replacement) {
    const most = sought.length === 0 ? text.length + 1 : (text.length - text.length % sought.length) / sought.length;
    if (most * replacement.length > MAX_REPLACEMENT_STEPS) {
      throw new TooMuch("replaceAll: " + most + " replacements of length " + replacement.length + " are too long, "
        + MAX_REPLACEMENT_STEPS + " characters is the most");
    }
  }

  [["split", Symbol.split], ["replace", Symbol.replace], ["replaceAll", Symbol.replace]].forEach(([name, symbol]) => {
    const replacesAll = name === "replaceAll";
    replaceFunction(stringPrototype, name, (native) => ({
      [name](sought, second) {
        if (typeof this === "string" && typeof sought === "string" && this.length * sought.length <= FREE_STEPS
            && !replacesAll) {
          return apply(native, this, [sought, second]);
        }
        if (this === undefined || this === null) apply(native, this, []);  // which throws
        if (typeof sought !== "string") {
          if ((typeof sought === "object" && sought !== null) || typeof sought === "function") {
            if (replacesAll) refuseWithoutG(sought);
            const method = sought[symbol];
            if (method !== undefined && method !== null) return apply(method, sought, [this, second]);
          }
          if (name !== "split" || sought !== undefined) sought = `${sought}`;
        }
        const text = typeof this === "string" ? this : `${this}`;
        if (sought === undefined) return apply(native, text, [sought, second]);
        pay(name, text, sought);
        if (replacesAll && typeof second !== "function") {
          second = `${second}`;
          refuseReplacements(text, sought, second);
        }
        return apply(native, text, [sought, second]);
      },
    }));
  });

  // -- texts that are normalized, or become regular expressions ----------------------------------

  const beyondAscii = /[^\0-\x7f]/;
  defineProperty(beyondAscii, "exec", { value: exec });

  function refuseUnnormalized(name, text) {
    if (text.length > MAX_NORMALIZED_LENGTH && apply(test, beyondAscii, [text])) {
      refuse(name, "a text beyond ASCII of length", text.length, MAX_NORMALIZED_LENGTH);
    }
  }

  replaceFunction(stringPrototype, "normalize", (native) => ({ normalize(form) {
    const text = textOf(native, this);
    refuseUnnormalized("normalize", text);
    return apply(native, text, [form]);
  } }));

  replaceFunction(stringPrototype, "localeCompare", (native) => ({ localeCompare(other) {
    const text = textOf(native, this), otherText = `${other}`;
    refuseUnnormalized("localeCompare", text);
    refuseUnnormalized("localeCompare", otherText);
    return apply(native, text, [otherText]);
  } }));

  function refusePattern(name, pattern) {
    if (typeof pattern === "string" && pattern.length > MAX_PATTERN_LENGTH) {
      refuse(name, "a pattern of length", pattern.length, MAX_PATTERN_LENGTH);
    }
  }

  ["match", "matchAll", "search"].forEach((name) => replaceFunction(stringPrototype, name, (native) => ({
    [name](pattern) {
      refusePattern(name, pattern);
      return apply(native, this, [pattern]);
    },
  })));

  replaceFunction(regExpPrototype, "compile", (native) => ({ compile(pattern, flags) {
    refusePattern("compile", pattern);
    return apply(native, this, [pattern, flags]);
  } }));

  function replaceConstructor(name, handler) {
    const guarded = new Proxy(globalThis[name], { __proto__: null, ...handler });
    defineProperty(globalThis[name].prototype, "constructor", { value: guarded });
    defineProperty(globalThis, name, { value: guarded });
  }

  replaceConstructor("RegExp", {
    apply(native, self, args) {
      refusePattern("RegExp", args[0]);
      return apply(native, self, args);
    },
    construct(native, args, newTarget) {
      refusePattern("RegExp", args[0]);
      return construct(native, args, newTarget);
    },
  });

  // -- BigInt ------------------------------------------------------------------------------------

  replaceConstructor("BigInt", {
    apply(native, self, args) {
      const value = args[0];
      const text = typeof value === "object" && value !== null ? `${value}` : value;
      if (typeof text === "string" && text.length > MAX_BIGINT_DIGITS) {
        refuse("BigInt", "a text of length", text.length, MAX_BIGINT_DIGITS);
      }
      return native(typeof text === "string" ? text : value);
    },
  });

  // Its size in bits is that of the longest text in decimal digits.
  const tooLarge = 1n << BigInt(Math.floor(MAX_BIGINT_DIGITS * Math.log2(10)));

  ["toString", "toLocaleString"].forEach((name) => replaceFunction(bigIntPrototype, name, (native) => ({
    [name](radix) {
      if (typeof this === "bigint" && (this >= tooLarge || this <= -tooLarge)) {
        throw new TooMuch(name + ": a BigInt of more than " + MAX_BIGINT_DIGITS + " digits is too long");
      }
      return apply(native, this, name === "toString" ? [radix] : []);
    },
  })));

  // -- arrays in arrays, and lists of keys -------------------------------------------------------

  // The native one looks at no clock, and an array that holds itself twice, forty deep, takes it years.
  function flatten(array, depth, flat) {
    const { length } = array;
    for (let i = 0; i < length; i++) {
      if (!(i in array)) continue;
      const value = array[i];
      if (depth >= 1 && isArray(value)) flatten(value, depth - 1, flat);
      else defineProperty(flat, flat.length, { __proto__: null, value, ...ORDINARY });
    }
    return flat;
  }

  replaceFunction(arrayPrototype, "flat", (native) => ({ flat(depth) {
    if (depth === undefined || depth <= 1) return apply(native, this, [depth]);
    return flatten(Object(this), +depth, []);
  } }));

  replaceFunction(String, "raw", (native) => ({ raw(template, ...values) {
    const { raw } = template, length = +raw.length;
    if (length > MAX_RAW_LENGTH) refuse("raw", "a template of length", length, MAX_RAW_LENGTH);
    const texts = { __proto__: null, length };
    for (let i = 0; i < length; i++) texts[i] = raw[i];
    return apply(native, this, [{ raw: texts }, ...values]);
  } }));

  const keep = (key, value) => value;

  replaceFunction(JSON, "stringify", (native) => ({ stringify(value, replacer, space) {
    if (isArray(replacer) && replacer.length > MAX_KEY_LIST) {
      refuse("stringify", "a list of keys of length", replacer.length, MAX_KEY_LIST);
    }
    // A function that is called lets the engine look at the clock.
    const polling = isArray(replacer) || typeof replacer === "function" ? replacer : keep;
    return native(value, polling, space);
  } }));
})"""
