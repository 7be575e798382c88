"""What TBEL's runtime has by name: functions, methods, static functions, constants and types.

The translator refuses every other name when a converter is created. A number of arguments is a pair: least and most.
tests/converters/test_tbel_vocabulary.py holds this to what the runtime has.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

Arity: TypeAlias = tuple[int, int]

MANY: Final = 20
"""More arguments than that are refused."""


def _words(text: str) -> list[str]:
    return text.split()


ARRAY_ARITY: Final = 5
"""What can take as many arguments or more gets them as one array: else the runtime would not know how many came."""

FUNCTIONS: Final[Mapping[str, Arity]] = {
    # texts and bytes
    "btoa": (1, 1),
    "atob": (1, 1),
    "bytesToString": (1, 2),
    "decodeToString": (1, 1),
    "decodeToJson": (1, 1),
    "decodeCbor": (1, 1),
    "stringToBytes": (1, 2),
    "hexToBytes": (1, 1),
    "hexToBytesArray": (1, 1),
    "bytesToHex": (1, 1),
    "base64ToHex": (1, 1),
    "hexToBase64": (1, 1),
    "base64ToBytes": (1, 1),
    "base64ToBytesList": (1, 1),
    "base64ToString": (1, 1),
    "bytesToBase64": (1, 1),
    "bytesToExecutionArrayList": (1, 1),
    "printUnsignedBytes": (1, 1),
    "encodeURI": (1, 1),
    "decodeURI": (1, 1),
    "padStart": (3, 3),
    "padEnd": (3, 3),
    "replaceAll": (3, 3),
    # numbers from texts
    "parseInt": (1, 2),
    "parseLong": (1, 2),
    "parseFloat": (1, 2),
    "parseDouble": (1, 2),
    "parseHexIntLongToFloat": (2, 2),
    "parseHexToInt": (1, 2),
    "parseLittleEndianHexToInt": (1, 1),
    "parseBigEndianHexToInt": (1, 1),
    "parseHexToLong": (1, 2),
    "parseLittleEndianHexToLong": (1, 1),
    "parseBigEndianHexToLong": (1, 1),
    "parseHexToFloat": (1, 2),
    "parseLittleEndianHexToFloat": (1, 1),
    "parseBigEndianHexToFloat": (1, 1),
    "parseHexToDouble": (1, 2),
    "parseLittleEndianHexToDouble": (1, 1),
    "parseBigEndianHexToDouble": (1, 1),
    # numbers from bytes
    "parseBytesToInt": (1, 4),
    "parseBytesToUnsignedInt": (1, 4),
    "parseBytesToLong": (1, 4),
    "parseBytesToFloat": (1, 4),
    "parseBytesToDouble": (1, 4),
    "parseBytesIntToFloat": (1, 4),
    "parseBytesLongToDouble": (1, 4),
    "parseByteToBinaryArray": (1, 3),
    "parseBytesToBinaryArray": (1, 2),
    "parseLongToBinaryArray": (1, 2),
    "parseBinaryArrayToInt": (1, 3),
    # texts from numbers, and rounding
    "intToHex": (1, 4),
    "longToHex": (1, 4),
    "floatToHex": (1, 2),
    "doubleToHex": (1, 2),
    "intLongToRadixString": (1, 4),
    "toFixed": (2, 2),
    "toInt": (1, 1),
    # questions, maps, sets, errors
    "isNaN": (1, 1),
    "isBinary": (1, 1),
    "isOctal": (1, 1),
    "isDecimal": (1, 1),
    "isHexadecimal": (1, 1),
    "isMap": (1, 1),
    "isList": (1, 1),
    "isArray": (1, 1),
    "isSet": (1, 1),
    "newSet": (0, 0),
    "toSet": (1, 1),
    "toFlatMap": (1, 3),
    "raiseError": (1, 2),
}

METHODS: Final = frozenset(
    _words(
        # texts
        "length size isEmpty isBlank charAt substring indexOf lastIndexOf contains startsWith endsWith equals "
        "equalsIgnoreCase compareTo toUpperCase toLowerCase trim strip split replace replaceAll replaceFirst matches "
        "concat repeat toString hashCode getBytes toCharArray "
        # lists and sets
        "get set add addAll push pop shift unshift remove removeAll clear clone slice subList join sort toSorted "
        "reverse toReversed splice toSpliced with fill toList toArray "
        # maps and their entries
        "put putIfAbsent putAll getOrDefault containsKey containsValue keySet keys values entrySet sortByKey "
        "sortByValue getKey getValue "
        # numbers
        "intValue longValue floatValue doubleValue byteValue shortValue isNaN isInfinite booleanValue "
        # dates
        "getTime valueOf toISOString toJSON getFullYear getMonth getDate getDay getHours getMinutes getSeconds "
        "getMilliseconds getUTCFullYear getUTCMonth getUTCDate getUTCDay getUTCHours getUTCMinutes getUTCSeconds "
        "getUTCMilliseconds parseSecond parseSecondMilli toLocaleString setTime"
    )
)

STATIC_FUNCTIONS: Final[Mapping[str, Arity]] = {
    **{f"Math.{name}": (1, 1) for name in _words("abs floor ceil round rint sqrt cbrt exp log log10 sin cos tan")},
    **{f"Math.{name}": (1, 1) for name in _words("asin acos atan signum toRadians toDegrees toIntExact")},
    **{f"Math.{name}": (2, 2) for name in _words("pow max min atan2 hypot floorDiv floorMod")},
    "Math.random": (0, 0),
    "Integer.parseInt": (1, 2),
    "Integer.valueOf": (1, 2),
    "Integer.toString": (1, 2),
    "Integer.toHexString": (1, 1),
    "Integer.toBinaryString": (1, 1),
    "Integer.toOctalString": (1, 1),
    "Long.parseLong": (1, 2),
    "Long.valueOf": (1, 2),
    "Long.toString": (1, 2),
    "Long.toHexString": (1, 1),
    "Long.toBinaryString": (1, 1),
    "Long.toOctalString": (1, 1),
    "Float.parseFloat": (1, 1),
    "Float.valueOf": (1, 1),
    "Float.toString": (1, 1),
    "Float.isNaN": (1, 1),
    "Float.intBitsToFloat": (1, 1),
    "Float.floatToIntBits": (1, 1),
    "Double.parseDouble": (1, 1),
    "Double.valueOf": (1, 1),
    "Double.toString": (1, 1),
    "Double.isNaN": (1, 1),
    "Double.longBitsToDouble": (1, 1),
    "Double.doubleToLongBits": (1, 1),
    "Byte.toUnsignedInt": (1, 1),
    "Boolean.parseBoolean": (1, 1),
    "Boolean.valueOf": (1, 1),
    "String.valueOf": (1, 1),
    "String.format": (1, MANY),
    "String.join": (2, MANY),
    "JSON.parse": (1, 1),
    "JSON.stringify": (1, 1),
    "Date.now": (0, 0),
    "Date.UTC": (1, 7),
}

CONSTANTS: Final = frozenset(
    _words(
        "Math.PI Math.E Integer.MAX_VALUE Integer.MIN_VALUE Long.MAX_VALUE Long.MIN_VALUE Byte.MAX_VALUE "
        "Byte.MIN_VALUE Short.MAX_VALUE Short.MIN_VALUE Double.MAX_VALUE Double.NaN Float.NaN"
    )
)

CLASSES: Final = frozenset(
    _words("Math Integer Long Float Double Byte Short Boolean Character String Object JSON Date Number List Map Set")
)
"""Names that stand for a class where no variable has them."""

CASTS: Final[Mapping[str, str]] = {
    "int": "int",
    "Integer": "int",
    "long": "long",
    "Long": "long",
    "float": "float",
    "Float": "float",
    "double": "double",
    "Double": "double",
    "byte": "byte",
    "Byte": "byte",
    "short": "short",
    "Short": "short",
    "boolean": "boolean",
    "Boolean": "boolean",
    "char": "char",
    "Character": "char",
    "String": "text",
}
"""Types that a value is converted to, and the runtime's name for the conversion."""

COLLECTIONS: Final[Mapping[str, str]] = {
    "List": "list",
    "ArrayList": "list",
    "Map": "map",
    "HashMap": "map",
    "LinkedHashMap": "map",
    "Set": "set",
    "HashSet": "set",
    "LinkedHashSet": "set",
    "Collection": "collection",
}

TESTED_TYPES: Final[Mapping[str, str]] = {
    **CASTS,
    **COLLECTIONS,
    "Number": "number",
    "Date": "date",
    "Object": "object",
}
"""Types that `instanceof` knows."""

HOLDERS: Final = frozenset({*COLLECTIONS, "Number", "Date", "Object", "def"})
"""Types that a variable may be declared with, and that convert nothing."""

NEW: Final[Mapping[str, tuple[str, Arity]]] = {
    "Date": ("date", (0, 8)),
    "String": ("text", (1, 1)),
    "ArrayList": ("list", (0, 1)),
    "HashMap": ("map", (0, 1)),
    "LinkedHashMap": ("map", (0, 1)),
    "HashSet": ("set", (0, 1)),
    "LinkedHashSet": ("set", (0, 1)),
}


def simple(type_name: str) -> str:
    """`java.util.ArrayList` is `ArrayList`."""
    return type_name.removeprefix("java.util.").removeprefix("java.lang.")
