"""What can go wrong: a message that is none, and a handshake that must end."""

from gateway.dtls.codes import AlertDescription


class DecodeError(ValueError):
    """The bytes are not what they claim to be. Nothing else leaves a parser."""


class AlertError(Exception):
    """The handshake must end with this alert. `reason` is for the log; it never holds a secret."""

    def __init__(self, description: AlertDescription, reason: str) -> None:
        super().__init__(f"{description.name.lower()}: {reason}")
        self.description = description
        self.reason = reason
