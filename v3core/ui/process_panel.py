"""The section of Live about the run's process: what its time goes into, and why it is slow."""

import humanize
import streamlit as st

from v3core.charts.process import memory_figure, pace_figure, processor_figure, time_figure
from v3core.insight.slowness import ProcessSample, whole, why_slow
from v3core.messages import _
from v3core.store.database import Database
from v3core.store.process_samples import read_process_samples
from v3core.store.run_row import RunRow
from v3core.ui import news, shell, ticks
from v3core.ui.live_chart import live_chart
from v3core.ui.text import md, plain

NEWEST_SECONDS = 60.0
"""The numbers are of the newest samples that cover so much time."""


def process_panel(database: Database, run: RunRow) -> None:
    """Nothing is read, and nothing ticks, until it is opened."""
    panel = st.expander(md("Process"), icon=":material/speed:", key="process", on_change="rerun", bind="query-params")
    if panel.open:
        with panel:
            ticks.ticking(5, news.of_process(database, run.id))(shell.show_errors()(_panel))(database, run.id)


def _panel(database: Database, run_id: str) -> None:
    samples = read_process_samples(database, run_id)
    if not samples:
        st.caption(md("No samples of the run's process yet: one is taken every 15 seconds while it trains."))
        return
    newest = whole(_newest(samples))
    st.markdown(md("{}", why_slow(newest)))
    config = shell.run_or_rerun(database, run_id).config
    if config.policy.memory != "none":
        st.caption(
            md(
                "The policy has memory ({memory}): learning goes through its rollouts in pieces of {steps} steps, and "
                "the native library computes the graph alone. That takes about twice the time of learning without it.",
                memory=config.policy.memory.upper(),
                steps=config.ppo.sequence_steps,
            )
        )
    _numbers(newest)
    for left, right in ((time_figure, processor_figure), (pace_figure, memory_figure)):
        for column, figure in zip(st.columns(2), (left, right), strict=True):
            with column:
                live_chart(figure(run_id, samples), key=f"{figure.__name__}-{run_id}", height=240)


def _newest(samples: list[ProcessSample]) -> list[ProcessSample]:
    """The newest ones that cover a minute, at least one."""
    seconds, count = 0.0, 0
    while count < len(samples) and seconds < NEWEST_SECONDS:
        count += 1
        seconds += samples[-count].seconds
    return samples[-count:]


def _numbers(sample: ProcessSample) -> None:
    """The newest minute in numbers."""
    update = sample.seconds_per_update
    numbers = {
        _("Steps per second"): (
            f"{sample.steps_per_second:,.0f}",
            _("Environment steps / seconds, all environments together."),
        ),
        _("Seconds per update"): ("–" if update is None else f"{update:.3g}", _("Seconds of learning / updates.")),
        _("Processors in use"): (
            f"{sample.cores:.2f}",
            _("Processor time / seconds, of the worker and of the processes that its environments have started."),
        ),
        _("Memory in use"): (_bytes(sample.memory), _("Of the same processes, resident.")),
        _("Threads"): (str(sample.threads), _("Of the worker.")),
    }
    if sample.gpu_memory is not None:
        numbers[_("GPU memory")] = _bytes(sample.gpu_memory), _("What the worker has reserved of the GPU's memory.")
    for column, (title, (text, meaning)) in zip(st.columns(len(numbers)), numbers.items(), strict=True):
        column.metric(plain(title), plain(text), help=plain(meaning))


def _bytes(count: int) -> str:
    return humanize.naturalsize(count, binary=True, format="%.0f")
