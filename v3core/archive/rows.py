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
from v3core.messages import _
from v3core.paths import COMMAND
from v3core.phrases import listed
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
        reader.refuse(_("its configuration is invalid: {explain}", explain=explain(error, _("in it"))))
    except UnicodeDecodeError:
        reader.refuse(_("its configuration is not text"))
    content = reader.json(reader.small(RUN), RUN)
    if not isinstance(content, dict):
        reader.refuse(_("'{run}' is not an object", run=RUN))
    if unknown := content.keys() - {field.name for field in RUN_MEMBER_FIELDS}:
        reader.refuse(
            _("'{run}' has a column '{min}' that this V3 Lab does not know; update V3 Lab", run=RUN, min=min(unknown))
        )
    values = {
        field.name: _value(reader, RUN, field, content.get(field.name, 0 if field.name == "priority" else None))
        for field in RUN_MEMBER_FIELDS
    }
    for name, value in columns_of(config).items():
        if name != "curriculum" and values[name] != value:  # the curriculum in force may be another one
            reader.refuse(
                _(
                    "its {name} is {values!r} in '{run}' and {value!r} in '{config}'",
                    name=name,
                    values=values[name],
                    run=RUN,
                    value=value,
                    config=CONFIG,
                )
            )
    if values["id"] != reader.manifest.run_id:
        reader.refuse(_("its manifest names another run"))
    if values["status"] not in STORED:
        reader.refuse(_("'{values}' is not the status of a run", values=values["status"]))
    if min(values["episode"], values["step"], values["generation"]) < 0:
        reader.refuse(_("'{run}' has a number below zero", run=RUN))
    run = ArchivedRun(values, config, config_json, allow_import)
    _check_environments(reader, run, config.curriculum)
    return run


def _check_environments(reader: ArchiveReader, run: ArchivedRun, curriculum: Curriculum) -> None:
    """An archive is no reason to import code, not even code that is on this machine already."""
    modules = imports_of(run.config.environment, [curriculum])
    if modules and not run.allow_import:
        name = min(modules)
        what = _("wrapper") if name in run.config.wrappers else _("environment")
        reader.refuse(
            _(
                "its {what} '{name}' imports code on this machine; if you trust it, use: {command} import FILE "
                "--allow-import",
                what=what,
                name=name,
                command=COMMAND,
            )
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
        reader.refuse(_("'{member}' does not list its columns", member=member))
    if unknown := set(names) - by_name.keys():
        reader.refuse(
            _(
                "'{member}' has a column '{value}' that this V3 Lab does not know; update V3 Lab",
                member=member,
                value=min(unknown)[:100],
            )
        )
    if len(set(names)) != len(names):
        reader.refuse(_("'{member}' names a column twice", member=member))
    # An archive of an older schema lacks columns that came later; they are null, as in a database brought up to date.
    absent = {name: None for name, field in by_name.items() if name not in names}
    for name in absent:
        if not by_name[name].nullable:
            reader.refuse(_("'{member}' lacks the column '{name}'", member=member, name=name))
    known = [by_name[name] for name in names]
    for number, line in enumerate(lines, start=1):
        values = reader.json(line, member)
        where = _("{member}, row {number}", member=member, number=number)
        if not isinstance(values, list) or len(values) != len(known):
            reader.refuse(_("'{where}' does not have {known} values", where=where, known=len(known)))
        row = {field.name: _value(reader, where, field, value) for field, value in zip(known, values, strict=True)}
        yield row | absent


def _value(reader: ArchiveReader, where: str, field: Field, value: Any) -> Any:
    if value is None:
        if not field.nullable:
            reader.refuse(_("'{where}' lacks a value of '{name}'", where=where, name=field.name))
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
    return reader.refuse(
        _(
            "'{where}' has {shown} as '{name}', which is not {kinds}",
            where=where,
            shown=shown,
            name=field.name,
            kinds=_KINDS[field.kind],
        )
    )


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
    Kind.FLOAT: _("a number"),
    Kind.INTEGER: _("a whole number in range"),
    Kind.TEXT: _("a text within the allowed length"),
    Kind.TIME: _("a time with a time zone"),
}


def _episodes(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Numbered from 1 without gaps, as many as the run says."""
    count = 0
    for row in rows:
        count += 1
        if row["episode"] != count:
            reader.refuse(
                _(
                    "its episodes are not numbered without gaps: {row} comes where {count} should",
                    row=row["episode"],
                    count=count,
                )
            )
        yield row
    if count != run.values["episode"]:
        reader.refuse(
            _("it has {count:,} episodes, but its run says {values:,}", count=count, values=run.values["episode"])
        )


def _expert_loads(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """One row for each episode and expert, in that order."""
    experts, count = run.config.policy.experts, 0
    for row in rows:
        wanted = (count // experts + 1, count % experts)
        if (row["episode"], row["expert"]) != wanted:
            reader.refuse(
                _(
                    "its expert loads have a gap: episode {row}, expert {row2} comes where episode {wanted}, expert "
                    "{wanted2} should",
                    row=row["episode"],
                    row2=row["expert"],
                    wanted=wanted[0],
                    wanted2=wanted[1],
                )
            )
        count += 1
        yield row
    if count != run.values["episode"] * experts:
        reader.refuse(
            _(
                "it has {count:,} expert loads for {values:,} episodes of {experts} experts",
                count=count,
                values=run.values["episode"],
                experts=experts,
            )
        )


def _ascending(*names: str) -> Callable[[ArchiveReader, Iterator[Row], ArchivedRun], Iterator[Row]]:
    """Each row beyond the one before in these columns, and none beyond the episodes of the run."""

    def check(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
        before: tuple[int, ...] = (-1,) * len(names)
        for row in rows:
            here = tuple(row[name] for name in names)
            if here <= before or not 0 <= row["episode"] <= run.values["episode"]:
                reader.refuse(
                    _(
                        "it has a row of {names} {here} that is out of order or out of range",
                        names=listed(list(names)),
                        here=here,
                    )
                )
            before = here
            yield row

    return check


def _revisions(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Numbered from 1, each a curriculum, at least one in force."""
    applied = False
    count = 0
    for count, row in enumerate(rows, start=1):
        if row["revision"] != count or row["state"] not in _STATES:
            reader.refuse(_("its curriculum revision {row} is out of order or in no known state", row=row["revision"]))
        try:
            _check_environments(reader, run, Curriculum.model_validate_json(row["curriculum"]))
        except ValidationError as error:
            reader.refuse(
                _(
                    "its curriculum revision {count} is invalid: {explain}",
                    count=count,
                    explain=explain(error, _("in it")),
                )
            )
        applied = applied or row["state"] == commands.APPLIED
        yield row
    if not applied:
        reader.refuse(_("none of its curricula was applied"))


def _commands(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Each of a known kind; edits ask for revisions that are there."""
    revisions = {row["revision"] for row in read_rows(reader, "curriculum_revisions", run)}
    for row in rows:
        command = COMMANDS.get(row["kind"])
        if command is None or not command.recorded:
            reader.refuse(_("it has a command '{row}' that this V3 Lab does not know; update V3 Lab", row=row["kind"]))
        if row["revision"] is not None and row["revision"] not in revisions:
            reader.refuse(_("a command asks for revision {row}, which it lacks", row=row["revision"]))
        yield row


def _checkpoints(reader: ArchiveReader, rows: Iterator[Row], run: ArchivedRun) -> Iterator[Row]:
    """Each with its file in the archive, and no file without a row."""
    files = {member.name for member in reader.files if CHECKPOINT.fullmatch(member.name)}
    for row in _ascending("episode")(reader, rows, run):
        if row["path"] not in files:
            reader.refuse(_("it lacks the checkpoint '{value}', or has two rows of it", value=row["path"][:100]))
        files.remove(row["path"])
        yield row
    if files:
        reader.refuse(_("its file '{min}' has no row", min=min(files)))


def _alarms(reader: ArchiveReader, rows: Iterator[Row], _run: ArchivedRun) -> Iterator[Row]:
    """Numbered upwards, each in a known state and over episodes in order."""
    before = 0
    for row in rows:
        if row["number"] <= before or row["state"] not in alarms.STATES:
            reader.refuse(_("its alarm {row} is out of order or in no known state", row=row["number"]))
        if not 0 <= row["first_episode"] <= row["last_episode"]:
            reader.refuse(
                _(
                    "its alarm {row} is over episodes {row2} to {row3}",
                    row=row["number"],
                    row2=row["first_episode"],
                    row3=row["last_episode"],
                )
            )
        before = row["number"]
        yield row


def _process_samples(reader: ArchiveReader, rows: Iterator[Row], _run: ArchivedRun) -> Iterator[Row]:
    """Numbered from 1, each of some length."""
    for count, row in enumerate(rows, start=1):
        if row["number"] != count or not 0 < row["seconds"] < float("inf"):
            reader.refuse(_("its sample {row} of the process is out of order or of no length", row=row["number"]))
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
