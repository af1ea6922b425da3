"""The options with which every command that takes an environment takes its arguments and wrappers."""

from collections.abc import Callable
from typing import Any

import click

from v3core.environment_setup import EnvArg, parse_args, parse_wrapper


def environment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--env-arg` and `--wrapper`, which the command gets as `env_args` and `wrappers`."""
    args = click.option(
        "--env-arg",
        "env_args",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_args,
        help="Argument the environment is made with, such as size=8; may be repeated.",
    )
    wrappers = click.option(
        "--wrapper",
        "wrappers",
        multiple=True,
        metavar="NAME",
        callback=_wrappers,
        help="Wrapper around it, such as FlattenObservation, 'TimeLimit(max_episode_steps=200)' or module:Class; may "
        "be repeated, innermost first.",
    )
    return args(wrappers(command))


def _args(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, EnvArg]:
    return parse_args(texts)


def _wrappers(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        parse_wrapper(text)
    return tuple(text.strip() for text in texts)
