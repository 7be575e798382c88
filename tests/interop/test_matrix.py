"""The interop matrix in the documentation is the one that is tried."""

from . import (
    test_gnutls,
    test_libcoap,
    test_mbedtls,
    test_node,
    test_openssl,
    test_pyopenssl,
    test_tinydtls,
    test_wireshark,
)
from .matrix import rows_in_document
from .versions import versions

MODULES = (
    test_gnutls,
    test_libcoap,
    test_mbedtls,
    test_node,
    test_openssl,
    test_pyopenssl,
    test_tinydtls,
    test_wireshark,
)
ROWS = [case.row for module in MODULES for case in module.CASES]


def test_the_documentation_shows_the_rows_that_are_tried() -> None:
    assert rows_in_document() == ROWS, "run scripts/interop --write"


def test_no_row_is_there_twice() -> None:
    assert len(set(ROWS)) == len(ROWS)


def test_each_peer_says_its_version() -> None:
    said = versions()
    assert set(said) == {row.peer for row in ROWS}
    assert all(any(character.isdigit() for character in version) for version in said.values()), said
