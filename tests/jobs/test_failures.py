"""What is kept of an error that ended a run."""

import errno
import os

import gymnasium
import numpy as np
import pytest

from v3core.environments import EnvironmentBatch, EnvironmentFailureError, check_environment
from v3core.errors import V3Error
from v3core.jobs import failures
from v3core.jobs.failures import TRACEBACK_CHARACTERS, describe_failure, failure_text


class BrokenEnv(gymnasium.Env):
    """Fails at its first step, in a function of its own."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        """An observation."""
        return np.zeros(2, np.float32), {}

    def step(self, action):
        """Never an observation."""
        self.turn_the_crank()

    def turn_the_crank(self):
        """Where it breaks."""
        raise OverflowError("The crank came off.")


def raised(error, cause=None):
    """The error with a traceback, and with a cause if there is one."""
    try:
        try:
            if cause is not None:
                raise cause
        except BaseException as problem:
            raise error from problem
        raise error
    except BaseException as problem:
        return problem


def test_a_failing_environment_shows_its_own_lines():
    gymnasium.register("Broken-v0", entry_point=BrokenEnv)
    try:
        batch = EnvironmentBatch(check_environment("Broken-v0", allow_import=False), 1, 1)
        with pytest.raises(EnvironmentFailureError) as caught:
            batch.step(np.zeros((1, 1), np.int64))
    finally:
        del gymnasium.registry["Broken-v0"]
    text = failure_text(caught.value)
    assert "in turn_the_crank" in text
    assert 'raise OverflowError("The crank came off.")' in text
    assert text.index("OverflowError: The crank") < text.index("EnvironmentFailureError: Environment Broken-v0")
    assert describe_failure(caught.value).startswith(
        "Environment Broken-v0, copy 1, failed at step 1: step(action) raised Overflow"
    )


def test_an_environment_that_cannot_be_made_shows_its_own_lines():
    def broken():
        raise OverflowError("No crank.")

    gymnasium.register("Unmade-v0", entry_point=broken)
    try:
        with pytest.raises(V3Error, match="cannot be created: No crank") as caught:
            check_environment("Unmade-v0", allow_import=False)
    finally:
        del gymnasium.registry["Unmade-v0"]
    assert 'raise OverflowError("No crank.")' in failure_text(caught.value)


def test_a_long_traceback_keeps_its_head_and_its_tail():
    text = failure_text(raised(ValueError("first " + "x" * 50_000 + " last"), KeyError("the cause")))
    assert len(text) == TRACEBACK_CHARACTERS
    assert text.startswith("Traceback (most recent call last):")
    assert "KeyError: 'the cause'" in text
    assert "omitted …" in text
    assert text.endswith("xxx last")


def test_a_short_traceback_is_whole():
    text = failure_text(raised(ValueError("short")))
    assert text.endswith("ValueError: short")
    assert "left out" not in text


class UnspeakableError(Exception):
    """An exception that cannot be shown."""

    def __str__(self):
        """Not even as text."""
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_shown_is_named():
    assert "UnspeakableError" in failure_text(raised(UnspeakableError()))
    assert describe_failure(UnspeakableError()) == "Training failed with UnspeakableError."


def test_without_the_memory_for_a_traceback_there_is_a_sentence(monkeypatch):
    def short(_):
        raise MemoryError

    monkeypatch.setattr(failures.traceback, "format_exception", short)
    assert failure_text(KeyError("k")) == "KeyError, whose traceback cannot be shown (MemoryError)."


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        raised(V3Error("Environment X failed at step 3: MemoryError."), MemoryError("Unable to allocate 8 GiB")),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_memory_that_ran_out_is_called_so_with_what_to_do(error):
    sentence = describe_failure(error)
    assert sentence.startswith("Out of memory (")
    assert "python -m v3core slots N" in sentence
    assert sentence.count(". ") <= 1
    assert sentence.endswith(".")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_so_wherever_it_was_met(number):
    problem = OSError(number, os.strerror(number), "/data/frames.bin")
    sentence = f"/data/frames.bin cannot be written: {os.strerror(number)}; free some space, then resume the run."
    assert describe_failure(problem) == sentence
    wrapped = raised(V3Error("Environment X failed at step 3: OSError; mend the environment."), problem)
    assert describe_failure(wrapped) == sentence


def test_other_errors_of_the_system_are_not_a_full_disk():
    error = PermissionError(errno.EACCES, "Permission denied", "/data/x")
    assert describe_failure(error).startswith("Training failed with PermissionError: [Errno 13] Permission denied")


def test_a_long_message_is_cut_and_on_one_line():
    sentence = describe_failure(ValueError("a\nb " + "x" * 1000))
    assert sentence.startswith("Training failed with ValueError: a b xxx")
    assert len(sentence) < 350


def test_errors_that_lead_to_each_other_come_to_an_end():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert describe_failure(first) == "Training failed with ValueError: first."
