"""Which keys are written only where their value changes: what the catalogue says today."""

import logging
from pathlib import Path

from gateway.errors import GatewayError
from gateway.storage.catalogue import Catalogue

_log = logging.getLogger(__name__)


class UpdateOnlyKeys:
    """The updateOnlyKeys of all integrations' converters. It is used in one thread, and may be made in another."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._catalogue: Catalogue | None = None
        self._version = -1
        self.error = ""
        """Why the catalogue can't be used; empty where it can."""
        self.current: dict[str, frozenset[str]] = {}
        """Integration → keys; without those whose converters have none."""

    def follow(self) -> None:
        """Look whether the catalogue changed. Where it can't be read, what was known before stays."""
        try:
            if self._catalogue is None:
                self._catalogue = Catalogue(self._data_dir)
            version = self._catalogue.data_version()
            if version == self._version:
                self.error = ""
                return
            integrations, converters = self._catalogue.snapshot()
        except GatewayError as error:
            if error.message != self.error:
                self.error = error.message
                _log.error("the catalogue can't be used, update-only keys stay as they were: %s", error.message)
            return
        self._version, self.error = version, ""
        keys = {converter.name: frozenset(converter.update_only_keys) for converter in converters}
        self.current = {one.name: keys[one.converter] for one in integrations if keys[one.converter]}

    def close(self) -> None:
        """Close the catalogue."""
        if self._catalogue is not None:
            self._catalogue.close()
