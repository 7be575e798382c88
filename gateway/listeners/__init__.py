"""UDP sockets: how datagrams come in and go out."""
