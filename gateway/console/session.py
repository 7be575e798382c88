"""Who looks at a page."""

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from starlette.requests import HTTPConnection

from gateway.console.client import Api


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in, and the request that it asks for a page with."""

    api: Api
    token: str = field(repr=False)
    user: str
    is_admin: bool
    """Whether it may change things; a viewer's pages leave the buttons out, and the API refuses them in any case."""
    request: HTTPConnection

    def asked(self, name: str) -> str:
        """What the page's address says after `?name=`; empty where it says nothing."""
        return self.request.query_params.get(name, "")

    def named(self, name: str) -> str:
        """A part of the page's path that stands in its pattern as `{name}`."""
        return str(self.request.path_params.get(name, ""))

    @property
    def zone(self) -> tzinfo:
        """Where the browser is; UTC where that can't be told."""
        try:
            return ZoneInfo(self.request.cookies.get("gateway-zone", ""))
        except (ValueError, OSError, LookupError):  # whatever a browser may say
            return UTC
