"""The paths of a run's files: `runs/<id>/` in the data folder."""

from pathlib import Path

from v3core.paths import data_dir
from v3core.store.database import Database

DELETED = ".deleted-"
"""What the name of a folder begins with while a deleted run's files are being removed."""


def run_folder(run_id: str, folder: Path | None = None) -> Path:
    """The run's folder; `folder` is the data folder, by default that of V3_DATA_DIR."""
    return (folder or data_dir()) / "runs" / run_id


def log_file(run_id: str, folder: Path | None = None) -> Path:
    """The log of the run's worker."""
    return run_folder(run_id, folder) / "worker.log"


def checkpoint_file(database: Database, run_id: str, episode: int) -> Path:
    """The checkpoint of that episode count."""
    return run_folder(run_id, database.data_dir) / "checkpoints" / f"episode-{episode:08d}.pt"
