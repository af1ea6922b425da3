"""What is edited in a copy is what the copy does, and the checkout stays as it is."""

import pytest

from tests.extending.conftest import ROOT, Project


def test_a_copy_runs_its_own_files(project: Project) -> None:
    before = (ROOT / "v3core/errors.py").read_text(encoding="utf-8")
    project.insert("v3core/errors.py", "COPIED = 'here'", before="class V3Error")
    project.write("v3core/added.py", "from v3core.errors import COPIED\n")
    place = project.run("-c", "from v3core import added; print(added.COPIED, added.__file__)").split()
    assert place == ["here", str(project.folder / "v3core/added.py")]
    assert (ROOT / "v3core/errors.py").read_text(encoding="utf-8") == before


def test_what_fails_in_a_copy_fails_here(project: Project) -> None:
    with pytest.raises(AssertionError, match="no_such_module"):
        project.run("-c", "import no_such_module")
    assert "no_such_module" in project.run("-c", "import no_such_module", fails=True)


def test_an_edit_must_have_its_one_place(project: Project) -> None:
    with pytest.raises(ValueError, match="unpack"):
        project.insert("v3core/errors.py", "x = 1", before="no such line")
    with pytest.raises(AssertionError, match="0 times"):
        project.replace("v3core/errors.py", "no such text", "")
