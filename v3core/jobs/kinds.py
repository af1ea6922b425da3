"""The commands to a run, each declared once: title, meaning, when it is refused and what carries it out.

Used by `ask` and its companions, the buttons and the command panel, the command line, archives and the table in
docs/jobs.md. A worker carries out a command in the method `answer_KIND` of `jobs/recorder.py`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from v3core.errors import V3Error
from v3core.jobs.identity import is_here
from v3core.jobs.lifecycle import ACTIVE, ENDED, RESUMABLE, STATUS_WORDS, Status
from v3core.messages import Message, _
from v3core.paths import COMMAND
from v3core.store.commands import CHECKPOINT, CONTINUE, EDIT_CURRICULUM, EXTEND, PAUSE, PRIORITY, STOP
from v3core.store.run_row import RunRow

TRAINS = frozenset({Status.RUNNING, Status.STALLED, Status.PAUSED})
_RUN_TO_THE_END = ACTIVE - {Status.STOPPING} | {Status.QUEUED}
_RESUME_LONGER = _("train it longer on Live, or with: {command} resume {id} {longer}")


@dataclass(frozen=True)
class Command:
    """A command to a run."""

    kind: str
    """Its name in the database."""
    title: str
    """On buttons and in lists."""
    icon: str
    """Name of a Material symbol."""
    meaning: str
    """What it does, in one or two sentences."""
    when: Collection[Status]
    """Statuses in which it is accepted."""
    otherwise: Message
    """Why it is refused in other statuses: the end of the sentence `It is already completed; …`."""
    instead: Mapping[Status, Message] = field(default_factory=dict)
    """What to do instead, by status, with the command of the shell; replaces `otherwise`."""
    answered_by: Literal["worker", "at once"] = "worker"
    """`at once` by the process that requests it; the worker carries it out between two rollouts or updates."""
    done: Status | None = None
    """The status in which it is already done or in progress."""
    pending: str = _("Requested; the worker will carry it out shortly.")
    """Tooltip of the button until it is answered."""
    undoes: str = ""
    """A kind that it cancels, even before that one is answered."""
    takes: str = ""
    """Its arguments on the command line; a command without any has a plain button."""
    asked: str = "{} {}"
    """Format of the title with the argument."""
    recorded: bool = True
    """Whether it is a row in the table `commands`; otherwise only the run's history records it."""
    button: bool = True
    """Whether it is a button wherever a run is shown; the others have their own fields."""

    @property
    def shell(self) -> str:
        """Its name on the command line."""
        return "move" if self.kind == EDIT_CURRICULUM else self.kind

    @property
    def is_simple(self) -> bool:
        """Whether `control.ask` requests it: it has no arguments, and only its row needs to be written."""
        return self.recorded and self.answered_by == "worker" and not self.takes and self.kind != STOP

    def refusal(self, run: RunRow, waiting: Collection[str] = (), who: str = _("It")) -> str | None:
        """Why a run refuses it now, in one sentence whose subject is `who`; None if it is accepted.

        `waiting` are the kinds of the commands that the run has not answered yet.
        """
        status = Status(run.status)
        if status not in self.when and self.undoes not in waiting:
            if status is Status.UNREADABLE:
                return _("{who} is unreadable: its row in the database is invalid; it can only be deleted.", who=who)
            hint = self.instead.get(status, self.otherwise)
            if "{" in hint:
                hint = hint.filled(command=COMMAND, id=run.id[:8], longer=_twice(run))
            said = STATUS_WORDS[status]
            if status in ENDED:
                return _("{who} is already {status}; {hint}.", who=who, status=said, hint=hint)
            return _("{who} is {status}; {hint}.", who=who, status=said, hint=hint)
        if self.answered_by == "worker" and status in ACTIVE and not is_here(run):
            return _("{who} trains on host '{host}'; run the command there.", who=who, host=run.host)
        return None


_ALL = (
    Command(
        STOP,
        _("Stop"),
        "stop_circle",
        _("Ends the run after the current rollout, with a checkpoint; by force if it does not end in time."),
        when=ACTIVE | {Status.QUEUED},
        otherwise=_("there is nothing to stop"),
        done=Status.STOPPING,
        pending=_("The run is stopping and writes a checkpoint."),
    ),
    Command(
        PAUSE,
        _("Pause"),
        "pause",
        _("Writes a checkpoint and holds the run, which keeps its process and its slot."),
        when=TRAINS,
        otherwise=_("only a training run can be paused"),
        done=Status.PAUSED,
        pending=_("Pause requested; it takes effect between two rollouts."),
    ),
    Command(
        CONTINUE,
        _("Unpause"),
        "play_arrow",
        _("Continues a paused run from where it is held."),
        when={Status.PAUSED, Status.STALLED},
        otherwise=_("it is not paused"),
        undoes=PAUSE,
    ),
    Command(
        CHECKPOINT,
        _("Checkpoint now"),
        "save",
        _("Writes a checkpoint after the current rollout, which is kept, and continues."),
        when=TRAINS,
        otherwise=_("only a training run can write a checkpoint"),
        pending=_("Checkpoint requested; it is written between two rollouts."),
    ),
    Command(
        EDIT_CURRICULUM,
        _("Curriculum"),
        "edit",
        _("Moves future phase boundaries, or changes future phases, between two updates."),
        when=_RUN_TO_THE_END,
        otherwise=_("its curriculum cannot be changed"),
        instead=dict.fromkeys(
            RESUMABLE,
            _("resume it with other boundaries: {command} resume {id} --boundaries EPISODES"),
        ),
        takes="EPISODES",
        button=False,
    ),
    Command(
        EXTEND,
        _("Train longer"),
        "more_time",
        _("Trains the run up to a later episode or step; phase boundaries do not move."),
        when=_RUN_TO_THE_END,
        otherwise=_("it cannot be trained longer"),
        instead={
            **dict.fromkeys(ENDED - {Status.UNREADABLE}, _RESUME_LONGER),
            Status.STOPPING: _("wait until it has stopped, then resume it with --episodes or --steps"),
        },
        takes="--episodes N or --steps N",
        asked="{} to {}",
        button=False,
    ),
    Command(
        PRIORITY,
        _("Priority"),
        "low_priority",
        _("The waiting run with the highest priority starts first, then the oldest."),
        when=frozenset(Status) - ENDED,
        otherwise=_("priorities only apply to waiting runs"),
        answered_by="at once",
        takes="N",
        button=False,
    ),
    Command(
        "resume",
        _("Resume"),
        "resume",
        _("Continues a run that has ended, from its newest intact checkpoint."),
        when=RESUMABLE,
        otherwise=_("only a run that has ended can be resumed"),
        instead={Status.COMPLETED: _RESUME_LONGER},
        answered_by="at once",
        takes="[--episodes N] [--steps N] [--boundaries EPISODES]",
        recorded=False,
    ),
    Command(
        "delete",
        _("Delete"),
        "delete",
        _("Deletes the run with its records, checkpoints and log, after confirmation."),
        when=ENDED | {Status.QUEUED},
        otherwise=_("stop it before you delete it"),
        answered_by="at once",
        recorded=False,
    ),
)

COMMANDS: Mapping[str, Command] = {command.kind: command for command in _ALL}
"""By kind, in the order of the buttons."""


def length_value(episodes: int | None, steps: int | None) -> str:
    """A new length as the argument of a command: `110`, `20000 steps`, or `110 or 20000 steps`."""
    parts = ["" if episodes is None else str(episodes), "" if steps is None else f"{steps} steps"]
    return " or ".join(part for part in parts if part)


def parse_length(value: str) -> tuple[int | None, int | None]:
    """The inverse of `length_value`: episodes and steps.

    Raises:
        V3Error: if the value is none.
    """
    found = re.fullmatch(r"(\d{1,12})|(\d{1,12}) steps|(\d{1,12}) or (\d{1,12}) steps", value)
    if found is None:
        raise V3Error("'{value}' is not a number of episodes.", value=value)
    episodes, steps = found[1] or found[3], found[2] or found[4]
    return None if episodes is None else int(episodes), None if steps is None else int(steps)


def asked_length(value: str) -> str:
    """The same for people: `episode 110`, `step 20,000`."""
    episodes, steps = parse_length(value)
    if episodes is not None and steps is not None:
        return _("episode {episodes} or step {steps:,}", episodes=episodes, steps=steps)
    if episodes is not None:
        return _("episode {episodes}", episodes=episodes)
    return "" if steps is None else _("step {steps:,}", steps=steps)


def _twice(run: RunRow) -> str:
    """The options of the shell for twice the length of a run."""
    if run.length.is_by_steps and run.steps is not None:
        return f"--steps {2 * run.steps}"
    return f"--episodes {2 * run.episodes}" + ("" if run.steps is None else f" --steps {2 * run.steps}")


def check(kind: str, run: RunRow, waiting: Collection[str] = ()) -> None:
    """Raise V3Error with the reason if a run currently refuses a command."""
    if problem := COMMANDS[kind].refusal(run, waiting, who=named(run)):
        raise V3Error(problem)


def named(run: RunRow) -> str:
    """The run as named in messages of the command line."""
    return _("Run {id} '{name}'", id=run.id[:8], name=run.name)


def trains_elsewhere(run: RunRow) -> str | None:
    """The host on which the run's process is, if that is not this one."""
    return run.host if run.status in ACTIVE and not is_here(run) else None


def trained_elsewhere(run: RunRow) -> str | None:
    """The host on which an ended run was trained, if that is not this one: its checkpoints may be there only."""
    return run.host if run.status in RESUMABLE and not is_here(run) else None
