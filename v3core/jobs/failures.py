"""The error that ended a run: one sentence for everyone, and the traceback for debugging."""

import errno
import traceback
from collections.abc import Iterator

from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import COMMAND

REASON_CHARACTERS = 300
TRACEBACK_CHARACTERS = 20_000
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "Cannot allocate memory")
"""What torch and the system say instead of raising a MemoryError."""


def describe_failure(error: BaseException) -> str:
    """One sentence about what ended a run: what went wrong and, if known, what to do."""
    for cause in _chain(error):
        if isinstance(cause, MemoryError) or (
            isinstance(cause, RuntimeError | OSError) and any(words in _text(cause) for words in _OUT_OF_MEMORY)
        ):
            return _(
                "Out of memory ({name}); let fewer runs train at once ({command} slots N), or train a smaller "
                "network in fewer environments.",
                name=_name(cause),
                command=COMMAND,
            )
        if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            problem = cause.strerror or _("No space left on device")
            if not cause.filename:
                return _("{problem}; free some space, then resume the run.", problem=problem)
            return _(
                "{file} cannot be written: {problem}; free some space, then resume the run.",
                file=cause.filename,
                problem=problem,
            )
    if isinstance(error, V3Error):
        return _text(error)
    return _("Training failed with {name}.", name=_name(error))


def failure_text(error: BaseException) -> str:
    """The traceback with the errors that led to this one, the first of them at the top.

    A V3Error that wraps an environment's own error shows the environment's lines. At most 20,000 characters: of a
    longer one the middle is left out, for it begins and ends with what matters.
    """
    try:
        text = "".join(traceback.format_exception(error)).rstrip()
    except Exception as problem:  # where memory ran out it may still be short
        text = f"{type(error).__name__}, whose traceback cannot be shown ({type(problem).__name__})."
    if len(text) <= TRACEBACK_CHARACTERS:
        return text
    left_out = f"\n… {len(text) - TRACEBACK_CHARACTERS:,} characters and more are omitted …\n"
    kept = TRACEBACK_CHARACTERS - len(left_out)
    return text[: kept // 2] + left_out + text[len(text) - (kept - kept // 2) :]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that a traceback shows as having led to it."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _name(error: BaseException) -> str:
    """The error's type and message, on one line."""
    text = " ".join(_text(error).split())[:REASON_CHARACTERS].rstrip(".")
    return f"{type(error).__name__}{': ' if text else ''}{text}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an environment's own exception may fail here too
        return ""
