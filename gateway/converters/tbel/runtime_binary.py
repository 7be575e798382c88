"""The runtime's sixth part, in JavaScript: helpers for numbers in bytes and in hex, rounding, and flat maps."""

from typing import Final

BINARY: Final = r"""
  // -- numbers from bytes ------------------------------------------------------------------------

  function checkedLength(size, offset, length, most) {
    if (offset < 0 || offset > size) fail(`offset ${offset} is out of bounds: there are ${size} bytes`);
    if (length < 0 || offset + length > size) {
      fail(`offset ${offset} and length ${length} are out of bounds: there are ${size} bytes`);
    }
    if (length > most) fail(`length ${length} is too large, ${most} bytes is the most`);
  }

  // [bytes in big endian, as many as are asked for]
  function taken4(list, offset, length, bigEndian, most, name) {
    const bytes = bytesOf(list, name), from = offset === undefined ? 0 : position(offset);
    const count = length === undefined ? Math.min(bytes.length - from, most) : position(length);
    checkedLength(bytes.length, from, count, most);
    const part = Array.prototype.slice.call(bytes, from, from + count);
    return bigEndian === false ? part.reverse() : part;
  }

  function unsigned(bytes) {
    let value = 0;
    for (const byte of bytes) value = value * 256 + byte;
    return value;
  }

  function unsignedBig(bytes) {
    let value = 0n;
    for (const byte of bytes) value = value << 8n | BigInt(byte);
    return value;
  }

  $.parseBytesToInt = (list, offset, length, bigEndian) =>
    unsigned(taken4(list, offset, length, bigEndian, 4, "parseBytesToInt")) | 0;
  $.parseBytesToUnsignedInt = (list, offset, length, bigEndian) =>
    long(BigInt(unsigned(taken4(list, offset, length, bigEndian, 4, "parseBytesToUnsignedInt"))));
  $.parseBytesToLong = (list, offset, length, bigEndian) =>
    long(unsignedBig(taken4(list, offset, length, bigEndian, 8, "parseBytesToLong")));

  function refuseNaN(value, bytes, name) {
    return Number.isNaN(Number(value)) ? fail(`${name}: 0x${hexOf(bytes)} is not a number (NaN)`) : value;
  }

  // A Float or Double of fewer bytes than it has: the missing ones are zeros, before those of big endian and after
  // those of little endian, which are the same once they are in one order.
  $.parseBytesToFloat = function (list, offset, length, bigEndian) {
    const bytes = taken4(list, offset, length, bigEndian, 4, "parseBytesToFloat");
    return refuseNaN(floatOfBits(unsigned(bytes) | 0), bytes, "parseBytesToFloat");
  };
  $.parseBytesToDouble = function (list, offset, length, bigEndian) {
    const bytes = taken4(list, offset, length, bigEndian, 8, "parseBytesToDouble");
    return refuseNaN(doubleOfBits(unsignedBig(bytes)), bytes, "parseBytesToDouble");
  };
  $.parseBytesIntToFloat = (list, offset, length, bigEndian) =>
    float(unsigned(taken4(list, offset, length, bigEndian, 4, "parseBytesIntToFloat")));
  $.parseBytesLongToDouble = (list, offset, length, bigEndian) =>
    double(Number(unsignedBig(taken4(list, offset, length, bigEndian, 8, "parseBytesLongToDouble"))));

  // -- bits --------------------------------------------------------------------------------------

  function bitsOf(big, count) {
    const width = position(count);
    if (width < 0 || width > 100000) fail(`${width} bits are not possible`);
    const bit = (_, i) => Number(BigInt.asIntN(64, big) >> BigInt(width - 1 - i) & 1n);
    return bytesList(Array.from({ length: width }, bit));
  }

  $.parseByteToBinaryArray = function (byte, length = 8, bigEndian = true) {
    const bits = bitsOf(bigOf($.to_byte(byte)), length);
    return bigEndian === false ? bits.reverse() : bits;
  };
  $.parseLongToBinaryArray = (value, length = 64) => bitsOf(bigOf($.to_long(value)), Math.min(64, position(length)));
  $.parseBytesToBinaryArray = function (list, length) {
    const bytes = bytesOf(list, "parseBytesToBinaryArray");
    const value = unsignedBig(taken4(list, 0, undefined, true, 8, "parseBytesToBinaryArray"));
    return bitsOf(value, Math.min(64, length === undefined ? bytes.length * 8 : position(length)));
  };
  $.parseBinaryArrayToInt = function (list, offset = 0, length) {
    const bits = bytesOf(list, "parseBinaryArrayToInt"), from = position(offset);
    if (from < 0) outOfBounds(from, bits.length);
    const end = Math.min(bits.length, length === undefined ? bits.length : from + position(length));
    let value = 0;
    for (let i = from; i < end; i++) value = value << 1 | bits[i] & 1;
    // As in ThingsBoard, eight bits that begin with 1 are a signed byte.
    return bits.length === 8 && from === 0 && bits[0] === 1 ? value - (1 << end) | 0 : value;
  };

  // -- texts from numbers ------------------------------------------------------------------------

  function hexText(value, bigEndian, prefix, length, most) {
    const big = bigOf(value);
    let hex = BigInt.asUintN(64, big).toString(16).toUpperCase();
    const widest = most < 0 ? hex.length : most;
    if (hex.length % 2 !== 0) hex = "0" + hex;
    if (big < 0n) {
      hex = hex.replace(/^F+(?!$)/, "");
      if (hex.length % 2 !== 0) hex = "F" + hex;
      hex = hex.length > widest ? hex.slice(-widest) : hex.length === widest ? hex : "FF" + hex;
    }
    if (bigEndian === false) hex = reversedHex(hex);
    const count = length === undefined || position(length) === -1 ? hex.length : position(length);
    if (count < 0 || count > hex.length) fail(`${hex} has no ${count} digits`);
    return (prefix ? "0x" : "") + hex.slice(hex.length - count);
  }

  $.intToHex = (value, bigEndian, prefix, length) => hexText($.to_int(value), bigEndian, prefix, length, 8);
  $.longToHex = (value, bigEndian, prefix, length) => hexText($.to_long(value), bigEndian, prefix, length, 16);

  $.floatToHex = function (value, bigEndian) {
    view.setFloat32(0, Number($.to_float(value)));
    const hex = view.getUint32(0).toString(16).toUpperCase().padStart(8, "0");
    return "0x" + (bigEndian === false ? reversedHex(hex) : hex);
  };
  $.doubleToHex = function (value, bigEndian) {
    view.setFloat64(0, Number($.to_double(value)));
    const hex = view.getBigUint64(0).toString(16).toUpperCase().padStart(16, "0");
    return "0x" + (bigEndian === false ? reversedHex(hex) : hex);
  };

  $.intLongToRadixString = function (value, radix = 10, bigEndian = true, prefix = false) {
    const big = bigOf($.to_long(value)), base = position(radix);
    if (base === 10 || (base >= 25 && base <= 36)) return big.toString(base);
    if (base === 8) return BigInt.asUintN(64, big).toString(8);
    if (base === 16) return hexText(big, bigEndian, prefix, undefined, -1);
    if (base !== 2) fail(`the radix ${base} is not possible`);
    const bits = BigInt.asUintN(64, big).toString(2);
    return bits.padStart([8, 16, 32, 64].find((width) => bits.length < width) ?? 0, "0");
  };

  // -- rounding ----------------------------------------------------------------------------------

  // The shortest decimal text of a number, rounded half up; as Java's BigDecimal.valueOf(x).setScale(n, HALF_UP).
  function rounded(value, places) {
    if (!Number.isFinite(value)) fail(`${value} can't be rounded`);
    const [negative, digits, exponent] = doubleDigits(value);
    if (places < -300 || places > 300) fail(`${places} decimal places are not possible`);
    const keep = exponent + 1 + places;
    if (keep < 0) return "0" + (places > 0 ? "." + "0".repeat(places) : "");
    const padded = digits.padEnd(keep + 1, "0");
    const scaled = BigInt("0" + padded.slice(0, keep)) + (padded[keep] >= "5" ? 1n : 0n);
    const whole = places > 0 ? scaled.toString().padStart(places + 1, "0") : scaled.toString() + "0".repeat(-places);
    const shown = places > 0 ? whole.slice(0, -places) + "." + whole.slice(-places) : whole;
    return (negative && scaled !== 0n ? "-" : "") + shown;
  }

  $.toFixed = function toFixed(value, places) {
    if (kindOf(value) === FLOAT) return float(Number(rounded(value.value, position(places))));
    return double(Number(rounded(Number($.to_double(value)), position(places))));
  };

  $.toInt = (value) => Number(BigInt.asIntN(32, BigInt(rounded(Number($.to_double(value)), 0))));

  // -- questions, maps and errors ----------------------------------------------------------------

  $.isNaN = (value) => Number.isNaN(Number($.to_double(value)));
  $.isMap = isMap;
  $.isList = (value) => isArray(value);
  $.isArray = (value) => isArray(value);
  $.isSet = (value) => value instanceof Items;
  $.newSet = () => new Items([]);
  $.toSet = (list) => new Items($.each(list));

  function flatten(value, path, flat, excluded, inPath) {
    if (isMap(value)) {
      for (const key of mapKeys(value)) {
        if (!excluded.has(key)) flatten(value[key], path === "" ? key : `${path}.${key}`, flat, excluded, inPath);
      }
    } else if (isArray(value) || value instanceof Items) {
      $.each(value).forEach((part, i) => flatten(part, `${path}.${i}`, flat, excluded, inPath));
    } else if (inPath) {
      putKey(flat, path, value);
    } else {
      const steps = path.split("."), last = steps[steps.length - 1];
      putKey(flat, /^\d+$/.test(last) ? steps.slice(-2).join(".") : last, value);
    }
  }

  $.toFlatMap = function toFlatMap(map, excluded, inPath) {
    if (!isMap(map)) fail(`toFlatMap needs a map, not ${nameOf(map)}`);
    if (typeof excluded === "boolean") [excluded, inPath] = [[], excluded];
    const flat = { __proto__: null };
    flatten(map, "", flat, new Items($.each(excluded ?? [])), inPath ?? true);
    return flat;
  };

  $.raiseError = (message, value) =>
    fail(text(message) + (value === undefined || value === null ? "" : ` for value ${text(value)}`));
"""
