"""The check before training: every fault gets one sentence, and no environment takes its asker with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from v3core.curriculum import parse
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import apart
from v3core.environments.apart import check_launch, examine_apart
from v3core.environments.examine import examine
from v3core.errors import V3Error
from v3core.messages import translated

MODULE = "tests.environments.odd"
ROOT = Path(__file__).resolve().parents[2]


def examined(how="", name="Odd", seconds=60.0, **args):
    """What is found in this process, and the calls that were made."""
    calls = []
    args = {"how": how, **args} if name == "Odd" else args
    report = examine(EnvironmentSetup(f"{MODULE}:{name}-v0", args), seconds=seconds, say=calls.append)
    for text in (report.fault or "", *report.warnings):
        assert "\n" not in text
    return report, calls


FAULTS = {
    "old reset": "reset(seed=…) returned an array of shape (2,); it must return two values: observation, info.",
    "three from reset": "reset(seed=…) returned 3 values; it must return two values: observation, info.",
    "reset info": "reset(seed=…) returned None as info; it must be a dict.",
    "reset shape": "reset(seed=…): the observation has shape (3,), not (2,); fix the environment.",
    "reset nan": "reset(seed=…) returned an observation with a number that is not finite; all must be finite.",
    "reset nothing": "reset(seed=…) returned None; it must return two values: observation, info.",
    "raises at reset": "reset(seed=…) raised OSError: the port is taken; fix the environment.",
    "actions change": "its action_space is Discrete(3) after reset(seed=…) and was Discrete(2) before; it must",
    "four values": "step(action) returned 4 values; it must return five values: observation, reward, terminated, trunc",
    "six values": "step(action) returned 6 values; it must return five values",
    "an array": "step(action) returned an array of shape (2,); it must return five values",
    "info none": "step(action) returned None as info; it must be a dict.",
    "info list": "step(action) returned 0 values as info; it must be a dict.",
    "reward none": "step(action) returned None as the reward; it must be a number.",
    "reward text": "step(action) returned the string '1' as the reward; it must be a number.",
    "reward array": "step(action) returned an array of shape (1,) as the reward; it must be a number.",
    "reward nan": "step(action) returned a reward of nan, which is not a finite number; fix the environment.",
    "reward infinite": "step(action) returned a reward of inf, which is not a finite number; fix the environment.",
    "reward large": "step(action) returned a reward of −1e+19, too large to learn from (at most 1e+12); scale",
    "reward endless": "step(action) returned a reward of inf, which is not",
    "terminated": "step(action) returned 0.5 as terminated; it must be True or False.",
    "truncated": "step(action) returned None as truncated; it must be True or False.",
    "shape": "step(action): the observation has shape (2, 2), not (2,); fix the environment.",
    "words": "step(action): the observation is of type <U1; fix the environment.",
    "nothing seen": "step(action): the observation has shape (), not (2,); fix the environment.",
    "nan": "step(action) returned an observation with a number that is not finite; all must be finite.",
    "raises": "step(action) raised RuntimeError: the simulator broke; fix the environment.",
    "sys.exit": "step(action) raised SystemExit: bye; fix the environment.",
}


@pytest.mark.parametrize("how", FAULTS)
def test_a_fault_is_one_sentence_that_names_the_call_what_came_and_what_must(how):
    report, _ = examined(how)
    assert report.fault is not None
    assert report.fault.startswith(f"Environment {MODULE}:Odd-v0: {FAULTS[how]}")


def test_a_reset_that_takes_no_seed_is_named():
    report, _ = examined(name="OldReset")
    assert "reset(seed=…) raised TypeError" in report.fault
    assert "unexpected keyword argument 'seed'" in report.fault


WARNINGS = {
    "seed ignored": "Two resets with the same seed, of two copies, returned different observations: its seed",
    "random elsewhere": "Two resets with the same seed, of two copies, returned different observations",
    "remembers": "Two resets with the same seed, one after the other, returned different observations: its seed",
    "double": "An observation that step(action) returned is of type float64 but its observation_space has float32.",
    "beyond": "An observation that step(action) returned is outside the bounds of its observation_space.",
    "success score": "step(action) returned info['success'] = 0.1 at the end of an episode, which is neither True nor",
    "success nan": "step(action) returned info['is_success'] = nan at the end of an episode",
    "space changes": "Its observation_space changes with reset",
}


@pytest.mark.parametrize("how", WARNINGS)
def test_what_does_not_keep_from_training_is_a_warning(how):
    report, _ = examined(how)
    assert report.fault is None
    assert any(text.startswith(WARNINGS[how]) for text in report.warnings), report.warnings


@pytest.mark.parametrize("how", ["", "numpy", "success"])
def test_a_sound_environment_has_neither(how):
    report, calls = examined(how)
    assert (report.fault, report.warnings) == (None, [])
    assert {"its constructor", "reset(seed=…)", "reset()", "step(action)", "Gymnasium's check_env"} == set(calls)


@pytest.mark.parametrize("several", [False, True])
def test_only_actions_that_are_allowed_are_tried(several):
    report, _ = examined(name="Masked", several=several)
    assert report.fault is None


def test_a_slow_environment_is_looked_at_in_part():
    report, _ = examined(seconds=-1.0)
    assert report.fault is None
    assert report.warnings == ["The check ended after −1 s, before it was complete."]


def apart_of(how, seconds=60.0, curricula=()):
    return examine_apart(
        EnvironmentSetup(f"{MODULE}:Odd-v0", {"how": how}), curricula, allow_import=True, seconds=seconds
    )


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("os._exit", "step(action) ended the process with exit code 3; fix the environment."),
        ("crashes", "step(action) crashed the process (SIGSEGV); fix the environment."),
    ],
)
def test_an_environment_that_ends_its_process_leaves_ours(how, sentence):
    with pytest.raises(V3Error) as caught:
        apart_of(how)
    assert str(caught.value) == f"Environment {MODULE}:Odd-v0: {sentence}"


@pytest.mark.parametrize(
    ("how", "call"),
    [
        ("hangs when made", "its module or its constructor"),
        ("hangs at reset", "reset(seed=…)"),
        ("hangs", "step(action)"),
    ],
)
def test_an_environment_that_hangs_is_left_after_a_while(how, call, monkeypatch):
    """The process is waited for in earnest until it calls the environment; only then does the clock run fast."""
    original = apart.queue.Queue.get

    def get(self, timeout=None):
        line = original(self, timeout=60 if not reached else 1)
        reached.extend([line] if line and json.loads(line).get("call") == call else [])
        return line

    reached = []
    monkeypatch.setattr(apart.queue.Queue, "get", get)
    with pytest.raises(V3Error) as caught:
        apart_of(how, seconds=60)
    assert str(caught.value) == f"Environment {MODULE}:Odd-v0: {call} did not return within 60 s; fix the environment."


def test_what_an_environment_prints_is_not_taken_for_the_answer(capfd):
    (report,) = apart_of("prints")
    assert (report.fault, report.warnings) == (None, [])
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "from native code" in printed.err


def test_a_launch_checks_every_environment_of_its_phases():
    curriculum = parse("{name: c, phases: [{name: a, until: {episode: 2}}, {name: b, env_args: {how: success score}}]}")
    setup = EnvironmentSetup(f"{MODULE}:Odd-v0")
    (warning,) = check_launch(setup, [curriculum], allow_import=True).warnings
    assert warning.startswith(f"{MODULE}:Odd-v0 (how=success score): step(action) returned info['success'] = 0.1")
    bad = parse("{name: c, phases: [{name: a, until: {episode: 2}}, {name: b, env_args: {how: four values}}]}")
    with pytest.raises(V3Error, match=r"step\(action\) returned 4 values"):
        check_launch(setup, [bad], allow_import=True)


@pytest.mark.parametrize(
    ("arguments", "english", "chinese"),
    [
        ({"hwo": "x"}, "Did you mean how", "没有参数“hwo”；它接受 "),
        ({"zzzzzzzzz": "x"}, "it accepts how", "没有参数“zzzzzzzzz”；它接受 "),
    ],
)
def test_what_another_process_refused_is_said_in_the_language_of_the_reader(arguments, english, chinese):
    with pytest.raises(V3Error, match=english) as refused:
        check_launch(EnvironmentSetup(f"{MODULE}:Odd-v0", arguments), [], allow_import=True)
    said = translated(refused.value, "zh_CN")
    assert said.startswith(f"环境 {MODULE}:Odd-v0 {chinese}")
    assert ("Did you mean" in str(refused.value)) == ("您是否指" in said)


def test_what_comes_with_gymnasium_needs_no_process(monkeypatch):
    monkeypatch.setattr(apart, "examine_apart", None)
    assert check_launch(EnvironmentSetup("CartPole-v1"), [], allow_import=False).warnings == []
    with pytest.raises(V3Error, match="Did you mean CartPole-v1"):
        check_launch(EnvironmentSetup("CartPol-v1"), [], allow_import=False)


def test_a_process_of_its_own_imports_nothing_that_is_not_allowed():
    with pytest.raises(V3Error, match="'antigravity:Fly-v0' imports code, which is only possible from"):
        examine_apart(EnvironmentSetup("antigravity:Fly-v0"), allow_import=False)


def test_the_check_imports_no_torch():
    code = "import sys, v3core.environments.apart; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("env", ["CartPole-v1", "Blackjack-v1", "Pendulum-v1", "MiniGrid-DoorKey-5x5-v0"])
def test_what_comes_with_us_is_sound(env):
    report = examine(EnvironmentSetup(env), seconds=60.0, say=lambda call: None)
    assert (report.fault, report.warnings) == (None, [])
