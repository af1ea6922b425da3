"""The targets of the Makefile that people and other programs call, and what calls them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from v3core.environments.nethack.ids import NEEDS, how_to_install, why_not_installed

ROOT = Path(__file__).resolve().parents[1]
TARGETS = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1].split())


def make(*arguments, folder=ROOT, is_ci=False):
    """What make prints."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"CI": "true"} if is_ci else {}
    done = subprocess.run(
        ["make", "-s", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_help_has_every_target():
    assert set(re.findall(r"^  make (\w+)", make("help"), re.MULTILINE)) == TARGETS


def test_nothing_is_installed_twice(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    for file in ROOT.glob("requirements*.txt"):
        (tmp_path / file.name).touch()
    for stamp in (".venv/.runtime", ".venv/.native", ".venv/.development", ".venv/.docs"):
        assert "pip install" in make("-n", "docs", folder=tmp_path)
        (tmp_path / stamp).touch()
    for target in ("run", "check", "fast", "test", "format", "docs"):
        assert "pip install" not in make("-n", target, folder=tmp_path), target
    assert "-r requirements-nethack.txt" in make("-n", "test", folder=tmp_path, is_ci=True)
    assert "-r requirements-nethack.txt" in make("-n", "nethack", folder=tmp_path)
    (tmp_path / ".venv" / ".nethack").touch()
    assert "-r requirements-ray.txt" in make("-n", "test", folder=tmp_path, is_ci=True)
    (tmp_path / ".venv" / ".ray").touch()
    assert "-r requirements-s3-tests.txt" in make("-n", "test", folder=tmp_path, is_ci=True)
    (tmp_path / ".venv" / ".s3").touch()
    assert "pip install" not in make("-n", "test", folder=tmp_path, is_ci=True)
    assert "v3core.native" not in make("-n", "run", folder=tmp_path)
    (tmp_path / "v3core" / "native" / "source").mkdir(parents=True)
    (tmp_path / "v3core" / "native" / "source" / "new.h").touch()
    assert "-m v3core.native || true" in make("-n", "run", folder=tmp_path)
    (tmp_path / "requirements.txt").write_text("another")
    assert "-r requirements.txt" in make("-n", "run", folder=tmp_path)


def test_benchmarks_are_run_but_for_the_one_that_trains_for_minutes():
    printed = make("-n", "bench", folder=ROOT)
    run = set(re.findall(r"benchmarks/(\w+)\.py", printed))
    assert run == {file.stem for file in (ROOT / "benchmarks").glob("[!_]*.py")} - {"memory"}


def test_nethack_is_installed_again_if_its_packages_may_have_changed(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" >> called\n')
    python.chmod(0o755)
    for name in ("requirements.txt", "requirements-nethack.txt", ".venv/.runtime", ".venv/.nethack"):
        (tmp_path / name).touch()
    assert "pip install" not in make("-n", ".venv/.nethack", folder=tmp_path), "as the tests of CI ask for it"
    for _ in range(2):
        (tmp_path / "called").write_text("")
        make("nethack", folder=tmp_path)
        called = (tmp_path / "called").read_text().splitlines()
        assert [" install " in line for line in called] == [True, False]
        assert called[0].endswith("--no-deps -r requirements-nethack.txt")
        assert called[1] == "-m v3core graph MiniHack-Room-5x5-v0", "what is installed may not run here"


def test_where_nethack_cannot_be_installed_it_is_said_what_it_needs(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "v3core").symlink_to(ROOT / "v3core")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\n[ "$2" != pip ] && exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for name in ("requirements.txt", "requirements-nethack.txt", ".venv/.runtime"):
        (tmp_path / name).touch()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make("nethack", folder=tmp_path)
    assert failed.value.stderr.splitlines()[0] == why_not_installed()
    assert not (tmp_path / ".venv" / ".nethack").exists()


@pytest.mark.parametrize(
    ("machine", "absent", "said"),
    [
        ("x86_64", {"cmake"}, "pip's message above has the cause"),
        ("riscv64", set(), "pip's message above has the cause"),
        ("riscv64", {"cmake"}, "and these are not found: cmake."),
        ("riscv64", {"flex", "c++", "g++", "clang++"}, "and these are not found: flex, a C++ compiler."),
        ("riscv64", {"c++"}, "pip's message above has the cause"),
    ],
)
def test_what_nethack_lacks_is_of_this_machine(machine, absent, said, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("shutil.which", lambda tool: None if tool in absent else f"/bin/{tool}")
    assert said in why_not_installed()
    lacking = said.removeprefix("and ").rstrip(".") if "not found" in said else NEEDS
    assert lacking in how_to_install()


@pytest.mark.parametrize(
    "file", [".github/workflows/tests.yml", "CONTRIBUTING.md", "README.md", "README.zh-CN.md", ".ci/run"]
)
def test_what_calls_make_calls_targets_that_are_there(file):
    called = re.findall(r"(?:^|[`:] ?)make ([a-z]+)", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    assert called
    assert set(called) <= TARGETS | {"install"}


def test_the_workflow_tries_each_python_that_the_package_takes():
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text("utf-8"))["jobs"]
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert jobs["fast"]["strategy"]["matrix"]["python"] == named


def test_commits_are_checked_by_the_tools_of_make_check():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    called = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    checked = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1]
    assert called == set(re.findall(r"^\t\$\(BIN\)/(\S+)", checked, re.MULTILINE))
