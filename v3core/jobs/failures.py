"""What ended a run, as one sentence and as a traceback."""

import traceback

from v3core.errors import V3Error

REASON_CHARACTERS = 300


def describe_failure(error: BaseException) -> str:
    """One sentence for what ended a run."""
    if isinstance(error, V3Error):
        return str(error)
    text = " ".join(str(error).split())[:REASON_CHARACTERS].rstrip(".")
    return f"Training ended with {type(error).__name__}{': ' if text else ''}{text}."


def failure_text(error: BaseException) -> str:
    """The traceback, with its causes."""
    return "".join(traceback.format_exception(error))
