"""One command to several runs: done for those that accept it, with the reason of each of the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from v3core.errors import V3Error
from v3core.jobs.kinds import named
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError

_SHOWN = 3


@dataclass
class Outcome:
    """What came of a command to several runs."""

    done: list[str] = field(default_factory=list)
    """Ids of the runs for which it was done."""
    refused: dict[str, str] = field(default_factory=dict)
    """Run id to why it was not done, in one sentence."""

    def describe(self, doing: str) -> str:
        """As in `Deleted 3 runs. Not done for 1 run: …`, given what was done, `Deleted {}.`"""
        parts = [doing.format(counted(len(self.done), "run"))] if self.done else []
        if self.refused:
            reasons = list(self.refused.values())
            more = [f"And {len(reasons) - _SHOWN} more."] if len(reasons) > _SHOWN else []
            parts.append(" ".join([f"Not done for {counted(len(reasons), 'run')}:", *reasons[:_SHOWN], *more]))
        return " ".join(parts)


def for_each(runs: Sequence[RunRow], action: Callable[[str], object]) -> Outcome:
    """Call `action` with the id of each run; a V3Error, or a run that is gone by now, does not stop the others."""
    outcome = Outcome()
    for run in runs:
        try:
            action(run.id)
        except UnknownRunError:
            outcome.refused[run.id] = f"{named(run)} was deleted meanwhile."
        except V3Error as error:
            outcome.refused[run.id] = str(error)
        else:
            outcome.done.append(run.id)
    return outcome


def counted(count: int, noun: str) -> str:
    """As in `1 run` and `6 runs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
