"""Whether a fork continues as its parent did: its first rollout, trained here, beside what the parent recorded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from v3core.errors import V3Error
from v3core.jobs.forks import Change, Origin, config_of, origin_of
from v3core.jobs.kinds import named
from v3core.messages import _
from v3core.metrics import METRICS, PER_EXPERT, EpisodeRecord
from v3core.phrases import listed
from v3core.store.database import Database
from v3core.store.run_tables import wide_episodes, wide_fields
from v3core.training.hooks import Edit, Evaluation, Longer, Orders, PhaseChange, Spent

_RECORDED = {metric.name: metric.field for metric in METRICS.values() if not metric.per_expert}


@dataclass(frozen=True)
class Compared:
    """The first rollout of a fork in which an episode ended, beside the episodes that its parent recorded."""

    first: int
    last: int
    numbers: int
    """Numbers of each episode, those of its experts included."""
    differing: tuple[str, ...]
    """A sentence for each episode that is not the same to the bit."""


class _FirstRollout:
    """Training hooks that keep the first episodes, then stop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.episodes: list[EpisodeRecord] = []

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:  # noqa: ARG002
        self.episodes += episodes

    def orders(self) -> Orders:
        return Orders(stop=bool(self.episodes))

    def urgent(self) -> Orders:
        return Orders()

    def checkpoint_path(self, episode: int) -> Path:
        return self._folder / f"{episode}.pt"

    def trains_on(self, device: str, backend: str) -> None: ...
    def sees(self, text: str) -> None: ...
    def spent(self, spent: Spent, steps: int) -> None: ...
    def evaluated(self, evaluation: Evaluation) -> None: ...
    def update_undone(self, reason: str, in_a_row: int) -> None: ...
    def phase_changed(self, change: PhaseChange) -> None: ...
    def hold(self, episode: int, *, in_rollout: bool = False) -> None: ...
    def remark(self, message: str) -> None: ...
    def edit_applied(self, edit: Edit, episode: int) -> None: ...
    def edit_rejected(self, edit: Edit, reason: str) -> None: ...
    def length_applied(self, longer: Longer, curriculum: Any, episode: int) -> None: ...
    def length_rejected(self, longer: Longer, reason: str) -> None: ...
    def checkpoint_saved(self, path: Path, episode: int, step: int) -> None: ...


def check_fork(database: Database, run_id: str, episode: int | None = None) -> Compared:
    """Train the first rollout of an unchanged fork in this process; nothing is recorded.

    Args:
        database: an open store.
        run_id: full id of the parent.
        episode: complete episodes of the checkpoint; by default the newest that leaves something to train.

    Raises:
        V3Error: if there is no such checkpoint, or the parent has no episodes beyond it.
    """
    from v3core.training.trainer import train  # torch: seconds to import

    origin = origin_of(database, run_id, episode)
    with TemporaryDirectory() as folder:
        hooks = _FirstRollout(Path(folder))
        file = database.place.bring(database.data_dir / origin.checkpoint.path)
        train(config_of(origin, Change()), curriculum=origin.curriculum, hooks=hooks, checkpoint=file)
    return _compared(origin, hooks.episodes, _recorded(database, origin, len(hooks.episodes)))


def _recorded(database: Database, origin: Origin, count: int) -> list[dict[str, Any]]:
    experts, first = origin.run.experts, origin.checkpoint.episode + 1
    names = [field.name for field in wide_fields(experts)]
    with database.read() as tx:
        rows = [
            dict(zip(names, row, strict=True))
            for row in wide_episodes(tx, origin.run.id, experts, after=first - 1, last=first + count - 1)
        ]
    if len(rows) < count:
        raise V3Error(
            "{named} has recorded {rows:,} episodes beyond episode {value:,}, and the first rollout of a fork ends "
            "{count:,}; let it train further, or choose an earlier checkpoint.",
            named=named(origin.run),
            rows=len(rows),
            value=first - 1,
            count=count,
        )
    return rows


def _compared(origin: Origin, trained: Sequence[EpisodeRecord], recorded: Sequence[dict[str, Any]]) -> Compared:
    differing, numbers = [], 0
    for record, row in zip(trained, recorded, strict=True):
        values = _values(record)
        numbers = len(values)
        other = [name for name, value in values.items() if not _is_same(value, row[name])]
        if other:
            shown = listed(
                [
                    _("{name} {values!r} instead of {row!r}", name=name, values=values[name], row=row[name])
                    for name in other[:3]
                ]
            )
            differing.append(
                _(
                    "Episode {episode} differs in {other} numbers: {shown}.",
                    episode=record.episode,
                    other=len(other),
                    shown=shown,
                )
            )
    first = origin.checkpoint.episode + 1
    return Compared(first, first + len(trained) - 1, numbers, tuple(differing))


def _values(record: EpisodeRecord) -> dict[str, Any]:
    """By the names of the columns, as exports have them."""
    values = {name: getattr(record, field) for name, field in _RECORDED.items()} | {"episode": record.episode}
    for metric in PER_EXPERT:
        for expert, value in enumerate(getattr(record, metric.field), start=1):
            values[f"{metric.name}_{expert}"] = value
    return values


def _is_same(trained: Any, recorded: Any) -> bool:
    """To the bit; the database has null for what is no number, and SQLite no zero with a sign."""
    if isinstance(trained, float):
        if math.isnan(trained):
            return recorded is None or recorded != recorded
        return recorded is not None and (trained + 0.0).hex() == (float(recorded) + 0.0).hex()
    return bool(trained == recorded)
