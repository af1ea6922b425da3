"""Samples of a run's process: taken while it trains, of its whole time, ever rarer, and kept in the run's records."""

import time
from types import SimpleNamespace

import pytest

from v3core.insight.slowness import OTHER, PARTS
from v3core.jobs import control, sampler
from v3core.jobs.lifecycle import Status
from v3core.jobs.sampler import SAMPLES_PER_DOUBLING, SHORTEST_SECONDS, ProcessSampler
from v3core.store.history import read_checkpoints
from v3core.store.process_samples import newest_process_sample, read_process_samples, sampled_seconds
from v3core.store.runs import get_run
from v3core.training.hooks import Spent


@pytest.fixture
def now(monkeypatch):
    """The sampler's clocks, in seconds."""
    clock = [1000.0]
    monkeypatch.setattr(sampler, "time", SimpleNamespace(monotonic=lambda: clock[0], thread_time=lambda: clock[0]))
    return clock


def test_a_sample_is_of_the_time_since_the_last(now):
    sampler = ProcessSampler()
    for _ in range(3):
        sampler.add(Spent(acting=1.0, environments=2.0, learning=0.5, recording=0.25), 100)
        now[0] += 6
        sample = sampler.take()
    assert (sample.seconds, sample.steps, sample.updates) == (18.0, 300, 3)
    assert [getattr(sample, part) for part in PARTS] == [3.0, 6.0, 1.5, 0.75]
    assert sample.share(OTHER) == pytest.approx(1 - 11.25 / 18)
    assert sample.memory > 10**7
    assert sample.threads >= 1
    assert 0 <= sample.machine <= 1
    assert sampler.take() is None
    now[0] += SHORTEST_SECONDS
    assert sampler.take().steps == 0


def test_processor_time_is_that_of_this_process(now):
    sampler = ProcessSampler()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    now[0] += SHORTEST_SECONDS
    assert 0.15 < sampler.take().cpu < 5


def test_a_run_of_weeks_stays_small(now, monkeypatch):
    monkeypatch.setattr(ProcessSampler, "_family", lambda self: [self._process])  # children take long to find
    sampler, count, day = ProcessSampler(), 0, 86_400
    while now[0] < 14 * day:
        now[0] += SHORTEST_SECONDS
        count += sampler.take() is not None
    assert 1_000 < count < 4_000
    resumed = ProcessSampler(sampled_seconds=14.0 * day)
    now[0] += 14 * day / SAMPLES_PER_DOUBLING - 1
    assert resumed.take() is None
    now[0] += 1
    assert resumed.take() is not None


def test_where_samples_take_long_there_are_fewer(now, monkeypatch):
    """Children are found by looking at every process of the machine."""
    sampler, find = ProcessSampler(), ProcessSampler._family

    def slowly(self):
        now[0] += 0.1
        return find(self)

    monkeypatch.setattr(ProcessSampler, "_family", slowly)
    now[0] += SHORTEST_SECONDS
    assert sampler.take() is not None
    now[0] += 95
    assert sampler.take() is None
    now[0] += 10
    assert sampler.take() is not None


def test_a_run_is_sampled_while_it_trains_and_after_a_resume(db, make, train, monkeypatch):
    monkeypatch.setattr(sampler, "SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(sampler, "LARGEST_SHARE", float("inf"))
    run_id = make(episodes=60)
    assert train(run_id, rollouts=4) is Status.FAILED
    first = read_process_samples(db, run_id)
    assert len(first) == newest_process_sample(db, run_id) == 3  # the fourth rollout was recorded, and then it died
    start = read_checkpoints(db, run_id)[-1].step
    control.resume(db, run_id)
    assert train(run_id) is Status.COMPLETED
    samples = read_process_samples(db, run_id)
    assert samples[: len(first)] == first
    assert sum(sample.steps for sample in samples[len(first) :]) == get_run(db, run_id).step - start
    for sample in samples:
        assert sample.updates == 1
        assert min(sample.acting, sample.environments, sample.learning, sample.recording) > 0
        assert sum(sample.share(part) for part in PARTS) <= 1
    assert sampled_seconds(db, run_id) == pytest.approx(sum(sample.seconds for sample in samples))
