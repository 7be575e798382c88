"""A gateway whose data directory is a file system of its own, small enough to be filled: a tmpfs that it alone sees."""

import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from .harness import Gateway, eventually

_FILLER = "filler"
_CHUNK_BYTES = 1 << 16


class SmallDisk:
    """Runs a gateway in a mount namespace. What it had in its data directory before is copied there."""

    def __init__(self, gateway: Gateway, size_bytes: int) -> None:
        self._gateway = gateway
        self._size_bytes = size_bytes

    @property
    def data_dir(self) -> Path:
        """The gateway's data directory, as others may see it while it runs."""
        return Path(f"/proc/{self._gateway.pid}/root{self._gateway.data_dir}")

    def start(self) -> None:
        """Start the gateway, and wait until its workers listen."""
        gateway, data = self._gateway, shlex.quote(str(self._gateway.data_dir))
        script = (
            f"cp -a {data} {data}.before && mount -t tmpfs -o mode=700,size={self._size_bytes} none {data} && "
            f"cp -a {data}.before/. {data} && exec {shlex.quote(sys.executable)} -m gateway serve"
        )
        as_root = () if os.geteuid() == 0 else ("--map-root-user",)
        with gateway.log_file.open("ab") as log:
            gateway.process = subprocess.Popen(
                ["unshare", "--mount", *as_root, "sh", "-ec", script],
                env=gateway.environment,
                cwd=gateway.folder,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: "listens on" in gateway.log, f"its worker listens: {gateway.log}")

    def fill(self, leave_bytes: int = 0) -> None:
        """Leave no more room than this."""
        room = os.statvfs(self.data_dir)
        rest = room.f_bavail * room.f_bsize - leave_bytes
        with suppress(OSError), (self.data_dir / _FILLER).open("wb", buffering=0) as filler:  # others write meanwhile
            while rest > 0:
                rest -= filler.write(bytes(min(rest, _CHUNK_BYTES)))

    def make_room(self) -> None:
        """Undo `fill`."""
        (self.data_dir / _FILLER).unlink()
