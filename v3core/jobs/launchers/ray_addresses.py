"""What the address of a Ray cluster is called, for the process that asks and the one that is connected."""

import os

from v3core.messages import _

AUTO = "auto"
"""The cluster of this machine, or the one that RAY_ADDRESS names."""


def shown(address: str) -> str:
    """Where a cluster is, for people."""
    return address if address != AUTO else os.environ.get("RAY_ADDRESS") or _("this machine")


def no_cluster(address: str) -> str:
    """That nothing answers there, and what to do."""
    return _(
        "No Ray cluster answers at {shown}; start one there with `ray start --head`, or correct V3_LAUNCHER.",
        shown=shown(address),
    )
