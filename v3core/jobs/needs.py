"""What a run demands of where it trains, and whether it is queued again when it is lost."""

import re
from dataclasses import dataclass
from typing import Any

from v3core.errors import V3Error

MAX_RESTARTS = 100
MAX_GPUS = 64.0
_LABEL = re.compile(r"[\w./-]{1,80}=[\w.-]{1,60}")


@dataclass(frozen=True)
class Needs:
    """The demands of a run.

    Raises:
        V3Error: if one of them is invalid.
    """

    label: str | None = None
    """A label `KEY=VALUE` of the nodes of a cluster that may train it."""
    gpus: float | None = None
    """GPUs of a node, or a fraction of one; None: as the run's device says."""
    restarts: int | None = None
    """How often it is queued again, from its newest checkpoint, when it is lost."""

    def __post_init__(self) -> None:
        if self.label is not None and not _LABEL.fullmatch(self.label):
            raise V3Error(
                "'{label}' is not a label of a node; write it as KEY=VALUE, such as zone=a.", label=self.label
            )
        if self.gpus is not None and not 0 <= self.gpus <= MAX_GPUS:
            raise V3Error(
                "{gpus:g} GPUs for a run are out of range; choose from 0 to {max_gpus:g}.",
                gpus=self.gpus,
                max_gpus=MAX_GPUS,
            )
        if self.gpus is not None and self.gpus > 1 and self.gpus != int(self.gpus):
            raise V3Error(
                "{gpus:g} GPUs for a run are not possible; choose a whole number, or less than one.", gpus=self.gpus
            )
        if self.restarts is not None and not 0 <= self.restarts <= MAX_RESTARTS:
            raise V3Error(
                "{restarts} restarts are out of range; choose from 0 to {max_restarts}.",
                restarts=self.restarts,
                max_restarts=MAX_RESTARTS,
            )

    def columns(self) -> dict[str, Any]:
        """The columns of `runs` that keep them."""
        return {"needs_label": self.label, "needs_gpus": self.gpus, "max_restarts": self.restarts or None}


NO_NEEDS = Needs()
