"""Every number of an episode is declared once, and all that follows from its entry does."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs import metrics_page
from v3core.curriculum import KNOBS
from v3core.metrics import CHARTS, COMPARED, METRICS, PER_EXPERT, explain, of_chart
from v3core.store.bulk import COLUMNS, metric_names
from v3core.store.schema import SCHEMA_VERSION, episodes, expert_loads

ROOT = Path(__file__).resolve().parents[1]
RELEASED = sorted((ROOT / "tests/store/databases").glob("schema-*.db"))

# The order in which stored buckets have their numbers, whatever is declared since.
IN_BUCKETS_OF_SCHEMA_5 = (
    *("return", "length", "phase_steps", "success", "step", "policy_loss", "value_loss", "load_balance_loss"),
    *("expert_balance_loss", "router_z_loss", "diversity_loss", "consistency_loss", "gate_entropy_loss"),
    *("action_entropy", "total_loss", "approx_kl", "clip_fraction", "router_shift", "grad_norm", "explained_variance"),
    *("dormant_share", "rollbacks", "lr", "temperature", "alpha", "top_k", "jitter", "load_balance", "expert_balance"),
    *("z_loss", "diversity", "consistency", "gate_entropy", "bias_speed", "entropy", "routing_entropy"),
    *("load_entropy", "specialisation", "effective_experts", "support", "load_cv", "dead_experts"),
)

SINCE_SCHEMA_6 = ("expert_persistence", "close_choice_share", "node_distance")


def test_the_page_of_metrics_is_current() -> None:
    current = (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == metrics_page()
    assert current, "docs/metrics.md is stale: run python -m tests.docs"


def test_what_is_declared_is_what_is_recorded() -> None:
    of_episodes = {column.name: column.type.python_type for column in episodes.c}
    declared = {metric.name: metric.kind for metric in METRICS.values() if not metric.per_expert}
    assert of_episodes == {"run_id": str, "episode": int, "at": of_episodes["at"], **declared}
    assert [column.name for column in expert_loads.c][3:] == [metric.column for metric in PER_EXPERT]


def test_the_buckets_hold_every_number_and_the_old_ones_stay_where_they_are() -> None:
    assert COLUMNS[: len(IN_BUCKETS_OF_SCHEMA_5)] == IN_BUCKETS_OF_SCHEMA_5
    later = COLUMNS[len(IN_BUCKETS_OF_SCHEMA_5) :]
    assert later[: len(SINCE_SCHEMA_6)] == SINCE_SCHEMA_6
    assert [METRICS[name].since for name in later] == sorted(METRICS[name].since for name in later)
    numbers = {metric.name for metric in METRICS.values() if metric.kind is not str and not metric.per_expert}
    assert set(COLUMNS) == numbers
    assert metric_names(2)[:6] == (
        *("load_1", "load_2", "hard_load_1", "hard_load_2", "expert_grad_norm_1", "expert_grad_norm_2"),
    )


def test_a_metric_is_known_since_the_schema_that_it_names() -> None:
    since: dict[tuple[str, str], int] = {}
    for number, file in enumerate(RELEASED, start=1):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            for table in ("episodes", "expert_loads"):
                for column in database.execute(f"SELECT name FROM pragma_table_info('{table}')"):
                    since.setdefault((table, column[0]), number)
    for metric in METRICS.values():
        table = "expert_loads" if metric.per_expert else "episodes"
        assert metric.since == since.get((table, metric.column), SCHEMA_VERSION), metric.name


def test_each_metric_says_what_it_is_in_a_sentence() -> None:
    for metric in METRICS.values():
        assert metric.title[0].isupper(), metric.name
        assert metric.meaning.endswith("."), metric.name
        assert metric.sentence.endswith("."), metric.name
        assert "|" not in metric.sentence, metric.name


def test_a_setting_is_called_what_its_knob_is_called() -> None:
    for name, knob in KNOBS.items():
        assert (METRICS[name].title, METRICS[name].meaning) == (knob.title, knob.meaning)
        assert name not in COMPARED


def test_every_chart_shows_a_metric_and_every_one_that_is_shown_is_compared() -> None:
    for chart in CHARTS:
        assert of_chart(chart), chart.name
        for metric in of_chart(chart):
            assert metric.per_expert or metric.name in COMPARED or metric.name in KNOBS
    assert list(COMPARED)[:3] == ["return", "success", "evaluation"]
    assert not {"phase", "routing", "step", "load"} & set(COMPARED)


@pytest.mark.parametrize(
    ("column", "name"),
    [("approx_kl", "approx_kl"), ("load_12", "load"), ("expert_grad_norm_1", "expert_grad_norm"), ("episode", None)],
)
def test_an_exported_column_is_explained(column: str, name: str | None) -> None:
    metric = explain(column)
    assert (metric.name if metric else None) == name
