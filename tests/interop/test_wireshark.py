"""Wireshark reads what the engine's two roles say to each other, with the engine's key log.

No peer that could be had here speaks RFC 9146. Wireshark does: it finds the connection IDs in the hellos, the real
content type behind the plaintext, and accepts the tags, which cover the connection ID (§5.3).
"""

import struct
import subprocess
import time
from pathlib import Path

import pytest

from gateway.coap.codec import OptionNumber, Type, encode_message
from gateway.model import Code
from tests.dtls.pair import SERVER, Pair

from .matrix import DOCUMENT, Case, Lab
from .tries import PSK, SUITES, Expected, Who

COMMAND = "tshark -r capture.pcap -o tls.keylog_file:keys.log"
"""As the documentation has it."""

# Wireshark 4.0 decrypts no ChaCha20-Poly1305 in DTLS, and does not know RFC 8442's suites.
READABLE = [suite for suite in SUITES if "CHACHA20" not in suite]

_CLIENT_SIDE, _SERVER_SIDE = (b"\x0a\0\0\1", 40000), (b"\x0a\0\0\2", 5684)


def write_capture(file: Path, sent: list[tuple[bytes, bytes]]) -> None:
    """Write datagrams, with whom each is for, as a capture of bare IPv4 packets (link type 101)."""
    packets = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for number, (data, destination) in enumerate(sent):
        ends = (_CLIENT_SIDE, _SERVER_SIDE) if destination == SERVER else (_SERVER_SIDE, _CLIENT_SIDE)
        (source_ip, source_port), (to_ip, to_port) = ends
        udp = struct.pack(">HHHH", source_port, to_port, 8 + len(data), 0) + data
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, source_ip, to_ip) + udp
        packets.append(struct.pack("<IIII", number, 0, len(ip), len(ip)) + ip)
    file.write_bytes(b"".join(packets))


def read_capture(folder: Path, *fields: str) -> list[list[str]]:
    """What Wireshark sees of CoAP in a capture, field by field."""
    shown = [part for field in fields for part in ("-e", field)]
    command = [*COMMAND.split(), "-Y", "coap", "-T", "fields", *shown]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def reading(suite: str, *, connection_ids: bool) -> Case:
    """Wireshark decrypts request and response, and not a third message whose tag is wrong."""
    who = PSK if suite.startswith("PSK") else Who("x509")
    besides = "connection IDs of 4 and 8 bytes" if connection_ids else "no connection IDs"
    row = Expected("Wireshark", suite, who, besides=besides).row("both")

    def run(lab: Lab) -> None:
        own, other = (4, 8) if connection_ids else (None, None)
        keys: list[str] = []
        pair = Pair(
            lab.credentials.client(suite, key="p256", connection_id_bytes=own),
            lab.credentials.server(suite, connection_id_bytes=other, key_log=keys.append),
            wall_s=time.time(),
        ).establish()
        assert len(pair.server_association.cid) == (other or 0)
        path = ((OptionNumber.URI_PATH, b"up"),)
        pair.client.send(pair.client_association, encode_message(Type.CON, Code.POST, 7, b"t", path, b"25.7"))
        pair.run()
        pair.server.send(pair.server_association, encode_message(Type.ACK, Code.CHANGED, 7, b"t"))
        pair.run()
        pair.server.send(pair.server_association, encode_message(Type.NON, Code.CONTENT, 8, b"t"))
        ((record, destination),) = pair.take()
        pair.sent[-1] = (record[:-1] + bytes((record[-1] ^ 1,)), destination)
        write_capture(lab.folder / "capture.pcap", pair.sent)
        (lab.folder / "keys.log").write_text("".join(f"{line}\n" for line in keys))
        seen = read_capture(lab.folder, "coap.mid", "coap.code", "coap.opt.uri_path", "data.data")
        assert seen == [["7", str(int(Code.POST)), "up", b"25.7".hex()], ["7", str(int(Code.CHANGED)), "", ""]]

    return Case(row, run)


CASES = [
    *(reading(suite, connection_ids=True) for suite in READABLE),
    reading("ECDHE_ECDSA_WITH_AES_128_CCM_8", connection_ids=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_wireshark_reads_a_capture_with_the_key_log(case: Case, lab: Lab) -> None:
    case.run(lab)


def test_the_documentation_has_the_command_that_is_tested() -> None:
    assert f"\n{COMMAND}" in DOCUMENT.read_text()
