"""What the trainer reports and requests while it trains. No torch, so that implementations need not load it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol

from v3core.curriculum import Curriculum
from v3core.insight.experts import ExpertReport
from v3core.insight.replays import Replay
from v3core.metrics import EpisodeRecord


@dataclass(frozen=True)
class EvaluationEpisode:
    """One episode played without exploration, noise or learning."""

    number: int  # from 1; the same number starts from the same seed in every evaluation of every run
    return_: float
    length: int
    success: float | None
    task: str | None = None  # its environment, where it is one of several


@dataclass(frozen=True)
class Evaluation:
    """Episodes played apart from training with the policy as it was after `episode` complete episodes."""

    episode: int
    step: int
    env: str
    episodes: tuple[EvaluationEpisode, ...]
    experts: ExpertReport | None = None  # None if no state was a number
    knockouts: Mapping[int, tuple[EvaluationEpisode, ...]] = field(default_factory=dict)
    """At the end of a run, if asked for: the same episodes with all experts (`ALL_EXPERTS`) and without each."""
    replays: Mapping[str, Replay] = field(default_factory=dict)
    """The episodes worth watching, by role (`v3core.insight.replays.ROLES`)."""


@dataclass(frozen=True)
class Spent:
    """Seconds of the training thread, by what it did in them: recording includes checkpoints, pauses count nowhere."""

    acting: float = 0.0
    environments: float = 0.0
    learning: float = 0.0
    recording: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(**{part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(self)})


@dataclass(frozen=True)
class PhaseChange:
    """A phase came into force. The first is phase 0 at episode 0, the start of the run."""

    phase: int  # from 0
    name: str
    planned: int | None  # completed episodes at which the curriculum wants it; None if it names no episode
    episode: int  # completed episodes when it really came into force
    step: int  # environment steps of the whole run at that moment


@dataclass(frozen=True)
class Edit:
    """A new curriculum requested while the run trains."""

    id: int
    curriculum: Curriculum


@dataclass(frozen=True)
class Longer:
    """A new length requested while the run trains."""

    id: int
    episodes: int | None = None  # None leaves what is planned
    steps: int | None = None


@dataclass(frozen=True)
class Orders:
    """The requests to the run since the last call."""

    stop: bool = False  # write a checkpoint and end
    pause: bool = False  # write a checkpoint, then hold in `TrainingHooks.hold` until the next request
    checkpoint: bool = False  # write a checkpoint and continue
    edits: tuple[Edit, ...] = ()  # oldest first; each is applied or rejected before the next rollout
    longer: tuple[Longer, ...] = ()  # likewise


class TrainingHooks(Protocol):
    """The environment of the trainer. Every call is made on the trainer's thread."""

    def trains_on(self, device: str, backend: str) -> None:
        """The device of the network, such as `cpu` or `cuda: NVIDIA H100`, and what computes it: `native` or `eager`.

        Called once, before anything else.
        """

    def sees(self, text: str) -> None:
        """What the policy sees and obeys of the environment, and what is not used; after the first rollout in it."""

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        """Episodes of the rollout just learned from, which may be none; `step` counts the whole run's steps."""

    def spent(self, spent: Spent, steps: int) -> None:
        """What a rollout of `steps` environment steps and its update took, with its record and checkpoints since."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """The policy was evaluated; every episode up to it was handed to `record` before."""

    def update_undone(self, reason: str, in_a_row: int) -> None:
        """A rollout was not learned from, or its update undone, because a number was not finite."""

    def phase_changed(self, change: PhaseChange) -> None:
        """A phase comes into force with the next rollout."""

    def orders(self) -> Orders:
        """Called between an update and the next evaluation or rollout: must be fast."""

    def hold(self, episode: int, *, in_rollout: bool = False) -> None:
        """Called for a pause, after its checkpoint is written; returns once training is to continue.

        A stop or an edit requested meanwhile is in the next `orders`. Settings are frozen within a rollout and its
        update, so an edit does not end a pause that is `in_rollout`.
        """

    def urgent(self) -> Orders:
        """Requests that cannot wait for the next call of `orders`, because the current work takes too long; no edits.

        Called in the middle of long work, before every step of the environments and every gradient step, so it must
        cost next to nothing. A stop ends that work; a pause and a checkpoint are of the end of the rollout before.
        """

    def remark(self, message: str) -> None:
        """Something to note in the run's history, one sentence."""

    def edit_applied(self, edit: Edit, episode: int) -> None:
        """The edit is in force from the next rollout on; `episode` episodes are complete."""

    def edit_rejected(self, edit: Edit, reason: str) -> None:
        """The edit was refused; `reason` is one sentence."""

    def length_applied(self, longer: Longer, curriculum: Curriculum | None, episode: int) -> None:
        """The run trains up to the new length, which `longer` has in full.

        `curriculum` is the one in force from now on, if that took another.
        """

    def length_rejected(self, longer: Longer, reason: str) -> None:
        """The new length was refused; `reason` is one sentence."""

    def checkpoint_path(self, episode: int) -> Path:
        """The file to write the checkpoint to, for this count of completed episodes; its folder exists."""

    def checkpoint_saved(self, path: Path, episode: int, step: int) -> None:
        """The checkpoint is complete on disk. Every episode up to it was handed to `record` before."""
