"""The gateway's errors. Each kind knows its CoAP response code and its exit code; each error carries its cure."""

from gateway.model import Code, Outcome


class GatewayError(Exception):
    """Something that a user or a device did, or a resource that ran out: never a bug of the gateway.

    `message` says what is wrong and where; `hint` names what is allowed, or the command that cures it. `field` is what
    a form calls the value that is wrong, as it is called in JSON, where there is one.
    """

    coap_code = Code.INTERNAL_SERVER_ERROR
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", max_age_s: int | None = None, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.max_age_s = max_age_s
        self.field = field

    @property
    def outcome(self) -> Outcome:
        """The response that a device gets. Hints are for operators and stay here."""
        return Outcome(self.coap_code, self.message, self.max_age_s)


class ConfigurationError(GatewayError):
    """A setting, a file or the environment is not as it must be (exit 78, EX_CONFIG)."""

    exit_code = 78


class UsageError(GatewayError):
    """A command was called with a value that it can't take."""

    exit_code = 2


class BadRequestError(GatewayError):
    """The request or its payload is not acceptable as it stands."""

    coap_code = Code.BAD_REQUEST


class ConverterError(BadRequestError):
    """A converter failed on a payload, or gave a result that is not ThingsBoard's uplink format."""


class ForbiddenError(GatewayError):
    """The identity of the request's session, or its lack of one, does not allow this."""

    coap_code = Code.FORBIDDEN


class NotFoundError(GatewayError):
    """There is nothing by that name, key or path."""

    coap_code = Code.NOT_FOUND


class MethodNotAllowedError(GatewayError):
    """The path exists, the method is none that it takes."""

    coap_code = Code.METHOD_NOT_ALLOWED


class RateLimitedError(GatewayError):
    """A device or an integration sends more than it may."""

    coap_code = Code.TOO_MANY_REQUESTS


class UnavailableError(GatewayError):
    """The gateway can't take it now: spool full, disk full, shutting down."""

    coap_code = Code.SERVICE_UNAVAILABLE
