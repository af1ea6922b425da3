"""A real database for every test of the store."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.databases import BACKENDS, empty_database
from v3core.config import RunConfig, build_run_config, recipe_for
from v3core.curriculum import parse
from v3core.metrics import METRICS, EpisodeRecord
from v3core.store.commands import add_revision
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import add_run, update_run

START = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database."""
    with empty_database(request.param, tmp_path) as empty:
        yield empty


@pytest.fixture
def db(url: str, tmp_path: Path) -> Iterator[Database]:
    """An open, empty store."""
    database = open_database(url, tmp_path)
    yield database
    database.close()


@pytest.fixture
def sqlite_db(tmp_path: Path) -> Iterator[Database]:
    """An open, empty store on SQLite, for what only SQLite has."""
    database = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield database
    database.close()


@pytest.fixture
def config() -> RunConfig:
    """A run of 300 episodes under two phases."""
    curriculum = parse("{name: two, phases: [{name: early, until: {episode: 100}, routing: softmax}, {name: late}]}")
    return build_run_config(
        name="a run", env="CartPole-v1", seed=4, episodes=300, curriculum=curriculum, recipe=recipe_for("CartPole-v1")
    )


@pytest.fixture
def new_run(config: RunConfig) -> Callable[..., str]:
    """Insert a run, by default one that may be written: `new_run(db)` returns its id."""

    def insert(
        database: Database,
        *,
        run_id: str | None = None,
        status: str = "running",
        now: datetime = START,
        chosen: RunConfig = config,
        **values: Any,
    ) -> str:
        run_id = run_id or str(uuid.uuid4())
        with database.write() as tx:
            add_run(tx, run_id, chosen, status=status, now=now)
            add_revision(tx, run_id, chosen.curriculum, actor="user", now=now, applied_episode=0)
            if values:
                update_run(tx, run_id, values, only_in=[status])
        return run_id

    return insert


@pytest.fixture
def episode() -> Callable[..., EpisodeRecord]:
    """An episode row that tells its number in every column: `episode(7)`."""

    def row(number: int, **changes: Any) -> EpisodeRecord:
        values: dict[str, Any] = {
            metric.field: number + place / 100 for place, metric in enumerate(METRICS.values(), start=1)
        }
        values |= {metric.field: number for metric in METRICS.values() if metric.kind is int}
        values |= {
            **{"episode": number, "phase": "early" if number <= 100 else "late", "env": "CartPole-v1"},
            **{
                "return_": float(number),
                "length": number + 1,
                "success": None,
                "step": number * 10,
                "lr": number * 1e-6,
            },
            **{
                "routing": "softmax",
                "alpha": None,
                "top_k": None,
                "top_k_weights": None,
                "task": None,
                "facts": None,
                "situations": None,
            },
            "loads": (0.1, 0.2, 0.3, 0.4),
            "hard_loads": (0.0, 0.0, number / 1e6, 1.0 - number / 1e6),
            "expert_grad_norms": (number + 0.1, number + 0.2, number + 0.3, number + 0.4),
        }
        return EpisodeRecord(**{**values, **changes})

    return row
