"""The runtime's first part, in JavaScript: Java's numbers, and TBEL's operators on them.

How Java's values are represented:

| Java | JavaScript |
|---|---|
| Integer | a number |
| Long | a number beyond 32 bits, where that is exact; else a BigInt, so that a small Long is no Integer |
| Double | a number with a fraction, or not finite; else a `Real`, so that 5.0 is not 5 |
| Float, Byte | `Single`, `Octet` |
| String, Character | a string |
| Boolean, null | the same |
| Map | an object without a prototype of its own |
| List, array | an array; a list of nothing but bytes is a `Bytes`, which holds them as 0 to 255 |

Facts about the operators are MVEL's, as ThingsBoard changed it: two Integers divide to a Double, but where the types of
the operands differ the result has the wider type, so that a Long by an Integer is truncated; Integers that overflow in
`+`, `-` and `*` become a Long; bit operations stay within the type of their left side.
"""

from typing import Final

VALUES: Final = r"""
  const { isArray } = Array;
  const { fround, trunc } = Math;
  const { getPrototypeOf, setPrototypeOf, defineProperty, hasOwn, keys: keysOf } = Object;
  const objectPrototype = Object.prototype;

  class Failure extends Error {}
  Failure.prototype.name = "";

  function fail(message) {
    throw new Failure(message);
  }

  // -- numbers -----------------------------------------------------------------------------------

  class Boxed {
    constructor(value) { this.value = value; }
    valueOf() { return this.value; }
  }
  class Real extends Boxed {
    toJSON() { return JSON.rawJSON(realText(this.value)); }
  }
  class Single extends Boxed {
    toJSON() {
      const number = shortestOf(this.value);
      return Number.isInteger(number) ? JSON.rawJSON(realText(number)) : number;
    }
  }
  class Octet extends Boxed {
    toJSON() { return this.value; }
  }
  class Bytes extends Array {
    toJSON() { return Array.from(this, (byte) => byte << 24 >> 24); }
  }
  const OCTETS = Array.from({ length: 256 }, (_, byte) => new Octet(byte << 24 >> 24));
  defineProperty(BigInt.prototype, "toJSON", { value() { return JSON.rawJSON(`${this}`); } });

  const NONE = -1, BYTE = 0, INT = 1, LONG = 2, FLOAT = 3, DOUBLE = 4;
  const MAX_INT = 2147483647, MIN_INT = -2147483648;
  const MAX_LONG = 9223372036854775807n, MIN_LONG = -9223372036854775808n;

  function kindOf(value) {
    if (typeof value === "number") {
      return (value | 0) === value ? INT : Number.isSafeInteger(value) ? LONG : DOUBLE;
    }
    if (typeof value === "bigint") return LONG;
    if (value instanceof Boxed) return value instanceof Octet ? BYTE : value instanceof Single ? FLOAT : DOUBLE;
    return NONE;
  }

  function double(value) {
    return Number.isInteger(value) ? new Real(value) : value;
  }

  function float(value) {
    return new Single(fround(value));
  }

  // BigInts are compared with BigInts only: this engine takes -12n > -100 for false.
  const BIG_MAX_INT = 2147483647n, BIG_MIN_INT = -2147483648n, MAX_SAFE = 9007199254740991n;
  const fitsInt = (big) => big >= BIG_MIN_INT && big <= BIG_MAX_INT;

  function long(big) {
    big = BigInt.asIntN(64, big);
    if (fitsInt(big)) return big;
    return big >= -MAX_SAFE && big <= MAX_SAFE ? Number(big) : big;
  }

  // As Java converts a double: NaN is 0, and what does not fit becomes the nearest that does.
  function intFrom(value) {
    if (value !== value) return 0;
    return value >= MAX_INT ? MAX_INT : value <= MIN_INT ? MIN_INT : trunc(value) + 0;
  }

  function longFrom(value) {
    if (value !== value) return 0n;
    if (value >= 9223372036854775807) return MAX_LONG;
    return value <= -9223372036854775808 ? MIN_LONG : long(BigInt(trunc(value)));
  }

  function bigOf(value) {
    return typeof value === "bigint" ? value : BigInt(trunc(Number(value)));
  }

  const NUMBER_TEXT = /^[+-]?(?:\d+\.?\d*|\.\d+)$/;

  function isNumberText(value) {
    return typeof value === "string" && NUMBER_TEXT.test(value);
  }

  function ofKind(kind, value) {
    return kind === DOUBLE ? double(value) : kind === FLOAT ? float(value)
      : kind === LONG ? longFrom(value) : intFrom(value);
  }

  // -- numbers as texts --------------------------------------------------------------------------

  // [digits without zeros at either end, the exponent of 10 of the first] of the shortest text of a finite number.
  function split(shortest) {
    const [mantissa, exponent = "0"] = shortest.split("e");
    const [whole, fraction = ""] = mantissa.split(".");
    const digits = whole + fraction, first = digits.search(/[1-9]/);
    if (first < 0) return ["0", 0];
    return [digits.slice(first).replace(/0+$/, ""), whole.length - 1 - first + Number(exponent)];
  }

  // The shortest decimal that is this float. Two of up to six digits are never the same float, but for the smallest.
  const MIN_NORMAL = 1.1754943508222875e-38;

  function shortestOf(value) {
    if (value === 0) return value;
    for (let precision = Math.abs(value) < MIN_NORMAL ? 1 : 6; precision < 9; precision++) {
      const number = Number(value.toPrecision(precision));
      if (fround(number) === value) return number;
    }
    return Number(value.toPrecision(9));
  }

  function doubleDigits(value) {
    return [value < 0 || Object.is(value, -0), ...split(String(Math.abs(value)))];
  }

  function plainNumber([negative, digits, exponent]) {
    const sign = negative ? "-" : "";
    if (exponent < -3 || exponent >= 7) {
      return sign + digits[0] + "." + (digits.slice(1) || "0") + "E" + exponent;
    }
    if (exponent < 0) return sign + "0." + "0".repeat(-exponent - 1) + digits;
    const padded = digits.padEnd(exponent + 1, "0");
    return sign + padded.slice(0, exponent + 1) + "." + (padded.slice(exponent + 1) || "0");
  }

  function realText(value) {
    return Number.isFinite(value) ? plainNumber(doubleDigits(value)) : String(value);
  }

  function text(value) {
    if (typeof value === "string") return value;
    if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : realText(value);
    if (value === null || value === undefined) return "null";
    if (typeof value !== "object") return String(value);
    if (value instanceof Octet) return String(value.value);
    if (value instanceof Real) return realText(value.value);
    if (value instanceof Single) return realText(shortestOf(value.value));
    return collectionText(value);
  }

  function collectionText(value) {
    if (isArray(value)) return "[" + items(value).map(text).join(", ") + "]";
    if (value instanceof Items) return "[" + value.array().map(text).join(", ") + "]";
    if (value instanceof Entry) return text(value.key) + "=" + text(value.value);
    if (value instanceof Moment) return value.iso();
    return "{" + mapKeys(value).map((key) => key + "=" + text(value[key])).join(", ") + "}";
  }

  // -- operators ---------------------------------------------------------------------------------

  function nameOf(value) {
    if (value === null || value === undefined) return "null";
    const kind = kindOf(value);
    if (kind !== NONE) return ["a byte", "an int", "a long", "a float", "a double"][kind];
    if (typeof value === "string") return "a text";
    if (typeof value !== "object") return "a " + typeof value;
    return isArray(value) ? "a list" : value instanceof Items ? "a set" : value instanceof Moment ? "a Date"
      : value instanceof Entry ? "an entry" : "a map";
  }

  function wholePair(kind, a, b, numbers, bigs) {
    if (kind === LONG) return long(bigs(bigOf(a), bigOf(b)));
    const result = numbers(Number(a), Number(b));
    return Number.isSafeInteger(result) ? result + 0 : long(bigs(bigOf(a), bigOf(b)));
  }

  function arithmetic(sign, a, b, numbers, bigs) {
    let kindA = kindOf(a), kindB = kindOf(b);
    if (kindA === NONE || kindB === NONE) {
      const isText = (typeof a === "string" || typeof b === "string")
        && (kindA !== NONE || isNumberText(a)) && (kindB !== NONE || isNumberText(b));
      if (!isText) fail(`${nameOf(a)} ${sign} ${nameOf(b)} is not possible`);
      return ofKind(kindA === NONE && kindB === NONE ? DOUBLE : Math.max(kindA, kindB), numbers(Number(a), Number(b)));
    }
    if (kindA !== kindB) return ofKind(Math.max(kindA, kindB), numbers(Number(a), Number(b)));
    if (kindA === DOUBLE) return double(numbers(Number(a), Number(b)));
    if (kindA === FLOAT) return float(numbers(a.value, b.value));
    return wholePair(kindA, a, b, numbers, bigs);
  }

  const plus = (x, y) => x + y, minus = (x, y) => x - y, times = (x, y) => x * y, over = (x, y) => x / y;
  const modulo = (x, y) => x % y;
  const bothInts = (a, b) => typeof a === "number" && typeof b === "number" && (a | 0) === a && (b | 0) === b;

  $.add = function add(a, b) {
    if (typeof a === "number" && typeof b === "number" && (a | 0) === a && (b | 0) === b) return a + b;
    if (typeof a === "string") return a + text(b);
    if (typeof b === "string") return text(a) + b;
    if (kindOf(a) !== NONE && kindOf(b) !== NONE) return arithmetic("+", a, b, plus, plus);
    if (isArray(a)) return items(a).concat(isArray(b) ? items(b) : [b]);
    return text(a) + text(b);
  };

  $.subtract = function subtract(a, b) {
    if (bothInts(a, b)) return a - b;
    return arithmetic("-", a, b, minus, minus);
  };

  $.multiply = function multiply(a, b) {
    if (bothInts(a, b)) {
      const product = a * b;
      if (Number.isSafeInteger(product)) return product + 0;
    }
    return arithmetic("*", a, b, times, times);
  };

  $.divide = function divide(a, b) {
    if (bothInts(a, b)) return double(a / (b + 0));
    const kind = kindOf(a);
    if (kind !== NONE && kind === kindOf(b)) return double(Number(a) / Number(b));
    return arithmetic("/", a, b, over);
  };

  $.remainder = function remainder(a, b) {
    const kind = kindOf(a);
    if (kind <= LONG && kind !== NONE && kind === kindOf(b) && Number(b) === 0) fail("a division by zero");
    return arithmetic("%", a, b, modulo, modulo);
  };

  $.power = function power(a, b) {
    const kind = kindOf(a);
    if (kind === FLOAT && kindOf(b) === FLOAT) fail("a float ** a float is not supported");
    if (kind <= LONG && kind !== NONE && kind === kindOf(b)) {
      const result = Math.pow(Number(a), Number(b));
      if (kind === LONG) return result > 9223372036854775807 ? double(result) : longFrom(result);
      return result > MAX_INT ? double(result) : intFrom(result);
    }
    return arithmetic("**", a, b, Math.pow);
  };

  $.negate = function negate(a) {
    const kind = kindOf(a);
    if (kind === NONE) fail(`-${nameOf(a)} is not possible`);
    if (kind === DOUBLE) return double(-Number(a));
    if (kind === FLOAT) return float(-a.value);
    return kind === LONG ? long(-bigOf(a)) : -Number(a) | 0;
  };

  $.plus = function plus(a) {
    return kindOf(a) === NONE ? fail(`+${nameOf(a)} is not possible`) : a;
  };

  function bits(sign, a, b, ints, bigs) {
    if (typeof a === "boolean") a = a ? 1 : 0;
    if (typeof b === "boolean") b = b ? 1 : 0;
    const kindA = kindOf(a), kindB = kindOf(b);
    if (kindA === NONE || kindB === NONE || kindA > LONG || kindB > LONG) {
      fail(`${nameOf(a)} ${sign} ${nameOf(b)} is not possible`);
    }
    if (kindA === LONG || (kindB === LONG && bigs.both)) return long(bigs(bigOf(a), bigOf(b)));
    return ints(Number(a), Number(BigInt.asIntN(32, bigOf(b)))) | 0;
  }

  const both = (operation) => Object.assign(operation, { both: true });
  const bigAnd = both((x, y) => x & y), bigOr = both((x, y) => x | y), bigXor = both((x, y) => x ^ y);

  $.bitAnd = function bitAnd(a, b) {
    if (typeof b === "number" && (b | 0) === b) {
      if (typeof a === "number" && (a | 0) === a) return a & b;
      if (a instanceof Octet) return a.value & b;
    }
    return bits("&", a, b, (x, y) => x & y, bigAnd);
  };

  $.bitOr = function bitOr(a, b) {
    return bothInts(a, b) ? a | b : bits("|", a, b, (x, y) => x | y, bigOr);
  };

  $.bitXor = function bitXor(a, b) {
    return bothInts(a, b) ? a ^ b : bits("^", a, b, (x, y) => x ^ y, bigXor);
  };

  $.shiftLeft = function shiftLeft(a, b) {
    return bothInts(a, b) ? a << b : bits("<<", a, b, (x, y) => x << y, (x, y) => x << (y & 63n));
  };

  $.shiftRight = function shiftRight(a, b) {
    return bothInts(a, b) ? a >> b : bits(">>", a, b, (x, y) => x >> y, (x, y) => x >> (y & 63n));
  };

  $.shiftRightUnsigned = function shiftRightUnsigned(a, b) {
    return bits(">>>", a, b, (x, y) => x >>> y, (x, y) => BigInt.asUintN(64, x) >> (y & 63n));
  };

  $.bitNot = function bitNot(a) {
    const kind = kindOf(a);
    if (kind === NONE || kind > LONG) fail(`~${nameOf(a)} is not possible`);
    return kind === LONG ? long(~bigOf(a)) : ~Number(a);
  };

  // -- comparisons -------------------------------------------------------------------------------

  // Below, at or above 0, or NaN; of numbers and BigInts.
  function order(a, b) {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : a === b ? 0 : NaN;
    if (typeof a === "number") return -order(b, a);
    if (!Number.isFinite(b)) return -b;
    const down = Math.floor(b), big = BigInt(down);
    return a < big ? -1 : a > big ? 1 : down < b ? -1 : 0;
  }

  function equals(a, b) {
    if (a === b) return true;
    if (a === null || a === undefined) return b === null || b === undefined;
    if (b === null || b === undefined) return false;
    const kindA = kindOf(a), kindB = kindOf(b);
    if (kindA !== NONE && kindB !== NONE) return order(a.valueOf(), b.valueOf()) === 0;
    if (typeof a === "boolean" || typeof b === "boolean") return truthOf(a) === truthOf(b);
    if (typeof a === "string" || typeof b === "string") {
      const numeric = (kindA !== NONE || kindB !== NONE) && (kindA !== NONE || isNumberText(a))
        && (kindB !== NONE || isNumberText(b));
      return numeric && Number(a) === Number(b);
    }
    return sameCollection(a, b);
  }

  function sameCollection(a, b) {
    if (isArray(a)) {
      return isArray(b) && a.length === b.length && items(b).every((value, i) => same(items(a)[i], value));
    }
    if (a instanceof Items) return b instanceof Items && a.size() === b.size() && b.array().every((v) => a.has(v));
    if (a instanceof Moment) return b instanceof Moment && a.ms === b.ms;
    if (a instanceof Entry) return b instanceof Entry && same(a.key, b.key) && same(a.value, b.value);
    if (!isMap(a) || !isMap(b)) return false;
    const keys = mapKeys(a);
    return keys.length === mapKeys(b).length && keys.every((key) => hasOwn(b, key) && same(a[key], b[key]));
  }

  // Java's equals: the type counts too.
  function same(a, b) {
    return a === b || (kindOf(a) === kindOf(b) && typeof a !== "string" && typeof b !== "string" && equals(a, b));
  }

  function truthOf(value) {
    if (typeof value === "boolean") return value;
    if (value === "true" || (kindOf(value) !== NONE && Number(value) === 1)) return true;
    if (value === "false" || (kindOf(value) !== NONE && Number(value) === 0)) return false;
    return fail(`${nameOf(value)} can't be compared with a boolean`);
  }

  function compare(sign, a, b) {
    const kindA = kindOf(a), kindB = kindOf(b);
    if (kindA !== NONE && kindB !== NONE) {
      return order(a.valueOf(), b.valueOf());
    }
    if (a === null || a === undefined || b === null || b === undefined) return NaN;
    if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
    if ((kindA !== NONE || isNumberText(a)) && (kindB !== NONE || isNumberText(b))) {
      return compare(sign, typeof a === "string" ? Number(a) : a, typeof b === "string" ? Number(b) : b);
    }
    if (a instanceof Moment && b instanceof Moment) return a.ms - b.ms;
    return fail(`${nameOf(a)} ${sign} ${nameOf(b)} is not possible`);
  }

  $.equal = (a, b) => a === b || ((typeof a !== "number" || typeof b !== "number") && equals(a, b));
  $.unequal = (a, b) => !$.equal(a, b);
  $.less = (a, b) => typeof a === "number" && typeof b === "number" ? a < b : compare("<", a, b) < 0;
  $.greater = (a, b) => typeof a === "number" && typeof b === "number" ? a > b : compare(">", a, b) > 0;
  $.lessOrEqual = (a, b) => typeof a === "number" && typeof b === "number" ? a <= b : compare("<=", a, b) <= 0;
  $.greaterOrEqual = (a, b) => typeof a === "number" && typeof b === "number" ? a >= b : compare(">=", a, b) >= 0;

  $.truth = function truth(value) {
    if (value === true || value === false) return value;
    return fail(`a condition must be true or false, not ${nameOf(value)}`);
  };

  $.choose = (a, other) => a === null || a === undefined || a === "" || a === false ? other() : a;
  $.former = (value) => value;
  $.double = double;
  $.float = float;
"""
