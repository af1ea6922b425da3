"""What can be asked of a run, each declared once: what it is called, what it does, when it is refused, who answers.

Read by `ask` and its companions, buttons and panel of the page, the command line, archives and the table of
docs/jobs.md. How a worker does a command is the method `answer_KIND` of `jobs/recorder.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from v3core.errors import V3Error
from v3core.jobs.identity import is_here
from v3core.jobs.lifecycle import ACTIVE, ENDED, RESUMABLE, Status
from v3core.paths import COMMAND
from v3core.store.commands import CHECKPOINT, CONTINUE, EDIT_CURRICULUM, EXTEND, PAUSE, PRIORITY, STOP
from v3core.store.run_row import RunRow

TRAINS = frozenset({Status.RUNNING, Status.STALLED, Status.PAUSED})
_RUN_TO_THE_END = ACTIVE - {Status.STOPPING} | {Status.QUEUED}
_RESUME_LONGER = f"train it longer on Live, or with: {COMMAND} resume {{id}} --episodes {{longer}}"


@dataclass(frozen=True)
class Command:
    """One thing that can be asked of a run."""

    kind: str
    """Its name in the database."""
    title: str
    """On buttons and in lists."""
    icon: str
    """Name of a Material symbol."""
    meaning: str
    """What it does: one sentence, or two."""
    when: Collection[Status]
    """Statuses in which it can be asked."""
    otherwise: str
    """Why not in another: the end of the sentence `It is completed already; …`."""
    instead: Mapping[Status, str] = field(default_factory=dict)
    """What to do in place of it, by status, as a further part of that sentence."""
    answered_by: Literal["worker", "at once"] = "worker"
    """`at once` by whoever asks; the worker does it between two rollouts or updates."""
    done: Status | None = None
    """The status in which it is done, or being done, already."""
    pending: str = "It was asked for; its worker does it in a moment."
    """On the button until it is answered."""
    undoes: str = ""
    """A kind that it takes back, also while that is not answered yet."""
    takes: str = ""
    """What is given with it, as on the command line; without it a button does it."""
    asked: str = "{} {}"
    """How the title and that are put together."""
    recorded: bool = True
    """Whether it is a row of the table `commands`; else the run's history has it."""
    button: bool = True
    """Whether it is a button wherever a run is shown; the others have fields of their own."""

    @property
    def shell(self) -> str:
        """Its name on the command line."""
        return "move" if self.kind == EDIT_CURRICULUM else self.kind

    @property
    def is_simple(self) -> bool:
        """Whether `control.ask` asks it: nothing is given with it, and nothing but its row need be written."""
        return self.recorded and self.answered_by == "worker" and not self.takes and self.kind != STOP

    def refusal(self, run: RunRow, waiting: Collection[str] = (), who: str = "It") -> str | None:
        """Why it cannot be asked of a run now, one sentence; None if it can.

        Args:
            run: as it is now.
            waiting: kinds of the commands that it has not answered yet.
            who: what the sentence calls the run.
        """
        status = Status(run.status)
        if status not in self.when and self.undoes not in waiting:
            if status is Status.UNREADABLE:
                return f"{who} is unreadable: its row in the database makes no sense; it can only be deleted."
            hint = self.instead.get(status, self.otherwise).format(id=run.id[:8], longer=2 * run.episodes)
            return f"{who} is {status}{' already' if status in ENDED else ''}; {hint}."
        if self.answered_by == "worker" and status in ACTIVE and not is_here(run):
            return f"{who} trains on host '{run.host}'; give the command there."
        return None


_ALL = (
    Command(
        STOP,
        "Stop",
        "stop_circle",
        "Ends it after its present rollout, with a checkpoint; by force if it does not end by itself.",
        when=ACTIVE | {Status.QUEUED},
        otherwise="there is nothing to stop",
        done=Status.STOPPING,
        pending="It is stopping; that writes a checkpoint.",
    ),
    Command(
        PAUSE,
        "Pause",
        "pause",
        "Writes a checkpoint, then holds it; it keeps its process and its slot.",
        when=TRAINS,
        otherwise="only a run that trains can be paused",
        done=Status.PAUSED,
        pending="The pause was asked for; it comes between two rollouts.",
    ),
    Command(
        CONTINUE,
        "Unpause",
        "play_arrow",
        "Continues a paused run where it holds.",
        when={Status.PAUSED, Status.STALLED},
        otherwise="it is not paused",
        undoes=PAUSE,
    ),
    Command(
        CHECKPOINT,
        "Checkpoint now",
        "save",
        "Writes a checkpoint after the present rollout, and continues.",
        when=TRAINS,
        otherwise="only a run that trains can write a checkpoint",
        pending="The checkpoint was asked for; it is written between two rollouts.",
    ),
    Command(
        EDIT_CURRICULUM,
        "Curriculum",
        "edit",
        "Moves the boundaries that lie ahead, or changes what follows, between two updates.",
        when=_RUN_TO_THE_END,
        otherwise="its curriculum cannot be changed",
        instead=dict.fromkeys(
            RESUMABLE, f"resume it with other boundaries: {COMMAND} resume {{id}} --boundaries EPISODES"
        ),
        takes="EPISODES",
        button=False,
    ),
    Command(
        EXTEND,
        "Train longer",
        "more_time",
        "Trains it up to another episode; boundaries stay where they are.",
        when=_RUN_TO_THE_END,
        otherwise="it cannot be trained longer",
        instead={
            **dict.fromkeys(ENDED - {Status.UNREADABLE}, _RESUME_LONGER),
            Status.STOPPING: "wait until it has stopped, then resume it with --episodes",
        },
        takes="--episodes N",
        asked="{} to episode {}",
        button=False,
    ),
    Command(
        PRIORITY,
        "Priority",
        "low_priority",
        "Of the runs that wait, the highest starts first, then the oldest.",
        when=frozenset(Status) - ENDED,
        otherwise="a priority orders only runs that wait",
        answered_by="at once",
        takes="N",
        button=False,
    ),
    Command(
        "resume",
        "Resume",
        "resume",
        "Continues a run that has ended from its newest whole checkpoint.",
        when=RESUMABLE,
        otherwise="only a run that has ended can be resumed",
        instead={Status.COMPLETED: _RESUME_LONGER},
        answered_by="at once",
        takes="[--episodes N] [--boundaries EPISODES]",
        recorded=False,
    ),
    Command(
        "delete",
        "Delete",
        "delete",
        "Deletes its records, checkpoints and log, after asking.",
        when=ENDED | {Status.QUEUED},
        otherwise="stop it before you delete it",
        answered_by="at once",
        recorded=False,
    ),
)

COMMANDS: Mapping[str, Command] = {command.kind: command for command in _ALL}
"""By kind, in the order of the buttons."""


def check(kind: str, run: RunRow, waiting: Collection[str] = ()) -> None:
    """Refuse a command that cannot be asked of a run now.

    Raises:
        V3Error: the sentence of the table.
    """
    if problem := COMMANDS[kind].refusal(run, waiting, who=named(run)):
        raise V3Error(problem)


def named(run: RunRow) -> str:
    """What sentences of the command line call a run."""
    return f"Run {run.id[:8]} '{run.name}'"


def trains_elsewhere(run: RunRow) -> str | None:
    """The host on which the run's process is, if that is not this one."""
    return run.host if run.status in ACTIVE and not is_here(run) else None


def trained_elsewhere(run: RunRow) -> str | None:
    """The host on which an ended run was trained, if that is not this one: its checkpoints may be there only."""
    return run.host if run.status in RESUMABLE and not is_here(run) else None
