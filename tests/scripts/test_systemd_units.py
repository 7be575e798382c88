"""The service files: systemd takes them, they leave the service little of the machine, and they fit the gateway."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.credentials.choices import FOLDER as FOLDER_OF_AUTHORITY
from gateway.errors import ConfigurationError
from gateway.settings import Settings

FOLDER = Path(__file__).parents[2] / "scripts" / "systemd"
PROGRAM = "/opt/gateway/bin/gateway"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The unit files as installed, but with this very gateway: systemd asks whether the program is there."""
    for path in FOLDER.glob("*.*"):
        if path.suffix in (".service", ".timer"):
            text = path.read_text().replace(PROGRAM, str(Path(sys.executable).with_name("gateway")))
            (tmp_path / path.name).write_text(text)
    return tmp_path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which needs no systemd to run."""
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def values(name: str, file: str = "gateway.service") -> list[str]:
    """All values of a setting of a unit."""
    return re.findall(rf"^{name}=(.*)$", (FOLDER / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("drop_in", ["", "low-ports.conf", "issuing.conf"])
def test_systemd_takes_the_units(units: Path, drop_in: str) -> None:
    if drop_in:
        (units / "gateway.service.d").mkdir()
        shutil.copy(FOLDER / drop_in, units / "gateway.service.d")
    done = analyze("verify", *sorted(path for path in units.iterdir() if path.is_file()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(("unit", "tenths"), [("gateway.service", 15), ("gateway-backup.service", 10)])
def test_they_leave_the_service_little_of_the_machine(units: Path, unit: str, tenths: int) -> None:
    done = analyze("security", "--offline=true", f"--threshold={tenths}", units / unit)
    assert done.returncode == 0, done.stdout[-200:]


def test_a_wrong_setting_does_not_have_it_started_again_and_again() -> None:
    assert values("RestartPreventExitStatus") == [str(ConfigurationError.exit_code)]


def test_it_is_checked_before_it_is_started() -> None:
    assert values("ExecStartPre") == [f"{PROGRAM} check"]
    assert values("ExecStart") == [f"{PROGRAM} serve"]
    assert values("Type") == ["notify"]


def test_the_ports_by_default_need_no_capability() -> None:
    fields = Settings.model_fields
    assert fields["coap_bind_port"].default >= 1024
    assert fields["coap_dtls_bind_port"].default >= 1024
    assert fields["gateway_http_bind_port"].default >= 1024
    assert values("AmbientCapabilities") == [""]
    assert values("AmbientCapabilities", "low-ports.conf") == ["CAP_NET_BIND_SERVICE"]


def test_the_authority_s_folder_is_where_the_service_looks_for_it_and_writable_only_by_the_drop_in() -> None:
    assert values("ReadWritePaths") == []
    assert values("ReadWritePaths", "issuing.conf") == [f"{values('WorkingDirectory')[0]}/{FOLDER_OF_AUTHORITY}"]


def test_the_example_s_variables_are_settings_in_a_form_that_systemd_and_the_shell_read_alike() -> None:
    lines = [line.lstrip("#") for line in (FOLDER / "gateway.env").read_text().splitlines() if "=" in line]
    assert "GATEWAY_DATA_DIR=/var/lib/gateway" in lines
    for line in lines[1:]:
        assert re.fullmatch(r"[A-Z_]+=[\w/.:-]+", line), line
        assert line.partition("=")[0].lower() in Settings.model_fields


@pytest.mark.parametrize("unit", ["gateway.service", "gateway-backup.service"])
def test_both_services_work_on_the_same_data(unit: str) -> None:
    assert values("Environment", unit) == ["GATEWAY_DATA_DIR=/var/lib/gateway"]
    assert values("EnvironmentFile", unit) == ["/etc/gateway/gateway.env"]
    assert values("User", unit) == ["gateway"]
    assert values("StateDirectory", unit) == ["gateway"]


def test_the_backup_s_command_keeps_the_last_fourteen(tmp_path: Path) -> None:
    """The unit's shell command, with folders of the test in place of its own."""
    (line,) = re.findall(
        r"^ExecStart=/bin/sh -ec '(.*?)'$", (FOLDER / "gateway-backup.service").read_text(), re.S | re.M
    )
    backups = tmp_path / "backups"
    for day in range(1, 21):
        (backups / f"2020-01-{day:02}T031700").mkdir(parents=True)
    (backups / "of-mine").mkdir()
    program = tmp_path / "gateway"
    program.write_text('#!/bin/sh\n[ "$1" = backup ] && exec mkdir "$2"\n')
    program.chmod(0o755)
    command = line.replace("%%", "%").replace(PROGRAM, str(program)).replace("/var/backups/gateway", str(backups))
    subprocess.run(["/bin/sh", "-ec", command.replace("\\\n", "")], timeout=60, check=True)
    left = sorted(path.name for path in backups.iterdir())
    assert left[:13] == [f"2020-01-{day:02}T031700" for day in range(8, 21)]
    assert len(left) == 15
    assert left[-1] == "of-mine"


def test_the_command_for_people_is_a_valid_script() -> None:
    path = FOLDER / "gateway-command"
    assert path.stat().st_mode & 0o111 == 0o111
    subprocess.run(["/bin/sh", "-n", str(path)], timeout=60, check=True)
