"""Decoders in ThingsBoard's style, in JavaScript and in TBEL: the same reports, over the real CoAP path."""

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from .harness import BINARY, DEMO, JSON, TEXT, Gateway, coap_client

SECOND = int(time.time()) - 3600
"""The time that devices tell themselves: old, but not too old for the history."""
TS = SECOND * 1000


@dataclass(frozen=True)
class Case:
    """One payload, a decoder for it in each language, and what the device view must then hold."""

    javascript: str
    tbel: str
    payload: bytes
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By device: latest telemetry and attributes, by key."""
    metadata: tuple[str, ...] = ()
    asset: bool = False
    history: tuple[str, str, tuple[tuple[int, Any], ...]] | None = None
    """A device, a key, and all of its samples."""


TUTORIAL = {"temperature": 25.7, "humidity": 69}

OFFSETS = Case(
    javascript="""
        /** Decoder **/
        function int16(at, little) {
            var raw = little ? payload[at + 1] << 8 | payload[at] : payload[at] << 8 | payload[at + 1];
            return raw > 0x7FFF ? raw - 0x10000 : raw;
        }
        var serial = (payload[0] << 24 | payload[1] << 16 | payload[2] << 8 | payload[3]) >>> 0;
        return {
            deviceName: "offsets-" + serial,
            deviceType: "meter",
            telemetry: {ts: parseInt(metadata.ts), values: {
                battery: payload[4], temperature: int16(5, false) / 100, drift: int16(7, true) / 10}}
        };
    """,
    tbel="""
        var raw = parseBytesToInt(payload, 7, 2, false);
        if (raw > 0x7FFF) {
            raw -= 0x10000;
        }
        return {
            deviceName: "offsets-" + parseBytesToInt(payload, 0, 4),
            deviceType: "meter",
            telemetry: [{ ts: parseLong(metadata.ts), values: {
                battery: parseBytesToInt(payload, 4, 1),
                temperature: parseBytesToInt(payload, 5, 2) / 100.0,
                drift: raw / 10.0 } }]
        };
    """,
    payload=struct.pack(">IBh", 37, 95, 2570) + struct.pack("<h", -15),
    expected={"offsets-37": {"battery": 95, "temperature": 25.7, "drift": -1.5}},
    metadata=("--metadata", f"ts={TS}"),
    history=("offsets-37", "drift", ((TS, -1.5),)),
)

TLV = Case(
    javascript="""
        var telemetry = {}, attributes = {};
        for (var i = 0; i < payload.length;) {
            var channel = payload[i++], type = payload[i++];
            if (channel === 0x01 && type === 0x75) {
                telemetry.battery = payload[i];
                i += 1;
            } else if (channel === 0x03 && type === 0x67) {
                telemetry.temperature = ((payload[i] | payload[i + 1] << 8) << 16 >> 16) / 10;
                i += 2;
            } else if (channel === 0xFF && type === 0x08) {
                attributes.serial = payload.slice(i, i + 2).map(function (b) {
                    return ("0" + b.toString(16)).slice(-2).toUpperCase();
                }).join("");
                i += 2;
            } else {
                break;
            }
        }
        return {deviceName: "tlv", attributes: attributes, telemetry: telemetry};
    """,
    tbel="""
        function decodePayload(input) {
            var output = { attributes: {}, telemetry: {} };
            for (var i = 0; i < input.length; ) {
                var channel = input[i++];
                var type = input[i++];
                if (channel === 0x01 && type === 0x75) {
                    output.telemetry.battery = input[i];
                    i += 1;
                } else if (channel === 0x03 && type === 0x67) {
                    output.telemetry.temperature = ((input[i] & 0xff) | (input[i + 1] << 8)) / 10.0;
                    i += 2;
                } else if (channel == -1 && type == 8) {
                    output.attributes.serial = bytesToHex(input.slice(i, i + 2));
                    i += 2;
                } else {
                    break;
                }
            }
            return output;
        }
        var decoded = decodePayload(payload);
        return { deviceName: "tlv", attributes: decoded.attributes, telemetry: decoded.telemetry };
    """,
    payload=bytes.fromhex("017564 0367f6ff ff08a1b2 7777"),
    expected={"tlv": {"battery": 100, "temperature": -1, "serial": "A1B2"}},
)

BITS = Case(
    javascript="""
        var flags = payload[0];
        return {deviceName: "bits", telemetry: {
            open: (flags & 0x80) !== 0, mode: flags >> 4 & 7, low: flags & 0x0F, wrapped: (payload[1] << 24) | 1}};
    """,
    tbel="""
        var flags = payload[0] & 0xFF;
        return { deviceName: "bits", telemetry: {
            open: (flags & 0x80) != 0, mode: (flags >> 4) & 7, low: flags & 0x0F, wrapped: (payload[1] << 24) | 1 } };
    """,
    payload=b"\xb6\x80",
    expected={"bits": {"open": True, "mode": 3, "low": 6, "wrapped": -2147483647}},
)

FLOATS = Case(
    javascript="""
        function real(at, length, little) {
            var view = new DataView(new ArrayBuffer(8));
            for (var i = 0; i < length; i++) view.setUint8(i, payload[at + i]);
            return length === 4 ? view.getFloat32(0, little) : view.getFloat64(0, little);
        }
        return {deviceName: "floats", telemetry: {
            a: Number(real(0, 4, false).toPrecision(7)), b: Number(real(4, 4, true).toPrecision(7)),
            c: real(8, 8, false), d: real(16, 8, true)}};
    """,
    tbel="""
        return { deviceName: "floats", telemetry: {
            a: parseBytesToFloat(payload, 0, 4), b: parseBytesToFloat(payload, 4, 4, false),
            c: parseBytesToDouble(payload, 8, 8), d: parseBytesToDouble(payload, 16, 8, false) } };
    """,
    payload=struct.pack(">f", 25.7) + struct.pack("<f", -0.1) + struct.pack(">d", 1e-3) + struct.pack("<d", 69),
    expected={"floats": {"a": 25.7, "b": -0.1, "c": 0.001, "d": 69}},
)

MANY = Case(
    javascript="""
        var data = JSON.parse(String.fromCharCode.apply(String, payload));
        return data.map(function (report) {
            return {
                deviceName: report.serialNumber,
                deviceType: metadata.deviceType,
                telemetry: report.samples.map(function (sample) {
                    return {ts: sample.time * 1000, values: {temperature: sample.t / 10}};
                })
            };
        });
    """,
    tbel="""
        var result = [];
        foreach (report : decodeToJson(payload)) {
            var telemetry = [];
            foreach (sample : report.samples) {
                telemetry.add({ ts: sample.time * 1000L, values: { temperature: sample.t / 10.0 } });
            }
            result.push({ deviceName: report.serialNumber, deviceType: metadata.deviceType, telemetry: telemetry });
        }
        return result;
    """,
    payload=json.dumps(
        [
            {"serialNumber": "A", "samples": [{"time": SECOND, "t": 257}, {"time": SECOND + 60, "t": 260}]},
            {"serialNumber": "B", "samples": [{"time": SECOND, "t": -5}]},
        ]
    ).encode(),
    expected={"A": {"temperature": 26}, "B": {"temperature": -0.5}},
    metadata=("--metadata", "deviceType=probe"),
    history=("A", "temperature", ((TS, 25.7), (TS + 60_000, 26))),
)

ASSET = Case(
    javascript="""
        var data = JSON.parse(String.fromCharCode.apply(String, payload));
        var telemetry = {};
        (function flatten(value, path) {
            if (value === null || typeof value !== "object") {
                if (value !== null) telemetry[path] = value;
                return;
            }
            for (var key in value) flatten(value[key], path ? path + "." + key : key);
        })(data.air, "air");
        return {assetName: data.name, assetType: "office", telemetry: telemetry};
    """,
    tbel="""
        var data = decodeToJson(payload);
        return { assetName: data.name, assetType: "office", telemetry: toFlatMap({ air: data.air }) };
    """,
    payload=b'{"name": "OF-1", "air": {"co2": 400, "voc": [1, 2]}}',
    expected={"OF-1": {"air.co2": 400, "air.voc.0": 1, "air.voc.1": 2}},
    asset=True,
)

CASES = {
    "text": Case((DEMO / "text.js").read_text(), (DEMO / "text.tbel").read_text(), TEXT, {"SN-001": TUTORIAL}),
    "json": Case((DEMO / "json.js").read_text(), (DEMO / "json.tbel").read_text(), JSON, {"SN-001": TUTORIAL}),
    "binary": Case((DEMO / "binary.js").read_text(), (DEMO / "binary.tbel").read_text(), BINARY, {"SN-001": TUTORIAL}),
    "offsets": OFFSETS,
    "tlv": TLV,
    "bits": BITS,
    "floats": FLOATS,
    "many": MANY,
    "asset": ASSET,
}
LANGUAGES = ("javascript", "tbel")


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Gateway]]:
    """A running gateway for each language, so that what one wrote is not taken for the other's."""
    made = {language: Gateway(tmp_path_factory.mktemp(language), {}) for language in LANGUAGES}
    for language, gateway in made.items():
        for name, case in CASES.items():
            source = case.javascript if language == "javascript" else case.tbel
            gateway.add_integration(name, source, *case.metadata, language=language)
        gateway.start()
    yield made
    for gateway in made.values():
        gateway.kill()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_decoder_gives_what_is_expected_of_it(gateways: dict[str, Gateway], language: str, name: str) -> None:
    gateway, case = gateways[language], CASES[name]
    (url,) = gateway.json("integration", "show", name)["endpoints"]
    assert coap_client("-m", "post", url, payload=case.payload) == ""
    for device, expected in case.expected.items():
        shown = gateway.device(device, *(["--asset"] if case.asset else []))
        values = {key: one["value"] for part in ("attributes", "telemetry") for key, one in shown[part].items()}
        assert values == expected
        assert shown["kind"] == ("asset" if case.asset else "device")
    if case.history is not None:
        device, key, samples = case.history
        history = gateway.device(device, "--history", key)["history"]
        assert tuple((one["ts"], one["value"]) for one in history) == samples
