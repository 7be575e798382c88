"""The folder of an authority, as the commands of `gateway certs` open and name it."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.credentials.choices import FOLDER
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.credentials.folder import CertificateFolder

Folder = Annotated[Path, typer.Option(help="Folder of the authority and of what it issues")]


@contextmanager
def open_folder(folder: Path) -> Iterator["CertificateFolder"]:
    """The folder, for this command alone to write to."""
    from gateway.credentials.folder import CertificateFolder
    from gateway.credentials.writing import locked_folder

    password = load_settings().coap_dtls_pem_key_password.get_secret_value()
    with locked_folder(folder):
        yield CertificateFolder(folder, time.time(), password)


def folder_option(folder: Path) -> str:
    """What names the folder in a command that is shown; nothing where it is the usual one."""
    return "" if folder == FOLDER else f" --folder {quoted(folder)}"


def quoted(path: Path) -> str:
    """For a shell, and for .env too, which knows no way to write an apostrophe between apostrophes."""
    text = str(path)
    if "'" in text and not set(text) & set('"$`\\!'):
        return f'"{text}"'
    return shlex.quote(text)
