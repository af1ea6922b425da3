"""Kills for memory are dated by the count of the process's own control group."""

import os
import time

import pytest

from v3core.jobs import memory_kills
from v3core.jobs.memory_kills import MemoryKills


@pytest.fixture
def counter(tmp_path, monkeypatch):
    """The file with the count of the process's group, at 7."""
    file = tmp_path / "memory.events"
    file.write_text("low 0\noom 9\noom_kill 7\noom_group_kill 0\n")
    monkeypatch.setattr(memory_kills, "_counter_of", lambda pid: file)
    return file


def test_a_kill_is_known_for_a_while_after_the_look_that_found_it(counter, monkeypatch):
    kills = MemoryKills(1)
    assert not kills.happened_lately()
    counter.write_text("oom_kill 8\n")
    kills.look()  # the process is being killed, and not gone yet
    assert kills.happened_lately()
    monkeypatch.setattr(memory_kills, "RECENT_SECONDS", 0.0)
    kills.look()
    assert not kills.happened_lately(), "it was seen alive for longer than it takes to kill a process"


def test_a_kill_counts_however_late_the_end_of_the_process_is_noticed(counter, monkeypatch):
    kills = MemoryKills(1)
    counter.write_text("oom_kill 8\n")
    kills.look()
    now = time.monotonic()
    monkeypatch.setattr(memory_kills.time, "monotonic", lambda: now + 60)
    assert kills.happened_lately()


def test_a_kill_counts_if_the_process_left_its_group_as_it_ended(counter, tmp_path, monkeypatch):
    kills = MemoryKills(1)
    counter.write_text("oom_kill 8\n")
    root = tmp_path / "root"
    root.write_text("oom_kill 20\n")
    monkeypatch.setattr(memory_kills, "_counter_of", lambda pid: root)
    kills.look()
    assert kills.happened_lately()


def test_a_kill_since_the_last_look_counts_and_one_before_the_first_does_not(counter):
    assert not MemoryKills(1).happened_lately()
    kills = MemoryKills(1)
    counter.write_text("oom_kill 8\n")
    assert kills.happened_lately()


def test_kills_in_a_group_before_the_process_was_moved_there_do_not_count(counter, tmp_path, monkeypatch):
    kills = MemoryKills(1)
    other = tmp_path / "other"
    other.write_text("oom_kill 20\n")
    monkeypatch.setattr(memory_kills, "_counter_of", lambda pid: other)
    kills.look()
    assert not kills.happened_lately()


def test_a_count_that_is_gone_tells_of_no_kill(counter):
    kills = MemoryKills(1)
    counter.unlink()
    assert not kills.happened_lately()


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("0::/user.slice/app", "user.slice/app/memory.events"),
        ("0::/", "memory.events"),
        ("9:cpu,memory:/docker/1", "memory/docker/1/memory.oom_control"),
    ],
)
def test_the_group_is_found_in_both_versions(tmp_path, monkeypatch, line, place):
    groups, proc = tmp_path / "cgroup", tmp_path / "proc"
    (groups / place).parent.mkdir(parents=True)
    (groups / place).touch()
    (proc / "1").mkdir(parents=True)
    (proc / "1" / "cgroup").write_text(f"3:pids:/elsewhere\n{line}\n")
    monkeypatch.setattr(memory_kills, "_CGROUPS", groups)
    monkeypatch.setattr(memory_kills, "_PROCESSES", proc)
    assert memory_kills._counter_of(1) == groups / place


def test_where_no_group_is_counted_the_machine_is(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_kills, "_CGROUPS", tmp_path)
    assert memory_kills._counter_of(os.getpid()) == memory_kills._WHOLE_MACHINE
