"""A device's pre-shared key, given or generated, into the catalogue."""

from typing import NamedTuple

from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import PskSealer, check_identity, check_key, generate_key, is_weak
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue


class AddedPsk(NamedTuple):
    """What became of a pre-shared key. It does not show a key that was given."""

    generated: bytes | None
    replaced: bool
    weak: bool
    """Whether it is taken, but shorter than it should be."""


def add_psk(catalogue: Catalogue, settings: Settings, identity: str, key: bytes | None, *, replace: bool) -> AddedPsk:
    """Give an identity this key, or without one a key that is generated.

    Raises UsageError for an identity or key that is not usable, and for an identity that has a key, unless that is to
    be replaced; ConfigurationError where the key file can't be used.
    """
    check_identity(identity)
    secret = generate_key() if key is None else key
    check_key(secret)
    sealer = sealer_for(catalogue, settings)
    replaced = catalogue.credentials.psk(identity) is not None
    catalogue.credentials.add_psk(identity, sealer.seal(identity, secret), replace=replace)
    return AddedPsk(secret if key is None else None, replaced, is_weak(secret))


def sealer_for(catalogue: Catalogue, settings: Settings) -> PskSealer:
    """What encrypts the catalogue's keys; its key file is made with the first of them. Raises ConfigurationError."""
    # A new key file beside keys that need another one would only hide that theirs is missing.
    open_file = KeyFile.load if catalogue.credentials.has_psks() else KeyFile.open
    return PskSealer(open_file(settings.key_file))
