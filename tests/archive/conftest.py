"""Two V3 Labs, a run with something in every table, and archives that nobody should take."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.databases import BACKENDS, empty_database
from tests.made_replays import made
from tests.store.conftest import START, config, episode, new_run  # noqa: F401 - fixtures
from tests.store.recorded import end, record
from v3core.archive import write_archive
from v3core.jobs.files import run_folder
from v3core.jobs.kept_replays import write_replays
from v3core.metrics import EpisodeRecord
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.training.checkpoint import save_checkpoint

__all__ = ["START"]
Members = dict[str, bytes]
"""Names in an archive to what is there."""


@contextmanager
def _lab(backend: str, folder: Path) -> Iterator[Database]:
    folder.mkdir()
    with empty_database(backend, folder) as url:
        database = open_database(url, folder)
        yield database
        database.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Database]:
    """The V3 Lab that the run was trained in."""
    with _lab("sqlite", tmp_path / "here") as database:
        yield database


@pytest.fixture(params=BACKENDS)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Another, empty one."""
    with _lab(request.param, tmp_path / "there") as database:
        yield database


def make_files(db: Database, run_id: str) -> None:
    """The checkpoints and logs that `record` speaks of."""
    folder = run_folder(run_id, db.data_dir)
    (folder / "checkpoints").mkdir(parents=True)
    for number in (5, 10):
        save_checkpoint(folder / "checkpoints" / f"episode-{number:08d}.pt", {"episode": number})
    write_replays(db, run_id, 10, {"best": made(), "last": made(seed=1, number=4)}, experts=3, boundaries=())
    (folder / "worker.log").write_text("a line\n" * 1000)
    (folder / "worker.log.1").write_text("an older line\n")


@pytest.fixture
def run(
    here: Database,
    new_run: Callable[..., str],  # noqa: F811
    episode: Callable[..., EpisodeRecord],  # noqa: F811
) -> str:
    """A stopped run with something in every table, and its files."""
    run_id = record(here, new_run(here), episode)
    make_files(here, run_id)
    end(here, run_id)
    return run_id


@pytest.fixture
def archive(here: Database, run: str, tmp_path: Path) -> Path:
    """Its archive."""
    write_archive(here, run, tmp_path / "run.v3run")
    return tmp_path / "run.v3run"


def members(path: Path) -> dict[str, bytes]:
    """Name to content."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def forge(path: Path, content: dict[str, bytes], **manifest: Any) -> Path:
    """Write an archive of any content whose manifest is right about it, but for what `manifest` says."""
    reported = json.loads(content["manifest.json"])
    reported["members"] = [
        {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
        if name != "manifest.json"
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(name, json.dumps(reported | manifest) if name == "manifest.json" else data)
    return path


@pytest.fixture
def forged(archive: Path, tmp_path: Path) -> Callable[..., Path]:
    """`forged(change)`: the run's archive after `change(members)`, with a manifest that is right about it."""

    def make(change: Callable[[Members], object] = lambda content: None, **manifest: Any) -> Path:
        content = members(archive)
        change(content)
        return forge(tmp_path / "forged.v3run", content, **manifest)

    return make


def edit_rows(content: Members, table: str, change: Callable[[list[str], list[Any]], object]) -> None:
    """Apply `change(columns, rows)` to the rows of a table."""
    name = f"tables/{table}.jsonl"
    columns, *rows = map(json.loads, content[name].decode().splitlines())
    change(columns, rows)
    content[name] = "".join(f"{json.dumps(line)}\n" for line in (columns, *rows)).encode()


def edit_json(content: Members, name: str, **changes: Any) -> None:
    """Change keys of an object."""
    content[name] = json.dumps(json.loads(content[name]) | changes).encode()
