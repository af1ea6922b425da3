"""Starting runs: one in the foreground, the demo."""

import sys
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import urlencode

import click

from v3core.cli.common import (
    commands,
    environment_options,
    length_options,
    opened,
    port_option,
    reconciled,
    restarts_option,
    scale_option,
    set_option,
)
from v3core.config import (
    Recipe,
    RunConfig,
    build_run_config,
    fitting_length,
    recipe_for,
    run_name,
    settings_without_effect,
)
from v3core.curriculum import Curriculum, Length, fits, load_curriculum
from v3core.environment_setup import EnvironmentSetup
from v3core.environments.apart import check_launch
from v3core.jobs import demo as demo_runs
from v3core.jobs import worker
from v3core.jobs.grid import fitted
from v3core.messages import _, translated
from v3core.output import echo, echo_json, fail, own_output
from v3core.overrides import SETTINGS, set_values
from v3core.paths import SERVE
from v3core.phrases import stored
from v3core.serve import Address, show_page
from v3core.store.database import Database
from v3core.store.runs import get_run


@commands.command()
@click.option("--env", required=True, metavar="ID", help="Gymnasium environment id, e.g. CartPole-v1.")
@environment_options
@click.option("--curriculum", default="v3", show_default=True, metavar="FILE_OR_PRESET", help="Preset or YAML file.")
@length_options
@click.option("--seed", type=int, default=1, show_default=True, metavar="S", help="Seed of all random numbers.")
@click.option("--name", metavar="NAME", help="Name shown in lists; default: made from the other options.")
@scale_option
@click.option("--evaluate", type=click.IntRange(0, 10_000), metavar="K", help="Episodes per evaluation; 0 for none.")
@click.option(
    "--evaluate-every", type=click.IntRange(1), metavar="N", help="Evaluate every N episodes, and at the end."
)
@set_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: the CPU, or CUDA if available and faster.",
)
@restarts_option
def train(
    setup: EnvironmentSetup,
    curriculum: str,
    episodes: int | None,
    steps: int | None,
    seed: int,
    name: str | None,
    scale: bool | None,
    evaluate: int | None,
    evaluate_every: int | None,
    assignments: tuple[str, ...],
    device: Literal["auto", "cpu", "cuda"],
    restarts: int | None,
) -> int:
    """Train in the foreground with a progress bar; prints the run id last."""
    evaluation = {"evaluation.episodes": evaluate, "evaluation.every": evaluate_every}
    given = [f"{path}={value}" for path, value in evaluation.items() if value is not None]
    recipe, length, (chosen,), notices = _prepared(setup, [curriculum], episodes, steps, scale, [*given, *assignments])
    config = build_run_config(
        name=name if name is not None else run_name([chosen.name], setup, seed),
        env=setup,
        seed=seed,
        episodes=length.episodes,
        steps=length.steps,
        curriculum=chosen,
        recipe=recipe,
        device=device,
    )
    print_notices(notices, [config])
    with opened() as database:
        run_id, status = _train_with_progress_bar(database, config, restarts)
        run = get_run(database, run_id)
    echo(run_id)
    return fail(stored(run.reason) if run.reason else _("The run failed."), 1) if status == "failed" else 0


@commands.command(cls=click.Command)  # it may become the server, which has its own output
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object and do not open the browser.")
@port_option
def demo(as_json: bool, port: int) -> None:
    """Start the demo in the background, one policy with and without a curriculum, and open it in the browser.

    Prints the run ids. While the runs of an earlier call are unfinished it starts no new ones. In a terminal it then
    serves the dashboard unless it is already running; otherwise it only prints the page's address.
    """
    with own_output():
        first = _start_demo(as_json, Address.of_settings(port))
    if sys.stdout.isatty() and not as_json:
        show_page(f"/live?run={first}", port)


def _start_demo(as_json: bool, dashboard: Address) -> str:
    """Print the runs of the demo; returns the id of the first."""
    with reconciled() as database:
        ids = demo_runs.start_demo(database)
        started = [get_run(database, run_id) for run_id in ids]
    experiment = started[0].experiment or ""
    address = f"/compare?{urlencode({'experiment': experiment, 'metric': demo_runs.METRIC})}"
    if as_json:
        echo_json({"experiment": experiment, "runs": [run.to_dict() for run in started], "compare": address})
        return ids[0]
    for run_id in ids:
        echo(run_id)
    echo(
        _(
            "The demo trains in the background as experiment '{experiment}'. Watch it on the dashboard (`{serve}`; "
            "{url}{address} compares its runs), or with `runs` and `show ID`.",
            experiment=experiment,
            serve=SERVE,
            url=dashboard.url,
            address=address,
        ),
        err=True,
    )
    return ids[0]


def _prepared(
    setup: EnvironmentSetup,
    curricula: Sequence[str],
    episodes: int | None,
    steps: int | None,
    scale: bool | None,
    assignments: Sequence[str],
) -> tuple[Recipe, Length, list[Curriculum], list[str]]:
    """The recipe of a launch, its length, its curricula, and sentences about what was chosen for the user."""
    recipe = recipe_for(setup.env_id)
    if episodes is None and steps is None:
        episodes = recipe.episodes
    of_recipe = [assignment for assignment in assignments if assignment.partition("=")[0].strip() in SETTINGS]
    length = fitting_length(episodes, steps, set_values(recipe, [], 1, of_recipe)[0].ppo)
    fitted = [_fitted(name_or_path.strip(), length, scale) for name_or_path in curricula]
    chosen = [curriculum for curriculum, _ in fitted]
    recipe, chosen = set_values(recipe, chosen, length.episodes, assignments, steps=length.steps)
    warn(check_launch(setup, chosen, allow_import=True).warnings)
    notices = [notice for _, notice in fitted if notice]
    if length.steps is not None and length.steps != steps:
        notices.insert(
            0, _("Steps rounded up to {steps:,}, because the environments are stepped together.", steps=length.steps)
        )
    return recipe, length, chosen, notices


def print_notices(notices: Sequence[str], configs: Sequence[RunConfig]) -> None:
    """What the user should know of runs that are about to start."""
    for notice in notices:
        echo(notice, err=True)
    warn(settings_without_effect(configs))


def warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        echo(_("Warning: {sentence}", sentence=sentence), err=True)


def _fitted(name_or_path: str, length: Length, scale: bool | None) -> tuple[Curriculum, str]:
    """The curriculum for a run of this length, and a sentence if its boundaries were moved."""
    curriculum, is_preset = load_curriculum(name_or_path)
    if scale is None and is_preset:
        scale = not fits(curriculum, length.episodes, length.steps)
    return fitted(curriculum, length, bool(scale))


def _train_with_progress_bar(database: Database, config: RunConfig, restarts: int | None) -> tuple[str, str]:
    from tqdm import tqdm

    by_steps = config.length.is_by_steps
    unit, total = ("step", config.steps) if by_steps else ("ep", config.episodes)
    with tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True, mininterval=0.2) as bar:

        def show(progress: worker.ForegroundProgress) -> None:
            bar.set_description(progress.phase, refresh=False)
            # As on Live, where it is a tile.
            mean = translated(_("mean return, last {count:,} in phase", count=progress.mean_count))
            numbers = {mean: f"{progress.mean_return:.1f}", translated(_("steps")): f"{progress.step:,}"}
            bar.set_postfix(numbers, refresh=False)
            bar.total = max(total or 0, progress.step) if by_steps else progress.episodes
            bar.update((progress.step if by_steps else progress.episode) - bar.n)

        return worker.train_here(database, config, show, restarts=restarts)
