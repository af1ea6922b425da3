"""Every episode of a run in one file; full precision, never sampled."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v3core.errors import V3Error
from v3core.store.database import Database
from v3core.store.readers import read_episodes, read_evaluations, read_phase_changes, read_revisions
from v3core.store.runs import get_run


def export_run(database: Database, run_id: str, target: Path) -> int:
    """Write the run's episodes to `target`; its suffix (.csv, .parquet, .json) chooses the form.

    The file appears whole or not at all. Columns `load_1 …`, `hard_load_1 …` and `expert_grad_norm_1 …` hold what
    is recorded per expert; JSON also holds the run, its configuration, phase changes, revisions and evaluations.

    Returns:
        The number of episodes written.

    Raises:
        V3Error: for an unknown suffix or a place that cannot be written.
    """
    writers: dict[str, Callable[[Path], None]] = {
        ".csv": lambda path: frame.to_csv(path, index=False),
        ".parquet": lambda path: frame.to_parquet(path, index=False),
        ".json": lambda path: _write_json(path, database, run_id, frame),
    }
    write = writers.get(target.suffix.lower())
    if write is None:
        raise V3Error(f"'{target.name}' does not say its form; end it in {', '.join(writers)}.")
    if not target.parent.is_dir():
        raise V3Error(f"The folder {target.parent} does not exist; make it first.")
    if target.is_dir():
        raise V3Error(f"{target} is a folder; name a file.")
    frame = episode_frame(database, run_id)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise V3Error(f"{target} cannot be written: {error.strerror or error}.") from None
    return len(frame)


def episode_frame(database: Database, run_id: str) -> pd.DataFrame:
    """One row per episode with every recorded column."""
    table = read_episodes(database, run_id)
    columns: dict[str, Any] = dict(table.columns)
    for expert in range(table.loads.shape[1]):
        columns[f"load_{expert + 1}"] = table.loads[:, expert]
        columns[f"hard_load_{expert + 1}"] = table.hard_loads[:, expert]
        columns[f"expert_grad_norm_{expert + 1}"] = table.expert_grad_norms[:, expert]
    return pd.DataFrame(columns)


def _write_json(path: Path, database: Database, run_id: str, frame: pd.DataFrame) -> None:
    run = get_run(database, run_id)
    content = {
        "run": run.to_dict(),
        "config": run.config.model_dump(mode="json", by_alias=True),
        "phase_changes": [change.to_dict() for change in read_phase_changes(database, run_id)],
        "curriculum_revisions": [revision.to_dict() for revision in read_revisions(database, run_id)],
        "evaluations": [evaluation.to_dict() for evaluation in read_evaluations(database, run_id)],
        # JSON has no NaN: a value that was not a number is null.
        "episodes": frame.astype(object).where(frame.notna(), None).to_dict(orient="records"),
    }
    path.write_text(json.dumps(content, default=_plain, indent=1), encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
