"""Archives that nobody should take: each is refused in one sentence, and leaves neither rows nor files."""

import contextlib
import io
import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tests.archive.conftest import edit_json, edit_rows, forge, members
from v3core.archive import import_archive, layout, reading
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.store import commands
from v3core.store.runs import get_run, list_runs, runs_in
from v3core.store.schema import HIDDEN

pytestmark = pytest.mark.long_on_postgresql


@pytest.fixture
def refused(there):
    """`refused(path, message)`: the import is refused so, and nothing is there afterwards."""

    def check(path, message, **options):
        with pytest.raises(V3Error, match=message) as caught:
            import_archive(there, path, **options)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 700
        assert str(caught.value).endswith(".")
        assert list_runs(there) == []
        with there.read() as tx:
            assert runs_in(tx, {HIDDEN}) == []
            for table in ("episodes", "expert_loads", "events", "curriculum_revisions"):
                assert tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0
        assert list(there.data_dir.glob("runs/*")) == []

    return check


@pytest.mark.parametrize(
    "name",
    [
        "../evil.pt",
        "/etc/evil",
        "checkpoints/../../evil.pt",
        "checkpoints\\..\\evil.pt",
        "C:\\evil",
        "checkpoints/episode-00000005.pt/",
        "logs/other.log",
        "tables/runs.jsonl",
        "checkpoints/episode-00000005.pt\0.exe",
        "evil.py",
    ],
)
def test_names_that_no_archive_has(refused, forged, name):
    path = forged(lambda content: content.update({"x" * len(name): b"evil"}))
    # zipfile itself would clean such names.
    path.write_bytes(path.read_bytes().replace(b"x" * len(name), name.encode()))
    refused(path, "does not belong in a V3 Lab archive")


def test_two_members_of_one_name(refused, forged):
    path = forged()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", "{}")
    refused(path, "two members named 'config.json'")


def test_a_link(refused, archive, tmp_path):
    content = members(archive)
    with zipfile.ZipFile(tmp_path / "link.v3run", "w") as file:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK if name == "logs/worker.log" else stat.S_IFREG) << 16
            file.writestr(info, data)
    refused(tmp_path / "link.v3run", "'logs/worker.log' is not a plain file")


def test_a_compressed_bomb(refused, forged):
    path = forged(lambda content: content.update({"tables/events.jsonl": b"\n" * (64 << 20)}))
    assert path.stat().st_size < 200_000
    refused(path, "would unpack to more than 200 times its size")


def test_a_member_of_ten_gigabytes(refused, forged):
    path = forged()
    _declare(path, "tables/events.jsonl", 4_000_000_000)
    refused(path, "would unpack to more than 200 times its size")


def test_members_too_large_each_or_together(refused, archive, monkeypatch):
    with monkeypatch.context() as smaller:
        smaller.setattr(layout, "MAX_MEMBER_BYTES", 5000)
        refused(archive, r"has [\d,]+ bytes, more than 5,000")
    monkeypatch.setattr(layout, "MAX_BYTES", 10_000)
    refused(archive, r"it would unpack to [\d,]+ bytes, more than 10,000")


def test_a_member_larger_than_it_declares(refused, forged):
    """The directory and the manifest say less than is there: no more than that is ever unpacked."""
    long = b'["at","actor","kind","message"]\n' + b" " * 100_000

    path = forged(lambda content: content.update({"tables/events.jsonl": long}))
    _declare(path, "tables/events.jsonl", 50)
    content = members_unchecked(path)
    content["members"] = [
        entry | {"bytes": 50} if entry["name"] == "tables/events.jsonl" else entry for entry in content["members"]
    ]
    with zipfile.ZipFile(path) as file:
        rest = {info.filename: file.read(info) for info in file.infolist() if "events" not in info.filename}
    rest["manifest.json"] = json.dumps(content).encode()
    liar = path.with_name("liar.v3run")
    with zipfile.ZipFile(liar, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in rest.items():
            file.writestr(name, data)
        file.writestr("tables/events.jsonl", long)
    _declare(liar, "tables/events.jsonl", 50)
    refused(liar, "'tables/events.jsonl' is damaged")


def members_unchecked(path):
    """The manifest."""
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("manifest.json"))


def _declare(path, name, size):
    """Write another unpacked size into the directory of a ZIP file."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x05\x06")
    (directory,) = struct.unpack_from("<I", data, at + 16)
    while data[directory : directory + 4] == b"PK\x01\x02":
        length, extra, comment = struct.unpack_from("<HHH", data, directory + 28)
        if data[directory + 46 : directory + 46 + length] == name.encode():
            struct.pack_into("<I", data, directory + 24, size)
        directory += 46 + length + extra + comment
    path.write_bytes(data)


def test_a_directory_that_would_fill_the_memory(refused, archive):
    data = bytearray(archive.read_bytes())
    at = data.rindex(b"PK\x05\x06")
    struct.pack_into("<I", data, at + 12, 1 << 31)
    archive.write_bytes(data)
    refused(archive, "is not a V3 Lab archive")


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -1, -30])
def test_a_file_cut_short(refused, archive, kept):
    archive.write_bytes(archive.read_bytes()[:kept])
    refused(archive, "incomplete")


def test_other_files(refused, tmp_path):
    refused(tmp_path / "none.v3run", "There is no file")
    (tmp_path / "text.v3run").write_text("hello")
    refused(tmp_path / "text.v3run", "is not a V3 Lab archive")
    refused(tmp_path, "is not a file; give a .v3run archive")
    os.mkfifo(tmp_path / "pipe.v3run")
    refused(tmp_path / "pipe.v3run", "is not a file; give a .v3run archive")
    refused(Path("/dev/zero"), "/dev/zero is not a file; give a .v3run archive")
    refused(tmp_path / ("n" * 300), "cannot be read: File name too long")
    with zipfile.ZipFile(tmp_path / "empty.v3run", "w"):
        pass
    refused(tmp_path / "empty.v3run", "it has no manifest")
    refused(io.BytesIO(b"nothing"), "is not a V3 Lab archive")


def test_flipped_bits_anywhere(there, archive):
    """Refused, or without effect where the byte has no meaning (a time, a version)."""
    good = archive.read_bytes()
    taken = 0
    for place in range(0, len(good), max(1, len(good) // 150)):
        data = bytearray(good)
        data[place] ^= 0xFF
        archive.write_bytes(data)
        with contextlib.suppress(V3Error):
            import_archive(there, archive, as_new=True)
            taken += 1
    assert len(list_runs(there)) == taken
    assert len(list(there.data_dir.glob("runs/*"))) == taken


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"version": 2}, "it was made by a newer V3 Lab .archive version 2, this one knows 1.; update V3 Lab"),
        ({"schema_version": 9999}, "it was made by a newer V3 Lab .schema 9999"),
        ({"format": "other"}, "its manifest is invalid: 'format'"),
        ({"run_id": "../../etc"}, "its manifest is invalid: 'run_id'"),
        ({"extra": 1}, "its manifest is invalid: 'extra'"),
        ({"members": []}, "its manifest and its content differ"),
        ({"members": 7}, "its manifest is invalid"),
        ({"run_id": "00000000-0000-4000-8000-000000000000"}, "its manifest names another run"),
    ],
)
def test_manifests(refused, forged, manifest, message):
    refused(forged(**manifest), message)


def test_a_manifest_that_is_not_json(refused, forged):
    path = forged()
    content = members(path)
    for text in (b"[" * 200_000, b"\xff", b"NaN", b"[]"):
        with zipfile.ZipFile(path, "w") as file:
            for name, data in content.items():
                file.writestr(name, text if name == "manifest.json" else data)
        refused(path, "manifest")


def _set(table, row, column, value):
    def change(content):
        def edit(columns, rows):
            rows[row][columns.index(column)] = value

        edit_rows(content, table, edit)

    return change


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "message"),
    [
        ("episodes", 3, "return", "7", "row 4' has '7' as 'return', which is not a number"),
        ("episodes", 3, "return", True, "which is not a number"),
        ("episodes", 3, "length", 1.5, "which is not a whole number"),
        ("episodes", 3, "length", None, "lacks a value of 'length'"),
        ("episodes", 3, "length", 2**40, "which is not a whole number in range"),
        ("episodes", 3, "phase", 5, "which is not a text"),
        ("episodes", 3, "phase", "a\0b", "which is not a text"),
        ("episodes", 3, "phase", "\ud800", "which is not a text"),
        ("episodes", 3, "top_k_weights", "x" * 21, "which is not a text within the allowed length"),
        ("episodes", 3, "at", "2030-01-01T00:00:00", "which is not a time with a time zone"),
        ("episodes", 3, "at", "yesterday", "which is not a time with a time zone"),
        ("episodes", 3, "episode", 5, "not numbered without gaps: 5 comes where 4 should"),
        ("episodes", 0, "episode", 0, "not numbered without gaps: 0 comes where 1 should"),
        ("expert_loads", 5, "expert", 2, "episode 2, expert 2 comes where episode 2, expert 1 should"),
        ("evaluations", 1, "number", 1, "out of order"),
        ("evaluations", 1, "episode", 13, "out of range"),
        ("phase_changes", 0, "episode", -1, "out of range"),
        ("curriculum_revisions", 1, "revision", 3, "out of order"),
        ("curriculum_revisions", 1, "curriculum", "{}", "its curriculum revision 2 is invalid"),
        ("curriculum_revisions", 1, "state", "odd", "in no known state"),
        ("curriculum_revisions", 0, "state", "rejected", "none of its curricula was applied"),
        ("commands", 0, "kind", "format_disk", "command 'format_disk' that this V3 Lab does not know"),
        ("commands", 0, "revision", 9, "asks for revision 9, which it lacks"),
        ("checkpoints", 0, "path", "/etc/passwd", "lacks the checkpoint '/etc/passwd'"),
        ("checkpoints", 0, "path", "checkpoints/episode-00000010.pt", "lacks the checkpoint|has no row"),
    ],
)
def test_rows(refused, forged, table, row, column, value, message):
    refused(forged(_set(table, row, column, value)), message)


def test_columns(refused, forged):
    def unknown(columns, rows):
        columns.append("surprise")
        for row in rows:
            row.append(1)

    def twice(columns, rows):
        columns[1] = columns[0]

    def lacks(columns, rows):
        columns[columns.index("length")] = "alpha2"

    for edit, message in (
        (unknown, "column 'surprise' that this V3 Lab does not know"),
        (twice, "names a column twice|lacks"),
        (lacks, "alpha2"),
    ):
        refused(forged(lambda content, edit=edit: edit_rows(content, "episodes", edit)), message)


def test_an_archive_of_an_older_schema_lacks_columns(there, forged):
    def older(columns, rows):
        place = columns.index("support")
        del columns[place]
        for row in rows:
            del row[place]

    run = import_archive(there, forged(lambda content: edit_rows(content, "episodes", older), schema_version=1))
    with there.read() as tx:
        counts = tx.exec_driver_sql("SELECT count(*), count(support) FROM episodes").one()
    assert tuple(counts) == (12, 0)
    assert run == list_runs(there)[0].id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "hidden"}, "'hidden' is not the status of a run"),
        ({"status": "odd"}, "is not the status of a run"),
        ({"episode": 13}, "it has 12 episodes, but its run says 13"),
        ({"episode": -1}, "below zero"),
        ({"experts": 5}, "its experts is 5 in 'run.json' and 4 in 'config.json'"),
        ({"pid": 1}, "a column 'pid' that this V3 Lab does not know"),
        ({"created_at": None}, "lacks a value of 'created_at'"),
    ],
)
def test_the_run_itself(refused, forged, changes, message):
    refused(forged(lambda content: edit_json(content, "run.json", **changes)), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": -5}, "its configuration is invalid: .*episodes"),
        ({"surprise": 1}, "its configuration is invalid"),
        ({"curriculum": {}}, "its configuration is invalid"),
    ],
)
def test_configurations(refused, forged, changes, message):
    refused(forged(lambda content: edit_json(content, "config.json", **changes)), message)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("config.json", {"device": "x" * 100_000}, "its configuration is invalid: .*'device' is 'x*…"),
        ("config.json", {"device": "\ud800"}, "its configuration is invalid: in it: invalid JSON: "),
        ("config.json", {"device": "a\x1b[2Jb"}, r"'device' is 'a\\x1b\[2Jb'"),
        ("run.json", {"status": "a\nb\x1b[2J"}, r"'a\\nb\\x1b\[2J' is not the status of a run"),
        ("run.json", {"x" * 100_000: 1}, "has a column 'x*…"),
    ],
)
def test_a_sentence_is_one_line_that_fits(refused, forged, name, changes, message):
    refused(forged(lambda content: edit_json(content, name, **changes)), message)


def test_an_open_edit_of_a_curriculum_in_force_leaves_it_in_force(there, forged):
    run = import_archive(there, forged(_set("commands", 0, "revision", 1)))
    with there.read() as tx:
        assert commands.curriculum_in_force(tx, run)


def test_environments_that_import_code_need_a_word(there, refused, forged):
    def change(content):
        for name in ("config.json", "run.json"):
            edit_json(content, name, env="antigravity:Fly-v0")

    path = forged(change)
    refused(path, "'antigravity:Fly-v0' imports code .* --allow-import")
    assert import_archive(there, path, allow_import=True)


def test_so_do_wrappers_that_import_code(there, refused, forged):
    path = forged(lambda content: edit_json(content, "config.json", wrappers=["TimeLimit(9)", "antigravity:Fly(1)"]))
    refused(path, r"its wrapper 'antigravity:Fly\(1\)' imports code .* --allow-import")
    assert import_archive(there, path, allow_import=True)


@pytest.mark.parametrize("changes", [{"wrappers": ["os.system('x')"]}, {"env_args": {"id": "X-v0"}}])
def test_arguments_and_wrappers_that_are_none(refused, forged, changes):
    refused(forged(lambda content: edit_json(content, "config.json", **changes)), "its configuration is invalid")


def test_arguments_and_wrappers_come_along(there, forged):
    kept = {"env_args": {"sutton_barto_reward": True}, "wrappers": ["TimeLimit(9)"]}
    run = import_archive(there, forged(lambda content: edit_json(content, "config.json", **kept)))
    assert get_run(there, run).config.environment == EnvironmentSetup(
        "CartPole-v1", kept["env_args"], tuple(kept["wrappers"])
    )


def test_so_do_those_of_a_later_revision(refused, forged):
    def edit(columns, rows):
        place = columns.index("curriculum")
        curriculum = json.loads(rows[1][place])
        curriculum["phases"][1]["env"] = "antigravity:Fly-v0"
        rows[1][place] = json.dumps(curriculum)

    refused(forged(lambda content: edit_rows(content, "curriculum_revisions", edit)), "imports code")


@pytest.mark.parametrize("kind", ["text", "compressed", "cut"])
def test_checkpoints_that_are_none(refused, forged, kind):
    """A pickle of a class is stopped later, when the checkpoint is loaded: only tensors and plain values are read."""

    def change(content):
        name = "checkpoints/episode-00000005.pt"
        if kind == "text":
            content[name] = b"hello"
        elif kind == "cut":
            content[name] = content[name][:-10]
        else:
            bomb = io.BytesIO()
            with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("x/data.pkl", b"\0" * 1_000_000)
            content[name] = bomb.getvalue()

    refused(forged(change), "'checkpoints/episode-00000005.pt' is not a checkpoint")


@pytest.mark.parametrize("name", ["tables/checkpoints.jsonl", "tables/episodes.jsonl", "run.json", "config.json"])
def test_members_that_are_missing(refused, forged, name):
    refused(forged(lambda content: content.pop(name)), "lacks|has no row|has 0 episodes")


def test_a_row_without_end(refused, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_SMALL_BYTES", 50_000)
    monkeypatch.setattr(reading, "_PIECE_BYTES", 10_000)
    content = members(archive)
    content["tables/events.jsonl"] += b'["' + b"x" * 80_000
    refused(forge(tmp_path / "long.v3run", content), "a row of more than 50,000 bytes")


def test_a_full_disk_is_known_beforehand(refused, archive, monkeypatch):
    from v3core.archive import importing

    monkeypatch.setattr(importing, "SPARE_BYTES", 1 << 60)
    refused(archive, "free some space")


def test_content_that_is_not_what_the_manifest_vouches_for(refused, archive, forged):
    reported = json.loads(members(archive)["manifest.json"])["members"]

    def change(content):
        content["logs/worker.log"] = content["logs/worker.log"].replace(b"a line", b"A line")

    refused(forged(change, members=reported), "'logs/worker.log' is damaged: the checksum does not match")
