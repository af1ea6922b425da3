"""V3 Lab: train mixture-of-experts policies under a routing curriculum, and watch what its router really does.

    import v3core

    v3core.launch("CartPole-v1", ["v3", "direct-sparsemax"], seeds=range(1, 11), experiment="which")
    v3core.runs("experiment:which")
    v3core.compare("which").attrs["verdict"]

The functions read the database of `V3_DATABASE_URL`, or of `V3_DATA_DIR`, and give pandas frames, or Arrow tables with
`as_arrow=True`. Their errors are `V3Error`: one sentence that says what to do.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# What is imported here, every command waits for: each function imports what it needs.
if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from v3core.training.inference import TrainedPolicy

__all__ = ["__version__", "compare", "episodes", "evaluations", "experts", "launch", "load_policy", "runs"]
__version__ = "0.2.0"


def load_policy(path: str | Path) -> "TrainedPolicy":
    """The policy of a checkpoint: `load_policy(path)(observation)` is the action to take.

    A policy with memory remembers the observations that it was called with. Call its `reset()` at the start of every
    episode; without memory that does nothing. Its `memory`, an array or None, can be read and set, to play several
    episodes by turns.

    Raises:
        V3Error: naming the file, if it is missing, cut short, not a checkpoint, or carries code.
    """
    from v3core.training import inference  # torch: seconds to import, and never wanted in a page

    return inference.load_policy(path)


def runs(terms: str = "", *, as_arrow: bool = False) -> "pd.DataFrame | pa.Table":
    """One row per run, newest first, with the columns of the table `runs`.

    Args:
        terms: a filter as on Runs, such as `status:completed env:CartPole experiment:which`.
        as_arrow: a `pyarrow.Table` instead of a frame, as in all functions.

    Raises:
        V3Error: if the filter cannot be read.
    """
    from v3core import python_api

    return python_api.runs(terms, as_arrow=as_arrow)


def episodes(run: str | Sequence[str], *, as_arrow: bool = False) -> "pd.DataFrame | pa.Table":
    """One row per training episode, with every metric of docs/metrics.md, and `load_1`, `load_2` … per expert.

    The dead are `recent_dead_experts`; `dead_experts` are those that the one episode did without, which are more.

    Args:
        run: an id, which may be shortened, or several.
        as_arrow: a `pyarrow.Table` instead of a frame.

    Raises:
        V3Error: if there is no such run.
    """
    from v3core import python_api

    return python_api.table(run, "episodes", as_arrow=as_arrow)


def experts(run: str | Sequence[str], *, as_arrow: bool = False) -> "pd.DataFrame | pa.Table":
    """One row per training episode and expert, counted from 0: `load`, `hard_load` and `grad_norm`.

    Args:
        run: an id, which may be shortened, or several.
        as_arrow: a `pyarrow.Table` instead of a frame.

    Raises:
        V3Error: if there is no such run.
    """
    from v3core import python_api

    return python_api.table(run, "expert_loads", as_arrow=as_arrow)


def evaluations(run: str | Sequence[str], *, as_arrow: bool = False) -> "pd.DataFrame | pa.Table":
    """One row per episode of an evaluation: `episode` of training, `number`, `step`, `env`, `return`, `length` …

    Args:
        run: an id, which may be shortened, or several.
        as_arrow: a `pyarrow.Table` instead of a frame.

    Raises:
        V3Error: if there is no such run.
    """
    from v3core import python_api

    return python_api.table(run, "evaluations", as_arrow=as_arrow)


def compare(
    experiment: str,
    metric: str = "evaluation",
    *,
    by: Sequence[str] = ("curriculum",),
    threshold: float | None = None,
    until: int | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    as_arrow: bool = False,
) -> "pd.DataFrame | pa.Table":
    """The table of Compare: one row per group, with interquartile means and their 95 % intervals.

    `final` is that of the runs that count, `steps_to` of their steps to the threshold, infinite if too few reached it.
    `worst` is the final value of a run that a mean cuts away, as that with the most dead experts; none of most metrics.
    `attrs` of the frame, and as JSON the metadata of an Arrow table, have the `verdict` and `notes` as sentences, the
    tests of all `pairs`, the `common` windows, the `thresholds` and `across`.

    Args:
        experiment: name of the group that the runs were started as.
        metric: name of a metric, such as `evaluation`, `return`, `success` or `specialisation`.
        by: settings by which the runs are grouped, such as `phases.warmup.lr`.
        threshold: value to be reached; by default the environment's reward threshold.
        until: compare at this step, with all runs that reached it; by default completed runs at their end.
        bounds: environment to the values that become 0 and 1, to compare several environments together: `across`.
        as_arrow: a `pyarrow.Table` instead of a frame.

    Raises:
        V3Error: if there is no such experiment, metric or setting.
    """
    from v3core import python_api

    return python_api.compare(
        experiment, metric, by=by, threshold=threshold, until=until, bounds=bounds, as_arrow=as_arrow
    )


def launch(
    env: str | Sequence[str] = (),
    curricula: str | Sequence[str] = "v3",
    *,
    envs: Sequence[str] = (),
    seeds: Sequence[int] = (1,),
    episodes: int | None = None,
    steps: int | None = None,
    experiment: str | None = None,
    settings: Sequence[str] = (),
    restarts: int | None = None,
    node_label: str | None = None,
    gpus: float | None = None,
    launcher: str | None = None,
) -> list[str]:
    """Start runs in the background, one per environment, curriculum, seed and value of a setting; returns their ids.

    Args:
        env: Gymnasium id, or several for a run with each.
        curricula: preset or YAML file, or several.
        envs: in place of `env`, at least two ids that each run trains on at once.
        seeds: whole numbers.
        episodes: length of each run; by default that of the environment's recipe.
        steps: length in environment steps; with `episodes`, whichever is reached first.
        experiment: name of the group; by default made of what is compared.
        settings: as `--set` has them: `ppo.epochs=4`, or `phases.warmup.lr=1e-3,1e-4` for a run with each.
        restarts: how often a run is queued again when it is lost.
        node_label: a label `KEY=VALUE` of the nodes of a cluster that may train the runs.
        gpus: GPUs for each run on a cluster, or a fraction of one.
        launcher: what starts the runs: `local`, `ray`, or `ray://HOST:PORT` for one cluster; by default as V3_LAUNCHER.

    Raises:
        V3Error: nothing is started.
    """
    from v3core import python_api

    return python_api.launch(
        env,
        curricula,
        envs=envs,
        seeds=seeds,
        episodes=episodes,
        steps=steps,
        experiment=experiment,
        settings=settings,
        restarts=restarts,
        node_label=node_label,
        gpus=gpus,
        launcher=launcher,
    )
