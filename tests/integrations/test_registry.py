"""Which integration a request is for."""

import pytest

from gateway.errors import BadRequestError, GatewayError, MethodNotAllowedError, NotFoundError
from gateway.integrations.registry import Registry
from gateway.model import Code, Integration, Request, Security, SecurityMode


def integration(name: str, key: str, **fields: object) -> Integration:
    return Integration(name=name, converter="c", routing_key=key, **fields)  # type: ignore[arg-type]


PLAIN = integration("plain", "one")
NESTED = integration("nested", "two", path_prefix="api/v2")
SECURE = integration("secure", "three", security_mode=SecurityMode.DTLS)
BOTH = integration("both", "four", security_mode=SecurityMode.MIXED)
DISABLED = integration("disabled", "five", enabled=False)
REGISTRY = Registry([PLAIN, NESTED, SECURE, BOTH, DISABLED])


def ask(path: str, *, method: int = Code.POST, security: Security = Security.PLAIN) -> Request:
    return Request(security=security, method=method, path=tuple(path.split("/")))


def refusal(request: Request, registry: Registry = REGISTRY) -> GatewayError:
    """The error that answers the request."""
    with pytest.raises(GatewayError) as caught:
        registry.find(request)
    return caught.value


@pytest.mark.parametrize("method", [Code.POST, Code.PUT])
@pytest.mark.parametrize(("path", "found"), [("i/one", PLAIN), ("api/v2/i/two", NESTED), ("i/four", BOTH)])
def test_post_and_put_to_an_endpoint_find_its_integration(path: str, found: Integration, method: Code) -> None:
    assert REGISTRY.find(ask(path, method=method)) is found


@pytest.mark.parametrize(
    "path",
    ["", "i/unknown", "i/two", "api/v2/i/one", "i/one/", "i/one/more", "/i/one", "I/one", "i/ONE", "api/v3", "x"],
)
@pytest.mark.parametrize("method", [Code.POST, Code.GET])
def test_an_unknown_path_or_key_is_4_04(path: str, method: Code) -> None:
    error = refusal(ask(path, method=method))
    assert isinstance(error, NotFoundError)
    assert error.outcome.code.dotted == "4.04"


@pytest.mark.parametrize("method", [Code.GET, Code.DELETE, Code.FETCH, Code.PATCH, Code.IPATCH, 0x1F])
@pytest.mark.parametrize("path", ["i/one", "api/v2/i/two"])
def test_any_other_method_on_an_endpoint_is_4_05(path: str, method: int) -> None:
    error = refusal(ask(path, method=method))
    assert isinstance(error, MethodNotAllowedError)
    assert error.outcome.code.dotted == "4.05"


@pytest.mark.parametrize("path", ["i", "api", "api/v2", "api/v2/i"])
@pytest.mark.parametrize("method", [Code.GET, Code.POST])
def test_a_resource_on_the_way_to_an_endpoint_is_4_05(path: str, method: Code) -> None:
    assert refusal(ask(path, method=method)).outcome.code.dotted == "4.05"


@pytest.mark.parametrize(
    ("path", "security", "words"),
    [
        ("i/one", Security.DTLS, ["is NO SECURE", "use coap://"]),
        ("i/three", Security.PLAIN, ["is DTLS", "use coaps://"]),
    ],
)
def test_the_wrong_listener_is_4_00_and_names_mode_and_scheme(path: str, security: Security, words: list[str]) -> None:
    error = refusal(ask(path, security=security))
    assert isinstance(error, BadRequestError)
    assert error.outcome.code.dotted == "4.00"
    assert all(word in error.message for word in words)


@pytest.mark.parametrize(
    ("path", "security", "found"),
    [
        ("i/three", Security.DTLS, SECURE),
        ("i/four", Security.DTLS, BOTH),
        ("i/four", Security.PLAIN, BOTH),
        ("i/one", Security.PLAIN, PLAIN),
    ],
)
def test_the_right_listener_is_any_that_the_mode_allows(path: str, security: Security, found: Integration) -> None:
    assert REGISTRY.find(ask(path, security=security)) is found


def test_a_disabled_integration_is_as_good_as_absent() -> None:
    assert isinstance(refusal(ask("i/five")), NotFoundError)
    alone = Registry([integration("x", "k", path_prefix="only/here", enabled=False)])
    for path in ("only", "only/here", "only/here/i", "only/here/i/k"):
        assert isinstance(refusal(ask(path), alone), NotFoundError)


def test_an_endpoint_that_leads_to_another_is_served() -> None:
    outer = integration("outer", "a")
    registry = Registry([outer, integration("inner", "b", path_prefix="i/a")])
    assert registry.find(ask("i/a")) is outer
    assert registry.find(ask("i/a/i/b")).name == "inner"


def test_an_empty_registry_finds_nothing() -> None:
    assert isinstance(refusal(ask("i/one"), Registry()), NotFoundError)
    assert Registry().integrations == {}
