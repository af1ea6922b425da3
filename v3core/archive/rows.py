"""Validation of an archive's rows: types first, then consistency."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from v3core.archive.layout import CHECKPOINT, CONFIG, RUN, RUN_MEMBER_FIELDS, TABLE_MEMBERS
from v3core.archive.reading import ArchiveReader
from v3core.config import RunConfig
from v3core.curriculum import Curriculum
from v3core.environments.registry import imports_of
from v3core.errors import explain
from v3core.jobs.kinds import COMMANDS
from v3core.paths import COMMAND
from v3core.store import alarms, commands
from v3core.store.run_tables import RUN_TABLES, Field, Kind
from v3core.store.runs import columns_of
from v3core.store.schema import STORED

_SPELT = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_STATES = {commands.PENDING, commands.APPLIED, commands.REJECTED}

Row = dict[str, Any]


@dataclass(frozen=True)
class ArchivedRun:
    """The run's own row, and its configuration."""

    values: Row
    config: RunConfig
    config_json: str
    allow_import: bool
    """Whether its environments may be of the form `module:Env-v0`, its wrappers of the form `module:Class`."""


def read_run(reader: ArchiveReader, *, allow_import: bool) -> ArchivedRun:
    """The run of an archive, checked; `allow_import` as in `ArchivedRun`.

    Raises:
        V3Error: one sentence that names the problem.
    """
    text = reader.small(CONFIG)
    try:
        config_json = text.decode()
        config = RunConfig.model_validate_json(config_json)
    except ValidationError as error:
        reader.refuse(f"its configuration is invalid: {explain(error, 'in it')}")
    except UnicodeDecodeError:
        reader.refuse("its configuration is not text")
    content = reader.json(reader.small(RUN), RUN)
    if not isinstance(content, dict):
        reader.refuse(f"'{RUN}' is not an object")
    if unknown := content.keys() - {field.name for field in RUN_MEMBER_FIELDS}:
        reader.refuse(f"'{RUN}' has a column '{min(unknown)}' that this V3 Lab does not know; update V3 Lab")
    values = {
        field.name: _value(reader, RUN, field, content.get(field.name, 0 if field.name == "priority" else None))
        for field in RUN_MEMBER_FIELDS
    }
    for name, value in columns_of(config).items():
        if name != "curriculum" and values[name] != value:  # the curriculum in force may be another one
            reader.refuse(f"its {name} is {values[name]!r} in '{RUN}' and {value!r} in '{CONFIG}'")
    if values["id"] != reader.manifest.run_id:
        reader.refuse("its manifest names another run")
    if values["status"] not in STORED:
        reader.refuse(f"'{values['status']}' is not the status of a run")
    if min(values["episode"], values["step"], values["generation"]) < 0:
        reader.refuse(f"'{RUN}' has a number below zero")
    run = ArchivedRun(values, config, config_json, allow_import)
    _check_environments(reader, run, config.curriculum)
    return run


def _check_environments(reader: ArchiveReader, run: ArchivedRun, curriculum: Curriculum) -> None:
    """An archive is no reason to import code, not even code that is on this machine already."""
    modules = imports_of(run.config.environment, [curriculum])
    if modules and not run.allow_import:
        name = min(modules)
        what = "wrapper" if name in run.config.wrappers else "environment"
        reader.refuse(
            f"its {what} '{name}' imports code on this machine; if you trust it, use: {COMMAND} import FILE "
            "--allow-import"
        )


def read_rows(reader: ArchiveReader, table: str, run: ArchivedRun) -> Iterator[Row]:
    """The rows of one table, each checked before it is handed on; what all must be together is checked at the end.

    Raises:
        V3Error: one sentence that names the problem and the row.
    """
    member = next(name for name, of in TABLE_MEMBERS.items() if of == table)
    rows = _typed_rows(reader, member, RUN_TABLES[table].fields) if reader.has(member) else iter(())
    return _CHECKS[table](reader, rows, run)


def _typed_rows(reader: ArchiveReader, member: str, fields: Sequence[Field]) -> Iterator[Row]:
    lines = reader.lines(member)
    by_name = {field.name: field for field in fields}
    names = reader.json(next(lines, b""), member)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        reader.refuse(f"'{member}' does not list its columns")
    if unknown := set(names) - by_name.keys():
        reader.refuse(f"'{member}' has a column '{min(unknown)[:100]}' that this V3 Lab does not know; update V3 Lab")
    if len(set(names)) != len(names):
        reader.refuse(f"'{member}' names a column twice")
    # An archive of an older schema lacks columns that came later; they are null, as in a database brought up to date.
    absent = {name: None for name, field in by_name.items() if name not in names}
    for name in absent:
        if not by_name[name].nullable:
            reader.refuse(f"'{member}' lacks the column '{name}'")
    known = [by_name[name] for name in names]
    for number, line in enumerate(lines, start=1):
        values = reader.json(line, member)
        where = f"{member}, row {number}"
        if not isinstance(values, list) or len(values) != len(known):
            reader.refuse(f"'{where}' does not have {len(known)} values")
        row = {field.name: _value(reader, where, field, value) for field, value in zip(known, values, strict=True)}
        yield row | absent


def _value(reader: ArchiveReader, where: str, field: Field, value: Any) -> Any:
    if value is None:
        if not field.nullable:
            reader.refuse(f"'{where}' lacks a value of '{field.name}'")
        return None
    kind = type(value)
    if field.kind is Kind.FLOAT:
        if kind is float or (kind is int and abs(value) <= 2**53):
            return float(value)
        if kind is str and value in _SPELT:
            return _SPELT[value]
    elif field.kind is Kind.INTEGER:
        if kind is int and (field.most is None or abs(value) <= field.most):
            return value
    elif kind is str and field.kind is Kind.TEXT:
        if _is_text(value) and (field.most is None or len(value) <= field.most):
            return value
    elif kind is str:
        moment = _moment(value)
        if moment is not None:
            return moment
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    return reader.refuse(f"'{where}' has {shown} as '{field.name}', which is not {_KINDS[field.kind]}")


def _is_text(value: str) -> bool:
    """Whether PostgreSQL takes it too: no zero characters, no halves of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None and moment.utctimetuple() else None
    except (ValueError, OverflowError):
        return None


_KINDS = {
    Kind.FLOAT: "a number",
    Kind.INTEGER: "a whole number in range",
    Kind.TEXT: "a text within the allowed length",
    Kind.TIME: "a time with a time zone",
}


def _episodes(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Numbered from 1 without gaps, as many as the run says."""
    count = 0
    for row in rows:
        count += 1
        if row["episode"] != count:
            reader.refuse(f"its episodes are not numbered without gaps: {row['episode']} comes where {count} should")
        yield row
    if count != run.values["episode"]:
        reader.refuse(f"it has {count:,} episodes, but its run says {run.values['episode']:,}")


def _expert_loads(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """One row for each episode and expert, in that order."""
    experts, count = run.config.policy.experts, 0
    for row in rows:
        wanted = (count // experts + 1, count % experts)
        if (row["episode"], row["expert"]) != wanted:
            reader.refuse(
                f"its expert loads have a gap: episode {row['episode']}, expert {row['expert']} comes where "
                f"episode {wanted[0]}, expert {wanted[1]} should"
            )
        count += 1
        yield row
    if count != run.values["episode"] * experts:
        reader.refuse(f"it has {count:,} expert loads for {run.values['episode']:,} episodes of {experts} experts")


def _ascending(*names: str) -> Callable[[ArchiveReader, Iterator[Row], ArchivedRun], Iterator[Row]]:
    """Each row beyond the one before in these columns, and none beyond the episodes of the run."""

    def check(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
        before: tuple[int, ...] = (-1,) * len(names)
        for row in rows:
            here = tuple(row[name] for name in names)
            if here <= before or not 0 <= row["episode"] <= run.values["episode"]:
                reader.refuse(f"it has a row of {', '.join(names)} {here} that is out of order or out of range")
            before = here
            yield row

    return check


def _revisions(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Numbered from 1, each a curriculum, at least one in force."""
    applied = False
    count = 0
    for count, row in enumerate(rows, start=1):
        if row["revision"] != count or row["state"] not in _STATES:
            reader.refuse(f"its curriculum revision {row['revision']} is out of order or in no known state")
        try:
            _check_environments(reader, run, Curriculum.model_validate_json(row["curriculum"]))
        except ValidationError as error:
            reader.refuse(f"its curriculum revision {count} is invalid: {explain(error, 'in it')}")
        applied = applied or row["state"] == commands.APPLIED
        yield row
    if not applied:
        reader.refuse("none of its curricula was applied")


def _commands(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Each of a known kind; edits ask for revisions that are there."""
    revisions = {row["revision"] for row in read_rows(reader, "curriculum_revisions", run)}
    for row in rows:
        command = COMMANDS.get(row["kind"])
        if command is None or not command.recorded:
            reader.refuse(f"it has a command '{row['kind']}' that this V3 Lab does not know; update V3 Lab")
        if row["revision"] is not None and row["revision"] not in revisions:
            reader.refuse(f"a command asks for revision {row['revision']}, which it lacks")
        yield row


def _checkpoints(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Each with its file in the archive, and no file without a row."""
    files = {member.name for member in reader.files if CHECKPOINT.fullmatch(member.name)}
    for row in _ascending("episode")(reader, rows, run):
        if row["path"] not in files:
            reader.refuse(f"it lacks the checkpoint '{row['path'][:100]}', or has two rows of it")
        files.remove(row["path"])
        yield row
    if files:
        reader.refuse(f"its file '{min(files)}' has no row")


def _alarms(reader: ArchiveReader, rows: Iterator[Row], _run: ArchivedRun) -> Iterator[Row]:
    """Numbered upwards, each in a known state and over episodes in order."""
    before = 0
    for row in rows:
        if row["number"] <= before or row["state"] not in alarms.STATES:
            reader.refuse(f"its alarm {row['number']} is out of order or in no known state")
        if not 0 <= row["first_episode"] <= row["last_episode"]:
            reader.refuse(f"its alarm {row['number']} is over episodes {row['first_episode']} to {row['last_episode']}")
        before = row["number"]
        yield row


def _process_samples(reader: ArchiveReader, rows: Iterator[Row], _run: ArchivedRun) -> Iterator[Row]:
    """Numbered from 1, each of some length."""
    for count, row in enumerate(rows, start=1):
        if row["number"] != count or not 0 < row["seconds"] < float("inf"):
            reader.refuse(f"its sample {row['number']} of the process is out of order or of no length")
        yield row


_CHECKS: Mapping[str, Callable[[ArchiveReader, Iterator[Row], ArchivedRun], Iterator[Row]]] = {
    "episodes": _episodes,
    "expert_loads": _expert_loads,
    "evaluations": _ascending("episode", "number"),
    "evaluation_experts": _ascending("episode", "expert"),
    "state_maps": _ascending("episode"),
    "knockouts": _ascending("episode", "expert", "number"),
    "phase_changes": _ascending("phase"),
    "curriculum_revisions": _revisions,
    "commands": _commands,
    "checkpoints": _checkpoints,
    "events": lambda _reader, rows, _run: rows,
    "alarms": _alarms,
    "process_samples": _process_samples,
}
