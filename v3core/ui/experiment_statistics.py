"""What an experiment says so far, as a sentence and a table."""

import math
from collections.abc import Sequence

import streamlit as st

from v3core.comparison import standings_of
from v3core.comparison.standings import Standings
from v3core.comparison.tables import mean_words
from v3core.insight.estimates import Estimate
from v3core.jobs.experiments import Progress
from v3core.jobs.lifecycle import Status
from v3core.messages import _, said, say
from v3core.rollup import MEAN_WINDOW
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.status import counted, number
from v3core.ui.text import md


def experiment_statistics(database: Database, progress: Progress) -> None:
    """What the experiment says so far: a sentence, and a line per group."""
    st.subheader(md("So far"), anchor=False)
    if not any(run.episode for run in progress.runs):
        st.caption(md("No episode has finished yet."))
        return
    standings = _standings(database, _Runs(progress.runs))
    st.markdown(md(":material/balance: {}", standings.comparison.verdict[0]))
    st.dataframe(
        said(_rows(standings)),
        hide_index=True,
        alt=say("Statistics of the groups of the experiment so far"),
        column_config=said(
            {
                _("Group"): st.column_config.TextColumn(pinned=True),
                _("Completed"): st.column_config.TextColumn(help=_("Completed runs of all runs of the group.")),
                _("Interval"): st.column_config.TextColumn(
                    _("95 % interval"), help=_("Bootstrap interval; of 5 runs and more.")
                ),
                _("So far"): st.column_config.TextColumn(
                    _("Mean return so far"),
                    help=_(
                        "Interquartile mean of the newest mean returns of all runs, wherever they are, each over the "
                        "newest episodes of the phase that it is in: {mean_window}; how many they are.",
                        mean_window=MEAN_WINDOW,
                    ),
                ),
            }
        ),
    )
    label = standings.comparison.label
    st.caption(
        md(
            "{label}: interquartile mean over the completed runs of each group. Compare has curves, tests and the "
            "differences in detail.",
            label=label,
        )
    )
    if means := mean_words(standings.comparison):
        st.caption(md("{}", means))


def _rows(standings: Standings) -> list[dict[str, str]]:
    several = len({group.env for group in standings.comparison.groups}) > 1
    label = standings.comparison.label
    rows = []
    for standing in standings.groups:
        result = standing.result
        completed = sum(run.status == Status.COMPLETED for run in result.runs)
        row: dict[str, str] = {_("Group"): result.name}
        if several:
            row[_("Environment")] = result.env
        row |= {
            _("Completed"): _(
                "{completed:,} of {runs:,}, {failed:,} failed",
                completed=completed,
                runs=len(result.runs),
                failed=result.failed,
            )
            if result.failed
            else _("{completed:,} of {runs:,}", completed=completed, runs=len(result.runs)),
            label: _value(result.final),
            _("Interval"): _interval(result.final),
            _("So far"): _("{value} ({runs})", value=_value(standing.so_far), runs=counted(standing.so_far.n, "run")),
        }
        rows.append(row)
    return rows


def _value(estimate: Estimate) -> str:
    return "–" if math.isnan(estimate.value) else number(estimate.value)


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "–"
    return say("{low} to {high}", low=number(estimate.low), high=number(estimate.high))


class _Runs(tuple[RunRow, ...]):
    """Runs whose statistics are the same as long as none advances by a hundredth or changes otherwise."""

    __slots__ = ()

    @property
    def state(self) -> Sequence[tuple[object, ...]]:
        return [(run.id, run.status, run.generation, run.name, run.length, int(100 * run.part)) for run in self]


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs={_Runs: lambda runs: runs.state})
def _standings(_database: Database, runs: _Runs) -> Standings:
    return standings_of(_database, runs)
