"""Identity bindings: which device names a session's identity may write.

A binding is a text: `none` (any name, as ThingsBoard), `name` (the identity's own names), or a pattern with `{name}` in
it, where `*` stands for any characters, none included. `{name}-*` lets the identity `gw-7` report for `gw-7-kitchen`.

The names of an identity are its PSK identity, or its certificate's CN and alternative names, or a raw public key's
fingerprint. Nothing in a name is special: a `*` in a certificate is an asterisk.
"""

from collections.abc import Callable

from gateway.errors import ForbiddenError, UsageError
from gateway.model import Integration, Principal

NONE = "none"
"""The binding that lets every session write every name."""

BINDING_CHARACTERS_MAX = 255
"""Longest binding, in characters."""

_OWN_NAME = "name"
_PLACEHOLDER = "{name}"
_NO_IDENTITY = (
    "this integration takes only devices with an identity: connect with coaps:// and a pre-shared key or a certificate"
)


def check_binding(text: str) -> None:
    """Refuse what is no identity binding; raises UsageError."""
    if text in (NONE, _OWN_NAME):
        return
    if _PLACEHOLDER not in text or not text.isprintable() or len(text) > BINDING_CHARACTERS_MAX:
        raise UsageError(
            f"identity binding {text!r:.300} is not usable",
            hint="give none, name, or a pattern with {name} in it, where * stands for any characters, such as "
            f"'{{name}}-*'; at most {BINDING_CHARACTERS_MAX} characters, all printable",
            field="identity_binding",
        )


def needs_identity(integration: Integration) -> bool:
    """Whether a device without an identity may write nothing to this integration."""
    return integration.require_principal or integration.identity_binding != NONE


def writable_by(integration: Integration, principal: Principal | None) -> Callable[[str], bool] | None:
    """Which names of devices and assets a principal may write through this integration; None: any.

    Raises ForbiddenError where the integration wants an identity and there is none, UsageError where its binding is
    one that this version does not know.
    """
    if not needs_identity(integration):
        return None
    if principal is None:
        raise ForbiddenError(_NO_IDENTITY)
    binding = integration.identity_binding
    if binding == NONE:
        return None
    check_binding(binding)
    # An empty name among a certificate's would turn the pattern `{name}*` into "anything".
    names = [name for name in (principal.name, *principal.sans) if name]
    return _matcher(_PLACEHOLDER if binding == _OWN_NAME else binding, names)


def _matcher(pattern: str, names: list[str]) -> Callable[[str], bool]:
    parts = pattern.split("*")  # before the names come in, which may have asterisks of their own
    globs = tuple({tuple(part.replace(_PLACEHOLDER, name) for part in parts) for name in names})
    if len(parts) == 1:
        return frozenset(part for (part,) in globs).__contains__
    if len(globs) == 1:  # as every pre-shared key has it; `any` costs as much again as the match
        (glob,) = globs
        return lambda text: _matches(text, *glob)
    return lambda text: any(_matches(text, *glob) for glob in globs)


def _matches(text: str, first: str, *others: str) -> bool:
    """Whether the parts stand in the text in their order, the first at its start, the last at its end.

    The leftmost place is always right for the parts between, so this takes one pass; a regular expression with
    several `.*` would try every combination.
    """
    *between, last = others
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in between:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
