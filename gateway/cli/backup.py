"""`gateway backup` and `gateway restore`: the data directory's databases, copied as the gateway runs, and put back."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import print_line, print_note
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.storage.backup import BackupFile

Folder = Annotated[Path, typer.Argument(help="The backup's folder")]


def backup(
    folder: Folder,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave the key file out: it is kept elsewhere")
    ] = False,
) -> None:
    """Copy all databases and the key file into a new folder. The gateway may run, and goes on meanwhile."""
    from gateway.storage.backup import KEY_NAME, make_backup

    settings = load_settings()
    files = make_backup(settings.gateway_data_dir, None if without_key else settings.key_file, folder)
    _print_files(files)
    print_line(f"The backup is in {folder}.")
    if any(file.name == KEY_NAME for file in files):
        print_note(f"note: it has {KEY_NAME}, which opens the pre-shared keys in it: keep it from everyone else")
    else:
        print_note("note: without its key file, pre-shared keys can't be used after a restore: keep that too")


def restore(
    folder: Folder,
    only: Annotated[
        list[str] | None, typer.Option(help="Restore this file alone, such as catalogue.db; may be repeated")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move what is there into a folder of its own, beside what is restored")
    ] = False,
) -> None:
    """Put a backup into the data directory. The gateway must not run."""
    from gateway.storage.backup import restore_backup
    from gateway.supervisor import exclusive

    settings = load_settings()
    data_dir = settings.gateway_data_dir
    with exclusive(data_dir):
        files, aside = restore_backup(folder, data_dir, settings.key_file, only=only or (), replace=replace)
    _print_files(files)
    print_line(f"{data_dir} is as it was when {folder} was made.")
    if aside is not None:
        print_line(f"What was there before is in {aside}.")
    if not settings.key_file.exists():
        print_note(f"note: there is no key file {settings.key_file}: put it there before the gateway is started")


def _print_files(files: "Sequence[BackupFile]") -> None:
    width = max((len(file.name) for file in files), default=0)
    for file in files:
        print_line(f"  {file.name:<{width}}  {file.bytes:>14,} bytes")
