"""Which launcher this process uses: the only place that reads V3_LAUNCHER."""

import os
from functools import cache

from v3core.errors import V3Error
from v3core.jobs.launchers.interface import Launcher
from v3core.jobs.launchers.local import LocalLauncher

VARIABLE = "V3_LAUNCHER"


def chosen() -> Launcher:
    """The launcher that V3_LAUNCHER names; without it, processes of this machine.

    Raises:
        V3Error: if it names none.
    """
    return _of(os.environ.get(VARIABLE, "").strip() or LocalLauncher.name)


@cache
def _of(text: str) -> Launcher:
    if text == LocalLauncher.name:
        return LocalLauncher()
    raise V3Error(f"{VARIABLE} is '{text}'; set it to `local`, or leave it unset.")
