"""Event files, read back by TensorBoard itself."""

import math
import struct

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from tests.store.conftest import START
from tests.store.recorded import record
from v3core.errors import V3Error
from v3core.store.tensorboard import export_tensorboard, scalar_heads, scalar_record


@pytest.fixture
def run(db, new_run, episode):
    """A run with something in every table."""
    return record(db, new_run(db), episode)


def read(folder):
    """What TensorBoard finds, nothing left out."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def test_tensorboard_reads_every_number(db, run, tmp_path):
    assert export_tensorboard(db, [run], tmp_path / "tb") == 12
    (folder,) = (tmp_path / "tb").iterdir()
    assert folder.name == f"a-run-{run[:8]}"
    found = read(folder)
    tags = set(found.Tags()["scalars"])
    assert {"return", "length", "load_4", "hard_load_1", "expert_grad_norm_2", "recent_dead_experts"} <= tags
    assert "dead_experts" not in tags, "what one episode does without is not dead"
    assert [event.value for event in found.Scalars("experts_left_out_of_episode")] == list(range(1, 13))
    assert tags.isdisjoint({"success", "alpha", "top_k", "phase", "episode"}), "what was never recorded is left out"
    lengths = found.Scalars("length")
    assert [(event.step, event.value) for event in lengths] == [(number, number + 1) for number in range(1, 13)]
    returns = {event.step: event.value for event in found.Scalars("return")}
    assert returns[1] == 1.0
    assert math.isnan(returns.get(3, math.nan))
    assert (returns[4], returns[5]) == (math.inf, -math.inf)
    assert returns[7] == np.float32(0.3)
    assert [event.step for event in found.Scalars("evaluation_mean_return")] == [10]


def test_records_are_those_of_tensorboards_own_writer(tmp_path):
    """Byte for byte around the data: lengths and checksums."""
    steps = [1, 127, 128, 20_000, 3_000_000]
    values = [[1.0, None], [2.0, 5], [None, None], [4.0, 7], [math.nan, -math.inf]]
    heads = scalar_heads(["a", "Länge"])
    records = [scalar_record(step, START, heads, row) for step, row in zip(steps, values, strict=True)]
    with (tmp_path / "theirs").open("wb") as file:
        writer = RecordWriter(file)
        for record_ in records:
            (length,) = struct.unpack("<Q", record_[:8])
            writer.write(record_[12 : 12 + length])
        writer.flush()
        writer.close()
    assert (tmp_path / "theirs").read_bytes() == b"".join(records)


def test_a_folder_that_is_there_is_left_alone(db, run, tmp_path):
    (tmp_path / "tb").mkdir()
    (tmp_path / "tb" / "mine").touch()
    with pytest.raises(V3Error, match="already exists; give a new folder"):
        export_tensorboard(db, [run], tmp_path / "tb")
