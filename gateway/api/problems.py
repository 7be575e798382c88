"""Errors as problem documents, `application/problem+json` (RFC 9457)."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.errors import (
    BadRequestError,
    ConfigurationError,
    ForbiddenError,
    GatewayError,
    MethodNotAllowedError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
    UsageError,
)

CONTENT_TYPE: Final = "application/problem+json"

SCHEMA_HINT: Final = "see /openapi.json"
"""The cure where a request is not as it is described there."""

_STATUS: Final[tuple[tuple[type[GatewayError], HTTPStatus], ...]] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (BadRequestError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ConfigurationError, HTTPStatus.CONFLICT),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (MethodNotAllowedError, HTTPStatus.METHOD_NOT_ALLOWED),
    (RateLimitedError, HTTPStatus.TOO_MANY_REQUESTS),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
)

_KINDS: Final = {
    HTTPStatus.BAD_REQUEST: "bad-request",
    HTTPStatus.UNAUTHORIZED: "unauthenticated",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.CONFLICT: "configuration",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type",
    HTTPStatus.MISDIRECTED_REQUEST: "unknown-host",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
    HTTPStatus.TOO_MANY_REQUESTS: "too-many-requests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}


class FieldProblem(BaseModel):
    """What is wrong with one field of a form."""

    field: str = Field(description="Its name; of an inner one the path to it, with dots")
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457 §3.1), with the cure and, where fields are wrong, which."""

    type: str = Field(description="What kind of problem, such as /problems/not-found: stable, for programs")
    title: str
    status: int
    detail: str = Field(description="What is wrong and where, for people")
    hint: str = Field("", description="What is allowed, or what cures it; empty where there is nothing to say")
    errors: list[FieldProblem] = Field([], description="The fields that are wrong")


class ProblemResponse(Response):
    """A problem document as a response."""

    media_type = CONTENT_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        hint: str = "",
        errors: list[FieldProblem] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        known = HTTPStatus(status)
        problem = Problem(
            type=f"/problems/{_KINDS.get(known, str(status))}",
            title=known.phrase,
            status=status,
            detail=detail,
            hint=hint,
            errors=errors or [],
        )
        super().__init__(problem.model_dump_json(), status, headers)


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": what, "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, what in (("4XX", "It can't be done, and why"), ("5XX", "It can't be done now, and why"))
}
"""The problems in a route's documentation; `gateway.api.openapi` adds their schema."""


class UnauthenticatedError(GatewayError):
    """Nobody is logged in, or not any more."""


class CrossSiteError(ForbiddenError):
    """Another site's page made a browser send this."""


@contextlib.contextmanager
def about(field: str) -> Iterator[None]:
    """Say of which field the block's errors of use are, where they don't, so that a form can show them beside it."""
    try:
        yield
    except (UsageError, BadRequestError) as error:
        error.field = error.field or field
        raise


def handle_problems(app: FastAPI) -> None:
    """Have the app answer every error with a problem document."""
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def problem_of(error: GatewayError) -> ProblemResponse:
    """An error of the gateway as a response."""
    headers = {}
    if isinstance(error, UnauthenticatedError):
        status = HTTPStatus.UNAUTHORIZED
        headers["WWW-Authenticate"] = 'Bearer realm="gateway"'  # RFC 6750 §3
    else:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if error.max_age_s is not None:
        headers["Retry-After"] = str(math.ceil(error.max_age_s))
    errors = [FieldProblem(field=error.field, message=error.message)] if error.field else None
    return ProblemResponse(status, error.message, hint=error.hint, errors=errors, headers=headers)


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    return problem_of(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"there is nothing at {request.url.path}"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.url.path} does not take {request.method}"
    return ProblemResponse(error.status_code, detail, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_field_problem(mistake) for mistake in error.errors()]
    detail = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in errors)
    return ProblemResponse(HTTPStatus.UNPROCESSABLE_ENTITY, detail, hint=SCHEMA_HINT, errors=errors)


def _field_problem(mistake: dict[str, Any]) -> FieldProblem:
    message = str(mistake["msg"]).removeprefix("Value error, ")
    where = [str(part) for part in mistake["loc"][1:]]  # the first says whether it is of the body, the query, …
    if mistake["type"] == "json_invalid":
        return FieldProblem(field="", message=f"the body is no JSON: {mistake.get('ctx', {}).get('error', message)}")
    return FieldProblem(field=".".join(where), message=message[:1].lower() + message[1:])
