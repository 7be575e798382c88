"""The runtime's fifth part, in JavaScript: ThingsBoard's helper functions, and what is taken from Java's classes."""

from typing import Final

HELPERS: Final = r"""
  // -- texts and bytes ---------------------------------------------------------------------------

  const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase().padStart(2, "0"));
  const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const MAX_ARGUMENTS = 60000;
  const BEYOND_ASCII = /[^\0-\x7f]/;

  // Bytes from 0 to 255, whatever a list holds them as.
  function bytesOf(list, name) {
    if (list instanceof Bytes) return list;
    if (!isArray(list)) fail(`${name} needs a list of bytes, not ${nameOf(list)}`);
    return list.map((value) => {
      const byte = typeof value === "string" ? Number($.parseInt(value)) : kindOf(value) <= LONG ? Number(value) : NaN;
      if (!(byte >= -128 && byte <= 255)) fail(`${name}: ${text(value)} is no byte`);
      return byte & 255;
    });
  }

  function charsOf(bytes) {
    if (bytes.length <= MAX_ARGUMENTS) return String.fromCharCode.apply(null, bytes);
    let chars = "";
    for (let at = 0; at < bytes.length; at += MAX_ARGUMENTS) {
      chars += String.fromCharCode.apply(null, bytes.slice(at, at + MAX_ARGUMENTS));
    }
    return chars;
  }

  // What is not UTF-8 becomes U+FFFD, as in Java.
  function utf8(bytes) {
    const chars = charsOf(bytes);
    if (!BEYOND_ASCII.test(chars)) return chars;
    let decoded = "";
    for (let i = 0; i < bytes.length;) {
      const first = bytes[i++];
      const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2
        : first >= 0xf0 && first < 0xf5 ? 3 : -1;
      let code = more < 1 ? first : first & (0x3f >> more), taken = 0;
      for (; taken < more && i < bytes.length; taken++) {
        const byte = bytes[i];
        const low = taken > 0 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
        const high = taken > 0 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
        if (byte < low || byte > high) break;
        code = code << 6 | byte & 0x3f;
        i++;
      }
      decoded += more < 0 || taken < more ? "\ufffd" : String.fromCodePoint(code);
    }
    return decoded;
  }

  function utf8Bytes(value) {
    const bytes = [];
    for (const char of value) {
      const code = char.codePointAt(0);
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | code >> 6, 0x80 | code & 0x3f);
      else if (code >= 0xd800 && code < 0xe000) bytes.push(0x3f);
      else if (code < 0x10000) bytes.push(0xe0 | code >> 12, 0x80 | code >> 6 & 0x3f, 0x80 | code & 0x3f);
      else bytes.push(0xf0 | code >> 18, 0x80 | code >> 12 & 0x3f, 0x80 | code >> 6 & 0x3f, 0x80 | code & 0x3f);
    }
    return bytes;
  }

  function charset(name) {
    const known = String(name).toUpperCase().replace(/[-_]/g, "");
    if (known === "UTF8") return 0;
    if (known === "USASCII" || known === "ASCII") return 128;
    return known === "ISO88591" || known === "LATIN1" ? 256 : fail(`the charset ${name} is not supported`);
  }

  $.bytesToString = function bytesToString(list, charsetName) {
    const bytes = bytesOf(list, "bytesToString"), most = charsetName === undefined ? 0 : charset(charsetName);
    return most === 0 ? utf8(bytes) : charsOf(Array.from(bytes, (byte) => byte < most ? byte : 0xfffd));
  };

  $.decodeToString = (list) => utf8(bytesOf(list, "decodeToString"));

  $.stringToBytes = function stringToBytes(value, charsetName) {
    if (typeof value !== "string") fail(`stringToBytes needs a text, not ${nameOf(value)}`);
    const most = charsetName === undefined ? 0 : charset(charsetName);
    return bytesList(most === 0 ? utf8Bytes(value)
      : Array.from(value, (char) => char.charCodeAt(0) < most ? char.charCodeAt(0) : 0x3f));
  };

  // Only such JSON needs a closer look: whole Doubles, and integers that a number would not hold.
  const CAREFUL = /\d(?:\.0|[eE]|\d{15})/;

  function parseJson(source) {
    try {
      const value = JSON.parse(source);
      return CAREFUL.test(source) ? carefulJson(source) : value;
    } catch (error) {
      return fail(error instanceof Failure ? error.message : `the text is not JSON: ${error.message}`);
    }
  }

  // The value of text that is known to be JSON, with Java's numbers.
  function carefulJson(source) {
    const TOKEN = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[{}\[\],:]|true|false|null/g;
    const next = () => TOKEN.exec(source)[0];
    function read(token) {
      if (token === "{") {
        const map = {};
        for (let key = next(); key !== "}"; key = next()) {
          if (key === ",") key = next();
          next();
          const name = JSON.parse(key), value = read(next());
          if (value === null && name !== "__proto__") map[name] = value;
          else putKey(map, name, value);
        }
        return map;
      }
      if (token === "[") {
        const list = [];
        for (let part = next(); part !== "]"; part = next()) if (part !== ",") list.push(read(part));
        return list;
      }
      if (token[0] !== "-" && !(token[0] >= "0" && token[0] <= "9")) return JSON.parse(token);
      if (/[.eE]/.test(token)) return double(Number(token));
      return token.length < 16 ? Number(token) + 0 : checkedLong(BigInt(token));
    }
    return read(next());
  }

  $.decodeToJson = (value) => parseJson(typeof value === "string" ? value : utf8(bytesOf(value, "decodeToJson")));
  $.JSON_parse = (value) => parseJson(textArgument(value));
  $.JSON_stringify = (value) => JSON.stringify(value ?? null, (key, part) => isMap(part) && !JSON.isRawJSON(part)
    ? newMap(mapKeys(part).map((name) => [name, part[name]])) : part);

  $.decodeCbor = function decodeCbor(list) {
    if (typeof globalThis.decodeCbor !== "function") fail("decodeCbor is not available");
    return globalThis.decodeCbor(Array.from(bytesOf(list, "decodeCbor")));
  };

  function base64Of(bytes) {
    const parts = [];
    for (let i = 0; i < bytes.length; i += 3) {
      const group = bytes[i] << 16 | (bytes[i + 1] ?? 0) << 8 | (bytes[i + 2] ?? 0);
      parts.push(BASE64[group >> 18], BASE64[group >> 12 & 63], i + 1 < bytes.length ? BASE64[group >> 6 & 63] : "=",
        i + 2 < bytes.length ? BASE64[group & 63] : "=");
    }
    return parts.join("");
  }

  function fromBase64(value) {
    value = textArgument(value);
    if (!/^[A-Za-z0-9+\/]*={0,2}$/.test(value)) fail(`${JSON.stringify(value)} is not Base64`);
    const digits = value.replace(/=+$/, "");
    if (digits.length % 4 === 1 || (digits.length < value.length && value.length % 4 !== 0)) {
      fail("the Base64 text ends too early");
    }
    const bytes = [];
    let group = 0, width = 0;
    for (const digit of digits) {
      group = (group << 6 | BASE64.indexOf(digit)) & 0xffff;
      width += 6;
      if (width >= 8) bytes.push(group >> (width -= 8) & 255);
    }
    return bytesList(bytes);
  }

  $.btoa = (value) => base64Of(utf8Bytes(textArgument(value)));
  $.atob = (value) => utf8(fromBase64(value));
  $.base64ToString = $.atob;
  $.base64ToBytes = fromBase64;
  $.base64ToBytesList = fromBase64;
  $.base64ToHex = (value) => hexOf(fromBase64(value));
  $.bytesToBase64 = (list) => base64Of(bytesOf(list, "bytesToBase64"));
  $.bytesToExecutionArrayList = (list) => bytesList(Array.from(bytesOf(list, "bytesToExecutionArrayList")));
  $.printUnsignedBytes = (list) => Array.from(bytesOf(list, "printUnsignedBytes"));

  const hexOf = (bytes) => Array.from(bytes, (byte) => HEX[byte]).join("");

  $.bytesToHex = (list) => hexOf(bytesOf(list, "bytesToHex"));

  $.hexToBytes = function hexToBytes(value) {
    const hex = prepared(value, true);
    if (hex === null) fail("hexToBytes needs a text that is not empty");
    if (hex.length % 2 !== 0) fail(`hexToBytes: ${JSON.stringify(value)} has an odd number of digits`);
    if (!/^[0-9a-fA-F]+$/.test(hex)) fail(`hexToBytes: ${JSON.stringify(value)} is not hexadecimal`);
    return bytesList((hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16)));
  };
  $.hexToBytesArray = $.hexToBytes;
  $.hexToBase64 = (value) => base64Of($.hexToBytes(value));

  $.encodeURI = (value) => encodeURI(textArgument(value));
  $.decodeURI = function (value) {
    try {
      return decodeURIComponent(textArgument(value));
    } catch {
      return fail(`${JSON.stringify(value)} can't be decoded`);
    }
  };
  $.padStart = (value, length, char) => textArgument(value).padStart(position(length), oneChar(char));
  $.padEnd = (value, length, char) => textArgument(value).padEnd(position(length), oneChar(char));
  $.replaceAll = (value, source, replacement) => textMethods.replaceAll(textArgument(value), source, replacement);

  function oneChar(value) {
    return typeof value === "string" && value.length === 1 ? value : fail("one character is needed to fill with");
  }

  // -- numbers from texts ------------------------------------------------------------------------

  function checkedInt(big) {
    return fitsInt(big) ? Number(big) : fail(`${big} does not fit an int`);
  }

  function checkedLong(big) {
    return big >= MIN_LONG && big <= MAX_LONG ? long(big) : fail(`${big} does not fit a long`);
  }

  $.isBinary = (value) => /^[01]+$/.test(value ?? "") ? 2 : -1;
  $.isOctal = (value) => /^[0-7]+$/.test(value ?? "") ? 8 : -1;
  $.isDecimal = (value) => /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text(value)) ? 10 : -1;
  $.isHexadecimal = (value) => /^-?(0[xX])?[0-9a-fA-F]+$/.test(text(value)) ? 16 : -1;

  function reversedHex(value) {
    if (value.startsWith("-")) fail("a hexadecimal text in little endian has no sign");
    if (value.length % 2 !== 0) fail(`${JSON.stringify(value)} has an odd number of digits`);
    return (value.match(/../g) ?? []).reverse().join("");
  }

  // The digits of what is to become a number; null where there are none.
  function prepared(value, bigEndian) {
    if (value === null || value === undefined) return null;
    const digits = trimmed(text(value)).replace(/0[xX]/g, "").replace(/,/g, ".");
    return digits === "" ? null : bigEndian === false ? reversedHex(digits) : digits;
  }

  function radixOf(digits, radix, value) {
    radix = position(radix);
    if (radix >= 25 && radix <= 36) return radix;
    const known = radix === 2 ? $.isBinary(digits) : radix === 8 ? $.isOctal(digits)
      : radix === 10 || (radix === 0 && $.isDecimal(digits) > 0) ? $.isDecimal(digits)
      : radix === 16 || radix === 0 ? $.isHexadecimal(digits) : fail(`the radix ${radix} is not possible`);
    const shown = JSON.stringify(text(value));
    if (known < 0) fail(radix === 0 ? `${shown} is neither decimal nor hexadecimal` : `${shown} has no radix ${radix}`);
    const found = text(value).startsWith("0x") ? 16 : known;
    if (found === 16 && text(value).replace(/^-/, "").length % 2 !== 0) {
      fail(`${shown} is hexadecimal, but has an odd number of digits`);
    }
    return found;
  }

  const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";

  function wholeOf(digits, radix, bits) {
    const unsigned = digits.replace(/^[+-]/, "").toLowerCase(), base = BigInt(radix);
    if (unsigned === "" || unsigned.length > 70) fail(`${JSON.stringify(digits)} is no whole number`);
    let whole = 0n;
    for (const digit of unsigned) {
      const worth = DIGITS.indexOf(digit);
      if (worth < 0 || worth >= radix) fail(`${JSON.stringify(digits)} is no whole number of radix ${radix}`);
      whole = whole * base + BigInt(worth);
    }
    if (digits[0] === "-") return -whole;
    // A binary text of full width is two's complement.
    return radix === 2 && unsigned.length === bits ? BigInt.asIntN(bits, whole) : whole;
  }

  function parseWhole(value, radix, bigEndian, bits) {
    const digits = prepared(value, bigEndian);
    if (digits === null) return null;
    const whole = wholeOf(digits, radixOf(digits, radix, value), bits);
    return bits === 32 ? checkedInt(whole) : checkedLong(whole);
  }

  // What most decoders have: decimal digits and nothing else.
  const PLAIN_INT = /^-?\d{1,9}$/, PLAIN_NUMBER = /^-?\d+(?:\.\d+)?$/;

  $.parseInt = (value, radix = 0) => (radix === 0 || radix === 10) && typeof value === "string" && PLAIN_INT.test(value)
    ? Number(value) + 0 : parseWhole(value, radix, true, 32);
  $.parseLong = (value, radix = 0) => parseWhole(value, radix, true, 64);
  $.parseHexToInt = (value, bigEndian = true) => parseWhole(value, 16, bigEndian, 32);
  $.parseBigEndianHexToInt = (value) => parseWhole(value, 16, true, 32);
  $.parseLittleEndianHexToInt = (value) => parseWhole(value, 16, false, 32);
  $.parseHexToLong = (value, bigEndian = true) => parseWhole(value, 16, bigEndian, 64);
  $.parseBigEndianHexToLong = (value) => parseWhole(value, 16, true, 64);
  $.parseLittleEndianHexToLong = (value) => parseWhole(value, 16, false, 64);

  const view = new DataView(new ArrayBuffer(8));

  function floatOfBits(bits) {
    view.setInt32(0, bits);
    return float(view.getFloat32(0));
  }

  function doubleOfBits(bits) {
    view.setBigUint64(0, BigInt.asUintN(64, bits));
    return double(view.getFloat64(0));
  }

  function hexBits(digits, most) {
    if (digits[0] === "-") fail("the bits of a number have no sign");
    if (digits.length > most) fail(`${JSON.stringify(digits)} has more than ${most} hexadecimal digits`);
    return BigInt("0x" + digits);
  }

  function decimal(value) {
    const digits = trimmed(text(value));
    return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(digits) ? Number(digits)
      : fail(`${JSON.stringify(text(value))} is no number`);
  }

  function parseSingle(value, radix, bigEndian) {
    const digits = prepared(value, bigEndian);
    if (digits === null) return null;
    return radixOf(digits, radix, value) === 16 ? floatOfBits(Number(BigInt.asIntN(32, hexBits(digits, 16))))
      : float(decimal(value));
  }

  $.parseFloat = (value, radix = 0) => radix === 0 && typeof value === "string" && PLAIN_NUMBER.test(value)
    ? float(Number(value)) : parseSingle(value, radix, true);
  $.parseHexToFloat = (value, bigEndian = true) => parseSingle(value, 16, bigEndian);
  $.parseBigEndianHexToFloat = (value) => parseSingle(value, 16, true);
  $.parseLittleEndianHexToFloat = (value) => parseSingle(value, 16, false);
  $.parseHexIntLongToFloat = function (value, bigEndian) {
    const digits = prepared(value, bigEndian);
    if (digits === null) return null;
    radixOf(digits, 16, value);
    return float(Number(BigInt.asIntN(32, wholeOf(digits, 16, 64))));
  };

  function parseReal(value, radix, bigEndian) {
    const digits = prepared(value, bigEndian);
    if (digits === null) return fail("parseDouble needs a text that is not empty");
    return radixOf(digits, radix, value) === 10 ? double(decimal(digits)) : doubleOfBits(hexBits(digits, 16));
  }

  $.parseDouble = function (value, radix) {
    if (radix === undefined) {
      radix = $.isDecimal(value) > 0 ? 10 : $.isHexadecimal(value);
      if (radix < 0) fail(`${JSON.stringify(text(value))} is neither decimal nor hexadecimal`);
    }
    return parseReal(value, radix, true);
  };
  $.parseHexToDouble = (value, bigEndian = true) => parseReal(value, 16, bigEndian);
  $.parseBigEndianHexToDouble = (value) => parseReal(value, 16, true);
  $.parseLittleEndianHexToDouble = (value) => parseReal(value, 16, false);
"""
