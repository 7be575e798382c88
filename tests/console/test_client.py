"""What the console makes of the API's answers."""

import httpx
import pytest

from gateway.console.client import ApiProblem

PROBLEM = {
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "it is wrong",
    "hint": "mend it",
    "errors": [{"field": "name", "message": "too long"}],
}


def test_a_problem_is_told_as_the_api_tells_it() -> None:
    problem = ApiProblem.of(httpx.Response(422, json=PROBLEM))
    assert (problem.status, problem.title, problem.detail, problem.hint) == (
        422,
        "Unprocessable Entity",
        "it is wrong",
        "mend it",
    )
    assert problem.errors == {"name": "too long"}


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"null", b'{"detail": null, "errors": null}'])
def test_whatever_else_comes_is_told_by_its_status(content: bytes) -> None:
    problem = ApiProblem.of(httpx.Response(502, content=content))
    assert (problem.status, problem.detail, problem.hint, problem.errors) == (502, "Bad Gateway", "", {})
