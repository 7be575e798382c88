"""The catalogue: what it keeps, what it refuses, and what other processes see of it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError, GatewayError, NotFoundError, UsageError
from gateway.model import Converter, ConverterCase, DebugMode, Integration, Language, SecurityMode
from gateway.storage.catalogue import FILE_NAME, NAMED_MAX, Catalogue
from gateway.storage.catalogue_file import MIGRATIONS
from gateway.storage.database import open_database
from tests.storage.processes import CONTEXT, WAIT_S, process

TUTORIAL = Converter("tutorial", Language.JAVASCRIPT, "return JSON.parse(decodeToString(payload));")
METERS = Integration("meters", "tutorial", "key-1")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path) as catalogue:
        catalogue.add_converter(TUTORIAL)
        yield catalogue


def test_everything_of_an_integration_comes_back_after_a_restart(tmp_path: Path) -> None:
    integration = Integration(
        name="Zähler",
        converter="tutorial",
        routing_key="6f1d1c46",
        enabled=False,
        security_mode=SecurityMode.MIXED,
        path_prefix="api/v2",
        metadata={"site": "Bärlin", "floor": "", 'quote"': "\\n\n"},
        identity_binding="{name}/*",
        require_principal=True,
        debug_mode=DebugMode.ALL,
        debug_until_ms=1_700_000_900_000,
    )
    with Catalogue(tmp_path) as catalogue:
        catalogue.add_converter(TUTORIAL)
        catalogue.add_integration(integration)
    with Catalogue(tmp_path) as catalogue:
        assert catalogue.integration("Zähler") == integration
        assert catalogue.converter("tutorial") == TUTORIAL
        assert catalogue.snapshot() == ([integration], [TUTORIAL])


def test_everything_of_a_converter_comes_back_after_a_restart(tmp_path: Path) -> None:
    cases = (
        ConverterCase("Zähler", bytes(range(256)), {"site": "Bärlin"}, [{"deviceName": "é", "telemetry": {"t": None}}]),
        ConverterCase("plain", b""),
    )
    with Catalogue(tmp_path) as catalogue:
        catalogue.add_converter(replace(TUTORIAL, update_only_keys=("fw", "modèle"), cases=cases))
    with Catalogue(tmp_path) as catalogue:
        converter = catalogue.converter("tutorial")
        assert converter == TUTORIAL
        assert (converter.update_only_keys, converter.cases) == (("fw", "modèle"), cases)
        catalogue.update_converter("tutorial", replace(converter, cases=cases[1:]))
        (changed,) = catalogue.converters()
        assert (changed.update_only_keys, changed.cases) == (("fw", "modèle"), cases[1:])


def test_a_catalogue_of_the_second_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / FILE_NAME, migrations=MIGRATIONS[:2])) as connection:
        connection.execute("INSERT INTO converters VALUES ('tutorial', 'javascript', ?)", (TUTORIAL.source,))
        connection.execute(
            "INSERT INTO integrations VALUES ('meters', 'tutorial', 'key-1', 1, 'NO SECURE', '', '{}', 'none', 0)"
        )
    with Catalogue(tmp_path) as catalogue:
        assert catalogue.snapshot() == ([METERS], [TUTORIAL])
        assert catalogue.integration("meters").debug_mode is DebugMode.OFF
        assert (catalogue.converter("tutorial").update_only_keys, catalogue.converter("tutorial").cases) == ((), ())


def test_a_catalogue_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / FILE_NAME, migrations=MIGRATIONS[:1])) as connection:
        connection.execute("INSERT INTO converters VALUES ('tutorial', 'javascript', ?)", (TUTORIAL.source,))
        connection.execute(
            "INSERT INTO integrations VALUES ('meters', 'tutorial', 'key-1', 1, 'MIXED', 'api', ?, 'name')",
            ('{"site": "B"}',),
        )
    meters = replace(
        METERS, security_mode=SecurityMode.MIXED, path_prefix="api", metadata={"site": "B"}, identity_binding="name"
    )
    for _ in range(2):
        with Catalogue(tmp_path) as catalogue:
            assert catalogue.snapshot() == ([meters], [TUTORIAL])
            assert not catalogue.credentials.has_psks()
            assert catalogue.credentials.trusted() == []


def test_lists_are_ordered_by_name(catalogue: Catalogue) -> None:
    for name in ("pumps", "Meters", "meters"):
        catalogue.add_integration(replace(METERS, name=name, routing_key=f"key of {name}"))
    catalogue.add_converter(replace(TUTORIAL, name="Binary"))
    assert [integration.name for integration in catalogue.integrations()] == ["Meters", "meters", "pumps"]
    assert [converter.name for converter in catalogue.converters()] == ["Binary", "tutorial"]


def test_what_is_not_there_is_an_error_that_lists_what_is(catalogue: Catalogue) -> None:
    with pytest.raises(NotFoundError, match="there is no integration named pumps") as caught:
        catalogue.integration("pumps")
    assert "gateway integration create" in caught.value.hint
    catalogue.add_integration(METERS)
    with pytest.raises(NotFoundError) as caught:
        catalogue.update_integration("Meters", METERS)
    assert caught.value.hint == "there are: meters"
    with pytest.raises(NotFoundError, match="no integration named pumps"):
        catalogue.remove_integration("pumps")
    for missing in (
        lambda: catalogue.converter("t"),
        lambda: catalogue.update_converter("t", TUTORIAL),
        lambda: catalogue.remove_converter("t"),
        lambda: catalogue.add_integration(replace(METERS, name="pumps", routing_key="key-2", converter="t")),
        lambda: catalogue.update_integration("meters", replace(METERS, converter="t")),
    ):
        with pytest.raises(NotFoundError, match="there is no converter named t") as caught:
            missing()
        assert caught.value.hint == "there are: tutorial"
    assert catalogue.snapshot() == ([METERS], [TUTORIAL])


def test_a_message_names_some_of_many(catalogue: Catalogue) -> None:
    names = [f"n-{number:02}" for number in range(NAMED_MAX)]
    for name in names:
        catalogue.add_integration(replace(METERS, name=name, routing_key=name))
    listed = ", ".join(names)
    assert _hint_of_missing(catalogue) == f"there are: {listed}"
    with pytest.raises(UsageError, match=f"converter tutorial is used by integrations {listed}$"):
        catalogue.remove_converter("tutorial")
    catalogue.add_integration(METERS)
    assert _hint_of_missing(catalogue) == f"there are: meters, {', '.join(names[:-1])} and 1 more"
    with pytest.raises(UsageError, match=f"integrations meters, {', '.join(names[:-1])} and 1 more$"):
        catalogue.remove_converter("tutorial")


def _hint_of_missing(catalogue: Catalogue) -> str:
    with pytest.raises(NotFoundError) as caught:
        catalogue.integration("nobody")
    return caught.value.hint


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        (replace(METERS, routing_key="key-2"), "an integration named meters exists already"),
        (replace(METERS, name="pumps"), "routing key key-1 belongs to integration meters"),
        (replace(METERS, name="pumps", path_prefix="api"), "routing key key-1 belongs to integration meters"),
    ],
)
def test_a_name_or_routing_key_that_is_taken_is_refused(catalogue: Catalogue, taken: Integration, reason: str) -> None:
    catalogue.add_integration(METERS)
    with pytest.raises(UsageError, match=reason) as caught:
        catalogue.add_integration(taken)
    assert caught.value.hint
    assert catalogue.integrations() == [METERS]


def test_an_update_may_rename_but_not_take_what_another_one_has(catalogue: Catalogue) -> None:
    pumps = replace(METERS, name="pumps", routing_key="key-2")
    catalogue.add_integration(METERS)
    catalogue.add_integration(pumps)
    catalogue.update_integration("meters", replace(METERS, enabled=False, path_prefix="api/v2"))
    renamed = replace(METERS, name="heat meters", metadata={"site": "B"})
    catalogue.update_integration("meters", renamed)
    assert catalogue.integrations() == [renamed, pumps]
    with pytest.raises(UsageError, match="named pumps exists already"):
        catalogue.update_integration("heat meters", replace(renamed, name="pumps"))
    with pytest.raises(UsageError, match="key-2 belongs to integration pumps"):
        catalogue.update_integration("heat meters", replace(renamed, routing_key="key-2"))
    assert catalogue.integrations() == [renamed, pumps]


def test_a_removed_integration_leaves_its_name_and_routing_key_free(catalogue: Catalogue) -> None:
    catalogue.add_integration(METERS)
    catalogue.remove_integration("meters")
    assert catalogue.integrations() == []
    catalogue.add_integration(METERS)


def test_a_converter_that_is_in_use_can_not_be_removed(catalogue: Catalogue) -> None:
    catalogue.add_integration(METERS)
    catalogue.add_integration(replace(METERS, name="pumps", routing_key="key-2"))
    with pytest.raises(UsageError, match="converter tutorial is used by integrations meters, pumps") as caught:
        catalogue.remove_converter("tutorial")
    assert "gateway integration update" in caught.value.hint
    catalogue.remove_integration("pumps")
    with pytest.raises(UsageError, match=r"is used by integration meters$"):
        catalogue.remove_converter("tutorial")
    catalogue.remove_integration("meters")
    catalogue.remove_converter("tutorial")
    assert catalogue.snapshot() == ([], [])


def test_a_converter_can_be_changed_and_its_integrations_follow_a_new_name(catalogue: Catalogue) -> None:
    catalogue.add_integration(METERS)
    catalogue.update_converter("tutorial", Converter("tutorial", Language.PYTHON, "def decode(): …"))
    catalogue.update_converter("tutorial", Converter("demo", Language.TBEL, "return {};"))
    assert catalogue.converters() == [Converter("demo", Language.TBEL, "return {};")]
    assert catalogue.integrations() == [replace(METERS, converter="demo")]
    catalogue.add_converter(TUTORIAL)
    with pytest.raises(UsageError, match="a converter named tutorial exists already") as caught:
        catalogue.update_converter("demo", TUTORIAL)
    assert caught.value.hint
    with pytest.raises(UsageError, match="a converter named tutorial exists already"):
        catalogue.add_converter(TUTORIAL)


def test_a_catalogue_that_is_damaged_is_named_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\x00" * 8192)
    with pytest.raises(ConfigurationError, match=r"catalogue\.db is damaged or not a database") as caught:
        Catalogue(tmp_path)
    assert "backup" in caught.value.hint


# -- several processes -----------------------------------------------------------------------------------


def test_the_data_version_changes_with_every_commit_of_another_connection(catalogue: Catalogue, tmp_path: Path) -> None:
    with Catalogue(tmp_path) as reader:
        versions = [reader.data_version(), reader.data_version()]
        catalogue.add_integration(METERS)
        versions.append(reader.data_version())
        assert reader.integrations() == [METERS]
        catalogue.remove_integration("meters")
        versions.append(reader.data_version())
        with pytest.raises(UsageError):
            catalogue.add_converter(TUTORIAL)
        versions.append(reader.data_version())
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert versions[3] == versions[4]


def test_a_snapshot_is_of_one_moment(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.add_integration(METERS)

    def write_between_the_reads(statement: str) -> None:
        if "FROM converters" in statement:
            catalogue.update_converter("tutorial", replace(TUTORIAL, name="demo"))

    with Catalogue(tmp_path) as reader:
        reader._connection.set_trace_callback(write_between_the_reads)
        assert reader.snapshot() == ([METERS], [TUTORIAL])
        reader._connection.set_trace_callback(None)
        assert reader.snapshot() == ([replace(METERS, converter="demo")], [replace(TUTORIAL, name="demo")])


ROUNDS = 100


def rename_and_remove(data_dir: Path) -> None:
    """Keeps changing what must fit together: an integration's converter, and the converters there are."""
    with Catalogue(data_dir) as catalogue:
        for round in range(ROUNDS):
            catalogue.update_converter(f"converter-{round}", replace(TUTORIAL, name=f"converter-{round + 1}"))


def test_snapshots_fit_together_while_another_process_writes(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.update_converter("tutorial", replace(TUTORIAL, name="converter-0"))
    catalogue.add_integration(replace(METERS, converter="converter-0"))
    seen = set()
    with Catalogue(tmp_path) as reader, process(rename_and_remove, tmp_path) as writer:
        known_version = -1
        while f"converter-{ROUNDS}" not in seen:
            version = reader.data_version()
            if version != known_version:
                known_version = version
                (integration,), (converter,) = reader.snapshot()
                assert integration.converter == converter.name
                seen.add(converter.name)
            assert writer.is_alive() or writer.exitcode == 0
    assert len(seen) > 2


def add_integrations(data_dir: Path, writer: int, answer: Connection) -> None:
    taken = 0
    with closing(answer), Catalogue(data_dir) as catalogue:
        for number in range(20):
            try:
                catalogue.add_integration(Integration(f"i-{number}", "tutorial", f"key-{writer}-{number}"))
            except UsageError:
                taken += 1
            except GatewayError as error:
                answer.send(error.message)
                return
        answer.send(taken)


def test_of_processes_that_create_the_same_names_each_name_is_given_once(catalogue: Catalogue, tmp_path: Path) -> None:
    receiver, sender = CONTEXT.Pipe(duplex=False)
    with process(add_integrations, tmp_path, 1, sender), process(add_integrations, tmp_path, 2, sender):
        assert receiver.poll(WAIT_S)
        first = receiver.recv()
        assert receiver.poll(WAIT_S)
        assert first + receiver.recv() == 20
    assert len(catalogue.integrations()) == 20


def test_converters_are_imported_all_or_none(tmp_path: Path) -> None:
    one, two = (Converter(name, Language.JAVASCRIPT, "return [];") for name in ("one", "two"))
    other = replace(one, source="return [1];")
    with Catalogue(tmp_path) as catalogue:
        catalogue.import_converters([one], replacing=())
        with pytest.raises(UsageError, match="one exists already"):
            catalogue.import_converters([two, other], replacing=())
        with pytest.raises(NotFoundError, match="two"):
            catalogue.import_converters([other, two], replacing={"one", "two"})
        assert catalogue.converters() == [one]
        catalogue.import_converters([two, other], replacing={"one"})
        assert catalogue.converters() == [other, two]
