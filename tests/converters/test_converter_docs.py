"""Each example in docs/converters.md does what the page says."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.converters.results import reports_of
from gateway.errors import ConverterError
from gateway.model import Language

from .rig import RECEIVED_MS, bound, javascript

PAGE = (Path(__file__).parents[2] / "docs" / "converters.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    language: str
    text: str


class Example(NamedTuple):
    decoder: Block
    payload: Block
    result: Block


BLOCKS = [Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
EXAMPLES = [
    Example(decoder, *BLOCKS[at + 1 : at + 3])
    for at, decoder in enumerate(BLOCKS)
    if decoder.language in ("javascript", "python")
]
ERRORS = re.findall(r"^\| `(.+?)` \| `+(.+?)`+ \|$", PAGE.split("## Errors")[1].split("\n## ")[0], re.MULTILINE)


def payload_of(block: Block) -> bytes:
    return bytes.fromhex(block.text) if block.language == "hex" else block.text.encode()


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_makes_of_its_payload_what_the_page_shows(example: Example) -> None:
    assert (example.payload.language, example.result.language) in {("text", "json"), ("json", "json"), ("hex", "json")}
    decode = bound(Language(example.decoder.language), example.decoder.text)
    assert decode(payload_of(example.payload), RECEIVED_MS) == reports_of(json.loads(example.result.text), RECEIVED_MS)


def test_the_page_has_the_examples_that_it_should_have() -> None:
    assert [(example.decoder.language, example.payload.language) for example in EXAMPLES] == [
        ("javascript", "text"),
        ("javascript", "json"),
        ("javascript", "hex"),
        ("javascript", "hex"),
        ("javascript", "hex"),
        ("python", "json"),
        ("python", "hex"),
        ("python", "hex"),
    ]
    assert len(ERRORS) == 10


def test_every_other_block_of_json_is_a_result_that_is_accepted() -> None:
    rest = [block for before, block in pairwise(BLOCKS) if block not in {part for e in EXAMPLES for part in e}]
    results = [json.loads(block.text) for block in rest if block.language == "json"]
    assert [len(reports_of(result, RECEIVED_MS)) for result in results] == [2]


@pytest.mark.parametrize(("source", "message"), ERRORS)
def test_an_error_is_the_one_that_the_page_shows(source: str, message: str) -> None:
    decode = javascript(source)
    with pytest.raises(ConverterError) as caught:
        decode(b"x", RECEIVED_MS)
    assert caught.value.message == message
