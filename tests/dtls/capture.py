"""Makes the files in `captures`: handshakes of foreign clients with this engine, as they went over the wire.

python -m tests.dtls.capture

Each file says which client it was, and has all datagrams of both sides and the line of the key log; so a test can go
through the whole of it again, decrypt it, and check the Finished of both sides. The keys in there protect nothing.
Needs the clients: Debian's libcoap3-bin and openssl.
"""

import json
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.coap.codec import MessageFormatError, Type, encode_message, parse_message
from gateway.dtls.config import ClientAuth, Config, Identity
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived
from gateway.dtls.tickets import TicketKeys
from gateway.dtls.trust import TrustPolicy
from gateway.model import Code

from .certificates import Issued, KeyKind, Options, authority, device, server

CAPTURES = Path(__file__).parent / "captures"
PSK_IDENTITY, PSK_KEY = b"device-1", b"a secret of 16 b"
_LONGEST_S = 20.0
_YEARS_S = 30 * 365 * 86_400.0


@dataclass(frozen=True)
class Client:
    """A foreign client: `command` has {port} and the files {certificate}, {key}, {session}."""

    name: str
    version: Sequence[str]
    command: Sequence[str]
    client_auth: ClientAuth = ClientAuth.NONE
    key: KeyKind = "p256"
    server_key: KeyKind = "p256"
    before: Sequence[str] = field(default=())
    """A command that makes the session that the captured one resumes."""
    speaks_coap: bool = True


_OPENSSL = ("openssl", "s_client", "-dtls1_2", "-connect", "127.0.0.1:{port}", "-no_comp")
_PSK = ("-k", PSK_KEY.decode(), "-u", PSK_IDENTITY.decode(), "-B", "5", "coaps://127.0.0.1:{port}/hello")
_PKI = ("-c", "{certificate}", "-j", "{key}", "-n", "-B", "5", "coaps://127.0.0.1:{port}/hello")
_COAP_OPENSSL, _COAP_GNUTLS = "coap-client-openssl", "coap-client-gnutls"

CLIENTS = (
    Client("libcoap-openssl-psk", (_COAP_OPENSSL,), (_COAP_OPENSSL, *_PSK)),
    Client("libcoap-gnutls-psk", (_COAP_GNUTLS,), (_COAP_GNUTLS, *_PSK)),
    Client("libcoap-openssl-x509", (_COAP_OPENSSL,), (_COAP_OPENSSL, *_PKI), ClientAuth.NEEDED),
    Client("libcoap-gnutls-x509", (_COAP_GNUTLS,), (_COAP_GNUTLS, *_PKI), ClientAuth.NEEDED),
    Client(
        "libcoap-openssl-x509-rsa", (_COAP_OPENSSL,), (_COAP_OPENSSL, *_PKI), ClientAuth.NEEDED, "rsa2048", "rsa2048"
    ),
    Client(
        "openssl-chacha20-p384",
        ("openssl", "version"),
        (*_OPENSSL, "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305", "-cert", "{certificate}", "-key", "{key}"),
        ClientAuth.WANTED,
        "p384",
        speaks_coap=False,
    ),
    Client(
        "openssl-aes256-gcm-rsa-small-mtu",
        ("openssl", "version"),
        (*_OPENSSL, "-cipher", "ECDHE-RSA-AES256-GCM-SHA384", "-mtu", "256", "-cert", "{certificate}", "-key", "{key}"),
        ClientAuth.NEEDED,
        "rsa2048",
        "rsa2048",
        speaks_coap=False,
    ),
    Client(
        "openssl-ccm8-resumed-by-ticket",
        ("openssl", "version"),
        (*_OPENSSL, "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", "-sess_in", "{session}"),
        before=(*_OPENSSL, "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", "-sess_out", "{session}"),
        speaks_coap=False,
    ),
)


class _Recorder:
    """A server that writes down what goes over the wire."""

    def __init__(self, config: Config) -> None:
        self.endpoint = Endpoint(config)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.datagrams: list[tuple[str, str]] = []

    def serve(self, client: "subprocess.Popen[bytes]", speaks_coap: bool) -> None:
        """Serve until the client is gone."""
        end_s = time.monotonic() + _LONGEST_S
        assert client.stdin is not None
        while client.poll() is None:
            if time.monotonic() > end_s:
                client.kill()
                raise SystemExit(f"{client.args!r} does not end")
            if select.select([self.socket], [], [], 0.05)[0]:
                data, address = self.socket.recvfrom(1 << 16)
                self.datagrams.append(("client", data.hex()))
                self.endpoint.receive_datagram(data, repr(address).encode(), time.monotonic(), time.time())
                if self._answer(speaks_coap):
                    client.stdin.close()
                for answer, _ in self.endpoint.datagrams_to_send():
                    self.datagrams.append(("server", answer.hex()))
                    self.socket.sendto(answer, address)
            self.endpoint.handle_timeout(time.monotonic())

    def _answer(self, speaks_coap: bool) -> bool:
        """Answer requests; true where the client has said all that it has to say."""
        answered = False
        while (event := self.endpoint.next_event()) is not None:
            if not isinstance(event, DataReceived):
                continue
            if not speaks_coap:
                self.endpoint.send(event.association, b"hello\n")
                answered = True
                continue
            try:
                message = parse_message(event.data)
            except MessageFormatError:
                continue
            if message.code:
                answer = encode_message(Type.ACK, Code.CONTENT, message.mid, message.token, (), b"hello")
                self.endpoint.send(event.association, answer)
        return answered


def capture(client: Client, folder: Path) -> None:
    """Run a client and write its file."""
    validity = Options(not_before_s=time.time() - 86_400, not_after_s=time.time() + _YEARS_S)
    ca = authority(**validity)
    ours = server("localhost", issuer=ca, **validity | Options(key=client.server_key))
    theirs = device(PSK_IDENTITY.decode(), issuer=ca, **validity | Options(key=client.key))
    key_log: list[str] = []
    recorder = _Recorder(
        Config(
            identities=(Identity(ours.chain(), ours.key),),
            trust=TrustPolicy([ca.certificate]),
            client_auth=client.client_auth,
            psk_enabled=True,
            psk_key_of=lambda identity: PSK_KEY if identity == PSK_IDENTITY else None,
            tickets=TicketKeys(),
            key_log=key_log.append,
        )
    )
    values = {"port": str(recorder.port), "session": str(folder / "session"), **_files(theirs, folder)}
    for command in filter(None, (client.before, client.command)):
        recorder.datagrams.clear()
        key_log.clear()
        arguments = [argument.format_map(values) for argument in command]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(arguments, stdin=pipe, stdout=null, stderr=null) as process:
            assert process.stdin is not None
            if not client.speaks_coap:
                process.stdin.write(b"hello\n")
                process.stdin.flush()
            recorder.serve(process, client.speaks_coap)
    if not recorder.endpoint.associations() and not key_log:
        raise SystemExit(f"{client.name}: no handshake")
    said = subprocess.run(client.version, capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    version = "; ".join(line.strip() for line in lines if " v4" in line or line.startswith(("OpenSSL", "TLS Library")))
    content = {
        "client": version,
        "resumed": bool(client.before),
        "key_log": key_log[-1],
        "datagrams": [{"from": side, "hex": data} for side, data in recorder.datagrams],
    }
    (CAPTURES / f"{client.name}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"{client.name}: {len(recorder.datagrams)} datagrams; {version}")


def _files(issued: Issued, folder: Path) -> dict[str, str]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    key.write_bytes(issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"certificate": str(certificate), "key": str(key)}


if __name__ == "__main__":
    CAPTURES.mkdir(exist_ok=True)
    for one in CLIENTS:
        with tempfile.TemporaryDirectory() as name:
            capture(one, Path(name))
