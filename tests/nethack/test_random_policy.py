"""What the benchmark prints of a random policy, beside which trained ones are shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "nethack.py"


def _run(*options):
    pytest.importorskip("stable_baselines3")
    return subprocess.run([sys.executable, PROGRAM, *options], capture_output=True, text=True, timeout=300)


def test_it_prints_means_with_standard_errors():
    ran = _run("--random", "3", "--limit", "30")
    assert ran.returncode == 0, ran.stderr
    heading, *lines = ran.stdout.splitlines()
    assert heading == "NetHackScore-v0, uniform random policy, 3 episodes, seeds 1 to 3:"
    found = {match[1]: (float(match[2]), float(match[3])) for line in lines if (match := _LINE.fullmatch(line))}
    assert list(found) == ["return", "score", "depth", "steps"]
    assert found["steps"] == (30, 0)
    assert found["depth"][0] >= 1
    assert ran.stdout == _run("--random", "3", "--limit", "30").stdout


def test_a_limit_alone_is_refused():
    ran = _run("--limit", "30")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "--random or --policy, not both, needs a number of episodes; --limit, of steps, goes with it, and nothing "
        "else does.\n"
    )


def test_it_prints_what_a_trained_policy_reaches(tmp_path):
    config = {"environments": 1, "rollout_steps": 32, "minibatch": 32, "epochs": 1}
    settings = [word for name, value in config.items() for word in ("--set", f"ppo.{name}={value}")]
    trained = subprocess.run(
        [sys.executable, "-m", "v3core", "train", "--env", "NetHackScore-v0", "--steps", "32", "--scale", *settings],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"V3_DATA_DIR": str(tmp_path)},
    )
    assert trained.returncode == 0, trained.stderr
    (checkpoint, *_) = sorted(tmp_path.glob("runs/*/checkpoints/*.pt"))
    ran = _run("--policy", str(checkpoint), "2", "--limit", "20")
    assert ran.returncode == 0, ran.stderr
    heading, *lines = ran.stdout.splitlines()
    assert heading == f"NetHackScore-v0, {checkpoint}:"
    found = {match[1]: float(match[2]) for line in lines if (match := _LINE.fullmatch(line))}
    assert list(found) == ["return", "score", "depth", "steps"]
    assert found["steps"] == 20


_LINE = re.compile(r"  (\w+) +(-?[\d.,]+) ± ([\d.,]+)")
