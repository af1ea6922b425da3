"""The replays of a run's evaluations: a file each in `runs/<id>/replays/`, as many as the run's size allows."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from v3core.atomic_write import replacing
from v3core.errors import V3Error
from v3core.insight.replays import MEDIAN, Replay, from_bytes, to_bytes
from v3core.jobs.checkpoints import superseded
from v3core.jobs.files import run_folder
from v3core.metrics import METRICS, PER_EXPERT
from v3core.store.database import Database

SHARE = 0.02
"""Of a run's size that its replays take at most. Those of the newest evaluation are kept in any case."""
_NAME = re.compile(r"episode-(\d{8,9})\.npz")
_ROW_BYTES = 8
"""About what a number takes in the database."""


def replays_folder(database: Database, run_id: str) -> Path:
    """The folder that has the files."""
    return run_folder(run_id, database.data_dir) / "replays"


def replay_file(database: Database, run_id: str, episode: int) -> Path:
    """The file of the evaluation after that many training episodes."""
    return replays_folder(database, run_id) / f"episode-{episode:08d}.npz"


def recorded_replays(database: Database, run_id: str) -> list[int]:
    """After how many training episodes the evaluations with replays were, ascending."""
    try:
        names = [_NAME.fullmatch(file.name) for file in database.place.files(replays_folder(database, run_id))]
    except OSError as error:
        raise V3Error("The run's replays cannot be listed: {value}.", value=error.strerror or error) from None
    return sorted(int(name[1]) for name in names if name)


def read_replays(database: Database, run_id: str, episode: int) -> dict[str, Replay]:
    """The replays of an evaluation, by role.

    Raises:
        V3Error: if there are none, or their file cannot be read.
    """
    content = _content(database, replay_file(database, run_id, episode))
    if content is None:
        raise V3Error(
            "The evaluation at episode {episode} has no replays; play its episodes again from a checkpoint.",
            episode=episode,
        )
    return from_bytes(content)


def _content(database: Database, file: Path) -> bytes | None:
    """None if there is no such file."""
    try:
        return database.place.bring(file).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise V3Error("The replays cannot be read: {value}.", value=error.strerror or error) from None


def find_replays(database: Database, run_id: str, episode: int) -> dict[str, Replay]:
    """The replays of an evaluation, by role; none if its episodes were not kept.

    Raises:
        V3Error: if their file cannot be read.
    """
    content = _content(database, replay_file(database, run_id, episode))
    return {} if content is None else from_bytes(content)


def recorded_replay(database: Database, run_id: str, episode: int, seed: int | None) -> Replay | None:
    """The replay of an evaluation that was reset with `seed`, or for None its median; None if there is none.

    Raises:
        V3Error: if the file cannot be read.
    """
    replays = find_replays(database, run_id, episode)
    if seed is None:
        return replays.get(MEDIAN)
    return next((replay for replay in replays.values() if replay.seed == seed), None)


def write_replays(
    database: Database,
    run_id: str,
    episode: int,
    replays: Mapping[str, Replay],
    *,
    experts: int,
    boundaries: Collection[int],
) -> None:
    """Write the replays of an evaluation, then delete those of earlier ones that the run's size does not allow.

    Those at phase `boundaries` go last.

    Raises:
        V3Error: if they cannot be written.
    """
    target = replay_file(database, run_id, episode)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as unfinished:
            unfinished.write_bytes(to_bytes(replays))
        database.place.put(target)
        for old in _beyond(database, run_id, episode, experts, boundaries):
            database.place.remove(replay_file(database, run_id, old))
    except OSError as error:
        raise V3Error(
            "The replays of episode {episode} cannot be written: {value}; free some space or fix the permissions of "
            "{parent}.",
            episode=episode,
            value=error.strerror or error,
            parent=target.parent,
        ) from None


def forget_replays(database: Database, run_id: str, after: int) -> None:
    """Delete the replays of evaluations after `after` training episodes, which are trained again.

    Raises:
        V3Error: if they cannot be deleted: they would be taken for those of the evaluations to come.
    """
    for episode in recorded_replays(database, run_id):
        if episode > after:
            file = replay_file(database, run_id, episode)
            try:
                database.place.remove(file)
            except OSError as error:
                raise V3Error(
                    "The replays of episode {episode}, which is trained again, cannot be deleted: {value}; fix the "
                    "permissions of {parent}, or delete {file} yourself.",
                    episode=episode,
                    value=error.strerror or error,
                    parent=file.parent,
                    file=file,
                ) from None


def _beyond(database: Database, run_id: str, episode: int, experts: int, boundaries: Collection[int]) -> list[int]:
    """The evaluations whose replays must go."""
    folder = replays_folder(database, run_id)
    names = {file: (_NAME.fullmatch(file.name), size) for file, size in database.place.files(folder).items()}
    files = {int(name[1]): size for name, size in names.values() if name}
    checkpoints = database.place.files(run_folder(run_id, database.data_dir) / "checkpoints")
    weights = sum(size for file, size in checkpoints.items() if file.suffix == ".pt")
    rows = episode * _ROW_BYTES * (len(METRICS) + experts * (len(PER_EXPERT) + 2))
    allowed = SHARE * (weights + rows)
    kept, gone = sorted(files), list[int]()
    for protected in (boundaries, ()):
        while sum(files[one] for one in kept) > allowed:
            others = [one for one in kept[:-1] if one not in protected]
            if not others:
                break
            (unneeded,) = superseded(kept, protected, spread=len(others) - 1, newest=1)
            kept.remove(unneeded)
            gone.append(unneeded)
    return gone
