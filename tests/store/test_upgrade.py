"""Databases of earlier schemas open, keep what they hold, and take what is new."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import inspect, select

from tests.episode_table import read_episodes
from tests.store.reference import assert_summary_is, full_rows, plain_summary, stored_rows
from v3core.jobs.lifecycle import ENDED
from v3core.store.curve import read_series
from v3core.store.export import export_runs
from v3core.store.history import read_evaluations, read_phase_changes, read_stretches
from v3core.store.opening import open_database
from v3core.store.rollups import rebuild_rollups
from v3core.store.runs import list_runs, update_run
from v3core.store.schema import SCHEMA_VERSION, meta, metadata
from v3core.store.writer import EpisodeWriter
from v3core.ui.run_columns import seconds_trained

FILES = sorted((Path(__file__).parent / "databases").glob("schema-*.db"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def upgraded(request, tmp_path):
    """A copy of an old database, opened by this version."""
    file = tmp_path / "v3.db"
    shutil.copy(request.param, file)
    database = open_database(f"sqlite:///{file}", tmp_path)
    yield database
    database.close()


def test_it_has_every_table_column_and_index_of_a_new_one(upgraded):
    with upgraded.read() as tx:
        assert tx.execute(select(meta.c.value)).scalar_one() == str(SCHEMA_VERSION)
        for name, table in metadata.tables.items():
            assert {column["name"] for column in inspect(tx).get_columns(name)} == {c.name for c in table.c}
            assert {index["name"] for index in inspect(tx).get_indexes(name)} >= {index.name for index in table.indexes}


def test_the_times_in_which_its_runs_trained_are_known(upgraded):
    """Also of a run that is resumed now: its earlier stretches are in the history that old versions wrote."""
    runs = [run for run in list_runs(upgraded) if run.status == "completed" and run.generation == 0]
    assert runs
    for run in runs:
        assert read_stretches(upgraded, [run.id])[run.id] == [(run.started_at, run.ended_at)]
        assert seconds_trained(run, None, read_stretches(upgraded, [run.id])[run.id]) == pytest.approx(
            (run.ended_at - run.started_at).total_seconds()
        )


@pytest.fixture
def version(upgraded, request):
    """The schema that the database was written with."""
    return int(request.node.callspec.params["upgraded"].stem.removeprefix("schema-"))


def test_it_keeps_what_it_held(upgraded, version, tmp_path):
    count = 12 if version < 4 else 80
    (run,) = list_runs(upgraded)
    assert (run.name, run.status, run.episode) == (f"of schema {version}", "completed", count)
    assert (run.config.env, run.priority, run.tags) == ("CartPole-v1", 0, None)
    table = read_episodes(upgraded, run.id)
    assert table["episode"].tolist() == list(range(1, count + 1))
    np.testing.assert_allclose(table.loads.sum(1), 1)
    assert np.isnan(table["explained_variance"]).all() == (version < 2)
    assert np.isnan(table.expert_grad_norms).all() == (version < 2)
    assert [change.name for change in read_phase_changes(upgraded, run.id)] == ["warmup", "transition", "fine-tune"]
    assert len(read_evaluations(upgraded, run.id)) == (version >= 2)
    assert export_runs(upgraded, [run.id], tmp_path / "run.csv") == count


def test_it_takes_new_episodes(upgraded, episode):
    (run,) = list_runs(upgraded)
    with upgraded.write() as tx:
        update_run(tx, run.id, {"status": "running"}, only_in=ENDED)
    writer = EpisodeWriter(upgraded, run.id, generation=run.generation, writable_in=["running"])
    writer.record([episode(run.episode + 1)], 10_000)
    writer.close()
    table = read_episodes(upgraded, run.id)
    assert table["explained_variance"][-1] == episode(run.episode + 1).explained_variance
    assert len(table) == run.episode + 1


@pytest.fixture
def before_rollups(tmp_path):
    """A database of schema 3 with a run of 300 episodes, closed."""
    file = tmp_path / "v3.db"
    shutil.copy(Path(__file__).parent / "databases" / "schema-3.db", file)
    with closing(sqlite3.connect(file)) as raw:
        for table in ("episodes", "expert_loads"):
            names = [row[1] for row in raw.execute(f"PRAGMA table_info({table})") if row[1] != "episode"]
            listed = ", ".join(f'"{name}"' for name in names)
            raw.executemany(
                f"INSERT INTO {table} (episode, {listed}) SELECT ?, {listed} FROM {table} WHERE episode = ?",
                [(number, 1 + number % 12) for number in range(13, 301)],
            )
        raw.execute("UPDATE runs SET episode = 300")
        raw.commit()
    return file


def test_episodes_from_before_the_pyramid_are_put_into_it(before_rollups, tmp_path):
    database = open_database(f"sqlite:///{before_rollups}", tmp_path)
    (run,) = list_runs(database)
    rows = stored_rows(database, run.id)
    assert set(rows) == full_rows(300)
    with database.write() as tx:
        rebuild_rollups(tx, run.id)
    assert stored_rows(database, run.id) == rows
    series = read_series(database, run.id, width=20)
    assert_summary_is(series.summary("return"), plain_summary(read_episodes(database, run.id)["return"].tolist(), 16))
    database.close()


def test_the_mean_return_is_over_the_window_that_fits_the_run(upgraded):
    (run,) = list_runs(upgraded)
    table = read_episodes(upgraded, run.id)
    returns, phases = table["return"], table["phase"]
    assert run.mean_window == 10 < len(returns)
    assert run.mean_return == pytest.approx(returns[phases == phases[-1]][-10:].mean())


@pytest.mark.parametrize("file", [file for file in FILES if file.stem < "schema-7"], ids=lambda file: file.stem)
def test_the_mean_return_is_that_of_the_phase_in_force(file, tmp_path):
    copy = tmp_path / "v3.db"
    shutil.copy(file, copy)
    with closing(sqlite3.connect(copy)) as raw:
        (episode,) = raw.execute("SELECT max(episode) FROM episodes").fetchone()
        raw.execute("UPDATE episodes SET phase = 'begun just now', \"return\" = 77 WHERE episode = ?", (episode,))
        raw.execute("UPDATE runs SET episodes = 5000, mean_return = 5")
        raw.commit()
    database = open_database(f"sqlite:///{copy}", tmp_path)
    (run,) = list_runs(database)
    assert run.mean_return == 77
    database.close()
