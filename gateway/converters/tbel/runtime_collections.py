"""The runtime's second part, in JavaScript: maps, lists, sets, and what is taken from them and put into them.

A map is an object; a key that holds null is not there, as in ThingsBoard's maps, which remove it. Keys are texts: an
integer key is its decimal text.
"""

from typing import Final

COLLECTIONS: Final = r"""
  class Entry {
    constructor(key, value) { this.key = key; this.value = value; }
    toJSON() { return { [this.key]: this.value }; }
  }

  // A set, in the order of insertion. Java's equals tells what is the same.
  class Items {
    constructor(values) { this.map = new Map(); for (const value of values) this.add(value); }
    id(value) {
      if (typeof value === "string") return "s" + value;
      return kindOf(value) !== NONE ? kindOf(value) + ":" + value : typeof value === "object" && value !== null
        ? (isMap(value) ? "m" : "o") + text(value) : String(value);
    }
    add(value) {
      const id = this.id(value);
      if (this.map.has(id)) return false;
      this.map.set(id, value);
      return true;
    }
    has(value) { return this.map.has(this.id(value)); }
    remove(value) { return this.map.delete(this.id(value)); }
    size() { return this.map.size; }
    array() { return [...this.map.values()]; }
    replace(values) { this.map.clear(); for (const value of values) this.add(value); }
    toJSON() { return this.array(); }
  }

  function isMap(value) {
    if (typeof value !== "object" || value === null) return false;
    const prototype = getPrototypeOf(value);
    return prototype === null || prototype === objectPrototype;
  }

  function mapKeys(map) {
    return keysOf(map).filter((key) => map[key] !== null && map[key] !== undefined);
  }

  function newMap(pairs) {
    const map = { __proto__: null };
    for (const [key, value] of pairs) putKey(map, key, value);
    return map;
  }

  function keyOf(key) {
    if (typeof key === "string") return key;
    const kind = kindOf(key);
    if (kind !== NONE && kind <= LONG) return String(key.valueOf());
    if (typeof key === "boolean" || key === null || key === undefined || kind !== NONE) return text(key);
    return fail(`${nameOf(key)} can't be the key of a map`);
  }

  function getKey(map, key) {
    const value = map[key];
    if (value === undefined) return null;
    // What a map that was JSON has from its prototype is not in it.
    if ((typeof value === "function" || key === "__proto__") && !hasOwn(map, key)) return null;
    return value;
  }

  function putKey(map, key, value) {
    if (value === null || value === undefined) {
      delete map[key];
    } else if (key === "__proto__") {
      defineProperty(map, key, { value, writable: true, enumerable: true, configurable: true });
    } else {
      map[key] = value;
    }
  }

  // The values of a list as they are worth to TBEL.
  function items(list) {
    return list instanceof Bytes ? Array.from(list, (byte) => OCTETS[byte]) : list;
  }

  // Makes a list of bytes one that takes anything.
  function loosen(list) {
    if (list instanceof Bytes) {
      setPrototypeOf(list, Array.prototype);
      for (let i = 0; i < list.length; i++) list[i] = OCTETS[list[i]];
    }
    return list;
  }

  function bytesList(array) {
    return setPrototypeOf(array, Bytes.prototype);
  }

  $.payload = bytesList;

  function position(value) {
    if (typeof value === "number" && (value | 0) === value) return value;
    const kind = kindOf(value);
    if (kind === NONE || kind > LONG) fail(`a position must be an int, not ${nameOf(value)}`);
    return Number(value);
  }

  function outOfBounds(at, length) {
    fail(`index ${at} is out of bounds: there are ${length}`);
  }

  $.at = function at(target, key) {
    if (isArray(target)) {
      const value = target[typeof key === "number" ? key : position(key)];
      if (value === undefined) outOfBounds(text(key), target.length);
      return target instanceof Bytes ? OCTETS[value] : value;
    }
    if (typeof target === "string") {
      const char = target[position(key)];
      if (char === undefined) outOfBounds(text(key), target.length);
      return char;
    }
    if (isMap(target)) return getKey(target, keyOf(key));
    if (target === null || target === undefined) fail(`null has no [${text(key)}]`);
    return fail(`${nameOf(target)} has no [${text(key)}]`);
  };

  $.property = function property(target, name) {
    if (isMap(target)) {
      const value = getKey(target, name);
      return value === null && name === "size" ? mapKeys(target).length : value;
    }
    if (target === null || target === undefined) fail(`null has no .${name}`);
    if (target instanceof Entry && (name === "key" || name === "value")) return target[name];
    if ((name === "length" || name === "size") && typeof target === "string" && name === "length") return target.length;
    if ((name === "length" || name === "size") && isArray(target)) return target.length;
    if (name === "size" && target instanceof Items) return target.size();
    if (name === "time" && target instanceof Moment) return long(BigInt(target.ms));
    return fail(`${nameOf(target)} has no .${name}`);
  };

  $.safeProperty = function safeProperty(target, name) {
    return target === null || target === undefined ? null : $.property(target, name);
  };

  $.safeAt = function safeAt(target, key) {
    return target === null || target === undefined ? null : $.at(target, key);
  };

  $.assign = function assign(target, key, value) {
    if (isMap(target)) {
      putKey(target, keyOf(key), value);
    } else if (isArray(target)) {
      const at = position(key);
      if (at < 0 || at >= target.length) outOfBounds(at, target.length);
      if (target instanceof Bytes && value instanceof Octet) target[at] = value.value & 255;
      else loosen(target)[at] = value;
    } else {
      fail(`nothing can be put into ${nameOf(target)}`);
    }
    return value;
  };

  function taken(target, key) {
    return isMap(target) ? getKey(target, keyOf(key)) : $.at(target, key);
  }

  $.update = function update(target, key, operation, value) {
    return $.assign(target, key, operation(taken(target, key), value));
  };

  $.updateFormer = function updateFormer(target, key, operation, value) {
    const former = taken(target, key);
    $.assign(target, key, operation(former, value));
    return former;
  };

  $.key = keyOf;

  // What `foreach` goes through.
  $.each = function each(value) {
    if (isArray(value)) return items(value);
    if (typeof value === "string") return value.split("");
    if (isMap(value)) return mapKeys(value).map((key) => new Entry(key, value[key]));
    if (value instanceof Items) return value.array();
    if (kindOf(value) === INT) return Array.from({ length: Math.max(0, value) }, (_, i) => i + 1);
    return fail(`foreach can't go through ${nameOf(value)}`);
  };

  $.contains = function contains(target, value) {
    if (typeof target === "string") return target.includes(text(value));
    if (isArray(target)) return items(target).some((item) => same(item, value));
    if (target instanceof Items) return target.has(value);
    return isMap(target) ? getKey(target, keyOf(value)) !== null : false;
  };

  $.apply = function apply(callee, args) {
    return typeof callee === "function" ? callee(...args) : fail(`${nameOf(callee)} is no function`);
  };

  // -- types -------------------------------------------------------------------------------------

  const NUMBER_TYPES = { byte: BYTE, int: INT, long: LONG, float: FLOAT, double: DOUBLE };

  $.isInstance = function isInstance(value, type) {
    if (value === null || value === undefined) return false;
    if (type in NUMBER_TYPES) return kindOf(value) === NUMBER_TYPES[type];
    switch (type) {
      case "number": return kindOf(value) !== NONE;
      case "text": return typeof value === "string";
      case "boolean": return typeof value === "boolean";
      case "list": return isArray(value);
      case "set": return value instanceof Items;
      case "collection": return isArray(value) || value instanceof Items;
      case "map": return isMap(value);
      case "date": return value instanceof Moment;
      case "object": return true;
      default: return false;
    }
  };

  function numberFor(type, value) {
    if (value === null || value === undefined) fail(`null is no ${type}`);
    if (typeof value === "boolean") return value ? 1 : 0;
    if (kindOf(value) !== NONE) return value;
    if (typeof value === "string" && value.length === 1 && !isNumberText(value)) return value.charCodeAt(0);
    if (isNumberText(value)) return type === "int" || type === "long" ? wholeText(type, value) : Number(value);
    return fail(`${nameOf(value)} is no ${type}`);
  }

  function wholeText(type, value) {
    if (!/^[+-]?\d+$/.test(value)) fail(`${JSON.stringify(value)} is no ${type}`);
    return type === "long" ? checkedLong(BigInt(value.replace("+", ""))) : Number(value);
  }

  $.to_int = (value) => {
    const number = numberFor("int", value);
    return kindOf(number) === LONG ? Number(BigInt.asIntN(32, bigOf(number))) : intFrom(Number(number));
  };
  $.to_long = (value) => {
    const number = numberFor("long", value);
    return kindOf(number) <= LONG ? long(bigOf(number)) : longFrom(Number(number));
  };
  $.to_float = (value) => float(Number(numberFor("float", value)));
  $.to_double = (value) => double(Number(numberFor("double", value)));
  $.to_byte = (value) => OCTETS[$.to_int(value) & 255];
  $.to_short = (value) => $.to_int(value) << 16 >> 16;
  $.to_boolean = (value) => truthOf(value);
  $.to_text = (value) => value === null || value === undefined ? null : text(value);
  $.to_char = (value) => typeof value === "string" && value.length === 1 ? value
    : String.fromCharCode($.to_int(value));

  $.new_text = (value) => typeof value === "string" ? value : $.bytesToString(value);
  $.new_list = (values = []) => kindOf(values) !== NONE ? [] : $.each(values).slice();
  $.new_map = (map) => isMap(map) ? newMap(mapKeys(map).map((key) => [key, map[key]])) : newMap([]);
  $.new_set = (values = []) => new Items(kindOf(values) !== NONE ? [] : $.each(values));

  $.array = function array(type, length) {
    const empty = type === "object" || type === "text" ? null : type === "boolean" ? false
      : type === "char" ? "\0" : $["to_" + type](0);
    const size = position(length);
    if (size < 0 || size > 100000) fail(`an array of length ${size} is not possible`);
    return new Array(size).fill(empty);
  };

  $.arrayOf = (type, values) => type === "object" ? values : values.map((value) => $["to_" + type](value));
"""
