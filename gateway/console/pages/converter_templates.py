"""Sources to begin with: decoders of ThingsBoard's three tutorial payloads, in each language."""

from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

_FOLDER: Final = Path(__file__).parents[1] / "templates"

LANGUAGES: Final = {"javascript": "JavaScript", "tbel": "TBEL", "python": "Python"}
"""What a converter may be written in, with how it is called."""

Highlighting: TypeAlias = Literal["JavaScript", "Python"]

HIGHLIGHTING: Final[dict[str, Highlighting]] = {"javascript": "JavaScript", "tbel": "JavaScript", "python": "Python"}
"""TBEL looks like JavaScript."""


class Sample(NamedTuple):
    """A payload of the tutorial, and how it is written down."""

    title: str
    payload_format: str
    payload: str


SAMPLES: Final = {
    "text": Sample("Text, separated by commas", "text", "SN-001,default,temperature,25.7,humidity,69"),
    "json": Sample(
        "JSON",
        "json",
        '{"deviceName": "SN-001", "deviceType": "default", "temperature": 25.7, "humidity": 69}',
    ),
    "binary": Sample("Binary", "hex", "53 4e 2d 30 30 31 64 65 66 61 75 6c 74 32 35 2e 37 36 39"),
}
"""The tutorial's payloads, by the names of the templates that decode them."""


def template(sample: str, language: str) -> str:
    """The source that decodes this payload."""
    return (_FOLDER / f"{sample}.{language}").read_text()
