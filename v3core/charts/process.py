"""What a run's process did over time: shares of its time, processors, memory, pace."""

from collections.abc import Sequence
from typing import Any

from v3core.charts.figure import Figure
from v3core.charts.frame import plain_frame
from v3core.charts.palette import METRICS, NEUTRAL, rgba
from v3core.insight.slowness import OTHER, PARTS, ProcessSample
from v3core.messages import _, say, translated
from v3core.phrases import listed

HEIGHT = 240
MEBIBYTE = 2**20
_TITLES = {**PARTS, OTHER: OTHER}


def time_figure(run_id: str, samples: Sequence[ProcessSample]) -> Figure:
    """Which part of its time training spent on what, as a stacked area over the time of day."""
    newest = samples[-1]
    shares = listed([f"{translated(title).lower()} {newest.share(part):.0%}" for part, title in _TITLES.items()])
    figure = _frame(
        "process-time",
        run_id,
        say("Shares of the run's time, {samples:,} samples; newest: {shares}.", samples=len(samples), shares=shares),
        _times(samples),
    )
    figure.layout.yaxis.merge({"range": [0, 1], "tickformat": ".0%"})
    colours = (*METRICS[: len(PARTS)], NEUTRAL)
    for (part, title), colour in zip(_TITLES.items(), colours, strict=True):
        figure.add(
            "scatter",
            x=_times(samples),
            y=[sample.share(part) for sample in samples],
            name=title,
            mode="lines",
            stackgroup="time",
            line={"color": colour, "width": 1},
            fillcolor=rgba(colour, 0.55),
            hovertemplate="%{y:.0%}",
        )
    return figure


def processor_figure(run_id: str, samples: Sequence[ProcessSample]) -> Figure:
    """Processors in use by the run, and its share of time without one."""
    newest = samples[-1]
    figure = _frame(
        "process-cpu",
        run_id,
        say("Processors in use by the run; newest: {cores:.2f}.", cores=newest.cores),
        _times(samples),
    )
    _line(figure, samples, _("Processors in use"), [sample.cores for sample in samples], METRICS[0], ".2f")
    waited = [None if sample.waited is None else sample.waited / sample.seconds for sample in samples]
    _line(figure, samples, _("Waiting for a processor"), waited, METRICS[1], ".0%")
    _line(figure, samples, _("Machine in use"), [sample.machine for sample in samples], NEUTRAL, ".0%")
    if any(sample.gpu is not None for sample in samples):
        _line(figure, samples, _("GPU in use, by any process"), [sample.gpu for sample in samples], METRICS[3], ".0%")
    return figure


def pace_figure(run_id: str, samples: Sequence[ProcessSample]) -> Figure:
    """Environment steps per second."""
    newest = samples[-1]
    figure = _frame(
        "process-pace",
        run_id,
        say("Environment steps per second; newest: {pace:,.0f}.", pace=newest.steps_per_second),
        _times(samples),
    )
    pace = [sample.steps_per_second for sample in samples]
    _line(figure, samples, _("Steps per second"), pace, METRICS[2], ",.0f")
    return figure


def memory_figure(run_id: str, samples: Sequence[ProcessSample]) -> Figure:
    """Memory of the run, in MiB."""
    newest = samples[-1]
    figure = _frame(
        "process-memory",
        run_id,
        say("Memory of the run in MiB; newest: {memory:,.0f}.", memory=newest.memory / MEBIBYTE),
        _times(samples),
    )
    _line(figure, samples, _("Memory, MiB"), [sample.memory / MEBIBYTE for sample in samples], METRICS[0], ",.0f")
    if any(sample.gpu_memory is not None for sample in samples):
        held = [None if sample.gpu_memory is None else sample.gpu_memory / MEBIBYTE for sample in samples]
        _line(figure, samples, _("GPU memory, MiB"), held, METRICS[3], ",.0f")
    return figure


def _frame(name: str, run_id: str, alt: str, times: Sequence[float]) -> Figure:
    figure = plain_frame(f"{name}:{run_id}", alt, end=round(times[-1]), height=HEIGHT, legend=True)
    figure.layout.xaxis.merge({"title": {"text": say("Seconds since the first sample began")}})
    figure.layout.xaxis.unifiedhovertitle.text = "%{x:,d} s"
    figure.layout.yaxis.rangemode = "tozero"
    return figure


def _line(
    figure: Figure, samples: Sequence[ProcessSample], name: str, values: list[Any], colour: str, number: str
) -> None:
    figure.add(
        "scatter",
        x=_times(samples),
        y=values,
        name=name,
        mode="lines+markers" if len(samples) == 1 else "lines",
        line={"color": colour, "width": 1.5},
        hovertemplate=f"%{{y:{number}}}",
    )


def _times(samples: Sequence[ProcessSample]) -> list[float]:
    """Seconds from the beginning of the first sample to the end of each."""
    first = samples[0]
    return [(sample.at - first.at).total_seconds() + first.seconds for sample in samples]
