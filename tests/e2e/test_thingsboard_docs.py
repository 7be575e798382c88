"""docs/thingsboard.md: its walk works, with Mosquitto in ThingsBoard's place, and what it says of names is so."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson

from gateway import metrics
from gateway.settings import Settings
from gateway.sinks.sink import Trouble
from gateway.sinks.thingsboard_flight import TOPICS
from tests.brokers import HOST, Broker, Checker

from .harness import Gateway, eventually
from .secure import MakeGateway

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "thingsboard.md").read_text(encoding="utf-8")
COMMANDS: Final = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
START: Final = "gateway serve\n"
SN_001: Final = {"temperature": 25.7, "humidity": 69}
MESSAGES: Final = [line.split(maxsplit=1) for line in re.findall(r"^v1/gateway/\w+ +\{.*$", PAGE, re.MULTILINE)]


def run(gateway: Gateway, commands: list[str]) -> str:
    """Run commands of the page in the gateway's folder; gives what they printed."""
    text = "".join(commands).replace("thingsboard.example.com", HOST)
    text = text.replace("coap://127.0.0.1/", f"coap://127.0.0.1:{gateway.port}/")
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", text],
        cwd=gateway.folder,
        env=gateway.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def prepare(gateway: Gateway, broker: Broker) -> None:
    """What the page takes for granted: the command `gateway`, the sources, and ThingsBoard's own port."""
    folder = gateway.folder / "bin"
    folder.mkdir()
    (folder / "gateway").write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
    (folder / "gateway").chmod(0o755)
    (gateway.folder / "scripts").symlink_to(ROOT / "scripts")
    gateway.environment["PATH"] = f"{folder}{os.pathsep}{gateway.environment['PATH']}"
    gateway.environment["TB_PORT"] = str(broker.port)


def test_the_walk_brings_sn_001_to_the_broker_as_the_page_shows(make_gateway: MakeGateway, tmp_path: Path) -> None:
    start = COMMANDS.index(START)
    gateway = make_gateway()
    with Broker(tmp_path / "broker") as broker, Checker(broker) as checker:
        prepare(gateway, broker)
        checked = run(gateway, COMMANDS[:start])
        assert f"√ sink thingsboard: mqtt://{HOST}:{broker.port} lets us in" in checked
        assert checker.messages == []
        gateway.start()
        connected = f"sink thingsboard is connected: mqtt://{HOST}:{broker.port}"
        eventually(lambda: connected in gateway.log, f"it connects: {gateway.log}")
        printed = run(gateway, COMMANDS[start + 1 :])
        assert "Drained: devices, thingsboard." in printed
        assert "25.7" in printed
        samples = checker.contract.telemetry["SN-001"]
        eventually(lambda: len(samples) == 3, f"three samples arrive: {checker.messages} {printed} {gateway.log}")
    assert checker.contract.violations == []
    assert checker.contract.types == {"SN-001": "default"}
    assert [sample.values for sample in checker.contract.telemetry["SN-001"]] == [SN_001] * 3


def test_the_messages_shown_are_those_that_are_sent(make_gateway: MakeGateway, tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker, Checker(broker) as checker:
        gateway = make_gateway(TB_HOST=HOST, TB_PORT=str(broker.port), TB_ACCESS_TOKEN="A1_TEST_TOKEN")
        url = gateway.add_demo("json")
        gateway.start()
        gateway.command(
            "send",
            url,
            "--json",
            '{"deviceName": "SN-001", "deviceType": "default", **}'.replace("**", orjson.dumps(SN_001).decode()[1:-1]),
        )
        eventually(lambda: len(checker.messages) >= 2, "both messages arrive")
    sent = [
        (topic, re.sub(rb'"ts":\d+', b'"ts":1785000000000', payload).decode()) for topic, payload in checker.messages
    ]
    assert sent == [tuple(shown) for shown in MESSAGES]


def test_what_the_page_names_is_there() -> None:
    variables = set(re.findall(r"`((?:TB|GATEWAY)_[A-Z_]+)\b", PAGE))
    assert {name.lower() for name in variables} <= Settings.model_fields.keys()
    topics = set(re.findall(r"^\| `(v1/gateway/\w+)` \|", PAGE, re.MULTILINE))
    assert topics == set(TOPICS.values())
    for metric in re.findall(r"`(gateway_\w+)`", PAGE):
        assert metric in vars(metrics).values()


def test_every_default_in_the_table_of_limits_is_the_settings() -> None:
    rows = re.findall(r"^\| `(TB_\w+)` \| (\d+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for name, default in rows:
        assert Settings.model_fields[name.lower()].default == int(default), name


def test_the_table_of_troubles_has_each_of_them_with_words_of_its_messages() -> None:
    section = PAGE.split("## When nothing arrives")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    assert {trouble for trouble, _ in rows} == set(Trouble)
    source = (ROOT / "gateway" / "sinks" / "thingsboard_errors.py").read_text(encoding="utf-8")
    for _, words in rows:
        for message in re.findall(r"`([^`]+)`", words):
            assert message in source, message
