"""The runtime's last part, in JavaScript: what TBEL takes from Java's classes, and ThingsBoard's Date.

Where ThingsBoard uses its server's zone, this is UTC.
"""

from typing import Final

CLASSES: Final = r"""
  // -- Math --------------------------------------------------------------------------------------

  const ofDouble = (name) => (value) => double(Math[name](Number($.to_double(value))));
  for (const name of ["floor", "ceil", "sqrt", "cbrt", "exp", "log", "log10", "sin", "cos", "tan", "asin", "acos",
      "atan"]) {
    $["Math_" + name] = ofDouble(name);
  }
  $.Math_signum = (value) => kindOf(value) === FLOAT ? float(Math.sign(value.value))
    : double(Math.sign(Number($.to_double(value))));
  $.Math_toRadians = (value) => double(Number($.to_double(value)) / 180 * Math.PI);
  $.Math_toDegrees = (value) => double(Number($.to_double(value)) * 180 / Math.PI);
  $.Math_pow = (a, b) => double(Math.pow(Number($.to_double(a)), Number($.to_double(b))));
  $.Math_atan2 = (a, b) => double(Math.atan2(Number($.to_double(a)), Number($.to_double(b))));
  $.Math_hypot = (a, b) => double(Math.hypot(Number($.to_double(a)), Number($.to_double(b))));
  $.Math_random = () => double(Math.random());
  $.Math_toIntExact = (value) => checkedInt(bigOf($.to_long(value)));
  $.Math_rint = function (value) {
    const number = Number($.to_double(value)), down = Math.floor(number), above = number - down;
    return double(above < 0.5 || (above === 0.5 && down % 2 === 0) ? down : above >= 0.5 ? down + 1 : number);
  };

  function numeric(value) {
    return kindOf(value) === NONE ? $.to_double(value) : value;
  }

  $.Math_abs = function (value) {
    value = numeric(value);
    if (Number(value) < 0 || Object.is(Number(value), -0)) return $.negate(value);
    return value instanceof Octet ? value.value : value;
  };
  $.Math_round = function (value) {
    value = numeric(value);
    const kind = kindOf(value);
    if (kind <= LONG) return kind === LONG ? value : Number(value);
    const number = Number(value), down = Math.floor(number), nearest = number - down >= 0.5 ? down + 1 : down;
    return kind === FLOAT ? intFrom(nearest) : longFrom(nearest);
  };

  function wider(a, b, pick) {
    a = numeric(a);
    b = numeric(b);
    const kind = Math.max(INT, kindOf(a), kindOf(b));
    const chosen = Number.isNaN(Number(a)) ? a : Number.isNaN(Number(b)) ? b
      : pick(order(a.valueOf(), b.valueOf())) ? a : b;
    return kind === LONG ? long(bigOf(chosen)) : ofKind(kind, Number(chosen));
  }

  $.Math_max = (a, b) => wider(a, b, (sign) => sign >= 0);
  $.Math_min = (a, b) => wider(a, b, (sign) => sign <= 0);

  function floorOf(a, b, quotient) {
    const x = bigOf($.to_long(a)), y = bigOf($.to_long(b)), isLong = kindOf(a) === LONG || kindOf(b) === LONG;
    if (y === 0n) fail("a division by zero");
    const down = x / y - (x % y !== 0n && (x < 0n) !== (y < 0n) ? 1n : 0n), result = quotient ? down : x - down * y;
    return isLong ? long(result) : Number(BigInt.asIntN(32, result));
  }

  $.Math_floorDiv = (a, b) => floorOf(a, b, true);
  $.Math_floorMod = (a, b) => floorOf(a, b, false);

  Object.assign($, {
    Math_PI: Math.PI, Math_E: Math.E, Integer_MAX_VALUE: MAX_INT, Integer_MIN_VALUE: MIN_INT, Long_MAX_VALUE: MAX_LONG,
    Long_MIN_VALUE: MIN_LONG, Byte_MAX_VALUE: OCTETS[127], Byte_MIN_VALUE: OCTETS[128], Short_MAX_VALUE: 32767,
    Short_MIN_VALUE: -32768, Double_MAX_VALUE: double(Number.MAX_VALUE), Double_NaN: NaN, Float_NaN: float(NaN),
  });

  // -- Integer, Long, Float, Double, Boolean, String ----------------------------------------------

  function javaWhole(value, radix, check) {
    const base = radix === undefined ? 10 : position(radix);
    if (base < 2 || base > 36) fail(`the radix ${base} is not possible`);
    return check(wholeOf(textArgument(value), base, 0));
  }

  $.Integer_parseInt = (value, radix) => javaWhole(value, radix, checkedInt);
  $.Integer_valueOf = (value, radix) => kindOf(value) === NONE ? javaWhole(value, radix, checkedInt) : $.to_int(value);
  $.Long_parseLong = (value, radix) => javaWhole(value, radix, checkedLong);
  $.Long_valueOf = (value, radix) => kindOf(value) === NONE ? javaWhole(value, radix, checkedLong) : $.to_long(value);
  $.Integer_toString = (value, radix = 10) => $.to_int(value).toString(position(radix));
  $.Long_toString = (value, radix = 10) => bigOf($.to_long(value)).toString(position(radix));
  for (const [name, radix] of [["toHexString", 16], ["toOctalString", 8], ["toBinaryString", 2]]) {
    $["Integer_" + name] = (value) => ($.to_int(value) >>> 0).toString(radix);
    $["Long_" + name] = (value) => BigInt.asUintN(64, bigOf($.to_long(value))).toString(radix);
  }
  $.Float_parseFloat = (value) => float(decimal(textArgument(value)));
  $.Float_valueOf = (value) => kindOf(value) === NONE ? float(decimal(textArgument(value))) : $.to_float(value);
  $.Double_parseDouble = (value) => double(decimal(textArgument(value)));
  $.Double_valueOf = (value) => kindOf(value) === NONE ? double(decimal(textArgument(value))) : $.to_double(value);
  $.Float_toString = (value) => text($.to_float(value));
  $.Double_toString = (value) => text($.to_double(value));
  $.Float_isNaN = $.isNaN;
  $.Double_isNaN = $.isNaN;
  $.Float_intBitsToFloat = (value) => floatOfBits($.to_int(value));
  $.Float_floatToIntBits = (value) => (view.setFloat32(0, Number($.to_float(value))), view.getInt32(0));
  $.Double_longBitsToDouble = (value) => doubleOfBits(bigOf($.to_long(value)));
  $.Double_doubleToLongBits = (value) => (view.setFloat64(0, Number($.to_double(value))), long(view.getBigInt64(0)));
  $.Byte_toUnsignedInt = (value) => $.to_int(value) & 255;
  $.Boolean_parseBoolean = (value) => typeof value === "string" && value.toLowerCase() === "true";
  $.Boolean_valueOf = (value) => typeof value === "boolean" ? value : $.Boolean_parseBoolean(value);
  $.String_valueOf = text;
  $.String_join = function ([separator, ...values]) {
    const parts = values.length === 1 && typeof values[0] !== "string" ? $.each(values[0]) : values;
    return parts.map(text).join(textArgument(separator));
  };

  const SPECIFIER = /%(\d+\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g;

  function converted(flags, precision, letter, value) {
    if (value === null || value === undefined) return "null";
    switch (letter) {
      case "s": return precision === undefined ? text(value) : text(value).slice(0, Number(precision));
      case "b": return value === false ? "false" : "true";
      case "c": return $.to_char(value);
      case "d":
        if (kindOf(value) === NONE || kindOf(value) > LONG) fail(`%d needs a whole number, not ${nameOf(value)}`);
        return String(value.valueOf());
      case "x": case "o": {
        const kind = kindOf(value);
        if (kind === NONE || kind > LONG) fail(`%${letter} needs a whole number, not ${nameOf(value)}`);
        const width = kind === BYTE ? 8 : kind === INT ? 32 : 64;
        return BigInt.asUintN(width, bigOf(value)).toString(letter === "x" ? 16 : 8);
      }
      case "f":
        if (kindOf(value) < FLOAT) fail(`%f needs a float or a double, not ${nameOf(value)}`);
        return Number.isFinite(Number(value)) ? rounded(Number(value), Number(precision ?? 6)) : text(value);
      default: return fail(`String.format: %${letter} is not supported`);
    }
  }

  $.String_format = function format([template, ...values]) {
    let next = 0;
    return textArgument(template).replace(SPECIFIER, (whole, index, flags, width, precision, letter) => {
      if (letter === "%") return "%";
      if (letter === "n") return "\n";
      const at = index === undefined ? next++ : parseInt(index) - 1;
      if (at >= values.length) fail(`String.format: ${whole} has no value`);
      if (/[#(,]/.test(flags)) fail(`String.format: ${whole} is not supported`);
      const lower = letter.toLowerCase();
      let shown = converted(flags, precision, lower, values[at]);
      const isNumber = "df".includes(lower);
      if (isNumber && shown[0] !== "-" && flags.includes("+")) shown = "+" + shown;
      else if (isNumber && shown[0] !== "-" && flags.includes(" ")) shown = " " + shown;
      if (letter !== lower) shown = shown.toUpperCase();
      const length = Number(width ?? 0);
      if (flags.includes("-")) return shown.padEnd(length);
      if (!flags.includes("0") || !"dfxo".includes(lower)) return shown.padStart(length);
      const sign = /^[-+ ]/.test(shown) ? shown[0] : "";
      return sign + shown.slice(sign.length).padStart(length - sign.length, "0");
    });
  };

  // -- Date --------------------------------------------------------------------------------------

  const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December"];
  const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
  const OFFSET = /^(?:UTC|GMT|Z)?(?:([+-])(\d{1,2}):?(\d{2})?)?$/;

  class Moment {
    constructor(ms) {
      this.ms = ms;
      if (!(Math.abs(ms) <= 8.64e15)) fail("the Date is out of range");
    }
    at(offset) { return new Date(this.ms + offset * 60000); }
    iso() { return new Date(this.ms).toISOString().replace(".000Z", "Z"); }
    toJSON() { return this.iso(); }
  }

  // Minutes east of UTC.
  function offsetOf(zone) {
    const found = OFFSET.exec(zone === null || zone === undefined ? "UTC" : textArgument(zone));
    if (found === null) fail(`the time zone ${zone} is not supported: UTC and offsets such as +02:00 are`);
    const minutes = Number(found[2] ?? 0) * 60 + Number(found[3] ?? 0);
    return found[1] === "-" ? -minutes : minutes;
  }

  function utc(year, month, day, hours = 0, minutes = 0, seconds = 0, ms = 0) {
    const date = new Date(0);
    date.setUTCFullYear(year, month - 1, day);
    date.setUTCHours(hours, minutes, seconds, ms);
    const fits = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
      && date.getUTCHours() === hours && date.getUTCMinutes() === minutes && date.getUTCSeconds() === seconds;
    return fits ? date.getTime() : fail("there is no such date and time");
  }

  const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.](\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?(?:\d\d)?)?$/;
  const RFC_1123 =
    /^(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d)(?::(\d\d))?(?: (GMT|[+-]\d{4}))?$/;

  function parsedDate(value) {
    const iso = ISO.exec(value);
    if (iso !== null) {
      const [year, month, day, hours, minutes, seconds] = iso.slice(1, 7).map((part) => Number(part ?? 0));
      const ms = Number((iso[7] ?? "").padEnd(3, "0").slice(0, 3));
      return utc(year, month, day, hours, minutes, seconds, ms) - offsetOf(iso[8]) * 60000;
    }
    const rfc = RFC_1123.exec(value);
    if (rfc === null) fail(`${JSON.stringify(value)} is no Date`);
    const month = MONTHS.findIndex((name) => name.startsWith(rfc[2])) + 1;
    const [day, , year, hours, minutes, seconds] = rfc.slice(1, 7).map((part) => Number(part ?? 0));
    return utc(year, month, day, hours, minutes, seconds) - offsetOf(rfc[7]) * 60000;
  }

  // [[letter, how many of it, or null] or [null, literal text]]
  function formatParts(format) {
    const parts = [];
    for (const [whole, quotedText, letters] of format.matchAll(/'((?:[^']|'')*)'|(([a-zA-Z])\3*)|[^a-zA-Z']+/g)) {
      if (letters !== undefined) parts.push([letters[0], letters.length]);
      else if (quotedText === undefined) parts.push([null, whole]);
      else parts.push([null, quotedText === "" ? "'" : quotedText.replaceAll("''", "'")]);
    }
    return parts;
  }

  const UNKNOWN_LETTER = (letter) => fail(`the letter ${letter} in a Date's format is not supported`);

  function formatted(moment, format, offset) {
    const date = moment.at(offset), two = (value, count) => String(value).padStart(count, "0");
    const size = Math.abs(offset), sign = offset < 0 ? "-" : "+", month = MONTHS[date.getUTCMonth()];
    const zone = (separator) => sign + two(trunc(size / 60), 2) + separator + two(size % 60, 2);
    const written = {
      y: (n) => n === 2 ? two(date.getUTCFullYear() % 100, 2) : two(date.getUTCFullYear(), n),
      M: (n) => n > 3 ? month : n === 3 ? month.slice(0, 3) : two(date.getUTCMonth() + 1, n),
      d: (n) => two(date.getUTCDate(), n),
      E: (n) => n > 3 ? DAYS[date.getUTCDay()] : DAYS[date.getUTCDay()].slice(0, 3),
      H: (n) => two(date.getUTCHours(), n),
      h: (n) => two(date.getUTCHours() % 12 || 12, n),
      a: () => date.getUTCHours() < 12 ? "AM" : "PM",
      m: (n) => two(date.getUTCMinutes(), n),
      s: (n) => two(date.getUTCSeconds(), n),
      S: (n) => two(date.getUTCMilliseconds(), 3).padEnd(n, "0").slice(0, n),
      X: (n) => offset === 0 ? "Z" : n === 3 ? zone(":") : zone(""),
      Z: () => zone(""),
    };
    return formatParts(format).map(([letter, n]) => letter === null ? n
      : hasOwn(written, letter) ? written[letter](n) : UNKNOWN_LETTER(letter)).join("");
  }

  const READERS = {
    y: (n) => n === 2 ? "(\\d{2})" : "(\\d{4})",
    M: (n) => n > 3 ? "([A-Za-z]+)" : n === 3 ? "([A-Za-z]{3})" : n === 2 ? "(\\d{2})" : "(\\d{1,2})",
    S: (n) => `(\\d{${n}})`,
    X: () => "(Z|[+-]\\d{2}:?(?:\\d{2})?)",
    Z: () => "([+-]\\d{4})",
    a: () => "(AM|PM)",
    E: () => "([A-Za-z]+)",
  };

  function parsedWith(value, format, zone) {
    const letters = [];
    const source = formatParts(format).map(([letter, n]) => {
      if (letter === null) return n.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      if (!"yMdEHhamsSXZ".includes(letter)) UNKNOWN_LETTER(letter);
      letters.push(letter);
      return (READERS[letter] ?? ((count) => count === 1 ? "(\\d{1,2})" : `(\\d{${count}})`))(n);
    }).join("");
    const found = pattern(`^${source}$`, "").exec(value);
    if (found === null) fail(`${JSON.stringify(value)} does not have the format ${format}`);
    const part = {};
    letters.forEach((letter, i) => { part[letter] = found[i + 1]; });
    const number = (letter, other) => part[letter] === undefined ? other : Number(part[letter]);
    const month = part.M === undefined ? 1 : /\d/.test(part.M) ? Number(part.M)
      : MONTHS.findIndex((name) => name === part.M || name.slice(0, 3) === part.M) + 1;
    const afternoon = part.a === "PM" ? 12 : 0, year = number("y", 1970);
    const hours = part.h === undefined ? number("H", 0) : number("h") % 12 + afternoon;
    const ms = Number((part.S ?? "").padEnd(3, "0").slice(0, 3));
    return utc(year < 100 ? 2000 + year : year, month, number("d", 1), hours, number("m", 0), number("s", 0), ms)
      - offsetOf(part.X ?? part.Z ?? zone) * 60000;
  }

  const fullYear = (year) => year < 70 ? 2000 + year : year <= 99 ? 1900 + year : year;

  $.new_date = function (args) {
    if (args.length === 0) return new Moment(Date.now());
    if (typeof args[0] === "string") {
      if (args.length > 4) fail("new Date() of a text takes at most 4 arguments");
      return new Moment(args.length === 1 ? parsedDate(args[0]) : parsedWith(args[0], textArgument(args[1]), args[3]));
    }
    if (args.length === 1) return new Moment(Number($.to_long(args[0])));
    const zone = typeof args[args.length - 1] === "string" ? args.pop() : undefined;
    if (args.length < 3 || args.length === 4) fail("new Date() takes year, month and day, or hours and minutes too");
    const [year, ...rest] = args.map(position);
    return new Moment(utc(fullYear(year), ...rest) - offsetOf(zone) * 60000);
  };
  $.Date_now = () => long(BigInt(Date.now()));
  $.Date_UTC = ([year, month = 0, day = 0, ...rest]) => {
    const full = fullYear(position(year) === 0 ? 1899 : position(year));
    return long(BigInt(utc(full, position(month) || 12, position(day) || 31, ...rest.map(position))));
  };

  const momentMethods = {
    __proto__: null,
    getTime: (m) => long(BigInt(m.ms)),
    valueOf: (m) => long(BigInt(m.ms)),
    parseSecondMilli: (m) => long(BigInt(m.ms)),
    parseSecond: (m) => long(BigInt(Math.floor(m.ms / 1000))),
    setTime: (m, ms) => { m.ms = new Moment(Number($.to_long(ms))).ms; return null; },
    toISOString: (m) => m.iso(),
    toJSON: (m) => m.iso(),
    toString: (m) => m.iso(),
    equals: (m, other) => same(m, other),
    toLocaleString(m, locale, options) {
      if (options === undefined) fail("toLocaleString needs a locale and a pattern");
      const wanted = /^\s*\{/.test(options) ? parseJson(options) : {};
      if (typeof wanted.pattern !== "string") {
        fail('toLocaleString needs a pattern: {"pattern": "yyyy-MM-dd HH:mm:ss"}');
      }
      if (!/^(en|UTC)/.test(locale)) fail(`toLocaleString in ${locale} is not supported`);
      return formatted(m, wanted.pattern, offsetOf(wanted.timeZone));
    },
  };
  for (const prefix of ["get", "getUTC"]) {
    Object.assign(momentMethods, {
      [prefix + "FullYear"]: (m) => m.at(0).getUTCFullYear(),
      [prefix + "Month"]: (m) => m.at(0).getUTCMonth() + 1,
      [prefix + "Date"]: (m) => m.at(0).getUTCDate(),
      [prefix + "Day"]: (m) => m.at(0).getUTCDay() || 7,
      [prefix + "Hours"]: (m) => m.at(0).getUTCHours(),
      [prefix + "Minutes"]: (m) => m.at(0).getUTCMinutes(),
      [prefix + "Seconds"]: (m) => m.at(0).getUTCSeconds(),
      [prefix + "Milliseconds"]: (m) => m.at(0).getUTCMilliseconds(),
    });
  }
"""
