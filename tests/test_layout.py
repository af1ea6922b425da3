"""The house as docs/architecture.md draws it: every path it names is there, and no two modules have one name."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
MODULES = [path for path in sorted((ROOT / "v3core").rglob("*.py")) if path.name not in {"__init__.py", "__main__.py"}]


def test_every_path_that_the_architecture_names_is_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = {path.strip("/") for path in re.findall(r"`([\w./-]+(?:\.(?:py|md|yaml)|/))`", text)}
    assert len(named) > 60
    there = [
        f"/{path.relative_to(ROOT)}"
        for folder in (
            "benchmarks",
            "docs",
            "pages",
            "tests",
            "v3core",
            "data/curricula",
            "data/recipes",
            "data/experiments",
        )
        for path in [ROOT / folder, *(ROOT / folder).rglob("*")]
    ]
    there += [f"/{path.name}" for path in ROOT.iterdir()] + ["/data", "/data/runs", "/data/claims.yaml"]
    examples = {path for path in named if path.endswith(("_N.py", "-N.db"))}
    assert [path for path in sorted(named - examples) if not any(f.endswith(f"/{path}") for f in there)] == []


def test_no_two_modules_have_one_name():
    """A name tells which is meant, in a traceback and in talk."""
    twice = [name for name, count in Counter(path.stem for path in MODULES).items() if count > 1]
    assert twice == []


def test_no_two_test_files_have_one_name():
    """Test files stand in no package: of two with one name pytest collects one, and says so at the end of its run."""
    twice = [name for name, count in Counter(path.name for path in TESTS).items() if count > 1]
    assert twice == []
