"""A copy of the project to add something to: tests edit it where the docs say, and look at what it then does.

A fixture `project` is such a copy. A test inserts into its files, runs Python in it, and asserts on what that prints;
the modules of this test process stay those of the checkout.
"""

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
_COPIED = (
    *("v3core", "pages", "tests", "docs", ".streamlit", "data/curricula", "data/recipes", "data/experiments"),
    *("app.py", "asgi.py", "data/claims.yaml", "pyproject.toml", "mkdocs.yml", "requirements.txt"),
    *("README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
)


@dataclass(frozen=True)
class Project:
    """A copy of the project, with a data folder of its own."""

    folder: Path

    def read(self, path: str) -> str:
        """A file of the copy."""
        return (self.folder / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """A new file; indentation that all of its lines share is taken off."""
        target = self.folder / path
        assert not target.exists(), f"{path} is there already"
        target.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def insert(self, path: str, text: str, *, before: str = "", after: str = "") -> None:
        """Lines beside the one line that contains `before` or `after`, with the text's own indentation."""
        lines = self.read(path).splitlines(keepends=True)
        (place,) = [number for number, line in enumerate(lines) if (before or after) in line]
        lines.insert(place if before else place + 1, text.strip("\n") + "\n")
        (self.folder / path).write_text("".join(lines), encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """The one place where `old` stands."""
        text = self.read(path)
        assert text.count(old) == 1, f"{path} has '{old}' {text.count(old)} times"
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Standard output of `python ARGUMENTS` in the copy; with `fails`, all it prints before it fails.

        Args:
            arguments: such as `-m`, `v3core`, `train`, or `-c` and a text, whose shared indentation is taken off.
            fails: whether it must fail rather than end well.
        """
        environment = {name: value for name, value in os.environ.items() if name != "V3_DATABASE_URL"}
        environment |= {"V3_DATA_DIR": str(self.folder / "recorded"), "PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            [sys.executable, *map(textwrap.dedent, arguments)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=10 * PATIENCE_SECONDS,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr if fails else done.stdout

    def write_docs(self, *tests: str, stale: str = "python -m tests.docs") -> None:
        """Write the generated pages: these tests fail before, with the words `stale`, and pass afterwards."""
        check = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        assert stale in self.run(*check, fails=True)
        self.run("-m", "tests.docs")
        self.run(*check)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project as it is now, in a folder of its own. Compiled modules go with it: they save seconds."""
    folder = tmp_path / "project"
    for name in _COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    (folder / "recorded").mkdir()
    return Project(folder)
