"""What `/.well-known/core` says (RFC 6690): every endpoint, and every resource on the way to it."""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

UPLINK_RESOURCE_TYPE = "uplink"
"""The `rt` of an integration's endpoint."""

Path: TypeAlias = tuple[str, ...]


class Link(NamedTuple):
    """A resource and its resource type, empty for one that only leads to others."""

    href: str
    resource_type: str


def links_to(endpoints: Iterable[Path]) -> list[Link]:
    """The endpoints and their parents, each once, parents first."""
    links: dict[str, Link] = {}
    for path in sorted(endpoints):
        for length in range(1, len(path) + 1):
            href = "/" + "/".join(path[:length])
            if length == len(path):
                links[href] = Link(href, UPLINK_RESOURCE_TYPE)
            else:
                links.setdefault(href, Link(href, ""))
    return list(links.values())


def filtered(links: Iterable[Link], query: Iterable[str]) -> list[Link]:
    """The links that match every `attribute=value` of the query; a `*` at the value's end is a wildcard (§4.1)."""
    wanted = [part.partition("=") for part in query]
    return [link for link in links if all(_matches(link, name, value) for name, _, value in wanted)]


def _matches(link: Link, name: str, value: str) -> bool:
    found = {"href": link.href, "rt": link.resource_type}.get(name, "")
    if value.endswith("*"):
        return bool(found) and found.startswith(value[:-1])
    return found == value and bool(found)


def link_format(links: Iterable[Link]) -> str:
    """The links as application/link-format (§2)."""
    return ",".join(
        f'<{link.href}>;rt="{link.resource_type}"' if link.resource_type else f"<{link.href}>" for link in links
    )
