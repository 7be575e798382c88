"""Errors as problem documents."""

import json

import pytest

from gateway.api.problems import CONTENT_TYPE, Problem, UnauthenticatedError, about, problem_of
from gateway.errors import (
    BadRequestError,
    ConfigurationError,
    ConverterError,
    ForbiddenError,
    GatewayError,
    MethodNotAllowedError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
    UsageError,
)


@pytest.mark.parametrize(
    ("kind", "status", "type"),
    [
        (UnauthenticatedError, 401, "unauthenticated"),
        (ForbiddenError, 403, "forbidden"),
        (NotFoundError, 404, "not-found"),
        (MethodNotAllowedError, 405, "method-not-allowed"),
        (ConfigurationError, 409, "configuration"),
        (UsageError, 422, "invalid"),
        (BadRequestError, 422, "invalid"),
        (ConverterError, 422, "invalid"),
        (RateLimitedError, 429, "too-many-requests"),
        (UnavailableError, 503, "unavailable"),
        (GatewayError, 500, "internal"),
    ],
)
def test_each_kind_of_error_has_its_status_and_type(kind: type[GatewayError], status: int, type: str) -> None:
    response = problem_of(kind("what is wrong", hint="what cures it"))
    assert response.status_code == status
    assert response.media_type == CONTENT_TYPE
    problem = Problem.model_validate_json(bytes(response.body))
    assert (problem.type, problem.status) == (f"/problems/{type}", status)
    assert (problem.detail, problem.hint, problem.errors) == ("what is wrong", "what cures it", [])


@pytest.mark.parametrize(("wait_s", "told"), [(None, None), (1, "1"), (59, "59")])
def test_how_long_to_wait_is_told(wait_s: int | None, told: str | None) -> None:
    assert problem_of(RateLimitedError("slowly", max_age_s=wait_s)).headers.get("retry-after") == told


def test_an_error_of_a_field_is_told_beside_it() -> None:
    with pytest.raises(UsageError) as caught, about("routing_key"):
        raise UsageError("can't be")
    problem = json.loads(bytes(problem_of(caught.value).body))
    assert problem["errors"] == [{"field": "routing_key", "message": "can't be"}]


def test_an_error_that_names_its_field_keeps_it() -> None:
    with pytest.raises(UsageError) as caught, about("name"), about("path_prefix"):
        raise UsageError("can't be", field="metadata")
    assert caught.value.field == "metadata"
    with pytest.raises(UsageError) as caught, about("name"), about("path_prefix"):
        raise UsageError("can't be")
    assert caught.value.field == "path_prefix"


def test_what_is_not_the_forms_fault_is_of_no_field() -> None:
    with pytest.raises(UnavailableError) as caught, about("name"):
        raise UnavailableError("no room left")
    assert caught.value.field == ""
