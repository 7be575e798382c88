"""ThingsBoard's converter files: read, written, and read whatever is in them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.converters.thingsboard_file import (
    FILE_BYTES_MAX,
    SOURCE_CHARACTERS_MAX,
    UPDATE_ONLY_KEYS_MAX,
    ImportedConverter,
    converter_file,
    read_converters,
)
from gateway.errors import UsageError
from gateway.model import Converter, ConverterCase, JsonValue, Language

JS = "return {deviceName: 'js'};"
TBEL = "return {deviceName: 'tbel'};"


def export(configuration: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A file as ThingsBoard 4 exports it, with what a test cares for put in place."""
    base = {"scriptLang": "JS", "decoder": JS, "tbelDecoder": "", "encoder": None, "tbelEncoder": None}
    return {
        "name": "meters",
        "type": "UPLINK",
        "debugSettings": {"failuresEnabled": False, "allEnabled": False, "allEnabledUntil": 0},
        "configuration": {**base, "updateOnlyKeys": [], **(configuration or {})},
        "additionalInfo": {"description": ""},
        "edgeTemplate": False,
        **fields,
    }


def read(document: Any, language: Language | None = None) -> ImportedConverter:
    (one,) = read_converters(json.dumps(document).encode(), language=language)
    return one


# -- what is read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configuration", "language", "source"),
    [
        ({}, Language.JAVASCRIPT, JS),
        ({"tbelDecoder": TBEL}, Language.JAVASCRIPT, JS),
        ({"scriptLang": "TBEL", "tbelDecoder": TBEL}, Language.TBEL, TBEL),
        ({"scriptLang": "TBEL", "tbelDecoder": TBEL, "decoder": ""}, Language.TBEL, TBEL),
        ({"scriptLang": None}, Language.JAVASCRIPT, JS),
        ({"scriptLang": None, "tbelDecoder": TBEL}, Language.JAVASCRIPT, JS),
        ({"scriptLang": None, "tbelDecoder": TBEL, "decoder": None}, Language.TBEL, TBEL),
    ],
)
def test_the_file_chooses_the_language(configuration: dict[str, Any], language: Language, source: str) -> None:
    converter = read(export(configuration)).converter
    assert (converter.name, converter.language, converter.source) == ("meters", language, source)


def test_a_language_that_is_asked_for_takes_the_place_of_the_files() -> None:
    document = export({"tbelDecoder": TBEL})
    assert read(document, Language.TBEL).converter.source == TBEL
    assert read(export({"scriptLang": "TBEL", "tbelDecoder": TBEL}), Language.JAVASCRIPT).converter.source == JS
    with pytest.raises(UsageError, match=r"configuration\.tbelDecoder is empty") as caught:
        read(export(), Language.TBEL)
    assert caught.value.hint == "take the other one: --language javascript"
    with pytest.raises(UsageError, match="no Python"):
        read(export(), Language.PYTHON)


def test_a_file_of_before_tbel_is_javascript() -> None:
    old = {
        "name": "old",
        "type": "UPLINK",
        "debugMode": False,
        "configuration": {"decoder": JS},
        "additionalInfo": None,
    }
    one = read(old)
    assert (one.converter.language, one.converter.source, one.notes) == (Language.JAVASCRIPT, JS, ())


def test_what_belongs_to_another_installation_is_passed_over() -> None:
    ids: dict[str, Any] = {
        "id": {"entityType": "CONVERTER", "id": "1"},
        "tenantId": {"id": "2"},
        "createdTime": 1,
        "version": 3,
    }
    assert read(export(**ids, externalId=None, integrationType=None, converterVersion=1)).notes == ()


def test_what_is_left_out_is_said() -> None:
    one = read(
        export(
            {"tbelDecoder": TBEL, "strange": 1},
            debugSettings={"failuresEnabled": True, "allEnabled": False, "allEnabledUntil": 0},
            additionalInfo={"description": "of the hall"},
            more=[1],
        )
    )
    assert one.notes == (
        "its decoder in TBEL (configuration.tbelDecoder) is left out; --language tbel takes that one",
        "its debug settings are left out: an integration has them here",
        "left out: additionalInfo.description",
        "left out: configuration.strange",
        "left out: more",
    )
    assert len(read(export(debugMode=True)).notes) == 1


def test_a_dedicated_converter_is_taken_with_a_note_on_what_it_lacks() -> None:
    one = read(
        export({"type": "DEVICE", "profile": "default", "name": "$eui"}, integrationType="LORIOT", converterVersion=2)
    )
    (note,) = one.notes
    assert "of type LORIOT" in note
    assert "configuration.name, configuration.profile, configuration.type" in note
    assert "the decoder itself has to return deviceName" in note


def test_update_only_keys_are_taken_once_each() -> None:
    assert read(export({"updateOnlyKeys": ["fw", "modèle", "fw"]})).converter.update_only_keys == ("fw", "modèle")
    assert read(export({"updateOnlyKeys": None})).converter.update_only_keys == ()


def test_a_file_of_several_is_an_array_or_a_page_of_the_rest_api() -> None:
    several = [export(name="a"), export(name="b")]
    for document in (several, {"data": several, "totalPages": 1, "totalElements": 2, "hasNext": False}):
        names = [one.converter.name for one in read_converters(json.dumps(document).encode())]
        assert names == ["a", "b"]
    assert read({"entityType": "CONVERTER", "entity": export()}).converter.name == "meters"
    assert read_converters(b"\xef\xbb\xbf" + json.dumps(export()).encode())[0].converter.name == "meters"


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (1, "the file must be an object"),
        ([], "the file is an empty array"),
        ({"data": []}, "data is an empty array"),
        ([export(), 1], r"\[1\] must be an object"),
        ({}, "name is missing"),
        (export(name=5), "name must be a text, not a number"),
        (export(name="\ud800"), "name holds half of a surrogate pair"),
        (export(type="DOWNLINK"), "type: converter 'meters' is of type 'DOWNLINK', and only UPLINK is taken"),
        (export(type=None), "type: converter 'meters' is of type 'none'"),
        ({"data": [export(), export(type="DOWNLINK", name="down")]}, r"data\[1\]\.type: converter 'down'"),
        (export() | {"configuration": None}, "configuration must be an object with a decoder, not null"),
        (export() | {"configuration": [1]}, "configuration must be an object with a decoder, not an array"),
        (export({"decoder": {}}), r"configuration\.decoder must be a text, not an object"),
        (export({"decoder": " \n"}), r"configuration\.decoder is empty"),
        (export({"decoder": "\udc00"}), r"configuration\.decoder holds half of a surrogate pair"),
        (export({"scriptLang": "PYTHON"}), r"configuration\.scriptLang must be JS or TBEL, not 'PYTHON'"),
        (export({"scriptLang": True}), r"configuration\.scriptLang must be a text, not a boolean"),
        (export({"updateOnlyKeys": "fw"}), r"configuration\.updateOnlyKeys must be an array of texts, not a text"),
        (export({"updateOnlyKeys": ["a", 1.5]}), r"configuration\.updateOnlyKeys\[1\] must be a text of 1 to 255"),
        (export({"updateOnlyKeys": [""]}), r"configuration\.updateOnlyKeys\[0\] must be a text"),
        (export({"updateOnlyKeys": ["x" * 256]}), r"configuration\.updateOnlyKeys\[0\] must be a text"),
        (export({"updateOnlyKeys": ["\ud800"]}), r"configuration\.updateOnlyKeys\[0\] holds half"),
        (export(additionalInfo={"gatewayCases": 1}), r"additionalInfo\.gatewayCases must be an array"),
        (export(additionalInfo={"gatewayCases": [{}]}), r"additionalInfo\.gatewayCases\[0\]\.name must be"),
    ],
)
def test_what_is_no_uplink_converter_is_refused_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_converters(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"return {};", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
        (b"{\xff", "not UTF-8"),
        (b" " * (FILE_BYTES_MAX + 1), "too large"),
    ],
)
def test_what_is_no_json_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_converters(content)


def test_the_bounds_are_what_they_say() -> None:
    assert read(export({"decoder": "x" * SOURCE_CHARACTERS_MAX}))
    with pytest.raises(UsageError, match=r"configuration\.decoder has 1048577 characters"):
        read(export({"decoder": "x" * (SOURCE_CHARACTERS_MAX + 1)}))
    keys = [f"k{n}" for n in range(UPDATE_ONLY_KEYS_MAX)]
    assert len(read(export({"updateOnlyKeys": keys})).converter.update_only_keys) == UPDATE_ONLY_KEYS_MAX
    with pytest.raises(UsageError, match="1001 keys"):
        read(export({"updateOnlyKeys": [*keys, "one"]}))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["JS", "UPLINK"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*export(), *export()["configuration"], "data", "entity"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(anything | st.fixed_dictionaries({"name": st.just("a"), "type": st.just("UPLINK"), "configuration": anything}))
def test_any_json_is_read_or_refused(document: JsonValue) -> None:
    with contextlib.suppress(UsageError):
        read_converters(json.dumps(document).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(UsageError):
        read_converters(content)


# -- what is written -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", [Language.JAVASCRIPT, Language.TBEL])
def test_what_is_written_is_read_as_what_it_was(language: Language) -> None:
    cases = (ConverterCase("one", b"\x00\xff", {"site": "Bärlin"}, {"deviceName": "a"}), ConverterCase("two", b"x"))
    converter = Converter("mètres", language, JS + "\n", ("fw", "modèle"), cases)
    one = read(converter_file(converter))
    assert (one.converter, one.notes) == (converter, ())
    assert (one.converter.update_only_keys, one.converter.cases) == (converter.update_only_keys, cases)


def test_what_is_written_has_what_thingsboard_asks_for() -> None:
    assert converter_file(Converter("meters", Language.JAVASCRIPT, JS)) == export()
    document = converter_file(Converter("meters", Language.TBEL, TBEL))
    assert document == export({"scriptLang": "TBEL", "decoder": "", "tbelDecoder": TBEL})


def test_python_is_not_for_thingsboard() -> None:
    with pytest.raises(UsageError, match="written in python, which ThingsBoard does not have") as caught:
        converter_file(Converter("c", Language.PYTHON, "…"))
    assert "converter show c" in caught.value.hint
