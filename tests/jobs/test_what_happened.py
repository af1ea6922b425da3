"""What really happened, live edits included, is saved as a preset and can be run again."""

import pytest
import yaml

from tests.jobs.test_forks import rows
from v3core.cli import main
from v3core.curriculum import Curriculum, load_curriculum, parse, preset_names, preset_names_for, renamed
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.forks import fork
from v3core.jobs.lifecycle import Status
from v3core.jobs.what_happened import save_curriculum, what_happened
from v3core.store.commands import edits_of, read_revisions
from v3core.store.history import read_phase_changes
from v3core.store.runs import get_run

pytestmark = pytest.mark.long_on_postgresql

PLAN = """
{name: plan, phases: [
  {name: first, until: {metric: length, at_least: 1, window: 5, max_episodes: 20}, routing: softmax},
  {name: second, temperature: {from: 2.0, to: 1.0}}]}
"""


def edited(curriculum, **changes):
    content = curriculum.to_dict()
    content["phases"][1] |= changes
    return Curriculum.model_validate(content)


@pytest.fixture
def run_id(make, train, db, monkeypatch):
    """A run whose second phase was edited while it was in force, and ended as planned."""
    monkeypatch.setattr("v3core.jobs.recorder.POLL_SECONDS", 0.0)
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])
    run_id = make(curriculum=PLAN, every=1000)
    asked, rollouts = [], iter(range(1000))

    def edit():
        if next(rollouts) == 2:
            asked.append(control.request_edit(db, run_id, edited(parse(PLAN), temperature=0.5, jitter=0.2)))

    assert train(run_id, 3, then=edit) is Status.COMPLETED
    assert asked
    return run_id


def test_phases_are_as_long_as_they_were_and_parted_by_the_edit(db, run_id):
    made = what_happened(db, run_id)
    (_, second) = read_phase_changes(db, run_id)
    numbers = rows(db, run_id, "episodes")
    (last_before, *_) = [int(row["episode"]) for row in reversed(numbers) if row["jitter"] == "0.0"]
    assert [phase.name for phase in made.phases] == ["first", "second", "second (2)"]
    assert made.planned_ends[0] == second.episode
    assert abs(made.planned_ends[1] - last_before) <= 4, "a rollout is finished as it began"
    assert made.phases[2].temperature == 0.5
    assert "1 edit made while it trained" in made.description


def test_it_is_a_preset_that_trains_and_a_fork_of_it_has_the_same_history(db, run_id, make, train, capsys):
    assert main(["save-curriculum", run_id, "as-it-went"]) == 0
    file = capsys.readouterr().out.strip()
    assert yaml.safe_load(open(file, encoding="utf-8"))["name"] == "as-it-went"  # noqa: PTH123, SIM115
    assert "as-it-went" in preset_names_for("CartPole-v1")
    curriculum, is_preset = load_curriculum("as-it-went")
    assert is_preset
    again = make(curriculum=yaml.safe_dump(curriculum.to_dict()), every=1000)
    assert train(again) is Status.COMPLETED
    settings = ("routing", "temperature", "jitter")
    mine, theirs = (
        [[row[name] for name in settings] for row in rows(db, run, "episodes", after=curriculum.planned_ends[1] + 4)]
        for run in (again, run_id)
    )
    assert [row[0] for row in mine] == [row[0] for row in theirs]
    assert [row[1:] for row in mine] == [row[1:] for row in theirs]
    child = fork(db, run_id, seed=9)
    assert train(child) is Status.COMPLETED
    assert get_run(db, child).config.curriculum == control.current_curriculum(db, run_id), "with the edit"
    early = fork(db, run_id, episode=0)
    assert get_run(db, early).config.curriculum == parse(PLAN), "before the edit"
    phases = what_happened(db, child).phases
    assert phases[: len(phases) - 1] == what_happened(db, run_id).phases[: len(phases) - 1]


def test_only_live_edits_of_the_run_itself_are_edits(db, run_id, train):
    """Not those that a fork's trunk had, not a fork's own change, not what a run made longer makes of its ramps."""
    unchanged, changed = fork(db, run_id), fork(db, run_id, curriculum=renamed(edited(parse(PLAN), temperature=0.7)))
    longer = fork(db, run_id, episode=0, episodes=70)
    assert train(changed) is Status.COMPLETED
    control.resume(db, changed, episodes=80)
    control.resume(db, run_id, episodes=80)
    assert len(read_revisions(db, changed)) >= 2
    assert edits_of(db, [run_id, unchanged, changed, longer]) == {run_id: 1}
    assert "made while it trained" not in what_happened(db, changed).description
    in_force = control.current_curriculum(db, unchanged)
    control.request_edit(db, unchanged, edited(in_force, temperature=0.9))
    assert edits_of(db, [run_id, unchanged, changed]) == {run_id: 1, unchanged: 1}


def test_a_run_made_longer_is_not_edited(db, make, train):
    run_id = make(curriculum=PLAN)
    assert train(run_id) is Status.COMPLETED
    control.resume(db, run_id, episodes=80)
    assert len(read_revisions(db, run_id)) == 2, "its ramp holds its value"
    assert edits_of(db, [run_id]) == {}


def test_names_that_are_no_presets_are_refused_and_a_broken_file_is_left_out(db, run_id):
    save_curriculum(db, run_id, "mine")
    for name, problem in (("mine", "already a preset"), ("V3", "already"), ("../up", "not a name"), ("", "not a name")):
        with pytest.raises(V3Error, match=problem):
            save_curriculum(db, run_id, name)
    (db.data_dir / "curricula" / "broken.yaml").write_text("phases: [", encoding="utf-8")
    assert {"mine", "broken"} <= set(preset_names())
    assert "broken" not in preset_names_for("CartPole-v1")
