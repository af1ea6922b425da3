"""Runs of NetHack as they ship: recorded with their facts, failed with a reason."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_for
from v3core.jobs.lifecycle import ENDED

ROOT = Path(__file__).resolve().parents[2]
CRASHING = """
import ctypes
import gymnasium
from nle.env.tasks import NetHackScore

class Crashing(NetHackScore):
    def step(self, action):
        if self._steps > 20:
            ctypes.string_at(0)
        return super().step(action)

gymnasium.register("NetHackCrashing-v0", entry_point=Crashing)
"""


@pytest.fixture
def v3core(tmp_path):
    """Run `python -m v3core …` with a data folder of its own."""

    def run(*arguments, seconds=240, **environment):
        cleaned = {name: value for name, value in os.environ.items() if not name.startswith("V3_")}
        return subprocess.run(
            [sys.executable, "-m", "v3core", *arguments],
            cwd=ROOT,
            env=cleaned | {"V3_DATA_DIR": str(tmp_path / "data")} | environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    return run


SMALL = (
    *("--set", "ppo.rollout_steps=32", "--set", "ppo.minibatch=64"),
    *("--evaluate", "0", "--set", "evaluation.knockout=0"),
)


def test_a_run_records_the_facts_of_its_games(v3core, tmp_path):
    limit = ("--env-arg", "max_episode_steps=60")
    done = v3core("train", "--env", "NetHackScore-v0", "--steps", "1536", *limit, *SMALL)
    assert done.returncode == 0, done.stderr
    connection = sqlite3.connect(tmp_path / "data" / "v3.db")
    facts = [json.loads(text) for (text,) in connection.execute("SELECT facts FROM episodes ORDER BY episode")]
    assert len(facts) >= 16
    assert all(set(one) == {"score", "depth", "turns", "death"} for one in facts)
    assert "time limit" in {one["death"] for one in facts}
    assert max(one["turns"] for one in facts) <= 1000


def test_a_crash_of_the_library_ends_its_run_alone(v3core, tmp_path):
    """Later than the check before a run looks: the run fails with that reason, and the one beside it trains on."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "later_nethack.py").write_text(CRASHING.replace("> 20", "> 120").replace("Crashing-", "Later-"))
    path = {"PYTHONPATH": str(tmp_path / "own")}
    path["TMPDIR"] = str(temporary := tmp_path / "temporary")
    temporary.mkdir()
    envs = ("--env", "later_nethack:NetHackLater-v0", "--env", "NetHackScore-v0")
    limit = ("--env-arg", "max_episode_steps=150", "--set", "ppo.environments=2")
    sizes = ("--set", "ppo.rollout_steps=128", "--set", "ppo.minibatch=64", "--set", "evaluation.episodes=0")
    started = v3core("sweep", *envs, *limit, "--steps", "512", *sizes, **path)
    assert started.returncode == 0, started.stderr

    def ended():
        found = {run["env"]: run for run in json.loads(v3core("runs", "--json", **path).stdout)}
        return found if all(run["status"] in ENDED for run in found.values()) else {}

    by_env = wait_for(ended, "both runs end", seconds=200, pause=2)
    statuses = {env: run["status"] for env, run in by_env.items()}
    assert statuses == {"later_nethack:NetHackLater-v0": "failed", "NetHackScore-v0": "completed"}
    assert "crashed with SIGSEGV" in by_env["later_nethack:NetHackLater-v0"]["reason"]
    wait_for(lambda: not _games(temporary), "the monitors, which end after their runs, leave no folder")


def _games(folder):
    """Folders of NetHack's, at any depth."""
    return [str(path) for path in folder.rglob("nle*")]


def test_a_crash_of_the_library_is_reported(v3core, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "crashing_nethack.py").write_text(CRASHING)
    path = {"PYTHONPATH": str(tmp_path / "own"), "TMPDIR": str(temporary := tmp_path / "temporary")}
    (temporary / "nle-of-another").mkdir(parents=True)
    done = v3core("doctor", "--env", "crashing_nethack:NetHackCrashing-v0", **path)
    assert "crashed the process (SIGSEGV)" in done.stdout + done.stderr
    assert _games(temporary) == [str(temporary / "nle-of-another")]


@pytest.mark.long
def test_a_game_of_more_than_100_000_turns(v3core, tmp_path):
    """In wizard mode nobody starves. A game this long begins again when its run is resumed, and the run says why.

    An extended run is resumed from a checkpoint before its end, up to 15 seconds of training earlier.
    """
    game = ("--env-arg", "wizard=true", "--env-arg", "actions=[SEARCH,WAIT]", "--env-arg", "max_episode_steps=161000")
    one = ("--set", "ppo.environments=1", "--evaluate", "0", "--set", "evaluation.knockout=0")
    quick = ("--set", "ppo.epochs=1", "--set", "ppo.rollout_steps=1024", "--set", "ppo.minibatch=512")
    trained = v3core("train", "--env", "NetHackScore-v0", "--steps", "160000", *game, *one, *quick, seconds=900)
    assert trained.returncode == 0, trained.stderr
    run = trained.stdout.split()[-1]
    resumed = v3core("resume", run, "--steps", "322000")
    assert resumed.returncode == 0, resumed.stderr
    wait_for(lambda: "completed, 322,000 of 322,000 steps" in v3core("show", run).stdout, seconds=900)
    why = "The unfinished episodes start from scratch: an episode was too long to be replayed."
    assert why in v3core("show", run).stdout
    connection = sqlite3.connect(tmp_path / "data" / "v3.db")
    [(length, facts)] = connection.execute("SELECT length, facts FROM episodes").fetchall()
    assert length == 161_000
    assert json.loads(facts)["turns"] > 100_000
    assert json.loads(facts)["death"] == "time limit"
