"""`gateway token`."""

import pytest

from gateway.operations.users import digest
from gateway.storage.catalogue import Catalogue
from tests.cli.conftest import Cli


@pytest.fixture
def users(cli: Cli) -> Cli:
    """A command line whose catalogue has the users admin and vic."""
    cli.ok("user", "add", "admin", "--role", "admin")
    cli.ok("user", "add", "vic")
    return cli


def test_a_token_is_made_shown_once_and_revoked(users: Cli) -> None:
    made = users.ok("token", "create", "grafana", "--format", "json").json
    with Catalogue(users.data_dir) as catalogue:
        found = catalogue.users.bearer(digest(made["token"]), now_ms=0)
        assert found is not None
        assert (found.user, found.role) == ("admin", "viewer")
        (listed,) = users.ok("token", "list", "--format", "json").json
        assert listed | {"token": made["token"]} == made
        assert users.ok("token", "revoke", made["id"]).out == f"API token {made['id']} is revoked.\n"
        assert catalogue.users.bearer(digest(made["token"]), now_ms=0) is None
    assert users("token", "revoke", made["id"]).code == 1


def test_what_is_shown_can_be_pasted(users: Cli) -> None:
    users.set(GATEWAY_HTTP_PUBLIC_URL="https://gateway.example.com/")
    out = users.ok("token", "create", "grafana", "--role", "admin", "--user", "vic", "--days", "30").out
    token = out.splitlines()[1].strip()
    assert f"  curl -H 'Authorization: Bearer {token}' https://gateway.example.com/api/v1/me" in out
    assert token not in users.ok("token", "list").out


def test_a_token_needs_its_user(users: Cli) -> None:
    result = users("token", "create", "x", "--user", "eve")
    assert (result.code, result.out) == (1, "")
    assert "there is no user eve" in result.err


def test_a_life_out_of_its_bounds_is_refused(users: Cli) -> None:
    for days in ("0", "3651", "many"):
        assert users("token", "create", "x", "--days", days).code == 2
