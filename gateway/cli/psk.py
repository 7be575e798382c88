"""`gateway psk`: pre-shared keys of devices, by identity."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from gateway.cli.inputs import read_file
from gateway.cli.integration import note_dtls_off, open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_note, print_table, program, time_text
from gateway.errors import UsageError
from gateway.integrations.endpoints import endpoint_urls
from gateway.integrations.identity import NONE
from gateway.model import Security
from gateway.presentation.commands import SAMPLE_DEVICE, TEXT_KEY, SampleKey, by_psk, is_dtls
from gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from gateway.credentials.psk import PskSealer
    from gateway.storage.catalogue import Catalogue

KEY_FILE_BYTES_MAX = 1024
"""Largest file with one key, in bytes."""

IMPORT_BYTES_MAX = 64 << 20
"""Largest file of identities and keys, in bytes: half a million of the longest."""

app = typer.Typer(help="Pre-shared keys of devices, by identity.", no_args_is_help=True)

Replace = Annotated[bool, typer.Option("--replace", help="Replace a key that is there; its sessions end")]


@app.command()
def add(
    identity: Annotated[str, typer.Argument(help="What the device calls itself in its handshake")],
    key: Annotated[str | None, typer.Option(help="The key as text, as coap-client's -k takes it")] = None,
    key_hex: Annotated[
        str | None, typer.Option(help="The key in hex; it stays in the shell's history, as --key does")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File with the key itself, text or bytes; - reads standard input")
    ] = None,
    replace: Replace = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Give a device a pre-shared key: one that is generated and shown this once, or one that you have.

    A running gateway takes it at once.
    """
    from gateway.credentials.psk import KEY_BYTES_STRONG, check_identity, check_key
    from gateway.operations.psk import add_psk

    settings = load_settings()
    check_identity(identity)
    given = _given_key(key, key_hex, key_file)
    if given is not None:
        check_key(given)  # before a data directory is made
    with open_catalogue(settings) as catalogue:
        added = add_psk(catalogue, settings, identity, given, replace=replace)
        target = _target(catalogue, settings, identity)
    if given is not None and added.weak:
        print_note(f"hint: a key of {len(given)} bytes is weak; from {KEY_BYTES_STRONG} on it is not")
    generated, verb = added.generated, "replaced" if added.replaced else "added"
    if format is Format.JSON:
        keys = {} if generated is None else {"key": generated.decode(), "key_hex": generated.hex()}
        print_json({"identity": identity} | keys)
    else:
        print_line(f'The pre-shared key of "{identity}" is {verb}.')
        _print_use(identity, generated, _sample_key(generated, key_hex, key_file), target)
    note_dtls_off(settings)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="File of IDENTITY:KEY lines, the keys in hex; - reads standard input")],
    replace: Replace = False,
) -> None:
    """Take over the keys of many devices, or of none where a line is wrong.

    The last colon separates; empty lines and those that begin with # are skipped. Keys that are there already stay.
    """
    from gateway.credentials.psk import KEY_BYTES_STRONG, is_weak, parse_psk_lines
    from gateway.operations.psk import sealer_for

    settings = load_settings()
    content = read_file(file, limit_bytes=IMPORT_BYTES_MAX)
    try:
        psks = parse_psk_lines(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(
            f"file {str(file)!r} is not UTF-8 text (byte {error.start})", hint="save it with the encoding UTF-8"
        ) from None
    except UsageError as error:
        raise UsageError(f"file {str(file)!r}, {error.message}", hint=error.hint) from None
    with open_catalogue(settings) as catalogue:
        sealer = sealer_for(catalogue, settings)
        # Not even replaced, for that would end their sessions.
        new = [psk for psk in psks if not _is_kept(*psk, catalogue, sealer)]
        sealed = ((identity, sealer.seal(identity, key)) for identity, key in new)
        count = catalogue.credentials.add_psks(sealed, replace=replace)
    kept = f", kept: {len(psks) - count}" if count < len(psks) else ""
    weak = sum(is_weak(key) for _, key in psks)
    if weak:
        print_note(f"hint: weak keys, of less than {KEY_BYTES_STRONG} bytes: {weak}")
    print_line(f"Imported pre-shared keys: {count}{kept}.")
    note_dtls_off(settings)


@app.command("list")
def list_(
    search: Annotated[str, typer.Option(help="Only identities that contain this")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most to list")] = 1000,
    format: FormatOption = Format.TABLE,
) -> None:
    """List the identities that have a pre-shared key; the keys are shown by nothing."""
    with open_catalogue(load_settings()) as catalogue:
        psks = catalogue.credentials.psks(search=search, limit=limit + 1)
    if len(psks) > limit:
        print_note(f"hint: only the first {limit} are listed; --limit lists more, --search fewer")
        psks = psks[:limit]
    if format is Format.JSON:
        print_json([{"identity": psk.identity, "added_ts": psk.added_ms} for psk in psks])
        return
    print_table(("identity", "added"), ((psk.identity, time_text(psk.added_ms)) for psk in psks))


@app.command()
def remove(identities: Annotated[list[str], typer.Argument(metavar="IDENTITY...", help="Identities")]) -> None:
    """Remove pre-shared keys; the sessions that they vouch for end."""
    unique = list(dict.fromkeys(identities))
    with open_catalogue(load_settings()) as catalogue:
        catalogue.credentials.remove_psk(*unique)
    for identity in unique:
        print_line(f'The pre-shared key of "{identity}" is removed.')


def _given_key(text: str | None, hex_text: str | None, file: Path | None) -> bytes | None:
    """The key of the one option that is given; None where none is. The errors don't show it."""
    if [text, hex_text, file].count(None) < 2:
        raise UsageError("only one key can be given", hint="give one of --key, --key-hex and --key-file, or none")
    if text is not None:
        return text.encode("utf-8", "surrogateescape")
    if file is not None:
        from gateway.credentials.psk import key_of_file

        return key_of_file(read_file(file, limit_bytes=KEY_FILE_BYTES_MAX))
    if hex_text is None:
        return None
    try:
        return bytes.fromhex(hex_text.replace(":", " "))
    except ValueError:
        raise UsageError(
            "--key-hex is not hexadecimal", hint="write two digits a byte; --key takes a key that is text"
        ) from None


def _is_kept(identity: str, key: bytes, catalogue: "Catalogue", sealer: "PskSealer") -> bool:
    """Whether an identity has this very key already."""
    sealed = catalogue.credentials.psk(identity)
    return sealed is not None and sealer.holds(identity, sealed, key)


class _Target(NamedTuple):
    """What a key is shown to be tried with."""

    url: str
    device: str


def _target(catalogue: "Catalogue", settings: Settings, identity: str) -> _Target:
    """The one integration that a device can reach over DTLS, and a device that the identity may write there.

    Where there are several, nobody knows which of them is meant, nor which takes the sample payload.
    """
    found = [
        (integration, url)
        for integration in catalogue.integrations()
        for url in endpoint_urls(integration, settings)
        if is_dtls(url) and integration.enabled
    ]
    if len(found) != 1:
        return _Target(f"{settings.base_url(Security.DTLS)}/i/ROUTING_KEY", identity)
    ((integration, url),) = found
    return _Target(url, _writable_name(integration.identity_binding, identity))


def _writable_name(binding: str, identity: str) -> str:
    if binding == NONE:
        return SAMPLE_DEVICE
    # In the other order an asterisk of the identity's own would be taken for the pattern's.
    return identity if binding == "name" else binding.replace("*", "1").replace("{name}", identity)


def _sample_key(generated: bytes | None, hex_text: str | None, file: Path | None) -> SampleKey:
    """A key that is given is not shown: in its place stands what it was given as."""
    if generated is not None:
        return SampleKey(value=generated.decode())
    if hex_text is not None:
        return SampleKey("--psk-key-hex")
    return TEXT_KEY if file is None else SampleKey("--psk-key-file", "FILE")


def _print_use(identity: str, generated: bytes | None, key: SampleKey, target: _Target) -> None:
    if generated is not None:
        print_line("It is shown this once:")
        print_line(f"  as text  {generated.decode()}")
        print_line(f"  in hex   {generated.hex()}")
    print_line("Try it:")
    for command in by_psk(target.url, program=program(), device=target.device, identity=identity, key=key):
        print_line(f"  {command}")
