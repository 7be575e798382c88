"""What the model's small types say of themselves."""

import pytest

from gateway.model import (
    Code,
    Converter,
    ConverterCase,
    Integration,
    JsonValue,
    Language,
    Security,
    SecurityMode,
    same_json,
)


@pytest.mark.parametrize(
    ("code", "dotted"),
    [
        (Code.EMPTY, "0.00"),
        (Code.POST, "0.02"),
        (Code.CREATED, "2.01"),
        (Code.CONTINUE, "2.31"),
        (Code.BAD_REQUEST, "4.00"),
        (Code.REQUEST_ENTITY_INCOMPLETE, "4.08"),
        (Code.REQUEST_ENTITY_TOO_LARGE, "4.13"),
        (Code.TOO_MANY_REQUESTS, "4.29"),
        (Code.SERVICE_UNAVAILABLE, "5.03"),
    ],
)
def test_a_code_is_written_as_the_rfcs_do(code: Code, dotted: str) -> None:
    assert code.dotted == dotted


@pytest.mark.parametrize(
    ("mode", "allowed"),
    [
        (SecurityMode.NO_SECURE, [Security.PLAIN]),
        (SecurityMode.DTLS, [Security.DTLS]),
        (SecurityMode.MIXED, [Security.PLAIN, Security.DTLS]),
    ],
)
def test_a_security_mode_names_its_listeners(mode: SecurityMode, allowed: list[Security]) -> None:
    assert [security for security in Security if mode.allows(security)] == allowed


@pytest.mark.parametrize(
    ("prefix", "path"), [("", ("i", "key")), ("api", ("api", "i", "key")), ("api/v2", ("api", "v2", "i", "key"))]
)
def test_an_endpoints_path_has_the_prefix_as_nested_resources(prefix: str, path: tuple[str, ...]) -> None:
    assert Integration("name", "converter", "key", path_prefix=prefix).path == path


def test_converters_are_equal_where_they_are_compiled_from_the_same_text() -> None:
    converter = Converter("c", Language.JAVASCRIPT, "return {};")
    case = ConverterCase("case", b"x", {"site": "B"}, {"deviceName": ["a"]})
    other = Converter("c", Language.JAVASCRIPT, "return {};", ("fw",), (case,))
    assert (converter == other, {converter: 1}[other]) == (True, 1)
    assert converter != Converter("c", Language.TBEL, "return {};")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        (None, False, False),
        (1, 1.0, True),
        (1, True, False),
        ([0], [False], False),
        ("1", 1, False),
        ([], {}, False),
        ({"a": [1, {"b": 2}], "c": 3}, {"c": 3.0, "a": [1, {"b": 2}]}, True),
        ({"a": None}, {}, False),
        ([1, 2], [1], False),
        ((1, 2), [1, 2], True),
    ],
)
def test_values_are_compared_as_json(one: JsonValue, other: JsonValue, same: bool) -> None:
    assert same_json(one, other) is same
    assert same_json(other, one) is same
