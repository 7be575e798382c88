"""Users and API tokens, for admins."""

from pathlib import Path

import pytest

from gateway.model import Role
from tests.api.rig import Api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """An app with the admin ada."""
    return Api(tmp_path)


def test_users_are_added_changed_and_removed(api: Api) -> None:
    added = api.ok("POST", "/users", json={"name": "vic", "role": "viewer"})
    assert len(added["password"]) > 20
    assert api.ok("POST", "/login", json={"user": "vic", "password": added["password"]})["role"] == "viewer"
    changed = api.ok("PATCH", "/users/vic", json={"role": "admin", "password": "battery staple"})
    assert (changed["name"], changed["role"]) == ("vic", "admin")
    assert api.ok("POST", "/login", json={"user": "vic", "password": "battery staple"})["role"] == "admin"
    listed = api.ok("GET", "/users")
    assert [user["name"] for user in listed["items"]] == ["ada", "vic"]
    assert (listed["total"], listed["next"]) == (2, None)
    assert set(listed["items"][0]) == {"name", "role", "created_ts", "password_ts"}
    assert api.ok("DELETE", "/users/vic") is None
    assert "no user vic" in api.problem("DELETE", "/users/vic", 404)["detail"]


def test_a_password_that_is_given_is_not_given_back(api: Api) -> None:
    new = {"name": "vic", "role": "viewer", "password": "battery staple"}
    assert api.ok("POST", "/users", json=new)["password"] is None


def test_a_viewer_sees_neither_users_nor_tokens(api: Api) -> None:
    for path in ("/users", "/tokens"):
        assert api.problem("GET", path, 403, role=Role.VIEWER)["type"] == "/problems/forbidden"


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": "ada", "role": "viewer"}, "name"),
        ({"name": "a b", "role": "viewer"}, "name"),
        ({"name": "x" * 65, "role": "viewer"}, "name"),
        ({"name": "vic", "role": "owner"}, "role"),
        ({"name": "vic"}, "role"),
        ({"name": "vic", "role": "viewer", "password": "short"}, "password"),
        ({"name": "vic", "role": "viewer", "password": "x" * 2000}, "password"),
    ],
)
def test_what_is_wrong_is_told_beside_the_field(api: Api, form: dict[str, str], field: str) -> None:
    assert api.fields("POST", "/users", json=form) == [field]


def test_the_last_admin_stays(api: Api) -> None:
    assert "only admin" in api.problem("DELETE", "/users/ada", 422)["detail"]
    assert api.fields("PATCH", "/users/ada", json={"role": "viewer"}) == ["role"]


def test_a_refused_password_changes_the_role_neither(api: Api) -> None:
    api.ok("POST", "/users", json={"name": "vic", "role": "viewer"})
    assert api.fields("PATCH", "/users/vic", json={"role": "admin", "password": "short"}) == ["password"]
    assert api.ok("GET", "/users")["items"][1]["role"] == "viewer"


def test_tokens_are_made_shown_once_and_revoked(api: Api) -> None:
    made = api.ok("POST", "/tokens", json={"name": "grafana", "role": "viewer", "days": 30})
    assert (made["user"], made["role"]) == ("ada", "viewer")
    assert made["expires_ts"] == made["created_ts"] + 30 * 86_400_000
    listed = {token["id"]: token for token in api.ok("GET", "/tokens")["items"]}
    assert made == listed[made["id"]] | {"token": made["token"]}
    assert made["token"] not in str(listed)
    api.ok("DELETE", f"/tokens/{made['id']}")
    api.problem("DELETE", f"/tokens/{made['id']}", 404)


def test_a_token_may_be_another_users(api: Api) -> None:
    api.ok("POST", "/users", json={"name": "vic", "role": "viewer"})
    assert api.ok("POST", "/tokens", json={"name": "x", "user": "vic"})["user"] == "vic"
    api.problem("POST", "/tokens", 404, json={"name": "x", "user": "eve"})


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "\n"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "days": 0}, "days"),
        ({"name": "x", "days": 3651}, "days"),
        ({"name": "x", "role": "owner"}, "role"),
    ],
)
def test_what_is_wrong_with_a_token_is_told_beside_the_field(api: Api, form: dict[str, object], field: str) -> None:
    assert api.fields("POST", "/tokens", json=form) == [field]
