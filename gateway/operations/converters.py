"""Converters compiled as a worker would, and tried on their example cases, in this process.

Whoever must not be held up by a user's code has it done by `gateway.operations.converter_runs`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from gateway.errors import ConverterError, UsageError
from gateway.model import Code, Converter, Integration, Principal, Request, Security

if TYPE_CHECKING:
    from gateway.converters import Decoder
    from gateway.converters.thingsboard_file import ImportedConverter
    from gateway.converters.trial import CaseTrial

SOURCE_BYTES_MAX: Final = 1 << 20
"""Longest source of a converter, in bytes: what is larger is some other file."""


class Limits(Protocol):
    """What a converter's call may take; the settings say it."""

    @property
    def gateway_javascript_time_limit_ms(self) -> int:
        """CPU time, in milliseconds."""
        ...

    @property
    def gateway_javascript_memory_limit_bytes(self) -> int:
        """Memory, in bytes."""
        ...


def compile_for(converter: Converter, limits: Limits) -> "Decoder":
    """Compile as a worker would; raises ConverterError with the line of a mistake."""
    from gateway.converters import compile_converter

    return compile_converter(
        converter,
        time_limit_ms=limits.gateway_javascript_time_limit_ms,
        memory_limit_bytes=limits.gateway_javascript_memory_limit_bytes,
    )


def try_cases(converter: Converter, limits: Limits) -> "list[CaseTrial]":
    """Run all example cases of a converter; raises ConverterError where it does not compile."""
    from gateway.converters.trial import try_case

    decoder = compile_for(converter, limits)
    return [try_case(decoder, case) for case in converter.cases]


def refuse_failing_cases(converter: Converter, limits: Limits, *, force: bool) -> None:
    """Compile a new source and try it on the cases; raises ConverterError where one fails, unless forced."""
    failed = [trial for trial in try_cases(converter, limits) if trial.wrong]
    if failed and not force:
        raise ConverterError(
            "\n".join(f"case {trial.case.name!r} fails with the new source: {trial.wrong}" for trial in failed),
            hint=f"see what differs: gateway converter test {converter.name} --file FILE\n"
            "remove a case that no longer holds (gateway converter case remove), or replace the source with --force",
        )


def check_update_only_keys(keys: Sequence[str], where: str) -> tuple[str, ...]:
    """Keys, each once; raises UsageError, which begins with `where`, for what can't be one."""
    from gateway.converters.thingsboard_file import check_update_only_key

    for key in keys:
        check_update_only_key(key, where)
    return tuple(dict.fromkeys(keys))


def metadata_for(
    integration: Integration, *, content_format: int | None = None, principal: Principal | None = None
) -> dict[str, str]:
    """What a converter is told besides the payload, of an uplink that comes by this integration."""
    from gateway.pipeline import metadata_of

    security = Security.PLAIN if principal is None else Security.DTLS
    request = Request(security, Code.POST, integration.path, content_format=content_format, principal=principal)
    return dict(metadata_of(request, integration))


def chosen_imports(
    imported: "Sequence[ImportedConverter]", known: Mapping[str, Converter], *, name: str | None, replace_known: bool
) -> list[Converter]:
    """The converters of a file as they are to be kept: under another name, with the cases of those they replace.

    Raises UsageError for names that are none, come twice or are taken, and for a source that is too long.
    """
    converters = [one.converter for one in imported]
    if name is not None:
        if len(converters) > 1:
            raise UsageError(f"--name is for one converter, and the file has {len(converters)}", hint="leave it out")
        converters = [replace(converters[0], name=name)]
    _check_names([converter.name for converter in converters])
    taken = []
    for converter in converters:
        old = known.get(converter.name)
        if old is not None and not replace_known:
            raise UsageError(
                f"a converter named {old.name} exists already",
                hint="choose another name with --name, or replace it with --replace",
            )
        if len(converter.source.encode()) > SOURCE_BYTES_MAX:
            raise UsageError(f"the decoder of converter {converter.name} is longer than {SOURCE_BYTES_MAX} bytes")
        taken.append(replace(converter, cases=converter.cases or (old.cases if old else ())))
    return taken


def named(error: ConverterError, converter: Converter) -> ConverterError:
    """What is wrong with one of several converters, with its name."""
    hint = "import it all the same with --force" if converter.cases else error.hint
    return ConverterError(f"converter {converter.name}: {error.message}", hint=hint)


def _check_names(names: list[str]) -> None:
    from gateway.integrations.endpoints import check_name  # it takes the settings, which each trial would wait for

    for number, name in enumerate(names):
        check_name("converter", name)
        if name in names[:number]:
            raise UsageError(f"two converters in the file are named {name}", hint="import them from files of their own")
