"""What docs/dtls.md says of suites, algorithms, extensions and limits is what the code has."""

import importlib
import re

from gateway.dtls.codes import ExtensionType, SignatureScheme
from gateway.dtls.config import Config
from gateway.dtls.keyexchange import GROUPS, SCHEMES
from gateway.dtls.suites import SUITES

from .matrix import DOCUMENT

TEXT = DOCUMENT.read_text()


def listed(row: str) -> list[str]:
    """The names in capitals in a row of a two-column table."""
    match = re.search(rf"^\| {row} \| (.*) \|$", TEXT, re.MULTILINE)
    assert match is not None, row
    return re.findall(r"\b[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)*\b", match[1].partition(";")[0])


def test_the_suites_are_those_of_the_engine_in_its_order() -> None:
    rows = re.findall(r"^\| ([0-9A-F]{4}) \| (\w+) \|", TEXT, re.MULTILINE)
    assert rows == [(f"{suite.number:04X}", suite.name) for suite in SUITES.values()]


def test_the_groups_and_signature_schemes_are_those_of_the_engine() -> None:
    assert listed("groups") == [group.name for group in GROUPS]
    assert listed("signature schemes") == [scheme.name for scheme in SCHEMES]
    assert set(SCHEMES) == set(SignatureScheme)


def test_the_extensions_are_those_of_the_engine() -> None:
    assert listed("extensions") == [extension.name for extension in ExtensionType]


def test_the_limits_are_those_of_the_engine() -> None:
    rows = re.findall(r"^\|[^|]*`(\w+)\.([\w.]+)` \| (\S+) \|", TEXT, re.MULTILINE)
    assert len(rows) > 15
    for module, name, value in rows:
        field = name.removeprefix("Config.")
        found = getattr(Config() if field != name else importlib.import_module(f"gateway.dtls.{module}"), field)
        assert float(value) == found, f"{module}.{name} is {found}"
