"""V3 Lab: train mixture-of-experts policies under a routing curriculum, and watch what its router really does."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from v3core.training.inference import TrainedPolicy

__all__ = ["__version__", "load_policy"]
__version__ = "0.2.0"


def load_policy(path: str | Path) -> "TrainedPolicy":
    """The policy of a checkpoint: `load_policy(path)(observation)` is the action to take.

    Raises:
        V3Error: naming the file, if it is missing, cut short, not a checkpoint, or carries code.
    """
    from v3core.training import inference  # torch: seconds to import, and never wanted in a page

    return inference.load_policy(path)
