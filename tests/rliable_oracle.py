"""rliable, which was written for an arch that pandas 3 breaks: the newer one calls `random_state` `seed`."""

from typing import Any

import arch.bootstrap


def _renamed(bootstrap: Any) -> type:
    class Renamed(bootstrap):  # type: ignore[misc]
        def __init__(self, *args: Any, random_state: Any = None, **kwargs: Any) -> None:
            super().__init__(*args, seed=random_state, **kwargs)

    return Renamed


for _name in ("IIDBootstrap", "IndependentSamplesBootstrap"):
    setattr(arch.bootstrap, _name, _renamed(getattr(arch.bootstrap, _name)))

from rliable import library as library  # noqa: E402 - it takes these as its base classes
from rliable import metrics as metrics  # noqa: E402
