"""`gateway device`: what the devices have sent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.cli.output import (
    Format,
    FormatOption,
    cell,
    print_fields,
    print_json,
    print_line,
    print_note,
    print_table,
    time_text,
)
from gateway.presentation.device import details_as_json, downlink_as_json, sample_as_json, summary_as_json
from gateway.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.storage.device_view import DeviceDetails, DeviceView, Sample
    from gateway.storage.sink_store import DownlinkValue

app = typer.Typer(help="Devices and assets, and what they have sent.", no_args_is_help=True)


@app.command("list")
def list_(
    search: Annotated[str, typer.Option(help="Only those whose name contains this")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most to list")] = 1000,
    format: FormatOption = Format.TABLE,
) -> None:
    """List devices and assets."""
    devices = _view().devices(search=search, limit=limit + 1)
    if len(devices) > limit:
        print_note(f"hint: only the first {limit} are listed; --limit lists more, --search fewer")
        devices = devices[:limit]
    if format is Format.JSON:
        print_json([summary_as_json(device) for device in devices])
        return
    print_table(
        ("name", "kind", "type", "first seen", "last seen"),
        ((d.name, d.kind, d.type, time_text(d.first_seen_ts), time_text(d.last_seen_ts)) for d in devices),
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The device's name")],
    asset: Annotated[bool, typer.Option("--asset", help="NAME is an asset's")] = False,
    history: Annotated[str | None, typer.Option(metavar="KEY", help="Also the samples of this telemetry key")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most samples of --history; the newest stay")] = 10_000,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show a device: its attributes, the latest value of each telemetry key, and what ThingsBoard sent for it."""
    kind: Literal["device", "asset"] = "asset" if asset else "device"
    view = _view()
    details = view.device(name, kind=kind)
    shared, rpc = ({}, None) if asset else _downlink(name)
    samples = None
    if history is not None:
        samples = view.history(name, history, kind=kind, start_ms=None, end_ms=None, limit=limit)
    if format is Format.JSON:
        shape = details_as_json(details) | downlink_as_json(shared, rpc)
        if samples is not None:
            shape["history"] = [sample_as_json(sample) for sample in samples]
        print_json(shape)
        return
    _print_details(details)
    for title, values in (
        ("shared attribute", shared),
        ("last RPC", {} if rpc is None else {rpc.value["method"]: rpc}),
    ):
        if values:
            print_line()
            print_table((title, "value", "time"), _rows(values))
    if samples is not None:
        print_line()
        print_table((history or "", "time"), ((cell(s.value), time_text(s.ts)) for s in samples))


def _view() -> "DeviceView":
    settings = load_settings()
    from gateway.storage.device_view import DeviceView

    return DeviceView(settings.gateway_data_dir)


def _downlink(name: str) -> "tuple[dict[str, DownlinkValue], DownlinkValue | None]":
    """The shared attributes and the last remote procedure call that ThingsBoard sent for a device."""
    from gateway.storage.sink_store import SinkView

    with SinkView(load_settings().gateway_data_dir) as view:
        return view.shared_attributes(name), view.rpc(name)


def _print_details(details: "DeviceDetails") -> None:
    print_fields(
        {
            "name": details.name,
            "kind": details.kind,
            "type": details.type,
            "customer": details.customer or "",
            "group": details.group or "",
            "principal": details.principal or "",
            "first seen": time_text(details.first_seen_ts),
            "last seen": time_text(details.last_seen_ts),
        }
    )
    for title, values in (("attribute", details.attributes), ("telemetry", details.telemetry)):
        if values:
            print_line()
            print_table((title, "value", "time"), _rows(values))


def _rows(values: "Mapping[str, Sample | DownlinkValue]") -> Iterator[tuple[str, str, str]]:
    return ((key, cell(sample.value), time_text(sample.ts)) for key, sample in values.items())
