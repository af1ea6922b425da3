"""Shared by the groups of commands: the database, a run by its id, common options."""

import functools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from v3core import __version__
from v3core.config import chosen_environment, recipe_for
from v3core.environment_setup import EnvironmentSetup, parse_args, parse_wrapper
from v3core.errors import V3Error
from v3core.jobs import supervisor
from v3core.jobs.launchers.chosen import NAMES
from v3core.jobs.needs import Needs
from v3core.output import own_output
from v3core.serve import DEFAULT_PORT
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import resolve


class _Command(click.Command):
    """A command that reserves standard output for itself."""

    def invoke(self, ctx: click.Context) -> Any:
        with own_output():
            return super().invoke(ctx)


class _Commands(click.Group):
    command_class = _Command


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="v3lab", message="%(prog)s %(version)s")
def commands() -> None:
    """Train mixture-of-experts policies under a routing curriculum."""


def opened() -> closing[Database]:
    """The database, closed at the end of the block."""
    return closing(open_database())


@contextmanager
def reconciled() -> Iterator[Database]:
    """The database, after reconciling the status of its runs with the actual processes."""
    with opened() as database:
        supervisor.reconcile(database)
        yield database


@contextmanager
def one_run(prefix: str) -> Iterator[tuple[Database, str]]:
    """The same, with the full id of the run for an id prefix."""
    with reconciled() as database:
        yield database, resolve(database, prefix)


run_argument = click.argument("run_id", metavar="ID")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
port_option = click.option(
    "--port",
    type=int,
    metavar="N",
    callback=lambda _context, _option, port: _port(port),
    help=f"Port that the dashboard listens on; default: {DEFAULT_PORT}.",
)


def _port(port: int | None) -> int:
    """0 for the one of the settings."""
    if port == 0:
        raise V3Error("Port 0 does not exist; choose one from 1024 to 65535.")
    return port or 0


set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a setting; may be repeated: ppo.epochs=4, policy.experts=16, base.lr=1e-3, phases.warmup.lr=×0.5.",
)


restarts_option = click.option(
    "--restarts", type=int, metavar="N", help="Queue a run again when it is lost, at most N times; default: never."
)


def needs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a run can demand of where it trains; the command gets it as `needs`."""

    @functools.wraps(command)
    def with_needs(
        restarts: int | None, node_label: str | None, gpus: float | None, launcher: str | None, **others: Any
    ) -> Any:
        return command(needs=Needs(node_label, gpus, restarts, launcher), **others)

    label = click.option("--node-label", metavar="KEY=VALUE", help="Train only on nodes of a cluster with this label.")
    gpus = click.option("--gpus", type=float, metavar="N", help="GPUs for each run on a cluster, or a fraction of one.")
    launcher = click.option(
        "--launcher",
        metavar="NAME",
        help=f"What starts the runs: {', '.join(NAMES)}, or ray://HOST:PORT for one cluster; default: as V3_LAUNCHER.",
    )
    return restarts_option(label(gpus(launcher(with_needs))))


scale_option = click.option(
    "--scale/--no-scale",
    default=None,
    help="Scale phase boundaries to the length of the run; with --steps alone, they become boundaries in steps. By "
    "default a preset is scaled if it does not fit.",
)


def length_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--episodes` and `--steps`."""
    in_episodes = click.option(
        "--episodes",
        type=int,
        metavar="N",
        help="Length of the run; default: from the recipe, unless --steps is given.",
    )
    in_steps = click.option(
        "--steps",
        type=int,
        metavar="N",
        help="Length of the run in environment steps, all environments together; with --episodes, whichever is first.",
    )
    return in_episodes(in_steps(command))


def environment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--env-arg` and `--wrapper`; the command gets them and its `env` as `setup`, None without an environment.

    A command whose `env` may be repeated gets them as `setups`, each environment once.
    """

    @functools.wraps(command)
    def with_setup(
        env: str | tuple[str, ...] | None, env_args: tuple[str, ...], wrappers: tuple[str, ...], **others: Any
    ) -> Any:
        args = parse_args(env_args)
        for text in wrappers:
            parse_wrapper(text)

        def setup(env_id: str) -> EnvironmentSetup:
            return chosen_environment(env_id, recipe_for(env_id), args, [text.strip() for text in wrappers])

        if isinstance(env, tuple):
            return command(setups=[setup(env_id) for env_id in dict.fromkeys(env)], **others)
        return command(setup=None if env is None else setup(env), **others)

    args_option = click.option(
        "--env-arg",
        "env_args",
        multiple=True,
        metavar="NAME=VALUE",
        help="Argument of the environment, such as size=8; may be repeated.",
    )
    wrapper_option = click.option(
        "--wrapper",
        "wrappers",
        multiple=True,
        metavar="NAME",
        help="Wrapper of the environment, such as FlattenObservation, 'TimeLimit(max_episode_steps=200)' or "
        "module:Class; may be repeated, innermost first.",
    )
    return args_option(wrapper_option(with_setup))


def parse_episodes(text: str) -> list[int]:
    """A list of episodes as typed, such as `150,400`; raises a V3Error if it is none."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise V3Error("'{text}' is not a list of episodes; write them as 150,400.", text=text) from None
