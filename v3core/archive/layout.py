"""The layout of an archive, and its size limits."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from v3core.jobs.files import log_file
from v3core.jobs.identity import NOWHERE
from v3core.jobs.shipped_logs import rotated
from v3core.store.run_row import RunRow
from v3core.store.run_tables import RUN_FIELDS, RUN_TABLES

SUFFIX = ".v3run"
MAX_NAME = 150
"""Characters of a run's file name before its id; file systems take 255 bytes."""
VERSION = 1
"""Goes up when an older V3 Lab could not read an archive rightly. One of a newer version is refused."""

MANIFEST = "manifest.json"
RUN = "run.json"
CONFIG = "config.json"

MAX_MEMBER_BYTES = 8 << 30
"""Ten million episodes of fifty numbers take less."""
MAX_BYTES = 32 << 30
MAX_SMALL_BYTES = 4 << 20
"""Of the manifest, of a run's own row, of its configuration, and of a single row of a table."""
MAX_MEMBERS = 100_000
MAX_RATIO = 200
"""How many times smaller a table's member may be than what it unpacks to; rows that differ only in their numbers reach
30. Members below `FREE_OF_RATIO_BYTES` may be as small as they like."""
FREE_OF_RATIO_BYTES = 16 << 20

LOG_NAMES = (log_file("").name, rotated(log_file("")).name)
TABLE_MEMBERS = {f"tables/{name}.jsonl": name for name in RUN_TABLES}
CHECKPOINT = re.compile(r"checkpoints/episode-\d{8,9}\.pt")
REPLAYS = re.compile(r"replays/episode-\d{8,9}\.npz")
LOG = re.compile("logs/(" + "|".join(map(re.escape, LOG_NAMES)) + ")")

_OF_THE_PROCESS = {*NOWHERE, "webhook", "steps_per_second", "episodes_per_second"}
RUN_MEMBER_FIELDS = tuple(field for field in RUN_FIELDS if field.name not in {*_OF_THE_PROCESS, "config"})
"""The columns of `runs` that describe the run itself; its configuration is a separate member."""


def file_name(run: RunRow, suffix: str) -> str:
    """The name of a run's file: `v3-CartPole-v1-seed-1-3f2a1b2c.csv`, of signs that every file system takes."""
    words = re.sub(r"[^\w.+-]+", "-", f"{run.curriculum}-{run.env}-seed-{run.seed}", flags=re.ASCII)
    return f"{words[:MAX_NAME].strip('-.')}-{run.id[:8]}.{suffix}"


def is_known(name: str) -> bool:
    """Whether an archive of this version may hold such a member."""
    fixed = name in (MANIFEST, RUN, CONFIG) or name in TABLE_MEMBERS
    return fixed or is_file(name)


def is_file(name: str) -> bool:
    """Whether a member is a file of the run's folder."""
    return any(pattern.fullmatch(name) for pattern in (CHECKPOINT, REPLAYS, LOG))


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Member(_Strict):
    """A file in the archive."""

    name: str
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(_Strict):
    """The declared content of an archive; written last, read first."""

    format: Literal["v3lab-run"] = "v3lab-run"
    version: int = VERSION
    schema_version: int
    """Of the database that it came from."""
    run_id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    host: Annotated[str, Field(max_length=255)]
    """Where the run was trained last, or where the archive was made if it never was."""
    made_at: datetime
    members: tuple[Member, ...]
    """All but the manifest itself."""
