"""The command line in the language of its environment: people read theirs, programs read the same in each."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.words_on_pages import english_in
from tests.pages.kinds import EXPERIMENT, add_each_kind
from v3core.messages import speaking
from v3core.output import padded, width
from v3core.store.opening import open_database

ROOT = Path(__file__).resolve().parents[1]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
NAMING = {"LANG", "LANGUAGE", "V3_LANG", "PYTHONUTF8", "PYTHONIOENCODING"}
IN_CHINESE = {"LANG": "zh_CN.UTF-8"}
IN_ENGLISH = [{"LANG": "C"}, {"LANG": "zh_CN.UTF-8", "V3_LANG": "en"}]


def give(folder: Path, language: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("V3_", "LC_"))}
    others = {name: value for name, value in kept.items() if name not in NAMING}
    return subprocess.run(
        [sys.executable, "-m", "v3core", *arguments],
        cwd=ROOT,
        env=others | {"V3_DATA_DIR": str(folder)} | language,
        capture_output=True,
        timeout=120,
        check=False,
    )


def words(folder: Path, language: dict[str, str], *arguments: str, code: int = 0) -> str:
    done = give(folder, language, *arguments)
    assert done.returncode == code, done.stderr
    return (done.stderr if code else done.stdout).decode("utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one run, trained by who reads Chinese."""
    folder = tmp_path_factory.mktemp("chinese") / "data"
    words(folder, IN_CHINESE, "train", "--env", "CartPole-v1", "--episodes", "4")
    return folder


SAID = [
    pytest.param(("--help",), 0, "Usage: ", "List runs, newest first", "列出运行，最新在前", id="help"),
    pytest.param(("runs", "--help"), 0, "Options:", "Print JSON.", "输出 JSON。", id="help of a command"),
    pytest.param(
        ("runs", "--nope"), 2, "No such option", "No such option '--nope'.", "没有选项 '--nope'。", id="usage"
    ),
    pytest.param(("show", "0000"), 1, "There is no", "There is no run '0000';", "没有运行“0000”；", id="error"),
    pytest.param(("runs",), 0, "No runs yet in ", "Start one: ", "开始第一个：", id="output"),
]


@pytest.mark.parametrize(("arguments", "code", "first", "english", "chinese"), SAID)
def test_help_errors_and_output_are_in_the_language_of_the_environment(
    tmp_path: Path, arguments: tuple[str, ...], code: int, first: str, english: str, chinese: str
) -> None:
    said = words(tmp_path, IN_CHINESE, *arguments, code=code)
    assert chinese in said
    assert english not in said
    assert first not in said
    for language in IN_ENGLISH:
        said = words(tmp_path, language, *arguments, code=code)
        assert first in said
        assert english in said
        assert not CHINESE.search(said)


def test_each_command_has_its_line_of_help_in_chinese(tmp_path: Path) -> None:
    _head, _heading, listed = words(tmp_path, IN_CHINESE, "--help").partition("命令:")
    lines = re.findall(r"^  [a-z][\w-]+(.*(?:\n {4,}.*)*)", listed, re.MULTILINE)
    assert len(lines) > 30
    assert [line for line in lines if not CHINESE.search(line)] == []


def test_json_is_the_same_in_each_language(data: Path) -> None:
    (run,) = json.loads(words(data, IN_CHINESE, "runs", "--json"))
    for arguments in (("runs", "--json"), ("show", run["id"], "--json"), ("alarms", run["id"], "--json")):
        chinese, *english = (give(data, language, *arguments) for language in (IN_CHINESE, *IN_ENGLISH))
        assert chinese.returncode == 0, chinese.stderr
        assert not CHINESE.search(chinese.stdout.decode("utf-8"))
        assert [(one.returncode, one.stdout) for one in english] == [(0, chinese.stdout)] * len(IN_ENGLISH)


def test_what_is_recorded_in_chinese_is_read_in_english(data: Path) -> None:
    (run,) = json.loads(words(data, IN_ENGLISH[0], "runs", "--json"))
    assert not CHINESE.search(words(data, IN_ENGLISH[0], "log", run["id"]))
    assert not CHINESE.search(words(data, IN_ENGLISH[0], "show", run["id"]))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data folder with a run of each kind in one experiment, and their ids."""
    folder = tmp_path_factory.mktemp("kinds")
    db = open_database(f"sqlite:///{folder / 'v3.db'}", folder)
    made = add_each_kind(db)
    db.close()
    return folder, made


NAMES = re.compile(r"python -m v3core \w+|nle|minihack|local|  pause ")
"""Of commands, packages and launchers."""
GYMNASIUM = "A Box observation space"
"""What Gymnasium itself says of an environment."""
LISTED = [
    *(["runs", "--sizes"], ["doctor"], ["slots"], ["experiments"], ["experiment", EXPERIMENT]),
    *(["compare", EXPERIMENT], ["show", "{real}"], ["alarms", "{real}"], ["alarms", "{64 experts}"]),
    *(["claims", "presets-doorkey"], ["sweep", "--env", "CartPole-v1", "--seeds", "1-3", "--dry-run"]),
    ["doctor", "--env", "CartPole-v1"],
    *(["graph", name] for name in ("CartPole-v1", "Pendulum-v1", "MiniGrid-DoorKey-5x5-v0")),
]


@pytest.mark.parametrize("arguments", LISTED, ids=" ".join)
def test_every_line_is_in_one_language(kinds: tuple[Path, dict[str, str]], arguments: list[str]) -> None:
    folder, made = kinds
    given = [one.format_map(made) for one in arguments]
    done = give(folder, IN_CHINESE, *given)
    said = (done.stdout + done.stderr).decode("utf-8").splitlines()
    assert any(map(CHINESE.search, said))
    assert english_in([NAMES.sub(" ", line) for line in said if GYMNASIUM not in line]) == []
    for language in IN_ENGLISH:
        done = give(folder, language, *given)
        assert not CHINESE.search((done.stdout + done.stderr).decode("utf-8"))


OF_OTHERS = re.compile(r"/\S+|SQLite|unable to open database file|not a directory|sqlite:\S+|V3_\w+")
"""Files, variables, and what SQLite and the operating system say."""
REFUSED = {
    "data folder is a file": ({"V3_DATA_DIR": "{folder}/file"}, "数据文件夹"),
    "data folder below a file": ({"V3_DATA_DIR": "{folder}/file/below"}, "数据文件夹"),
    "database is another file": ({"V3_DATABASE_URL": "sqlite:///{folder}/file"}, "不是 SQLite 数据库"),
    "database cannot be opened": ({"V3_DATABASE_URL": "sqlite:////proc/x.db"}, "数据库"),
    "no database server": ({"V3_DATABASE_URL": "postgresql://me@127.0.0.1:9/v3"}, "无法连接数据库"),
}


@pytest.mark.parametrize(("variables", "chinese"), REFUSED.values(), ids=REFUSED)
def test_a_refused_database_is_said_in_the_language_of_the_environment(
    tmp_path: Path, variables: dict[str, str], chinese: str
) -> None:
    (tmp_path / "file").write_text("no database " * 100)
    given = {name: value.format(folder=tmp_path) for name, value in variables.items()}
    said = words(tmp_path, IN_CHINESE | given, "runs", code=1)
    assert chinese in said
    if "连接" not in chinese:  # the driver has words of its own
        assert english_in([OF_OTHERS.sub(" ", said)]) == []
    for language in IN_ENGLISH:
        assert not CHINESE.search(words(tmp_path, language | given, "runs", code=1))


def test_what_commands_say_when_they_are_done_is_in_one_language(data: Path, tmp_path: Path) -> None:
    (run,) = json.loads(words(data, IN_CHINESE, "runs", "--json"))
    for arguments in (
        ("note", run["id"], "--notes", "x"),
        ("replay", run["id"], "--episodes", "2"),
        ("export", run["id"], "--to", str(tmp_path / "x.csv")),
        ("export", run["id"], "--what", "alarms", "--to", str(tmp_path / "x.csv")),
    ):
        said = words(data, IN_CHINESE, *arguments).splitlines()
        assert any(map(CHINESE.search, said)), said
        assert english_in(said) == []
        assert not CHINESE.search(words(data, IN_ENGLISH[0], *arguments))
    said = words(data, IN_CHINESE, "export", run["id"], "--to", str(tmp_path / "x.csv"))
    assert said == f"4 个回合已写入 {tmp_path / 'x.csv'}。\n"
    assert "请用 experiments 列出各实验。" in words(data, IN_CHINESE, "experiment", "x", code=1)
    assert english_in([words(data, IN_CHINESE, "log", run["id"], "--traceback", code=1)]) == []
    assert "的状态为已完成，" in words(data, IN_CHINESE, "log", run["id"], "--traceback", code=1)


def test_columns_line_up_where_characters_are_two_columns_wide() -> None:
    with speaking("zh_CN"):
        assert [padded("已完成", 9), padded("v3", 4, right=True), padded("已完成", 2)] == [
            "已完成   ",
            "  v3",
            "已完成",
        ]
    assert width("已 a") == 4
