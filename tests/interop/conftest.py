"""What the interop tests share; collects what comes of them for `scripts/interop`."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from .credentials import Credentials, make_credentials
from .matrix import Case, Lab, Row, markdown
from .versions import versions

_RESULTS = pytest.StashKey[list[tuple[Row, str]]]()


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make_credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture
def lab(credentials: Credentials, tmp_path: Path) -> Lab:
    return Lab(credentials, tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    case = item.callspec.params.get("case") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    if isinstance(case, Case) and report.when == "call":
        results = item.config.stash.setdefault(_RESULTS, [])
        results.append((case.row, case.result if report.passed else "FAILED"))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    file = os.environ.get("INTEROP_MATRIX")
    results = session.config.stash.get(_RESULTS, [])
    if file and results:
        Path(file).write_text(markdown(results, versions()))
