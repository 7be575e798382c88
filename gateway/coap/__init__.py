"""CoAP over datagrams (RFC 7252), without sockets: datagrams in, requests to a callable, datagrams out."""
