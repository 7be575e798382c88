"""Number literals of TBEL, as the JavaScript that the runtime takes for the same number (see `runtime`)."""

from typing import Final

from gateway.converters.tbel.builder import failure
from gateway.converters.tbel.syntax import Binary, Expression, Number

_INT_LIMIT: Final = 1 << 31
_SAFE_LIMIT: Final = 1 << 53
_LONG_LIMIT: Final = 1 << 63


def number(node: Number) -> str:
    """Raises ConverterError for one that TBEL has no type for, or none that is supported here."""
    sign, text = ("-", node.text[1:]) if node.text[0] == "-" else ("", node.text)
    is_hex = text[:2] in ("0x", "0X")
    if text[-1] in "BI" and not is_hex:
        raise failure("numbers of BigDecimal (B) and BigInteger (I) are not supported", node.line, node.column)
    if not is_hex and (text[-1] in "fFdD" or any(mark in text for mark in ".eE")):
        if text[-1] in "fF":
            return f"$.float({sign}{float(text[:-1])!r})"
        value = float(text.rstrip("dD"))
        if value == float("inf"):
            raise failure(f"the number {node.text} is too large", node.line, node.column)
        return f"$.double({sign}{value!r})" if value.is_integer() else f"{sign}{value!r}"
    is_long = text[-1] in "lL"
    digits = text[:-1] if is_long else text
    try:
        magnitude = int(digits, 16) if is_hex else int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
    except ValueError:
        raise failure(
            f"the number {node.text} is octal for its 0, but has an 8 or a 9", node.line, node.column
        ) from None
    whole = -magnitude if sign else magnitude
    if not -_LONG_LIMIT <= whole < _LONG_LIMIT:
        raise failure(f"the number {node.text} does not fit 64 bits", node.line, node.column)
    if -_INT_LIMIT <= whole < _INT_LIMIT:
        # MVEL takes ten characters, the sign among them, for a Long, whatever their worth.
        return f"{whole}n" if is_long or (not is_hex and len(sign + digits) > 9) else str(whole)
    return str(whole) if abs(whole) < _SAFE_LIMIT else f"{whole}n"


def check_constant(node: Binary) -> None:
    """Raises ConverterError where ints that are written out overflow in `+`, `-` or `*`.

    MVEL computes those when it compiles, and wraps them, while the same operator widens to a long at run time.
    """
    value = _constant(node)
    if value is not None and not -_INT_LIMIT <= value < _INT_LIMIT:
        raise failure(
            f"this is {value}, which does not fit an int: write one of the numbers with L", node.line, node.column
        )


def _constant(node: Expression) -> int | None:
    match node:
        case Number():
            text = number(node)
            return int(text) if text.lstrip("-").isdigit() and abs(int(text)) <= _INT_LIMIT else None
        case Binary(operator="+" | "-" | "*"):
            left, right = _constant(node.left), _constant(node.right)
            if left is None or right is None:
                return None
            return left + right if node.operator == "+" else left - right if node.operator == "-" else left * right
    return None
