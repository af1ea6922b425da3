"""What the documentation says of the code is what the code says, and it leaves nothing out."""

import ast
import re

import pytest

from tests.docs import DOCS, PARTS, part, renewed
from v3core.metrics import METRICS
from v3core.store.schema import episodes, expert_loads, metadata


@pytest.mark.parametrize(("file", "name"), PARTS)
def test_generated_parts_are_up_to_date(file, name):
    text = (DOCS / file).read_text(encoding="utf-8")
    assert text == renewed(text, name, part(file, name)), "write it again with: python -m tests.docs"


def variables(*folders):
    """The variables of V3 Lab that Python files name in full, outside sentences."""
    found = set()
    for path in (file for folder in folders for file in (DOCS.parent / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"\bV3_[A-Z][A-Z_]*[A-Z]\b", node.value))
    return found


def rows(text):
    """What stands between backticks in the first column of the tables of a text."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_every_variable_is_documented():
    assert sorted(rows((DOCS / "variables.md").read_text(encoding="utf-8"))) == sorted(variables("v3core", "pages"))


@pytest.mark.parametrize("table", metadata.tables)
def test_every_column_is_documented(table):
    text = (DOCS / "tables.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `(\w+)`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert sections.keys() == metadata.tables.keys()
    per_expert = {episodes.name: False, expert_loads.name: True}.get(table)
    elsewhere = {metric.column for metric in METRICS.values() if metric.per_expert is per_expert}  # docs/metrics.md
    described, columns = rows(sections[table]), {column.name for column in metadata.tables[table].columns}
    assert set(described) == columns - elsewhere, "docs/tables.md"
    assert len(described) == len(set(described))


def test_every_page_can_be_found():
    listed = re.findall(r"[\w/-]+\.md", (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert pages - {page for page in pages if page.startswith("decisions/")} <= set(listed)
    for name in (*pages, "../README.md", "../README.zh-CN.md", "../CONTRIBUTING.md"):
        page = (DOCS / name).resolve()
        for link in re.findall(r"\]\((?!\w+:)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{name} links to {link}"
