"""Checkpoints: everything a run needs to continue, in one file that is written completely or not at all."""

import io
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from v3core.atomic_write import replacing
from v3core.curriculum import Length
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import ActionSpec
from v3core.errors import V3Error
from v3core.messages import _

FORMAT = "v3lab-checkpoint-3"
FORMER = "v3lab-checkpoint-2"
"""Without the environments as they were, and without what was evaluated last."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and strings to `path`. A crash at any moment leaves the old file or none, never half.

    Raises:
        V3Error: if it cannot be written.
    """
    content = io.BytesIO()  # on a full disk, torch raises its own RuntimeError, and not always
    torch.save({"format": FORMAT, **state}, content)
    try:
        path.parent.mkdir(exist_ok=True)  # deleted while the run trains, it would cost the run
        with replacing(path, durable=True) as unfinished:
            unfinished.write_bytes(content.getbuffer())
    except OSError as error:
        raise V3Error(
            "Checkpoint {path} cannot be written: {value}; free some space or fix its permissions.",
            path=path,
            value=error.strerror or error,
        ) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, its tensors on the CPU. No code in the file is ever run.

    Raises:
        V3Error: if the file is missing, cut short or not one of ours.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise V3Error("Checkpoint {path} is missing; start a new run.", path=path) from None
    except Exception:  # torch raises whatever its unpickler stumbles over
        raise V3Error(
            "Checkpoint {path} cannot be read: it is damaged or not a V3 Lab checkpoint; choose another.", path=path
        ) from None
    if not isinstance(state, dict) or state.get("format") not in {FORMAT, FORMER}:
        raise V3Error("Checkpoint {path} is not compatible with this version of V3 Lab; start a new run.", path=path)
    return state


def check_actions(path: Path, state: dict[str, Any], actions: ActionSpec) -> None:
    """V3Error if a checkpoint's policy acts by other names, where both are known: nothing else tells them apart."""
    known = state.get("action_names")
    if isinstance(known, list) and (differs := actions.other_name(known)) is not None:
        place, wanted, had = differs
        raise V3Error(
            "Checkpoint {path} is of a policy with other actions: number {place} is {had}, and here {wanted}; give the "
            "environment the actions that it was trained with.",
            path=path,
            place=place,
            had=had,
            wanted=wanted,
        )


def continued(state: dict[str, Any], length: Length) -> dict[str, Any]:
    """What a run of this length continues from, given a checkpoint's content.

    That is the content itself; or, if the run was complete then and is longer now, what is kept in it of the moment
    before its last rollout, which its end had cut short.
    """
    before_end: dict[str, Any] | None = state.get("before_end")
    if before_end is None or length.is_reached(state["completed"], state["step"]):
        return state
    return before_end


def check_import(path: Path, environment: EnvironmentSetup, known: Collection[str]) -> None:
    """Refuse a checkpoint, perhaps of an archive, that names code of this machine to import.

    Raises:
        V3Error: if its environment is a `module:Env-v0`, or a wrapper a `module:Class`, and none of the known ones.
    """
    for name in environment.imports:
        if name not in known:
            what = _("wrapper") if name in environment.wrappers else _("environment")
            raise V3Error(
                "Checkpoint {path} names the {what} '{name}', which imports code and does not belong to its run; "
                "choose another checkpoint.",
                path=path,
                what=what,
                name=name,
            )


def to_tensors(value: Any) -> Any:
    """Dicts and lists of values with every array as a tensor, which is what a checkpoint may hold."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: to_tensors(entry) for key, entry in value.items()}
    return [to_tensors(entry) for entry in value] if isinstance(value, list) else value


def to_arrays(value: Any) -> Any:
    """The inverse."""
    if torch.is_tensor(value):
        return value.numpy()
    if isinstance(value, dict):
        return {key: to_arrays(entry) for key, entry in value.items()}
    return [to_arrays(entry) for entry in value] if isinstance(value, list) else value
