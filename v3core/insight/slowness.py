"""What a run's process did with its time: samples of a stretch of training each, and why a run is slow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from v3core.messages import _

PARTS = {
    "acting": _("Acting"),
    "environments": _("Environments"),
    "learning": _("Learning"),
    "recording": _("Recording"),
}
"""Fields of a sample to titles: what the training thread does in turn."""
OTHER = _("Other")
"""Evaluations, pauses, and making environments."""

_WAITS, _RECORDS, _MOST = 0.25, 0.1, 0.6
"""From which share of the time on waiting for a processor, recording, or one part is worth a sentence."""


@dataclass(frozen=True)
class ProcessSample:
    """A stretch of a run's time; None where a number is not known."""

    at: datetime
    """Its end."""
    seconds: float
    """Its length."""
    steps: int
    """Environment steps of it."""
    updates: int
    acting: float
    """Seconds in which the policy chose actions."""
    environments: float
    """Seconds in which environments made steps."""
    learning: float
    """Seconds of updates."""
    recording: float
    """Seconds in which the training thread wrote checkpoints and handed over what it had to record."""
    cpu: float
    """Processor time in seconds, of the worker's threads and of the processes that it has started."""
    waited: float | None
    """Seconds in which the training thread was ready to run and no processor was free."""
    machine: float | None
    """Share of the machine's processors that was in use, by this run and others."""
    memory: int
    """Bytes of memory at its end, of the worker and of the processes that it has started."""
    threads: int
    gpu_memory: int | None
    """Bytes of the GPU's memory that the worker holds."""
    gpu: float | None
    """Share of the time in which the GPU was in use."""

    @property
    def steps_per_second(self) -> float:
        """Environment steps per second."""
        return self.steps / self.seconds

    @property
    def seconds_per_update(self) -> float | None:
        """Mean duration of an update; None without one."""
        return self.learning / self.updates if self.updates else None

    @property
    def cores(self) -> float:
        """Processors in use by the run, on average."""
        return self.cpu / self.seconds

    def share(self, part: str) -> float:
        """Of one of `PARTS`, or of `OTHER`: its share of the time."""
        if part == OTHER:
            return max(0.0, 1 - sum(self.share(name) for name in PARTS))
        return min(1.0, float(getattr(self, part)) / self.seconds)


def whole(samples: Sequence[ProcessSample]) -> ProcessSample:
    """Several samples, at least one, as one stretch: sums, and memory, threads and GPU as they were last."""
    last = samples[-1]
    summed = ("seconds", "steps", "updates", "cpu", *PARTS)
    sums = {name: sum(getattr(sample, name) for sample in samples) for name in summed}
    known = [sample.waited for sample in samples if sample.waited is not None]
    return replace(
        last,
        **sums,
        waited=sum(known) if known else None,
        machine=_mean([(sample.machine, sample.seconds) for sample in samples]),
        gpu=_mean([(sample.gpu, sample.seconds) for sample in samples]),
    )


def _mean(weighted: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in weighted if value is not None]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None


def why_slow(sample: ProcessSample) -> str:
    """In one sentence, what a stretch of training took its time for, and what may help.

    Waiting for a processor is in the time of every part; it is named if it is more than what is left of the largest.
    """
    part = max((*PARTS, OTHER), key=sample.share)
    share = sample.share(part)
    waits = min(1.0, (sample.waited or 0.0) / sample.seconds)
    if waits > _WAITS and waits > share * (1 - waits):
        return _(
            "For {waits:.0%} of the time no processor was free for this run: other processes use the machine, or "
            "its container has a limit; train fewer runs at once.",
            waits=waits,
        )
    if sample.share("recording") > _RECORDS:
        return _(
            "Recording takes {share:.0%} of the time, checkpoints included: the disk is slow; keep the data folder "
            "on a local disk.",
            share=sample.share("recording"),
        )
    if share < _MOST:
        return _("No single part takes most of the time.")
    return {
        "acting": _(
            "Choosing actions takes {share:.0%} of the time; a smaller network, or more environments side by side, "
            "makes each step cheaper.",
            share=share,
        ),
        "environments": _(
            "The environments take {share:.0%} of the time; a faster simulator is what would help most.", share=share
        ),
        "learning": _(
            "Updates take {share:.0%} of the time; fewer epochs, a larger minibatch or a smaller network make them "
            "shorter.",
            share=share,
        ),
        OTHER: _("Evaluations and pauses take {share:.0%} of the time.", share=share),
    }[part]
