"""The commands in docs/converters.md print what the page shows."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "converters.md").read_text(encoding="utf-8")
SECTIONS = ("Trying it", "From ThingsBoard and back")


def blocks(section: str) -> list[str]:
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steady(text: str) -> str:
    """Without what is another one at each run."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z", "TIME", text)
    return re.sub(r"Took [0-9.]+ µs", "Took N µs", text)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_can_be_followed(cli: Cli, section: str) -> None:
    shutil.copytree(ROOT / "scripts" / "demo", cli.folder / "scripts" / "demo")
    for block in blocks(section):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = step.partition("\n")
            command, here, _ = command.partition(" <<'END'")
            given, _, shown = shown.partition("END\n") if here else ("", "", shown)
            program, *arguments = shlex.split(command)
            assert program == "gateway"
            result = cli(*arguments, stdin=given.encode())
            assert steady(result.err + result.out) == steady(shown), command
