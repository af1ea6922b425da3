"""What people ask of runs.

Every function raises V3Error, and changes nothing, for a run that is unknown, or of which `COMMANDS` refuses it now.
"""

from v3core.jobs.control.asking import (
    MOST_NOTES,
    MOST_TAGS,
    annotate,
    ask,
    checkpoint,
    need_experiment,
    pause,
    set_priority,
    stop,
    stop_experiment,
    unpause,
    wait_stopped,
)
from v3core.jobs.control.deleting import delete
from v3core.jobs.control.editing import current_curriculum, extend, request_edit
from v3core.jobs.control.kinds import COMMANDS, Command, trained_elsewhere, trains_elsewhere
from v3core.jobs.control.resuming import resume, resume_point

__all__ = [
    "COMMANDS",
    "MOST_NOTES",
    "MOST_TAGS",
    "Command",
    "annotate",
    "ask",
    "checkpoint",
    "current_curriculum",
    "delete",
    "extend",
    "need_experiment",
    "pause",
    "request_edit",
    "resume",
    "resume_point",
    "set_priority",
    "stop",
    "stop_experiment",
    "trained_elsewhere",
    "trains_elsewhere",
    "unpause",
    "wait_stopped",
]
