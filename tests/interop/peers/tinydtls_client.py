"""A DTLS client upon DTLSSocket, that is upon tinydtls: tinydtls_client.py PORT IDENTITY PSK

Says "1 hello" and prints what comes.
"""

import socket
import sys

from DTLSSocket import dtls  # type: ignore[import-untyped]

CONNECTED = 0x1DE
"""tinydtls's own event code."""

ADDRESS = "::ffff:127.0.0.1"


def main() -> None:
    port, identity, psk = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    events: list[int] = []
    received: list[bytes] = []

    def write(address: tuple[str, int], data: bytes) -> int:
        return sock.sendto(data, address)

    def read(address: tuple[str, int], data: bytes) -> int:
        received.append(data)
        return len(data)

    client = dtls.DTLS(
        read=read,
        write=write,
        event=lambda level, code: events.append(code),
        pskId=identity,
        pskStore={identity: psk},
    )
    session = client.connect(ADDRESS, port)
    while CONNECTED not in events:
        client.handleMessageAddr(ADDRESS, port, sock.recv(4096))
    print("completed", flush=True)
    client.write(session, b"1 hello")
    while not received:
        client.handleMessageAddr(ADDRESS, port, sock.recv(4096))
    print(received[0].decode(), flush=True)
    client.close(session)


main()
