"""The runtime's fourth part, in JavaScript: the methods of lists, sets, maps, entries and numbers.

A method gets its target first. How many parameters it declares is how many arguments it takes at most.
"""

from typing import Final

METHODS: Final = r"""
  const MANY = 20;
  const many = (method) => Object.assign(method, { most: MANY });

  // -- lists and sets ----------------------------------------------------------------------------

  const isNumeric = (value) => Number.isFinite(Number(text(value))) && text(value).trim() !== "";

  function sorted(values, ascending) {
    const numeric = values.every(isNumeric), sign = ascending === false ? -1 : 1;
    const order = (x, y) => x < y ? -sign : x > y ? sign : 0;
    return values.sort(numeric ? (a, b) => order(Number(text(a)), Number(text(b))) : (a, b) => order(text(a), text(b)));
  }

  function bounds(list, start, end) {
    const from = start === undefined ? 0 : position(start), to = end === undefined ? list.length : position(end);
    return [from < 0 ? Math.max(0, from + list.length) : from, to < 0 ? to + list.length : Math.min(to, list.length)];
  }

  function cut(list, start, end) {
    const [from, to] = bounds(list, start, end);
    const values = Array.prototype.slice.call(list, from, Math.max(from, to));
    return values;
  }

  function firstIndex(list, sought, from) {
    for (let i = Math.max(0, from); i < list.length; i++) if (same(list[i], sought)) return i;
    return -1;
  }

  function place(list, at) {
    at = position(at);
    if (at < 0 || at >= list.length) outOfBounds(at, list.length);
    return at;
  }

  function insert(list, at, values) {
    list.splice(within(at, list.length), 0, ...values);
  }

  function spliced(list, start, count, values) {
    const from = Math.min(bounds(list, start)[0], list.length);
    const rest = list.length - from;
    const removed = count === undefined ? rest : Math.max(0, Math.min(position(count), rest));
    return list.splice(from, removed, ...values);
  }

  // These leave a list of bytes one.
  const bytesMethods = {
    __proto__: null,
    length: (list) => list.length,
    size: (list) => list.length,
    isEmpty: (list) => list.length === 0,
    get: (list, at) => $.at(list, position(at)),
    slice: cut,
    subList: (list, from, to) => cut(list, within(from, list.length), within(to, list.length)),
    clone: (list) => cut(list),
  };

  const listMethods = {
    __proto__: null,
    ...bytesMethods,
    set(list, at, value) {
      at = place(list, at);
      const former = list[at];
      list[at] = value;
      return former;
    },
    add(list, first, second) {
      if (second === undefined) return list.push(first), true;
      insert(list, first, [second]);
      return null;
    },
    push: (list, value) => (list.push(value), true),
    addAll(list, first, second) {
      const values = $.each(second === undefined ? first : second).slice();
      insert(list, second === undefined ? list.length : first, values);
      return values.length > 0;
    },
    pop: (list) => list.length === 0 ? null : list.pop(),
    shift: (list) => list.length === 0 ? outOfBounds(0, 0) : list.shift(),
    unshift: many((list, ...values) => (list.unshift(...values), null)),
    remove(list, value) {
      if (kindOf(value) === INT) return list.splice(place(list, value), 1)[0];
      const at = firstIndex(list, value, 0);
      if (at >= 0) list.splice(at, 1);
      return at >= 0;
    },
    removeAll(list, values) {
      const rest = list.filter((item) => !$.contains(values, item)), changed = rest.length < list.length;
      list.splice(0, list.length, ...rest);
      return changed;
    },
    clear: (list) => (list.splice(0), null),
    contains: (list, value) => firstIndex(list, value, 0) >= 0,
    indexOf: (list, value, from) => firstIndex(list, value, from === undefined ? 0 : bounds(list, from)[0]),
    lastIndexOf(list, value) {
      for (let i = list.length - 1; i >= 0; i--) if (same(list[i], value)) return i;
      return -1;
    },
    // ThingsBoard's join takes brackets out, and the blank after a comma.
    join: (list, separator) => list.map(textArgument).join(separator === undefined ? "," : textArgument(separator))
      .split(", ").join(",").split("[").join("").split("]").join(""),
    sort: (list, ascending) => (sorted(list, ascending), null),
    toSorted: (list, ascending) => sorted(list.slice(), ascending),
    reverse: (list) => (list.reverse(), null),
    toReversed: (list) => list.slice().reverse(),
    concat: (list, other) => list.concat($.each(other)),
    splice: many((list, start, count, ...values) => spliced(list, start, count, values)),
    toSpliced: many((list, start, count, ...values) => {
      const copy = list.slice();
      spliced(copy, start, count, values);
      return copy;
    }),
    with(list, at, value) {
      const copy = list.slice(), index = position(at) < 0 ? position(at) + list.length : position(at);
      copy.splice(place(list, index), 0, value);
      return copy;
    },
    fill(list, value, start, end) {
      const [from, to] = bounds(list, start, end);
      for (let i = from; i < to; i++) list[i] = value;
      return list;
    },
    equals: (list, other) => same(list, other),
    toArray: (list) => list.slice(),
    toList: (list) => list.slice(),
    toString: text,
    hashCode: () => fail("hashCode() of a list is not supported"),
  };

  const setMethods = {
    __proto__: null,
    size: (set) => set.size(),
    length: (set) => set.size(),
    isEmpty: (set) => set.size() === 0,
    add: (set, value) => set.add(value),
    addAll: (set, values) => $.each(values).map((value) => set.add(value)).includes(true),
    remove: (set, value) => set.remove(value),
    contains: (set, value) => set.has(value),
    clear: (set) => (set.replace([]), null),
    clone: (set) => new Items(set.array()),
    sort: (set, ascending) => (set.replace(sorted(set.array(), ascending)), null),
    toSorted: (set, ascending) => new Items(sorted(set.array(), ascending)),
    toList: (set) => set.array(),
    toArray: (set) => set.array(),
    join: (set, separator) => listMethods.join(set.array(), separator),
    equals: (set, other) => same(set, other),
    toString: text,
  };

  // -- maps and entries --------------------------------------------------------------------------

  function reorder(map, keys) {
    const pairs = keys.map((key) => [key, map[key]]);
    for (const key of keysOf(map)) delete map[key];
    for (const [key, value] of pairs) putKey(map, key, value);
    return null;
  }

  function byValue(map, ascending) {
    const values = sorted(mapKeys(map).map((key) => map[key]), ascending), keys = mapKeys(map);
    return values.map((value) => keys.splice(keys.findIndex((key) => map[key] === value), 1)[0]);
  }

  const mapMethods = {
    __proto__: null,
    size: (map) => mapKeys(map).length,
    isEmpty: (map) => mapKeys(map).length === 0,
    get: (map, key) => getKey(map, keyOf(key)),
    getOrDefault: (map, key, other) => getKey(map, keyOf(key)) ?? other,
    put(map, key, value) {
      const former = getKey(map, keyOf(key));
      putKey(map, keyOf(key), value);
      return former;
    },
    putIfAbsent(map, key, value) {
      const former = getKey(map, keyOf(key));
      if (former === null) putKey(map, keyOf(key), value);
      return former;
    },
    putAll(map, other) {
      if (!isMap(other)) fail(`putAll needs a map, not ${nameOf(other)}`);
      for (const key of mapKeys(other)) putKey(map, key, other[key]);
      return null;
    },
    remove(map, key) {
      const former = getKey(map, keyOf(key));
      putKey(map, keyOf(key), null);
      return former;
    },
    replace(map, key, former, value) {
      const present = getKey(map, keyOf(key));
      if (value === undefined) {
        if (present !== null) putKey(map, keyOf(key), former);
        return present;
      }
      if (present === null || !same(present, former)) return false;
      putKey(map, keyOf(key), value);
      return true;
    },
    clear: (map) => reorder(map, []),
    containsKey: (map, key) => getKey(map, keyOf(key)) !== null,
    containsValue: (map, value) => mapKeys(map).some((key) => same(map[key], value)),
    keySet: (map) => new Items(mapKeys(map)),
    keys: mapKeys,
    values: (map) => mapKeys(map).map((key) => map[key]),
    entrySet: (map) => new Items($.each(map)),
    clone: (map) => $.new_map(map),
    sortByKey: (map, ascending) => reorder(map, sorted(mapKeys(map), ascending)),
    sortByValue: (map, ascending) => reorder(map, byValue(map, ascending)),
    equals: (map, other) => same(map, other),
    toString: text,
  };

  const entryMethods = {
    __proto__: null,
    getKey: (entry) => entry.key,
    getValue: (entry) => entry.value,
    toString: text,
  };

  const numberMethods = {
    __proto__: null,
    intValue: (n) => $.to_int(n),
    longValue: (n) => $.to_long(n),
    floatValue: (n) => float(Number(n)),
    doubleValue: (n) => double(Number(n)),
    byteValue: (n) => $.to_byte(n),
    shortValue: (n) => $.to_short(n),
    isNaN: (n) => Number.isNaN(Number(n)),
    isInfinite: (n) => Math.abs(Number(n)) === Infinity,
    equals: (n, other) => same(n, other),
    compareTo: (n, other) => compare("compareTo", n, other),
    toString: text,
  };

  const booleanMethods = {
    __proto__: null,
    booleanValue: (b) => b,
    equals: (b, other) => b === other,
    toString: text,
  };

  function methodsOf(target) {
    if (typeof target === "string") return textMethods;
    if (isArray(target)) return listMethods;
    if (isMap(target)) return mapMethods;
    if (kindOf(target) !== NONE) return numberMethods;
    if (target instanceof Items) return setMethods;
    if (target instanceof Moment) return momentMethods;
    if (target instanceof Entry) return entryMethods;
    return typeof target === "boolean" ? booleanMethods : undefined;
  }

  $.method = function method(target, name, args) {
    if (target === null || target === undefined) fail(`null has no .${name}()`);
    let found = methodsOf(target)?.[name];
    if (found === undefined) {
      const value = isMap(target) ? getKey(target, name) : null;
      if (typeof value === "function") return value(...args);
      fail(`${nameOf(target)} has no .${name}()`);
    }
    if (target instanceof Bytes && bytesMethods[name] === undefined) loosen(target);
    if (args.length > (found.most ?? found.length - 1)) fail(`.${name}() of ${nameOf(target)} takes fewer arguments`);
    return found(target, ...args);
  };

  $.safeMethod = function safeMethod(target, name, args) {
    return target === null || target === undefined ? null : $.method(target, name, args);
  };
"""
