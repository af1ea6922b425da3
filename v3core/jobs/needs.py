"""What a run demands of where it trains, and whether it is queued again when it is lost."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from v3core.errors import V3Error
from v3core.jobs.launchers.chosen import ADDRESS, NAMES, chosen
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.launchers.on_ray import need_server
from v3core.phrases import listed
from v3core.store.database import Database
from v3core.store.run_row import RunRow

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
    launcher: str | None = None
    """What starts it: `local`, `ray` for any cluster, or the address `ray://HOST:PORT` of one; None: a launcher of the
    kind that whoever queues it has chosen."""

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
        if self.launcher is not None and self.launcher not in NAMES and not ADDRESS.fullmatch(self.launcher):
            raise V3Error(
                "There is no launcher '{launcher}'; choose {names}, or the address ray://HOST:PORT of a cluster.",
                launcher=self.launcher,
                names=listed(NAMES),
            )

    @classmethod
    def of(cls, run: RunRow) -> Self:
        """Those of a run, as far as a new run that is queued here can have them.

        The kind of launcher is left out, and the address of another cluster. A machine of no cluster has no labels, and
        gives no GPUs to single runs: these are left out there.
        """
        _, *addresses = chosen().names
        alone = chosen().name == LocalLauncher.name
        return cls(
            launcher=run.launcher if run.launcher in addresses else None,
            label=None if alone else run.needs_label,
            gpus=None if alone else run.needs_gpus,
            restarts=run.max_restarts,
        )

    @classmethod
    def common(cls, runs: Iterable[RunRow]) -> Self:
        """Those of runs that have the same, as `of`; without the launcher where only that differs."""
        found = [cls.of(run) for run in runs]
        launchers = {needs.launcher for needs in found}
        others = {replace(needs, launcher=None) for needs in found}
        same = others.pop() if len(others) == 1 else cls()
        return replace(same, launcher=launchers.pop() if len(launchers) == 1 else None)

    @property
    def started_by(self) -> str:
        """The kind of launcher that starts it, or the address of its cluster."""
        return self.launcher or chosen().name

    def check(self, database: Database) -> None:
        """Raise V3Error if its launcher cannot meet them, or cannot start runs of this database."""
        if self.started_by in chosen().names:
            chosen().check(database)
        elif self.started_by != LocalLauncher.name:
            need_server(database)
        if self.started_by == LocalLauncher.name and self.label:
            raise V3Error(
                "Only a cluster has nodes with the label {label}, and the run would be started as a process of one "
                "machine; leave that out, or choose the launcher ray.",
                label=self.label,
            )
        if self.started_by == LocalLauncher.name and self.gpus:
            raise V3Error(
                "Only a cluster has nodes with {gpus:g} GPUs, and the run would be started as a process of one "
                "machine; leave that out, or choose the launcher ray.",
                gpus=self.gpus,
            )

    def columns(self) -> dict[str, Any]:
        """The columns of `runs` that keep them."""
        return {
            "launcher": self.started_by,
            "needs_label": self.label,
            "needs_gpus": self.gpus,
            "max_restarts": self.restarts or None,
        }


NO_NEEDS = Needs()
