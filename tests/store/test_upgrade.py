"""Databases of earlier schemas open, keep what they hold, and take what is new."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import inspect, select

from v3core.jobs.lifecycle import ENDED
from v3core.store.database import Database
from v3core.store.export import export_run
from v3core.store.readers import read_episodes, read_evaluations, read_phase_changes
from v3core.store.runs import list_runs, update_run
from v3core.store.schema import SCHEMA_VERSION, meta, metadata
from v3core.store.writer import EpisodeWriter

FILES = sorted((Path(__file__).parent / "databases").glob("schema-*.db"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def upgraded(request, tmp_path):
    """A copy of an old database, opened by this version."""
    file = tmp_path / "v3.db"
    shutil.copy(request.param, file)
    database = Database.open(f"sqlite:///{file}", tmp_path)
    yield database
    database.close()


def test_it_has_every_table_column_and_index_of_a_new_one(upgraded):
    with upgraded.read() as tx:
        assert tx.execute(select(meta.c.value)).scalar_one() == str(SCHEMA_VERSION)
        for name, table in metadata.tables.items():
            assert {column["name"] for column in inspect(tx).get_columns(name)} == {c.name for c in table.c}
            assert {index["name"] for index in inspect(tx).get_indexes(name)} >= {index.name for index in table.indexes}


@pytest.fixture
def version(upgraded, request):
    """The schema that the database was written with."""
    return int(request.node.callspec.params["upgraded"].stem.removeprefix("schema-"))


def test_it_keeps_what_it_held(upgraded, version, tmp_path):
    (run,) = list_runs(upgraded)
    assert (run.name, run.status, run.episode) == (f"of schema {version}", "completed", 12)
    assert (run.config.env, run.priority, run.tags) == ("CartPole-v1", 0, None)
    table = read_episodes(upgraded, run.id)
    assert table["episode"].tolist() == list(range(1, 13))
    np.testing.assert_allclose(table.loads.sum(1), 1)
    assert np.isnan(table["explained_variance"]).all() == (version < 2)
    assert np.isnan(table.expert_grad_norms).all() == (version < 2)
    assert [change.name for change in read_phase_changes(upgraded, run.id)] == ["warmup", "transition", "fine-tune"]
    assert len(read_evaluations(upgraded, run.id)) == (version >= 2)
    assert export_run(upgraded, run.id, tmp_path / "run.csv") == 12


def test_it_takes_new_episodes(upgraded, episode):
    (run,) = list_runs(upgraded)
    with upgraded.write() as tx:
        update_run(tx, run.id, {"status": "running"}, only_in=ENDED)
    writer = EpisodeWriter(upgraded, run.id, generation=run.generation, writable_in=["running"])
    writer.record([episode(13)], 130)
    writer.close()
    table = read_episodes(upgraded, run.id)
    assert table["explained_variance"][-1] == episode(13).explained_variance
    assert len(table) == 13
