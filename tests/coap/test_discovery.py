"""What `/.well-known/core` says."""

import pytest

from gateway.coap.discovery import Link, filtered, link_format, links_to

PATHS = [("api", "v2", "i", "one"), ("i", "two"), ("api", "v2", "i", "three")]


def test_every_endpoint_and_every_parent_is_listed_once() -> None:
    assert links_to(PATHS) == [
        Link("/api", ""),
        Link("/api/v2", ""),
        Link("/api/v2/i", ""),
        Link("/api/v2/i/one", "uplink"),
        Link("/api/v2/i/three", "uplink"),
        Link("/i", ""),
        Link("/i/two", "uplink"),
    ]


def test_an_endpoint_that_leads_to_another_is_an_endpoint_still() -> None:
    paths = [("i", "one", "i", "two"), ("i", "one")]
    for order in (paths, paths[::-1]):
        assert [link.href for link in links_to(order) if link.resource_type] == ["/i/one", "/i/one/i/two"]


def test_links_are_written_in_link_format() -> None:
    assert link_format(links_to([("i", "two")])) == '</i>,</i/two>;rt="uplink"'
    assert link_format([]) == ""


@pytest.mark.parametrize(
    ("query", "hrefs"),
    [
        ([], ["/api", "/api/v2", "/api/v2/i", "/api/v2/i/one", "/api/v2/i/three", "/i", "/i/two"]),
        (["rt=uplink"], ["/api/v2/i/one", "/api/v2/i/three", "/i/two"]),
        (["rt=up*"], ["/api/v2/i/one", "/api/v2/i/three", "/i/two"]),
        (["rt=*"], ["/api/v2/i/one", "/api/v2/i/three", "/i/two"]),
        (["rt=Uplink"], []),
        (["rt=up"], []),
        (["rt="], []),
        (["href=/i/two"], ["/i/two"]),
        (["href=/i/tw"], []),
        (["href=/api/v2*"], ["/api/v2", "/api/v2/i", "/api/v2/i/one", "/api/v2/i/three"]),
        (["href=/api/*", "rt=uplink"], ["/api/v2/i/one", "/api/v2/i/three"]),
        (["href=*two"], []),  # a wildcard stands at the end only
        (["if=sensor"], []),
        (["if=*"], []),
        (["rt"], []),
        ([""], []),
    ],
)
def test_a_query_keeps_the_links_that_match_all_of_it(query: list[str], hrefs: list[str]) -> None:
    assert [link.href for link in filtered(links_to(PATHS), query)] == hrefs
