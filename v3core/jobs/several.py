"""One command to several runs: done for those that accept it, with the reason of each of the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from v3core.errors import V3Error
from v3core.jobs.kinds import named
from v3core.messages import Message, _
from v3core.phrases import counted as counted
from v3core.phrases import sentences
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

    def describe(self, doing: Callable[[Message], Message]) -> Message:
        """As in `Deleted 3 runs. Not done for 1 run: …`, given what was done to a number of runs."""
        parts: list[str] = [doing(counted(len(self.done), "run"))] if self.done else []
        if self.refused:
            reasons = list(self.refused.values())
            more = [_("And {more} more.", more=len(reasons) - _SHOWN)] if len(reasons) > _SHOWN else []
            undone = _("Not done for {runs}:", runs=counted(len(reasons), "run"))
            parts += [undone, *reasons[:_SHOWN], *more]
        return sentences(*parts)


def for_each(runs: Sequence[RunRow], action: Callable[[str], object]) -> Outcome:
    """Call `action` with the id of each run; a V3Error, or a run that is gone by now, does not stop the others."""
    outcome = Outcome()
    for run in runs:
        try:
            action(run.id)
        except UnknownRunError:
            outcome.refused[run.id] = _("{run} was deleted meanwhile.", run=named(run))
        except V3Error as error:
            outcome.refused[run.id] = error.message
        else:
            outcome.done.append(run.id)
    return outcome
