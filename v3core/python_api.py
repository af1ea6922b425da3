"""What `import v3core` offers for notebooks and scripts; `v3core/__init__.py` describes it, and imports this late."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from v3core.comparison import compare as compared
from v3core.config import chosen_environment, recipe_for
from v3core.environment_setup import joined
from v3core.environments.apart import check_launch
from v3core.errors import V3Error
from v3core.insight.compared import GroupResult
from v3core.insight.estimates import Estimate
from v3core.insight.profiles import Bounds
from v3core.jobs import control, experiments, supervisor
from v3core.jobs.grid import cells_of, configs_of, different_environments, grid_of
from v3core.jobs.needs import Needs
from v3core.jobs.retention import thinned_notice
from v3core.store.database import Database
from v3core.store.export import arrow_schema, arrow_tables, table_of
from v3core.store.opening import open_database
from v3core.store.run_filter import matches, parse_filter
from v3core.store.runs import get_run, list_runs, resolve

if TYPE_CHECKING:
    import pandas as pd

_LONG = ("config", "traceback")
"""Columns of `runs` that are texts of many lines."""


def runs(terms: str, *, as_arrow: bool) -> "pd.DataFrame | pa.Table":
    """One row per run that matches the filter, newest first."""
    wanted = parse_filter(terms)
    with _opened() as database:
        supervisor.reconcile(database)
        found = [run.id for run in list_runs(database) if matches(wanted, run)]
        table = _read(database, found, "runs")
    return _shown(table.drop_columns([name for name in _LONG if name in table.column_names]), as_arrow=as_arrow)


def table(run: str | Sequence[str], what: str, *, as_arrow: bool) -> "pd.DataFrame | pa.Table":
    """A table of one run or of several, as exports have it."""
    with _opened() as database:
        ids = [resolve(database, one) for one in ([run] if isinstance(run, str) else run)]
        if what in ("episodes", "expert_loads") and (notice := thinned_notice([get_run(database, id_) for id_ in ids])):
            warnings.warn(notice, stacklevel=3)
        return _shown(_read(database, ids, what), as_arrow=as_arrow)


def compare(
    experiment: str,
    metric: str,
    *,
    by: Sequence[str],
    threshold: float | None,
    until: int | None,
    bounds: Mapping[str, tuple[float, float]] | None,
    as_arrow: bool,
) -> "pd.DataFrame | pa.Table":
    """One row per group, with the verdict beside it."""
    within = {env: Bounds(*ends) for env, ends in (bounds or {}).items()}
    with _opened() as database:
        supervisor.reconcile(database)
        with database.read() as tx:
            rows = control.need_experiment(tx, experiment)
        found = compared(database, rows, by=by, metric=metric, threshold=threshold, until=until, bounds=within)
    plain = found.to_dict()
    beside = {name: plain[name] for name in ("verdict", "notes", "pairs", "common", "thresholds", "across")}
    table = pa.Table.from_pylist([_row(group) for group in found.groups], schema=_GROUPS)
    if as_arrow:
        from v3core.store.export import to_json

        described: pa.Table = table.replace_schema_metadata({name: to_json(value) for name, value in beside.items()})
        return described
    frame: pd.DataFrame = table.to_pandas()
    frame.attrs |= beside
    return frame


_ESTIMATES: dict[str, Callable[[GroupResult], Estimate | None]] = {
    "final": lambda group: group.final,
    "steps_to": lambda group: group.steps_to,
}
_GROUPS = pa.schema(
    [
        *((name, pa.string()) for name in ("group", "env", "curriculum")),
        *(
            (name, kind)
            for of in _ESTIMATES
            for name, kind in ((of, pa.float64()), (f"{of}_low", pa.float64()), (f"{of}_high", pa.float64()))
        ),
        ("worst", pa.float64()),
        ("confidence", pa.string()),
        *((name, pa.int64()) for name in ("counted", "runs", "reached", "failed", "unfinished")),
    ]
)


def _row(group: GroupResult) -> dict[str, Any]:
    row: dict[str, Any] = {"group": group.name, "env": group.env, "curriculum": group.curriculum}
    for name, of in _ESTIMATES.items():
        if (estimate := of(group)) is not None:
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    counts = {"worst": group.worst, "reached": group.reached, "failed": group.failed, "unfinished": group.unfinished}
    return row | counts | {"confidence": group.final.confidence, "counted": group.final.n, "runs": len(group.runs)}


def launch(
    env: str | Sequence[str],
    curricula: str | Sequence[str],
    *,
    envs: Sequence[str],
    seeds: Sequence[int],
    episodes: int | None,
    steps: int | None,
    experiment: str | None,
    settings: Sequence[str],
    restarts: int | None,
    node_label: str | None,
    gpus: float | None,
    launcher: str | None,
) -> list[str]:
    """Queue a grid of runs as one experiment; returns their ids."""
    needs = Needs(node_label, gpus, restarts, launcher)
    ids = [env] if isinstance(env, str) else list(env)
    if envs:
        if ids:
            raise V3Error(
                "Both env and envs are given; name the environments that a run trains on at once as envs alone."
            )
        ids = [joined(envs)]
    setups = [chosen_environment(one, recipe_for(one)) for one in ids]
    names = [curricula] if isinstance(curricula, str) else list(curricula)
    grid = grid_of(setups, names, list(seeds), episodes, settings, steps=steps)
    cells = list(cells_of(grid))
    for setup, chosen in different_environments(cells):
        for sentence in check_launch(setup, chosen, allow_import=True).warnings:
            warnings.warn(sentence, stacklevel=3)
    with _opened() as database:
        return experiments.start(database, grid, experiment, configs=configs_of(grid, cells), needs=needs)[1]


def _opened() -> closing[Database]:
    return closing(open_database())


def _read(database: Database, run_ids: Sequence[str], what: str) -> pa.Table:
    with database.read() as tx:
        fields, rows = table_of(tx, run_ids, what)
        schema = arrow_schema(fields)
        parts = list(arrow_tables(schema, rows))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _shown(table: pa.Table, *, as_arrow: bool) -> "pd.DataFrame | pa.Table":
    if as_arrow:
        return table
    frame: pd.DataFrame = table.to_pandas()
    return frame
