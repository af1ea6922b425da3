"""A run goes from one V3 Lab to another, and back, and is the same."""

import json
import math
import zipfile

import pytest

from tests.archive.conftest import members
from tests.episode_table import read_episodes
from tests.store.recorded import record
from tests.store.reference import full_rows, stored_rows
from v3core.archive import import_archive, write_archive
from v3core.curriculum import Length
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.files import run_folder
from v3core.jobs.kept_replays import recorded_replays, replay_file
from v3core.jobs.lifecycle import Status, change_status
from v3core.jobs.logs import read_log_tail
from v3core.store.commands import read_commands, read_revisions
from v3core.store.export import export_folder
from v3core.store.history import newest_event, read_ends, read_events
from v3core.store.runs import get_run, list_runs, set_length
from v3core.training.checkpoint import load_checkpoint


def test_an_imported_run_is_the_same_to_the_last_byte(here, there, run, archive, tmp_path):
    assert import_archive(there, archive) == run
    write_archive(there, run, tmp_path / "again.v3run")
    before, after = members(archive), members(tmp_path / "again.v3run")
    assert before.keys() == after.keys()
    events = after.pop("tables/events.jsonl").splitlines(keepends=True)
    assert b"".join(events[:-1]) == before.pop("tables/events.jsonl")
    assert b"Imported from an archive" in events[-1]
    commands = [json.loads(line) for line in after.pop("tables/commands.jsonl").splitlines()]
    settled = "The run was archived before the command was carried out."
    assert [row[-2:] for row in commands[1:]] == [[settled, 2], [settled, None]], "open commands are settled"
    for name in ("manifest.json", "tables/commands.jsonl", "tables/curriculum_revisions.jsonl"):
        before.pop(name)
        after.pop(name, None)
    assert before == after

    export_folder(here, [run], tmp_path / "a", "csv")
    export_folder(there, [run], tmp_path / "b", "csv")
    of_evaluations = ("evaluations", "evaluation_experts", "state_maps", "knockouts")
    for name in ("episodes", "expert_loads", *of_evaluations, "process_samples"):
        assert (tmp_path / "a" / f"{name}.csv").read_bytes() == (tmp_path / "b" / f"{name}.csv").read_bytes()


def test_a_length_in_environment_steps_goes_with_its_run(here, there, run, tmp_path):
    with here.write() as tx:
        set_length(tx, get_run(tx, run), Length.of(None, 5000))
    write_archive(here, run, tmp_path / "steps.v3run")
    import_archive(there, tmp_path / "steps.v3run")
    found = get_run(there, run)
    assert (found.steps, found.config.steps, found.length.is_by_steps) == (5000, 5000, True)


def test_an_archive_of_a_version_without_lengths_in_steps_is_imported(there, run, forged):
    def older(content):
        values = json.loads(content["run.json"])
        assert values.pop("steps") is None
        config = json.loads(content["config.json"])
        assert config.pop("steps") is None
        content["run.json"], content["config.json"] = (json.dumps(part).encode() for part in (values, config))

    import_archive(there, forged(older))
    assert (get_run(there, run).steps, get_run(there, run).length.is_by_steps) == (None, False)


def test_replays_go_with_their_run_and_damaged_ones_are_refused(here, there, run, archive, tmp_path):
    import_archive(there, archive)
    assert recorded_replays(there, run) == [10]
    assert replay_file(there, run, 10).read_bytes() == replay_file(here, run, 10).read_bytes()
    replay_file(here, run, 10).write_bytes(b"something else")
    write_archive(here, run, tmp_path / "damaged.v3run")
    with pytest.raises(V3Error, match="has no replays"):
        import_archive(there, tmp_path / "damaged.v3run", as_new=True)
    assert len(list_runs(there)) == 1


def test_what_is_not_a_number_stays_so(there, run, archive):
    import_archive(there, archive)
    returns = read_episodes(there, run)["return"]
    assert math.isnan(returns[2])
    assert returns[3:5].tolist() == [math.inf, -math.inf]


def test_an_imported_run_shows_and_can_be_resumed(there, run, archive, monkeypatch):
    import_archive(there, archive)
    assert [row.id for row in list_runs(there)] == [run]
    row = get_run(there, run)
    assert (row.status, row.episode, row.host) == ("stopped", 12, None)
    assert "; trained on" in read_events(there, run)[-1].message
    assert [command.is_open for command in read_commands(there, run)] == [False, False]
    assert [revision.state for revision in read_revisions(there, run)] == ["applied", "rejected"]
    assert "a line" in read_log_tail(run, 3, there.place)
    with there.read() as tx:
        newest = newest_whole(there, run, tx)
    assert newest is not None
    assert load_checkpoint(there.data_dir / newest.path)["episode"] == 10
    monkeypatch.setattr("v3core.jobs.control.drain", lambda db, command: [])
    control.resume(there, run)
    assert get_run(there, run).status == "queued"


@pytest.mark.parametrize(
    ("status", "becomes"), [("completed", "completed"), ("failed", "failed"), ("lost", "lost"), ("running", "stopped")]
)
def test_ended_stays_ended_and_what_ran_is_stopped(here, there, new_run, episode, tmp_path, status, becomes):
    run = record(here, new_run(here), episode)
    with here.write() as tx:
        tx.exec_driver_sql(f"UPDATE runs SET status = '{status}', webhook = 'due'")
    written = write_archive(here, run, tmp_path / "run.v3run")
    assert (written.episodes, written.checkpoints, written.missing) == (12, 0, 2)
    import_archive(there, tmp_path / "run.v3run")
    row = get_run(there, run)
    assert (row.status, row.webhook) == (becomes, None)
    assert row.reason == ("The run was running when it was archived." if status == "running" else None)


def test_an_imported_run_has_the_buckets_that_it_had(here, there, new_run, episode, tmp_path):
    run = record(here, new_run(here), episode, count=300)
    write_archive(here, run, tmp_path / "run.v3run")
    import_archive(there, tmp_path / "run.v3run")
    assert stored_rows(there, run) == stored_rows(here, run)
    assert stored_rows(there, run).keys() == full_rows(300)


def test_the_past_of_an_imported_run_is_no_news(here, there, new_run, episode, tmp_path):
    run = record(here, new_run(here), episode)
    with here.write() as tx:
        row = get_run(tx, run)
        change_status(tx, row, Status.COMPLETED, "Done.", actor="worker", now=row.created_at)
    assert len(read_ends(here, 0, {"completed"})) == 1
    write_archive(here, run, tmp_path / "run.v3run")
    cursor = newest_event(there)
    import_archive(there, tmp_path / "run.v3run")
    assert read_ends(there, cursor, {"completed"}) == []


def test_a_second_import_is_refused_or_gets_a_new_id(there, run, archive):
    import_archive(there, archive)
    with pytest.raises(
        V3Error, match=r"'a run' already exists; delete it first, or import .* under a new id \(--as-new\)\."
    ):
        import_archive(there, archive)
    other = import_archive(there, archive, as_new=True)
    assert other != run
    assert len(read_episodes(there, other)) == len(read_episodes(there, run)) == 12
    assert [revision.revision for revision in read_revisions(there, other)] == [1, 2]
    assert read_commands(there, other)[0].revision == read_revisions(there, other)[1]
    with there.read() as tx:
        assert newest_whole(there, other, tx).path.startswith(f"runs/{other}/")
    control.delete(there, run)
    assert import_archive(there, archive) == run


def test_an_open_file_will_do(there, run, archive):
    with archive.open("rb") as file:
        assert import_archive(there, file) == run


def test_a_run_that_never_trained_can_be_moved(here, there, new_run, tmp_path):
    run = new_run(here, status="queued")
    write_archive(here, run, tmp_path / "run.v3run")
    import_archive(there, tmp_path / "run.v3run")
    assert get_run(there, run).status == "stopped"


def test_checkpoints_are_stored_as_they_are(here, run, archive):
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        for info in file.infolist():
            if info.filename.endswith(".pt"):
                assert info.compress_type == zipfile.ZIP_STORED
                original = run_folder(run, here.data_dir) / info.filename
                assert file.read(info) == original.read_bytes()


def test_an_archive_has_its_suffix(here, run, tmp_path):
    with pytest.raises(V3Error, match=r"use the extension \.v3run"):
        write_archive(here, run, tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()
