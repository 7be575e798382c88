"""The integrations as the packet loop sees them: an immutable snapshot, swapped whole when the catalogue changes."""

from collections.abc import Iterable

from gateway.errors import BadRequestError, MethodNotAllowedError, NotFoundError
from gateway.model import Code, Integration, Request, Security, SecurityMode


class Registry:
    """Finds the integration that a request is for."""

    def __init__(self, integrations: Iterable[Integration] = ()) -> None:
        """Disabled integrations are as good as absent."""
        self.integrations = {integration.path: integration for integration in integrations if integration.enabled}
        """The enabled ones by their endpoint's path."""
        self.paths = tuple(self.integrations)
        """The paths of all endpoints; another registry has another tuple."""
        self._parents = {path[:length] for path in self.integrations for length in range(1, len(path))}

    def find(self, request: Request) -> Integration:
        """The integration whose endpoint the request is for.

        Raises NotFoundError for an unknown path or routing key, MethodNotAllowedError for anything but POST and
        PUT, BadRequestError where the integration's security mode excludes the way the request came.
        """
        integration = self.integrations.get(request.path)
        if integration is None:
            if request.path in self._parents:
                raise MethodNotAllowedError("this resource only leads to endpoints")
            raise NotFoundError("no integration has this path")
        if request.method not in (Code.POST, Code.PUT):
            raise MethodNotAllowedError("an endpoint takes POST and PUT")
        if not integration.security_mode.allows(request.security):
            raise BadRequestError(_wrong_listener(integration.security_mode))
        return integration


def _wrong_listener(mode: SecurityMode) -> str:
    scheme = Security.DTLS if mode is SecurityMode.DTLS else Security.PLAIN
    return f"the integration's security mode is {mode}: use {scheme}://"
