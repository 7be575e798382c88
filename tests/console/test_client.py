"""What the console makes of the API's answers."""

from pathlib import Path

import httpx
import pytest

from gateway.api.paging import LIMIT_MAX
from gateway.console.client import ApiDoor, ApiProblem
from gateway.model import Converter, Language, Role
from tests.api.rig import Api
from tests.console.loops import run

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


def test_all_of_a_list_is_there_however_long_it_is(tmp_path: Path) -> None:
    api = Api(tmp_path)
    token = api.headers(Role.VIEWER)["Authorization"].removeprefix("Bearer ")

    async def ask() -> list[str]:
        return [one["name"] for one in await ApiDoor(api.app, api.settings).of(token).get_all("/converters")]

    kept: list[str] = []
    with api.catalogue() as catalogue:
        assert run(ask()) == []
        for amount in (LIMIT_MAX - 1, LIMIT_MAX, LIMIT_MAX + 1):
            while len(kept) < amount:
                kept.append(f"c-{len(kept):04}")
                catalogue.add_converter(Converter(kept[-1], Language.JAVASCRIPT, "return [];"))
            assert run(ask()) == kept
