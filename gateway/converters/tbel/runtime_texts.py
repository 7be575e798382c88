"""The runtime's third part, in JavaScript: the methods of texts, and Java's regular expressions."""

from typing import Final

TEXTS: Final = r"""
  function textArgument(value) {
    return value === null || value === undefined ? fail("a text is needed, not null") : text(value);
  }

  function within(at, length) {
    at = position(at);
    if (at < 0 || at > length) outOfBounds(at, length);
    return at;
  }

  // -- Java's regular expressions, where they are JavaScript's too --------------------------------

  const NO_PATTERN = /^[^\\^$.|?*+()[\]{}]*$/;
  const FOREIGN = /\\[pPhHRXAzZGQEaeN0]|\(\?[a-z]|[*+?}]\+|&&|\[[^\]]*\[/;

  function pattern(source, flags, whole) {
    if (FOREIGN.test(source)) fail(`the regular expression ${source} is not supported`);
    try {
      return new RegExp(whole ? `^(?:${source})$` : source, flags);
    } catch (error) {
      return fail(`the regular expression ${source} is not supported: ${error.message}`);
    }
  }

  // Java's $1 and \$ in a replacement.
  function replacer(replacement) {
    return (match, ...rest) => replacement.replace(/\\([\s\S])|\$(\d)/g, (whole, escaped, group) => {
      if (escaped !== undefined) return escaped;
      if (group === "0") return match;
      const value = rest[group - 1];
      if (typeof rest[group] === "undefined") fail(`the replacement has no group ${group}`);
      return value ?? "";
    });
  }

  const replaced = (s, finder, replacement) => s.replace(finder, replacer(textArgument(replacement)));

  $.matches = (value, source) => pattern(textArgument(source), "", true).test(textArgument(value));

  function splitText(value, separator, limit) {
    separator = textArgument(separator);
    const most = limit === undefined ? 0 : position(limit);
    if (value === "") return [""];
    let parts;
    if (most > 0) {
      const finder = pattern(separator, "g");
      parts = [];
      let from = 0;
      for (let found; parts.length < most - 1 && (found = finder.exec(value)) !== null;) {
        if (found[0] === "") fail("split with a limit needs a separator");
        parts.push(value.slice(from, found.index));
        from = finder.lastIndex;
      }
      parts.push(value.slice(from));
      return parts;
    }
    if (NO_PATTERN.test(separator)) {
      parts = value.split(separator);
    } else {
      if (/\((?!\?)/.test(separator)) fail("split with a group is not supported");
      parts = value.split(pattern(separator, ""));
    }
    if (most === 0) while (parts.length > 0 && parts[parts.length - 1] === "") parts.pop();
    return parts;
  }

  function hash(value) {
    let sum = 0;
    for (let i = 0; i < value.length; i++) sum = Math.imul(sum, 31) + value.charCodeAt(i) | 0;
    return sum;
  }

  // Java's trim takes away everything up to the blank.
  function trimmed(value) {
    let from = 0, to = value.length;
    while (from < to && value.charCodeAt(from) <= 32) from++;
    while (to > from && value.charCodeAt(to - 1) <= 32) to--;
    return value.substring(from, to);
  }

  const textMethods = {
    __proto__: null,
    length: (s) => s.length,
    isEmpty: (s) => s === "",
    isBlank: (s) => s.trim() === "",
    charAt(s, at) {
      const char = s[position(at)];
      return char === undefined ? outOfBounds(position(at), s.length) : char;
    },
    substring(s, from, to) {
      const start = within(from, s.length), end = to === undefined ? s.length : within(to, s.length);
      if (start > end) fail(`substring from ${start} to ${end} is not possible`);
      return s.slice(start, end);
    },
    indexOf: (s, sought, from) => s.indexOf(searched(sought), from === undefined ? 0 : position(from)),
    lastIndexOf: (s, sought, from) => s.lastIndexOf(searched(sought), from === undefined ? Infinity : position(from)),
    contains: (s, sought) => s.includes(textArgument(sought)),
    startsWith: (s, sought, from) => s.startsWith(textArgument(sought), from === undefined ? 0 : position(from)),
    endsWith: (s, sought) => s.endsWith(textArgument(sought)),
    equals: (s, other) => s === other,
    equalsIgnoreCase: (s, other) => typeof other === "string" && s.toLowerCase() === other.toLowerCase(),
    compareTo(s, other) {
      other = textArgument(other);
      for (let i = 0; i < Math.min(s.length, other.length); i++) {
        if (s[i] !== other[i]) return s.charCodeAt(i) - other.charCodeAt(i);
      }
      return s.length - other.length;
    },
    toUpperCase: (s) => s.toUpperCase(),
    toLowerCase: (s) => s.toLowerCase(),
    trim: trimmed,
    strip: (s) => s.trim(),
    split: splitText,
    replace: (s, sought, replacement) => s.replaceAll(textArgument(sought), () => textArgument(replacement)),
    replaceAll: (s, source, replacement) => replaced(s, pattern(textArgument(source), "g"), replacement),
    replaceFirst: (s, source, replacement) => replaced(s, pattern(textArgument(source), ""), replacement),
    matches: (s, source) => $.matches(s, source),
    concat: (s, other) => s + textArgument(other),
    repeat: (s, count) => position(count) < 0 ? fail("repeat needs a number from 0") : s.repeat(position(count)),
    toString: (s) => s,
    hashCode: hash,
    getBytes: (s) => $.stringToBytes(s),
    toCharArray: (s) => s.split(""),
  };

  function searched(value) {
    return kindOf(value) !== NONE ? String.fromCharCode(position(value)) : textArgument(value);
  }
"""
