"""DTLS 1.2 (RFC 6347) without I/O: datagrams and the time in, datagrams and events out.

No module here knows sockets, clocks or tasks. All cryptography is done by the `cryptography` package.
"""
