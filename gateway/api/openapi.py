"""The API's description, `/openapi.json`."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.api.auth import cookie_name
from gateway.api.problems import Problem
from gateway.settings import Settings

_DESCRIPTION: Final = (
    "Everything that the gateway's commands and its console do. Errors are problem documents (RFC 9457). "
    "Scripts show an API token, or the token of a log-in, as `Authorization: Bearer`; browsers a log-in's cookie."
)
_REFERENCES: Final = "#/components/schemas/{model}"


class DocumentedApp(FastAPI):
    """An app whose description has problem documents, and both ways to say who one is."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            title="gateway",
            version=__version__,
            description=_DESCRIPTION,
            docs_url=None,  # their pages would fetch scripts from elsewhere
            redoc_url=None,
            generate_unique_id_function=_operation_id,
        )
        self._cookie = cookie_name(settings)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            _, problem = models_json_schema([(Problem, "serialization")], ref_template=_REFERENCES)
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(problem["$defs"])
            components.setdefault("securitySchemes", {})["cookie"] = {
                "type": "apiKey",
                "in": "cookie",
                "name": self._cookie,
                "description": "A log-in in a browser; unsafe requests have to come from the gateway's own pages",
            }
            for methods in document["paths"].values():
                for operation in methods.values():
                    if operation.get("security"):
                        operation["security"].append({"cookie": []})
        assert self.openapi_schema is not None
        return self.openapi_schema


def _operation_id(route: APIRoute) -> str:
    return route.name
