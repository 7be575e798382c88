"""The page about metrics says of each what the code says."""

import re
from pathlib import Path

import pytest

from gateway.metrics import METRICS
from gateway.presentation.metric import metrics_table, with_metrics_table

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_has_todays_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_metrics_table(page), "run scripts/metrics-table"


def test_the_page_names_no_metric_that_there_is_not() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in set(re.findall(r"gateway_[a-z_]+", page)) - {"gateway_x_seconds"}:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in METRICS or base in METRICS or base == "gateway_x_seconds", name


def test_a_row_has_kind_labels_and_meaning() -> None:
    (row,) = (line for line in metrics_table().splitlines() if "`gateway_uplinks_total`" in line)
    assert row == (
        "| `gateway_uplinks_total` | counter | `integration`, `code` | Uplinks answered, by response code. |"
    )


def test_a_page_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="metrics"):
        with_metrics_table("# Metrics\n")
