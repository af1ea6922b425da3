"""Checking environments in a separate process, so that one that hangs, crashes or prints does no harm."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from gymnasium.envs.registration import registry

from v3core.curriculum import Curriculum, dump, parse
from v3core.environment_setup import EnvironmentSetup
from v3core.environments.describe import stored_seen
from v3core.environments.examine import Report, examine, look, look_briefly
from v3core.environments.make import import_minigrid
from v3core.environments.registry import check_run, environments_of
from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import import_folders
from v3core.phrases import stored
from v3core.temporary_files import own_temporary_folder

CALL_SECONDS = 60.0
"""A call of an environment's code that takes longer hangs."""
_SHIPPED = ("gymnasium.envs.", "minigrid.envs.")


def check_launch(
    run: EnvironmentSetup, curricula: Sequence[Curriculum], *, allow_import: bool, seconds: float = CALL_SECONDS
) -> Report:
    """Refuse a run whose environments cannot be trained on; otherwise returns the report on them.

    The registered environments of Gymnasium and MiniGrid are tested with V3 Lab: their spaces are checked, and that a
    reset with the same seed repeats. All others are checked in a separate process.

    `allow_import`: whether code may be imported for it; `seconds`: the most that one call of its code may take.
    """
    if all(_is_shipped(setup) for setup, _ in environments_of(run, curricula)):
        check_run(run, *curricula, allow_import=allow_import)
        reports = [look_briefly(setup, allow_import=allow_import) for setup, _ in environments_of(run, curricula)]
    else:
        reports = examine_apart(run, curricula, allow_import=allow_import, seconds=seconds)
    for report in reports:
        if report.fault is not None:
            raise V3Error(stored(report.fault))
    several = len(reports) > 1
    warnings: list[str] = [
        _("{environment}: {warning}", environment=report.env, warning=stored(text)) if several else stored(text)
        for report in reports
        for text in report.warnings
    ]
    return Report(str(run), warnings=warnings, sees=stored_seen(reports[0].sees))


def examine_apart(
    run: EnvironmentSetup, curricula: Sequence[Curriculum] = (), *, allow_import: bool, seconds: float = CALL_SECONDS
) -> list[Report]:
    """Check the environments of a run in a separate process.

    V3Error, one sentence, if they cannot be created, do not suit one policy, hang, or end the process.
    """
    texts = [dump(curriculum) for curriculum in curricula]
    task = {"run": asdict(run), "curricula": texts, "allow_import": allow_import, "seconds": seconds}
    paths = [path or str(Path.cwd()) for path in sys.path]
    with own_temporary_folder() as variables:
        process = subprocess.Popen(
            [sys.executable, "-m", "v3core.environments.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*import_folders(), *paths]), "PYTHONUNBUFFERED": "1"}
            | variables,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(OSError):  # it died at once: its exit code says so below
                process.stdin.write(json.dumps(task))
                process.stdin.close()
            return _answer(process, process.stdout, run, seconds)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # and its children
            process.wait()


def _answer(process: "subprocess.Popen[str]", output: IO[str], run: EnvironmentSetup, seconds: float) -> list[Report]:
    """What the process reports, line by line: the calls it makes, and its result."""
    lines: queue.Queue[str | None] = queue.Queue()

    def pass_on() -> None:
        with output:
            for line in output:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=pass_on, daemon=True).start()
    env, call = run.env_id, _("its module")
    while True:
        try:
            line = lines.get(timeout=seconds)
        except queue.Empty:
            raise V3Error(
                "Environment {env}: {call} did not return within {seconds:g} s; fix the environment.",
                env=env,
                call=call,
                seconds=seconds,
            ) from None
        if line is None:
            raise V3Error(
                "Environment {env}: {call} {ending}; fix the environment.",
                env=env,
                call=call,
                ending=_ending(process.wait(timeout=10)),
            )
        said = json.loads(line)
        if "call" in said:
            env, call = said["env"], stored(said["call"])
        elif "refused" in said:
            raise V3Error(stored(said["refused"]))
        else:
            return [Report(**report) for report in said["reports"]]


def _ending(code: int) -> str:
    if code >= 0:
        return _("ended the process with exit code {code}", code=code)
    name = signal.Signals(-code).name if -code in {*signal.Signals} else _("signal {value}", value=-code)
    return _("crashed the process ({name})", name=name)


def _is_shipped(setup: EnvironmentSetup) -> bool:
    """Whether it is an environment of Gymnasium or MiniGrid as it comes."""
    if setup.tasks:
        return all(map(_is_shipped, setup.tasks))
    if setup.args or setup.wrappers or ":" in setup.env_id:
        return False
    if setup.env_id.startswith(("MiniGrid-", "BabyAI-")):
        import_minigrid()
    spec = registry.get(setup.env_id)
    return spec is None or str(spec.entry_point).startswith(_SHIPPED)


def _main() -> None:
    """Examine what standard input names; standard output is for the answer alone, whatever environments print."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task: dict[str, Any] = json.load(sys.stdin)
    run = EnvironmentSetup(**task["run"] | {"wrappers": tuple(task["run"]["wrappers"])})
    curricula = [parse(text) for text in task["curricula"]]

    def write(said: dict[str, Any]) -> None:
        answer.write(json.dumps(said) + "\n")
        answer.flush()

    def examined(setup: EnvironmentSetup) -> Report:
        return examine(setup, seconds=task["seconds"], say=lambda call: write({"env": setup.env_id, "call": call}))

    begins = _("its module or its constructor") if ":" in run.env_id else _("its constructor")
    write({"env": run.env_id, "call": begins})
    try:
        check_run(run, *curricula, allow_import=task["allow_import"])
        reports = [
            asdict(_together(setup, examined, allow_import=task["allow_import"]))
            for setup, _ in environments_of(run, curricula)
        ]
    except V3Error as problem:
        write({"refused": str(problem)})
    else:
        write({"reports": reports})
    os._exit(0)  # whatever threads and exit handlers an environment has left


def _together(setup: EnvironmentSetup, examined: Callable[[EnvironmentSetup], Report], *, allow_import: bool) -> Report:
    """The report on an environment; of several at once what was found in each, and what is seen of the whole."""
    if not setup.tasks:
        return examined(setup)
    each = list(map(examined, setup.tasks))
    fault = next((report.fault for report in each if report.fault is not None), None)
    return Report(
        str(setup),
        fault,
        [f"{report.env}: {text}" for report in each for text in report.warnings],
        [f"{report.env}: {text}" for report in each for text in report.notes],
        "" if fault else look(setup, allow_import=allow_import),
    )


if __name__ == "__main__":
    _main()
