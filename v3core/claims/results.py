"""The results of a study's runs: a Parquet file with a row per run, beside the study."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from v3core.atomic_write import replacing
from v3core.claims.study import FOLDER, Fixed, Study
from v3core.claims.study_outcomes import OUTCOMES
from v3core.errors import V3Error
from v3core.paths import data_dir, shipped
from v3core.places import place_here

_TASK = pa.struct([("task", pa.string()), ("success", pa.float64()), ("loads", pa.list_(pa.float64()))])
"""Of a run on several environments: success rate of the evaluation, and loads over the last tenth of the steps."""
_SCHEMA = pa.schema(
    [
        ("arm", pa.string()),
        ("seed", pa.int64()),
        ("key", pa.string()),
        ("steps", pa.int64()),
        ("episodes", pa.int64()),
        ("version", pa.string()),
        ("backend", pa.string()),
        ("finished", pa.timestamp("s", tz="UTC")),
        *((name, pa.float64()) for name in OUTCOMES),
        ("tasks", pa.list_(_TASK)),
    ]
)
_EXPECTED = b"expected"
"""Key of the file's metadata: what was expected when its first results were written, as a JSON list."""


@dataclass(frozen=True)
class Result:
    """One run as it ended."""

    arm: str
    seed: int
    key: str
    row: Mapping[str, object]
    """All columns of the file."""

    def value(self, outcome: str) -> float:
        """NaN if it has none."""
        found = self.row.get(outcome)
        return float(found) if isinstance(found, int | float) else float("nan")

    def successes(self) -> dict[str, float]:
        """Of the evaluation, by task, NaN where an environment does not say; none of a run on one environment."""
        found = self.row.get("tasks")
        tasks = found if isinstance(found, list) else []
        return {one["task"]: math.nan if one["success"] is None else one["success"] for one in tasks}


def file_of(study: Study) -> Path:
    """Where results are written: in the data folder, which in a checkout is where those that come with V3 Lab are."""
    return data_dir() / FOLDER[-1] / f"{study.name}.parquet"


def read_results(study: Study) -> list[Result]:
    """The results that come with V3 Lab and those in the data folder; of a run that is in both, the latter.

    Raises:
        V3Error: for a file that cannot be read.
    """
    found: dict[str, Result] = {}
    for copy in _copies(study):
        found |= {result.key: result for result in _read(copy)}
    return list(found.values())


def _copies(study: Study) -> list[Path]:
    """Its files that there are: the one that comes with V3 Lab, then the one in the data folder."""
    files = dict.fromkeys((shipped(*FOLDER) / f"{study.name}.parquet", file_of(study)))
    return [copy for copy in map(place_here().bring, files) if copy.exists()]


def expected_at_first(study: Study) -> list[Fixed] | None:
    """What was expected of a study (`fixed`) when its first results were written; None before, or if nobody knows.

    Of results that come with V3 Lab and others in the data folder, it is what those that come with it say.
    """
    return next((known for copy in _copies(study) if (known := _expected_in(copy)) is not None), None)


def _expected_in(file: Path) -> list[Fixed] | None:
    try:
        found = (pq.read_schema(file).metadata or {}).get(_EXPECTED)
    except (OSError, pa.ArrowException):
        return None  # read_results says that the file cannot be read
    return None if found is None else list(json.loads(found))


def _read(file: Path) -> Iterable[Result]:
    try:
        rows = pq.read_table(file).to_pylist()
        return [Result(row["arm"], row["seed"], row["key"], row) for row in rows]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise V3Error(
            "The results {file} cannot be read ({error}); delete the file and run the study again.",
            file=file,
            error=error,
        ) from None


def current(results: Sequence[Result], arms: Mapping[str, str]) -> list[Result]:
    """The results of runs as the study has them now, under the names that its arms have now.

    Args:
        results: as read.
        arms: key to arm, as of `keys_of`; results of other settings are left out.
    """
    return [_of_arm(result, arms[result.key]) for result in results if result.key in arms]


def _of_arm(result: Result, arm: str) -> Result:
    return result if result.arm == arm else replace(result, arm=arm, row={**result.row, "arm": arm})


def outdated(results: Sequence[Result], arms: Mapping[str, str]) -> list[Result]:
    """Those of other settings than the study's; not those of further seeds."""
    known = {key.partition(".")[0] for key in arms}
    return [result for result in results if result.key.partition(".")[0] not in known]


def write_results(study: Study, results: Sequence[Result]) -> None:
    """Replace the study's file, sorted by arm and seed; the first one notes what is expected of the study."""
    file = file_of(study)
    expected = expected_at_first(study) if _copies(study) else [one.fixed for one in study.expectations]
    file.parent.mkdir(parents=True, exist_ok=True)
    order = {arm.name: place for place, arm in enumerate(study.arms)}
    rows = sorted(results, key=lambda one: (order.get(one.arm, len(order)), one.seed, one.key))
    table = pa.Table.from_pylist([dict(result.row) for result in rows], schema=_SCHEMA)
    if expected is not None:
        table = table.replace_schema_metadata({_EXPECTED: json.dumps(expected)})
    with replacing(file) as draft:
        pq.write_table(table, draft, compression="zstd")
    place_here().put(file)
