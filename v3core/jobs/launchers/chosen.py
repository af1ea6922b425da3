"""Which launcher this process uses: the only place that reads V3_LAUNCHER."""

import os
import re
from functools import cache

from v3core.errors import V3Error
from v3core.jobs.identity import this_node
from v3core.jobs.launchers.interface import Launcher
from v3core.jobs.launchers.local import LocalLauncher
from v3core.jobs.launchers.on_ray import AUTO, NodeLauncher, RayLauncher

VARIABLE = "V3_LAUNCHER"
NAMES = (LocalLauncher.name, RayLauncher.name)
"""The kinds of launchers, of which a run can demand one."""
ADDRESS = re.compile(r"ray://[^\s:/]+:[0-9]{1,5}")
"""That of one cluster, which a run can demand too."""


def chosen() -> Launcher:
    """The launcher that V3_LAUNCHER names; without it, processes of this machine.

    Raises:
        V3Error: if it names none, or one that is not installed.
    """
    if this_node():  # a process that a cluster started
        return NodeLauncher()
    return _of(os.environ.get(VARIABLE, "").strip() or LocalLauncher.name)


@cache
def _of(text: str) -> Launcher:
    if text == LocalLauncher.name:
        return LocalLauncher()
    if text == "ray:auto":
        return RayLauncher(AUTO)
    if ADDRESS.fullmatch(text):
        return RayLauncher(text)
    raise V3Error(
        "{variable} is '{text}'; set it to `local`, `ray:auto` or `ray://HOST:PORT`, or leave it unset for `local`.",
        variable=VARIABLE,
        text=text,
    )
