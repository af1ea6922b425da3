"""What the environment of one run says of its newest episodes."""

from dataclasses import asdict, dataclass
from typing import Any

from v3core.comparison.fact_rows import run_facts
from v3core.comparison.newest import window_of
from v3core.comparison.situation_rows import run_situations
from v3core.insight.situation_loads import SituationResult
from v3core.store.database import Database
from v3core.store.fact_records import FactResult
from v3core.store.phase_window import PhaseWindow
from v3core.store.run_row import RunRow


@dataclass(frozen=True)
class RunNewest:
    """Facts of episodes, and situations."""

    window: PhaseWindow
    facts: list[FactResult]
    situations: list[SituationResult]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        facts = [asdict(one) | {"words": dict(one.words)} for one in self.facts]
        return {"newest": asdict(self.window), "facts": facts, "situations": list(map(asdict, self.situations))}


def read_run_newest(database: Database, run: RunRow) -> RunNewest:
    """Those of the newest episodes of the phase that the run is in."""
    window = window_of(database, run)
    return RunNewest(window, run_facts(database, run, window), run_situations(database, run, window))
