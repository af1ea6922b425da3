"""Checkpoints: all that a run needs to go on, in one file that is either complete or not there."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from v3core.errors import V3Error

FORMAT = "v3lab-checkpoint-2"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and strings to `path`. A crash at any moment leaves the old file or none, never half.

    Raises:
        V3Error: if it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = io.BytesIO()  # given a file on a full disk, torch raises a RuntimeError of its own, and not always
    torch.save({"format": FORMAT, **state}, content)
    try:
        with unfinished.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise V3Error(
            f"Checkpoint {path} cannot be written: {error.strerror or error}; free some space or mend its permissions."
        ) from None


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save_checkpoint` wrote. Only tensors and plain values are read; no code in the file is ever run.

    Raises:
        V3Error: if the file is missing, cut short or not one of ours.
    """
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise V3Error(f"Checkpoint {path} is missing; start the run anew.") from None
    except Exception:  # torch raises whatever its unpickler stumbles over
        raise V3Error(
            f"Checkpoint {path} cannot be read: it is damaged or not a checkpoint of V3 Lab; choose another."
        ) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise V3Error(f"Checkpoint {path} is not a checkpoint of this version of V3 Lab; start the run anew.")
    return state
