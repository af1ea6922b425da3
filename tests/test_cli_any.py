"""Every command, found by walking the tree: whatever number, encoding or reader it meets, it ends in order."""

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from v3core.cli import commands, main
from v3core.jobs import worker
from v3core.jobs.lifecycle import Status
from v3core.store.alarms import ACTIVE, AlarmRow, put_alarm
from v3core.store.opening import open_database
from v3core.store.runs import list_runs, update_run

ROOT = Path(__file__).resolve().parents[1]
NAME = "Lauf 🧪 é"
GIVEN = {
    "env": "CartPole-v1",
    "episodes": "30",
    "number": "1",
    "boundaries": "4,8",
    "port": "0",
    "days": "30",
    "episode": "1",
    "seed": "1",
    "experiment": NAME,
    "name": NAME,
    "notes": NAME,
    "reason": NAME,
}
"""What a parameter is given where a command must run; a new one that is required needs a line here."""
NUMBERS = (
    "99999999999999999999",
    "-99999999999999999999",
    "9" * 5000,
    "9223372036854775807",
    "-1",
    "nan",
    "inf",
    "1e400",
)
TEXTS_WITH_NUMBERS = {"seeds", "boundaries", "number", "assignments", "env_args"}
"""Parameters that are text, in which numbers are read."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A data folder with one run that has a checkpoint and letters that few encodings have."""
    folder = tmp_path_factory.mktemp("recorded") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("V3_DATA_DIR", str(folder))
        patch.delenv("V3_DATABASE_URL", raising=False)
        assert main(["train", "--env", "CartPole-v1", "--episodes", "12", "--name", NAME]) == 0
        with closing(open_database()) as database:
            (run,) = list_runs(database)
            with database.write() as tx:
                values = {"experiment": NAME, "tags": "🧪", "notes": "→", "status": Status.STOPPED, "reason": "Ende 🛑"}
                values |= {"traceback": "🧨"}
                update_run(tx, run.id, values, only_in=[Status.COMPLETED])
                alarm = AlarmRow(1, "dead_experts", "🧪", 12, 12, 1.0, 0.5, ACTIVE, "🧪 is dead")
                put_alarm(tx, run.id, alarm, actor=NAME, now=datetime.now(UTC), notify=False)
        assert main(["archive", run.id, "--to", str(folder.parent / "run.v3run")]) == 0
    return folder


@pytest.fixture
def lab(recorded, tmp_path, monkeypatch):
    """A copy of it for one command, of which no run is started or trained; returns the run's id."""
    shutil.copytree(recorded, tmp_path / "data")
    shutil.copy(recorded.parent / "run.v3run", tmp_path / "run.v3run")
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    for module in ("launcher", "supervisor", "control"):
        monkeypatch.setattr(f"v3core.jobs.{module}.drain", lambda *_, **__: [])
    monkeypatch.setattr(worker, "train_here", lambda *_, **__: (run.id, Status.COMPLETED))
    with closing(open_database()) as database:
        (run,) = list_runs(database)
    return run.id


def value_of(parameter, run_id, folder):
    """What a parameter that is required gets."""
    if parameter.name in GIVEN:
        return GIVEN[parameter.name]
    if parameter.name in {"run_id", "run_ids", "checkpoint"}:
        return run_id
    if parameter.name == "source":
        return str(folder / "run.v3run")
    if parameter.name == "target":
        ending = next((one for one in ("v3run", "html") if one in (parameter.metavar or "")), "csv")
        return str(folder / f"neu 🧪.{ending}")
    raise AssertionError(f"Say in GIVEN what {parameter.opts[0]} gets.")


def words(command, run_id, folder, chosen=None, text=""):
    """The command with all it needs; the parameter `chosen` is given `text`."""
    given = [command.name] + (["--as-new"] if command.name == "import" else [])
    arguments = []
    for parameter in command.params:
        is_argument = isinstance(parameter, click.Argument)
        wanted = parameter.required or parameter.name in {"run_ids", "run_id", "notes", "reason"}
        if parameter is not chosen and not wanted:
            continue
        value = text if parameter is chosen else value_of(parameter, run_id, folder)
        arguments += [value] if is_argument else []
        given += [] if is_argument else [f"{parameter.opts[0]}={value}"]
    return [*given, "--", *arguments]


def numeric_parameters():
    """Each parameter of each command in which a number is read."""
    for name, command in commands.commands.items():
        for parameter in command.params:
            numeric = isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
            if numeric or parameter.name in TEXTS_WITH_NUMBERS:
                yield pytest.param(command, parameter, id=f"{name} {parameter.opts[0]}")


@pytest.mark.parametrize(("command", "parameter"), list(numeric_parameters()))
def test_any_number_is_taken_or_refused_in_one_sentence(lab, tmp_path, capsys, command, parameter):
    for number in NUMBERS:
        text = {"assignments": f"ppo.epochs={number}", "env_args": f"size={number}"}.get(parameter.name, number)
        code = main(words(command, lab, tmp_path, parameter, text))
        printed = capsys.readouterr().err
        assert code in (0, 1, 2), (number, printed)
        if code:
            assert len(printed.strip().splitlines()) == 1, (number, printed)


LISTING = [name for name in commands.commands if name not in {"serve", "worker"}]
"""`serve` becomes another program, and `worker` writes into a log that the launcher has opened as UTF-8."""


def in_order(command, lab, folder):
    """Run a command, one that must succeed; `doctor` may find this machine wanting."""
    code = main(words(command, lab, folder))
    assert code == 0 or command.name in {
        "doctor",
        "make-replay",  # which a server has not begun
        "save-curriculum",  # under a name that is not one of a file
        "extend",
        "pause",
        "continue",
        "checkpoint",
        "move",
        "stop",
        "priority",
    }, code
    return code


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("name", LISTING)
def test_any_encoding_can_say_everything(lab, tmp_path, monkeypatch, name, encoding):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    in_order(commands.commands[name], lab, tmp_path)


@pytest.mark.parametrize("name", LISTING)
def test_a_reader_who_has_gone_ends_no_command(lab, tmp_path, monkeypatch, name):
    def closed():
        reader, writer = os.pipe()
        os.close(reader)
        return io.TextIOWrapper(io.FileIO(writer, "w"), encoding="utf-8", write_through=True)

    monkeypatch.setattr(sys, "stdout", closed())
    monkeypatch.setattr(sys, "stderr", closed())
    code = in_order(commands.commands[name], lab, tmp_path)
    assert code in (0, 1)


PRINTS = """
import os, subprocess
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

print("imported: not ours")

class Loud(CartPoleEnv):
    def __init__(self):
        super().__init__()
        print("made: not ours")

    def reset(self, **options):
        print("reset: not ours", flush=True)
        os.write(1, b"of native code: not ours\\n")
        subprocess.run(["echo", "of another process: not ours"])
        return super().reset(**options)

gymnasium.register("Loud-v0", Loud, max_episode_steps=20)
"""


@pytest.fixture
def shell(tmp_path):
    """Run `python -m v3core …` in a folder with a loud environment; `reader` is the shell's other end of the pipe."""
    (tmp_path / "loud.py").write_text(PRINTS)

    def run(*arguments, reader="cat", **variables):
        cleaned = {name: value for name, value in os.environ.items() if not name.startswith("V3_")}
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        return subprocess.run(
            [
                "bash",
                "-c",
                f'"$@" | {reader}; exit "${{PIPESTATUS[0]}}"',
                "bash",
                sys.executable,
                "-m",
                "v3core",
                *arguments,
            ],
            cwd=tmp_path,
            env=cleaned | {"V3_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": path} | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_standard_output_is_the_commands_own(shell, tmp_path):
    trained = shell("train", "--env", "loud:Loud-v0", "--episodes", "5", "--name", NAME, PYTHONIOENCODING="latin-1")
    assert trained.returncode == 0, trained.stderr
    run_id = trained.stdout.strip()
    assert (len(run_id), trained.stdout.count("\n")) == (36, 1)
    for source in ("imported", "made", "reset", "of native code", "of another process"):
        assert f"{source}: not ours" in trained.stderr
    evaluated = shell("evaluate", run_id, "--episodes", "2", "--json")
    assert json.loads(evaluated.stdout)["trained_episodes"] == 5
    assert json.loads(shell("graph", "loud:Loud-v0", "--json").stdout)["env"] == "loud:Loud-v0"
    listed = shell("runs", PYTHONIOENCODING="ascii")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert r"Lauf \U0001f9ea \xe9" in listed.stdout


def test_a_reader_who_leaves_while_a_run_trains_does_not_fail_it(shell):
    left = shell("train", "--env", "loud:Loud-v0", "--episodes", "40", reader="true", BASH_ENV="/dev/null")
    both = shell("train", "--env", "CartPole-v1", "--episodes", "40", reader="head -c 1")
    assert (left.returncode, both.returncode) == (0, 0)
    listed = shell("runs", "--json")
    assert [run["status"] for run in json.loads(listed.stdout)] == ["completed", "completed"]
    full = shell("runs", reader="cat >/dev/null; true")
    assert full.stderr == ""
