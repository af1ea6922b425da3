"""Forks: a run that begins with a checkpoint of another, shows that one's records, and trains on to the bit."""

import json
import os
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest
from sqlalchemy import update

from tests.jobs.conftest import FOUR_PHASES
from v3core.archive import import_archive, write_archive
from v3core.atomic_write import replacing
from v3core.cli import main
from v3core.curriculum import parse
from v3core.environments.registry import check_run
from v3core.errors import V3Error
from v3core.jobs import control, recorder
from v3core.jobs.files import run_folder
from v3core.jobs.fork_check import check_fork
from v3core.jobs.forks import Change, fork, fork_all
from v3core.jobs.housekeeping import leftovers, remove_abandoned, remove_leftovers
from v3core.jobs.lifecycle import Status
from v3core.store import runs, schema
from v3core.store.alarms import ACTIVE, AlarmRow, alarm_notices_due, put_alarm, read_alarms
from v3core.store.commands import read_commands
from v3core.store.curve import read_phase_sums, read_series
from v3core.store.history import read_checkpoints, read_evaluations, read_events, read_phase_changes
from v3core.store.returns import read_sparkline
from v3core.store.rollups import read_buckets, rebuild_rollups
from v3core.store.run_tables import RUN_TABLES, stream
from v3core.store.runs import all_ids, get_run, list_runs
from v3core.training.checkpoint import load_checkpoint
from v3core.training.state import TrainingState

pytestmark = pytest.mark.long_on_postgresql

CLOCKS = {"at", "generation"}


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch):
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])


@pytest.fixture
def long_parent(make, train):
    """A complete run of 600 short episodes, with buckets of several sizes and a checkpoint every few rollouts."""
    run_id = make(episodes=600, curriculum="{name: one, phases: [{name: only}]}", every=100)
    assert train(run_id, every=7) is Status.COMPLETED
    return run_id


def assert_same_charts(db, one, other):
    """All that pages draw of episodes is the same, from buckets of every size."""
    for width in (20, 100, 1000):
        mine, theirs = (read_series(db, run, width=width) for run in (one, other))
        assert mine.size == theirs.size
        np.testing.assert_array_equal(mine.numbers, theirs.numbers)
        np.testing.assert_allclose(mine.stats, theirs.stats, rtol=1e-12)
    with db.read() as tx:
        sparks = [read_sparkline(tx, get_run(tx, run)) for run in (one, other)]
    np.testing.assert_allclose(*sparks, rtol=1e-12)
    assert len(sparks[0])
    sums = [read_phase_sums(db, run) for run in (one, other)]
    assert [row.phase for row in sums[0]] == [row.phase for row in sums[1]]
    for mine, theirs in zip(*sums, strict=True):
        np.testing.assert_allclose([mine.mean, mine.count], [theirs.mean, theirs.count], rtol=1e-9)
        assert mine.deviation == pytest.approx(theirs.deviation)
        assert mine.closing_return == theirs.closing_return


def rows(db, run_id, table, after=-1):
    """The rows that readers see of a run, without the times."""
    names = [field.name for field in RUN_TABLES[table].fields]
    with db.read() as tx:
        found = [dict(zip(names, row, strict=True)) for row in stream(tx, table, run_id)]
    return [
        {name: repr(value) for name, value in row.items() if name not in CLOCKS}
        for row in found
        if row["episode"] > after
    ]


def own_rows(db, run_id, table):
    """The numbers of the episodes that are rows of the run itself."""
    of = RUN_TABLES[table].table
    with db.read() as tx:
        return [row.episode for row in tx.execute(of.select().where(of.c.run_id == run_id).order_by(of.c.episode))]


TABLES = ("episodes", "expert_loads", "evaluations", "evaluation_experts", "phase_changes")


def assert_same_records(db, one, other, until=None):
    """Readers see the same of both runs, up to an episode."""
    for table in TABLES:
        mine, theirs = (rows(db, run, table) for run in (one, other))
        if until is not None:
            mine, theirs = ([row for row in found if int(row["episode"]) <= until] for found in (mine, theirs))
        assert mine == theirs, table
        assert mine or until is not None


@pytest.fixture
def parent(make, train):
    """A run that is complete."""
    run_id = make()
    assert train(run_id, every=2) is Status.COMPLETED
    return run_id


def test_a_fork_trains_on_as_its_parent_did_to_the_bit_and_shows_all_of_it(db, parent, train):
    """From every checkpoint: at boundaries, between them, before the first episode."""
    for checkpoint in read_checkpoints(db, parent)[:-1]:
        child = fork(db, parent, episode=checkpoint.episode)
        queued = get_run(db, child)
        assert (queued.status, queued.episode, queued.step) == ("queued", checkpoint.episode, checkpoint.step)
        assert train(child) is Status.COMPLETED
        assert_same_records(db, child, parent)
        assert own_rows(db, child, "episodes") == list(range(checkpoint.episode + 1, 61)), "the trunk is not copied"
        assert_same_charts(db, child, parent)
        run = get_run(db, child)
        assert (run.parent, run.parent_episode) == (parent, checkpoint.episode)
        assert run.mean_return == get_run(db, parent).mean_return


def test_a_fork_with_memory_trains_on_to_the_bit(db, make, train):
    """It remembers what its parent remembered of the episodes in progress."""
    run_id = make(memory="gru")
    assert train(run_id, every=2) is Status.COMPLETED
    at = next(row.episode for row in read_checkpoints(db, run_id) if row.episode >= 20)
    child = fork(db, run_id, episode=at)
    assert train(child) is Status.COMPLETED
    assert_same_records(db, child, run_id)


def test_a_fork_of_a_fork_of_a_fork_reads_buckets_where_they_are(db, long_parent, train):
    """Each begins between two rows of buckets; the last reads rows of four runs."""
    chain, at = [long_parent], 0
    for least in (90, 300, 450):
        at = next(row.episode for row in read_checkpoints(db, chain[-1]) if row.episode >= least)
        chain.append(fork(db, chain[-1], episode=at))
        assert train(chain[-1], every=7) is Status.COMPLETED
    for child in chain[1:]:
        assert_same_records(db, child, long_parent)
        assert_same_charts(db, child, long_parent)
        with db.read() as tx:
            stored = read_buckets(tx, child, 16, experts=2, first=0, last=600)
        assert stored.numbers.tolist() == list(range(600 // 64 * 4)), "none is missing, none is there twice"
    assert own_rows(db, chain[-1], "episodes") == list(range(at + 1, 601))
    with db.write() as tx:
        rebuild_rollups(tx, chain[-1])
    assert_same_charts(db, chain[-1], long_parent)


def test_parents_may_be_deleted_in_any_order_and_their_trunks_go_with_the_last_fork(db, long_parent, train):
    middle = fork(db, long_parent, episode=read_checkpoints(db, long_parent)[3].episode)
    assert train(middle, every=7) is Status.COMPLETED
    last = fork(db, middle, episode=read_checkpoints(db, middle)[2].episode)
    assert train(last) is Status.COMPLETED
    begins = get_run(db, last).parent_episode
    before = [rows(db, last, table) for table in TABLES]
    charts = read_series(db, last, width=50).stats
    control.delete(db, long_parent)
    control.delete(db, middle)
    assert [rows(db, last, table) for table in TABLES] == before
    np.testing.assert_array_equal(read_series(db, last, width=50).stats, charts)
    assert [run.id for run in list_runs(db)] == [last]
    assert len(own_rows(db, long_parent, "episodes")) + len(own_rows(db, middle, "episodes")) == begins
    assert get_run(db, last).parent == middle, "which is known by its id"
    assert not leftovers(db)
    again = fork(db, last, episode=read_checkpoints(db, last)[0].episode)
    assert train(again) is Status.COMPLETED
    assert_same_records(db, again, last)
    control.delete(db, last)
    control.delete(db, again)
    with db.read() as tx:
        assert all_ids(tx) == set()


def test_a_trunk_outlives_a_parent_that_is_taken_back_to_before_it(db, make, train):
    """A completed run that is trained longer continues from before its last rollout, which its end had cut short."""
    parent = make(episodes=300, curriculum="{name: one, phases: [{name: only}]}", every=50)
    assert train(parent, every=3) is Status.COMPLETED
    child = fork(db, parent, episode=300, episodes=330)
    before = [rows(db, child, table) for table in TABLES]
    control.resume(db, parent, episodes=330)
    assert train(parent) is Status.COMPLETED
    assert [rows(db, child, table) for table in TABLES] == before
    assert train(child) is Status.COMPLETED
    assert [row["episode"] for row in rows(db, child, "episodes")] == [str(number) for number in range(1, 331)]
    assert rows(db, child, "episodes")[:300] == before[0]
    control.delete(db, parent)
    assert rows(db, child, "episodes")[:300] == before[0]
    control.delete(db, child)
    with db.read() as tx:
        assert all_ids(tx) == set()


def test_a_fork_of_a_run_whose_import_folders_are_gone_can_take_those_of_here(db, parent, tmp_path):
    launch = json.loads(get_run(db, parent).launch_json) | {"path": [str(tmp_path / "gone")]}
    with db.write() as tx:
        tx.execute(update(schema.runs).values(launch=json.dumps(launch)))
    with pytest.raises(V3Error, match=r"launched with its import folder .* fork \w+ --here"):
        fork(db, parent)
    forked = get_run(db, fork(db, parent, here=True))
    assert json.loads(forked.launch_json)["path"] != launch["path"]


def test_another_seed_draws_other_numbers_from_the_same_weights(db, parent, train):
    at = read_checkpoints(db, parent)[3].episode
    one, two, same = (fork(db, parent, episode=at, seed=seed) for seed in (7, 7, 8))
    for child in (one, two, same):
        assert train(child) is Status.COMPLETED
        assert_same_records(db, child, parent, until=at)
    assert_same_records(db, one, two)
    lengths = [[row["length"] for row in rows(db, run, "episodes", after=at)] for run in (parent, one, same)]
    assert lengths[0] != lengths[1] != lengths[2] != lengths[0]
    assert get_run(db, one).seed == 7
    remarks = [event.message for event in read_events(db, one) if event.kind == "remark"]
    assert remarks == ["The unfinished episodes start from scratch: the fork has seed 7, the checkpoint 3."]


def test_random_numbers_continue_unless_the_seed_is_another(db, parent):
    row = read_checkpoints(db, parent)[3]
    kept, config = load_checkpoint(db.data_dir / row.path), get_run(db, parent).config
    found = []
    for seed in (config.seed, 7, 7, 8):
        changed = config.model_copy(update={"seed": seed})
        state = TrainingState(changed, check_run(changed.environment, changed.curriculum, allow_import=True))
        state.load(db.data_dir / row.path)
        found.append((bytes(state.generator.get_state().tolist()), state.random.bit_generator.state))
    assert found[0] == (bytes(kept["torch_generator"].tolist()), kept["numpy_generator"])
    assert found[1] == found[2]
    for one, two in ((0, 1), (1, 3), (0, 3)):
        assert found[one][0] != found[two][0]
        assert found[one][1] != found[two][1]


def test_an_evaluation_that_came_after_the_checkpoint_is_the_forks_own(db, make, train):
    """Although its parent has one of the same episode: the checkpoint says which was the last."""
    parent = make(curriculum="{name: one, phases: [{name: only}]}")
    assert train(parent, every=1) is Status.COMPLETED
    evaluated = {row.episode for row in read_evaluations(db, parent)}
    files = {row.episode: db.data_dir / row.path for row in read_checkpoints(db, parent) if row.episode in evaluated}
    at = next(episode for episode, file in files.items() if load_checkpoint(file)["evaluated"] < episode < 60)
    child = fork(db, parent, episode=at, assignments=["evaluation.episodes=5"])
    assert train(child) is Status.COMPLETED
    counts = {row.episode: len(row.returns) for row in read_evaluations(db, child)}
    assert {episode: count for episode, count in counts.items() if episode < at} == {
        episode: 2 for episode in evaluated if episode < at
    }
    assert {count for episode, count in counts.items() if episode >= at} == {5}
    assert at in counts


def test_a_fork_knows_the_alarms_of_its_trunk_and_nobody_is_notified_again(db, parent):
    row = AlarmRow(0, "dead_expert", "first", 5, 9, 1.0, 2.0, ACTIVE, "One is dead")
    with db.write() as tx:
        tx.execute(schema.alarms.delete())
        for alarm in (row, replace(row, rule="collapse"), replace(row, first_episode=50, last_episode=55)):
            put_alarm(tx, parent, alarm, actor="worker", now=datetime.now(UTC), notify=True)
    control.mute_alarm(db, parent, 1, "on purpose")
    child = fork(db, parent, episode=next(row.episode for row in read_checkpoints(db, parent) if row.episode >= 20))
    known = [(row.rule, row.first_episode, row.state, row.reason) for row in read_alarms(db, child)]
    assert known == [("dead_expert", 5, "muted", "on purpose"), ("collapse", 5, "active", None)]
    with db.read() as tx:
        assert {run for run, _ in alarm_notices_due(tx, datetime.now(UTC))} == {parent}


def test_only_what_comes_after_the_checkpoint_may_be_changed(db, parent, train):
    at = next(row.episode for row in read_checkpoints(db, parent) if row.episode >= 20)
    changed = parse(FOUR_PHASES.replace("{name: last, routing: sparsemax}", "{name: last, routing: softmax, lr: 1e-5}"))
    child = fork(db, parent, episode=at, curriculum=changed, assignments=["ppo.epochs=2", "episode_facts.x=game.x"])
    assert get_run(db, child).config.ppo.epochs == 2
    assert get_run(db, child).config.episode_facts == {"x": "game.x"}
    assert train(child) is Status.COMPLETED
    assert_same_records(db, child, parent, until=at)
    assert {row["routing"] for row in rows(db, child, "episodes") if row["phase"] == "'last'"} == {"'softmax'"}
    count = len(list_runs(db))
    with pytest.raises(V3Error, match="Phase 1 'first' ended at episode"):
        fork(db, parent, episode=at, curriculum=parse(FOUR_PHASES.replace("from: 2.0", "from: 3.0")))
    for setting in ("policy.experts=3", "policy.memory=gru", "policy.memory_width=8"):
        with pytest.raises(V3Error, match="network of its checkpoint"):
            fork(db, parent, episode=at, assignments=[setting])
    with pytest.raises(V3Error, match=r"phases\.frist\.lr.*Did you mean first"):
        fork(db, parent, episode=at, assignments=["phases.frist.lr=1e-3"])
    with pytest.raises(V3Error, match="give it more with --episodes"):
        fork(db, parent, episode=60)
    with pytest.raises(V3Error, match="Seed −1"):
        fork(db, parent, episode=at, seed=-1)
    assert len(list_runs(db)) == count
    assert not leftovers(db)


def test_any_curriculum_can_be_followed_from_a_checkpoint_on(db, parent, train, tmp_path, capsys, monkeypatch):
    """By the command, which takes one that begins otherwise; what was trained stays as it was."""
    monkeypatch.setattr("v3core.jobs.supervisor.drain", lambda *_: [])
    at = next(row.episode for row in read_checkpoints(db, parent) if row.episode >= 20)
    file = tmp_path / "other.yaml"
    file.write_text(
        "{name: other, phases: [{name: first, until: {episode: 15}, routing: gumbel},"
        " {name: rest, routing: topk, top_k: 2, temperature: 0.5}]}",
        encoding="utf-8",
    )
    assert (
        main(["fork", parent[:8], "--episode", str(at), "--curriculum", str(file), "--set", "phases.rest.lr=1e-5"]) == 0
    )
    child = capsys.readouterr().out.strip()
    assert train(child) is Status.COMPLETED
    assert_same_records(db, child, parent, until=at - 1)
    assert rows(db, child, "episodes")[:at] == rows(db, parent, "episodes")[:at]
    begun = [(change.name, change.episode) for change in read_phase_changes(db, child)]
    assert begun[-1] == ("rest", at), "and not the phase of the parent that begins there"
    later = rows(db, child, "episodes", after=at)
    found = {tuple(row[name] for name in ("phase", "routing", "top_k", "temperature", "lr")) for row in later}
    assert found == {("'rest'", "'topk'", "2", "0.5", "1e-05")}
    again = fork(db, parent, episode=at, curriculum=get_run(db, child).config.curriculum, seed=5)
    assert get_run(db, again).config.curriculum == get_run(db, child).config.curriculum, "as for a further seed"
    with pytest.raises(V3Error, match="trained already; only later ones"):
        fork(
            db,
            child,
            episode=at,
            assignments=["phases.first.lr=1.0"],
            curriculum=parse(file.read_text()),
            from_here=True,
        )


_TOP_1 = ("routing=topk", "top_k=1", "top_k_weights=renormalised")


@pytest.mark.parametrize("from_here", [False, True])
def test_a_fork_may_not_begin_a_phase_in_which_the_router_gets_no_gradient(db, parent, from_here):
    at = next(row.episode for row in read_checkpoints(db, parent) if row.episode >= 20)
    other = parse("{name: other, phases: [{name: only, routing: topk, top_k: 1, top_k_weights: renormalised}]}")
    last = get_run(db, parent).config.curriculum.phases[-1].name
    change = (
        Change(other, from_here=True)
        if from_here
        else Change(assignments=tuple(f"phases.{last}.{part}" for part in _TOP_1))
    )
    with pytest.raises(V3Error, match="gradient of exactly 0"):
        fork_all(db, parent, [change], episode=at)


def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(db, parent):
    known = [row.episode for row in read_checkpoints(db, parent)]
    with pytest.raises(
        V3Error, match=f"has no checkpoint at episode 7; its checkpoints are at {known[0]}, {known[1]},"
    ):
        fork(db, parent, episode=7)
    (db.data_dir / read_checkpoints(db, parent)[1].path).write_bytes(b"PK damaged")
    with pytest.raises(V3Error, match=f"at episode {known[1]} is gone or damaged"):
        fork(db, parent, episode=known[1])
    assert len(list_runs(db)) == 1


def test_a_fork_of_a_run_that_trains_and_of_one_that_was_imported(db, make, train, tmp_path):
    parent, children = make(), []
    assert train(parent, 9, every=2, then=lambda: children or children.append(fork(db, parent))) is Status.COMPLETED
    target = tmp_path / "parent.v3run"
    write_archive(db, parent, target)
    imported = import_archive(db, target, as_new=True)
    children.append(fork(db, imported, episode=get_run(db, children[0]).parent_episode))
    for child in children:
        assert train(child) is Status.COMPLETED
        assert_same_records(db, child, parent)


def test_an_archive_of_a_fork_has_all_of_it(db, parent, train, tmp_path):
    """It is imported as a run whose rows are all its own, here and where nobody has heard of its parent."""
    child = fork(db, parent, episode=read_checkpoints(db, parent)[4].episode)
    assert train(child, every=2) is Status.COMPLETED
    target = tmp_path / "child.v3run"
    write_archive(db, child, target)
    copy = import_archive(db, target, as_new=True)
    assert_same_records(db, copy, parent)
    assert_same_charts(db, copy, parent)
    assert own_rows(db, copy, "episodes") == list(range(1, 61))
    control.delete(db, child)
    control.delete(db, parent)
    assert import_archive(db, target) == child
    assert (get_run(db, child).parent, get_run(db, child).trunk) == (parent, None)
    again = fork(db, child, episode=read_checkpoints(db, child)[0].episode)
    assert train(again) is Status.COMPLETED
    assert_same_records(db, again, copy)


def test_an_archive_of_a_parent_whose_trunk_is_kept_says_what_is_in_the_way(db, parent, tmp_path):
    child = fork(db, parent, episode=read_checkpoints(db, parent)[4].episode)
    target = tmp_path / "parent.v3run"
    write_archive(db, parent, target)
    control.delete(db, parent)
    with pytest.raises(V3Error, match=r"is deleted, but forks of it still use its records; import the .*--as-new"):
        import_archive(db, target)
    assert import_archive(db, target, as_new=True)
    control.delete(db, child)
    assert import_archive(db, target) == parent


def test_a_fork_is_stopped_and_resumed_like_any_run(db, parent, train):
    """Also killed before its first checkpoint, and evaluated when its checkpoint says it is due."""
    at = read_checkpoints(db, parent)[3].episode
    child = fork(db, parent, episode=at)
    for rollouts in (1, 3):
        assert train(child, rollouts, every=2) is Status.FAILED
        control.resume(db, child)
    assert train(child) is Status.COMPLETED
    assert_same_records(db, child, parent)
    assert repr(read_evaluations(db, child)) == repr(read_evaluations(db, parent))
    for row in read_checkpoints(db, child):
        (db.data_dir / row.path).unlink()
    with pytest.raises(V3Error, match="cannot be resumed: its checkpoints are gone"):
        control.resume(db, child, episodes=90)


def test_a_checkpoint_that_was_asked_for_is_kept_and_forks_begin_with_it(db, make, train, monkeypatch):
    monkeypatch.setenv("V3_KEEP_CHECKPOINTS", "1")
    monkeypatch.setattr("v3core.jobs.recorder.POLL_SECONDS", 0.0)
    parent, asked, rollouts = make(episodes=120, curriculum="{name: one, phases: [{name: only}]}"), [], iter(range(999))

    def ask():
        if next(rollouts) == 1:
            asked.append(control.checkpoint(db, parent))

    assert train(parent, 3, every=1, then=ask) is Status.COMPLETED
    (at,) = [row.applied_episode for row in read_commands(db, parent)]
    assert asked
    assert 0 < at < 60
    control.resume(db, parent, episodes=150)
    assert train(parent, every=1) is Status.COMPLETED
    assert [row.episode for row in read_checkpoints(db, parent)] == [0, at, 150]
    child = fork(db, parent, episode=at)
    assert train(child) is Status.COMPLETED
    assert_same_records(db, child, parent, until=100)  # the end of the parent cut its last rollout short


def test_two_at_once_are_two_and_a_double_click_is_one(db, parent):
    found = []
    workers = [threading.Thread(target=lambda: found.append(fork(db, parent, episode=0))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(found)) == 2
    both = partial(fork_all, db, parent, [Change(seed=1), Change(seed=2)], token="c9bf9e57-1685-4c89-bafb-ff5af830be8a")
    assert both(experiment="pairs") == both(experiment="pairs")
    assert [run.experiment for run in list_runs(db)].count("pairs") == 2
    assert {get_run(db, run).trunk for run in found} == {None}, "nothing was trained before episode 0"


def test_a_fork_that_cannot_be_written_leaves_nothing(db, parent, monkeypatch):
    monkeypatch.setattr("v3core.places.place.os.link", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    monkeypatch.setattr(
        "v3core.places.place.shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "No space"))
    )
    with pytest.raises(V3Error, match="The checkpoint cannot be copied"):
        fork(db, parent, episode=0)
    assert len(list_runs(db)) == 1
    assert not leftovers(db)


@pytest.mark.parametrize(
    ("env", "episodes", "memory"),
    [
        ("CartPole-v1", 60, "none"),
        ("CartPole-v1", 60, "gru"),
        ("MiniGrid-DoorKey-5x5-v0", 16, "none"),
        ("LunarLander-v3", 24, "none"),
    ],
)
def test_the_first_rollout_of_a_fork_is_the_parents_own_to_the_bit(db, make, train, env, episodes, memory, capsys):
    """By the command that checks it, which trains it and records nothing."""
    run_id = make(env=env, episodes=episodes, every=1000, memory=memory)
    assert train(run_id, every=2) is Status.COMPLETED
    tables = [rows(db, run_id, table) for table in TABLES]
    at = max(row.episode for row in read_checkpoints(db, run_id) if row.episode <= episodes // 2)
    assert not check_fork(db, run_id, at).differing
    assert main(["fork", run_id, "--episode", str(at), "--check"]) == 0
    assert "equal the run's own to the bit" in capsys.readouterr().out
    assert [rows(db, run_id, table) for table in TABLES] == tables
    with db.write() as tx:
        mine = schema.episodes.c.run_id == run_id
        tx.execute(update(schema.episodes).where(mine).values({"policy_loss": schema.episodes.c.policy_loss + 1e-15}))
    assert main(["fork", run_id, "--episode", str(at), "--check"]) == 1
    assert "policy_loss" in capsys.readouterr().out


def test_a_fork_with_other_environments_takes_its_steps_to_the_exact_number(db, make, train):
    """From where it begins, which need not be a multiple of their number."""
    parent = make(steps=1000, curriculum="{name: one, phases: [{name: all}]}")
    assert train(parent, every=1) is Status.COMPLETED
    at = next(row for row in read_checkpoints(db, parent) if row.step % 3)
    settings = ["ppo.environments=3", "ppo.minibatch=96"]
    for steps in (None, 1001):
        child = fork(db, parent, episode=at.episode, assignments=settings, steps=steps)
        run = get_run(db, child)
        asked = steps or 1000
        assert (run.steps - at.step) % 3 == 0
        assert asked <= run.steps < asked + 3
        assert train(child) is Status.COMPLETED
        assert get_run(db, child).step == run.steps
        assert (run.length.is_by_steps, run.config.steps) == (True, run.steps)
    control.resume(db, child, steps=1200)
    longer = get_run(db, child).steps
    assert (longer - at.step) % 3 == 0
    assert train(child) is Status.COMPLETED
    assert get_run(db, child).step == longer


def test_a_fork_at_a_boundary_is_in_the_phase_of_its_own_curriculum(db, parent, train):
    at = next(change.episode for change in read_phase_changes(db, parent) if change.name == "second")
    other = parse("{name: other, phases: [{name: begun, until: {episode: 5}}, {name: instead, routing: gumbel}]}")
    child = fork(db, parent, episode=at, curriculum=other, from_here=True)
    names = [change.name for change in read_phase_changes(db, child)]
    assert names == ["first", get_run(db, child).config.curriculum.phases[1].name]
    assert get_run(db, child).phase == names[-1] != "second"
    assert train(child) is Status.COMPLETED
    assert [change.name for change in read_phase_changes(db, child)][1] == names[-1]


def test_a_checkpoint_that_is_replaced_while_forks_begin_is_one_for_all_of_them(db, make, train, monkeypatch):
    """Its worker replaces the file of an episode first, and its row afterwards: forks begin with the newer file."""
    parent = make(steps=1900, curriculum="{name: one, phases: [{name: all}]}", env="Pendulum-v1")
    files, original = {}, recorder.Recorder.checkpoint_saved

    def keep(self, path, episode, step):
        files.setdefault(episode, []).append((step, path.read_bytes()))
        original(self, path, episode, step)

    monkeypatch.setattr(recorder.Recorder, "checkpoint_saved", keep)
    assert train(parent, every=1) is Status.COMPLETED
    at, found = next((episode, found) for episode, found in files.items() if episode and len(found) > 2)
    row = next(row for row in read_checkpoints(db, parent) if row.episode == at)
    with db.write() as tx:
        table = schema.checkpoints
        mine = (table.c.run_id == parent, table.c.episode == at)
        tx.execute(update(table).where(*mine).values(step=found[-2][0]))
    original_link, links = os.link, []

    def link(source, target):
        """The parent replaces its file after the first fork has it."""
        original_link(source, target)
        links.append(target)
        if len(links) == 1:
            with replacing(db.data_dir / row.path, durable=False) as unfinished:
                unfinished.write_bytes(found[0][1])

    monkeypatch.setattr("v3core.places.place.os.link", link)
    children = fork_all(db, parent, [Change(seed=1), Change(seed=2), Change(seed=3)], episode=at)
    assert len({file.stat().st_ino for file in links}) == 1
    assert get_run(db, children[0]).step == found[-2][0]
    assert train(children[0]) is Status.COMPLETED
    assert get_run(db, children[0]).step == 1900
    (begun,) = [event.message for event in read_events(db, children[0]) if event.message.startswith("Training from")]
    assert f"at episode {at}" in begun


def test_a_failed_request_leaves_the_folders_of_another_with_its_token(db, parent, monkeypatch):
    """Which may not have committed its rows yet."""
    token = "c9bf9e57-1685-4c89-bafb-ff5af830be8a"
    theirs = run_folder(str(uuid.uuid5(uuid.UUID(token), "fork 1")), db.data_dir) / "checkpoints"
    theirs.mkdir(parents=True)
    (theirs / "episode-00000000.pt").write_bytes(b"of the other")
    with pytest.raises(V3Error, match="The checkpoint cannot be copied"):
        fork_all(db, parent, [Change(seed=1), Change(seed=2)], episode=0, token=token)
    assert [leftover.path for leftover in leftovers(db)] == [theirs.parent], "its own are removed"
    assert (theirs / "episode-00000000.pt").is_file()


def test_the_folder_of_a_fork_that_is_being_created_is_not_tidied_away(db, parent, monkeypatch):
    """It is there before anybody sees its row: found as a leftover, it belongs to a run when it would be deleted."""
    found = []
    original = os.link

    def link(source, target):
        original(source, target)
        found.extend(leftovers(db))

    monkeypatch.setattr("v3core.places.place.os.link", link)
    child = fork(db, parent, episode=0)
    stray = run_folder(str(uuid.uuid4()), db.data_dir)
    stray.mkdir()
    found += [one for one in leftovers(db) if one.path == stray]
    assert [one.path.name for one in found] == [child, stray.name]
    assert remove_leftovers(db, found) == []
    assert (db.data_dir / read_checkpoints(db, child)[0].path).is_file()
    assert not stray.exists()


def test_a_trunk_that_no_fork_needs_any_more_goes(db, parent, monkeypatch):
    """Also if the last fork is deleted while the rows of its parent are, or a version before left the trunk there."""
    child = fork(db, parent, episode=read_checkpoints(db, parent)[4].episode)
    original, done = runs.remove_hidden_part, []

    def remove(tx, run_id, after=0):
        if not done and run_id == parent:
            done.append(True)
            tx.execute(schema.runs.delete().where(schema.runs.c.id == child))
        return original(tx, run_id, after)

    monkeypatch.setattr(runs, "remove_hidden_part", remove)
    control.delete(db, parent)
    assert done
    with db.read() as tx:
        assert all_ids(tx) == set()


def test_a_trunk_that_was_left_behind_is_removed_at_the_next_look(db, parent):
    child = fork(db, parent, episode=read_checkpoints(db, parent)[4].episode)
    control.delete(db, parent)
    with db.write() as tx:
        tx.execute(schema.runs.delete().where(schema.runs.c.id == child))
    assert remove_abandoned(db) == [parent]
    with db.read() as tx:
        assert all_ids(tx) == set()
