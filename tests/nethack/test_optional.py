"""Without its packages NetHack is explained, on pages, in commands and in a worker; nothing else needs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from v3core import doctor
from v3core.cli import main
from v3core.environments import EnvironmentBatch, check_environment, known_environments
from v3core.environments.nethack import ids
from v3core.errors import V3Error

ROOT = Path(__file__).resolve().parents[2]
SENTENCE = (
    "Environment NetHackScore-v0 needs the Python package 'nle', which is not installed; run `make nethack` "
    f"({ids.NEEDS})."
)


def test_the_versions_are_those_of_the_requirements():
    lines = (ROOT / "requirements-nethack.txt").read_text("utf-8").splitlines()
    pins = dict(line.split()[0].split("==") for line in lines if "==" in line)
    assert pins == ids.PACKAGES


def test_the_documentation_has_what_is_installed_and_where(monkeypatch):
    page = " ".join((ROOT / "docs" / "environments.md").read_text("utf-8").split())
    assert f"{ids.NEEDS}." in page
    monkeypatch.setattr(ids, "INSTALLED", True)
    command, _, needs = ids.how_to_install().removeprefix("run ").partition(" (")
    assert command in page, "installed with pip"
    assert needs == f"{ids.NEEDS})"


@pytest.fixture
def missing(monkeypatch):
    """Python as it is without the packages: they are found nowhere."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ids.PACKAGES]:
        monkeypatch.delitem(sys.modules, name)

    class Without:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ids.PACKAGES:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(sys, "meta_path", [Without(), *sys.meta_path])
    from gymnasium.envs.registration import registry

    for env_id in [env_id for env_id in registry if ids.package_of(env_id)]:
        monkeypatch.delitem(registry, env_id)


@pytest.mark.usefixtures("missing")
def test_without_the_packages_it_is_explained():
    with pytest.raises(V3Error) as error:
        check_environment("NetHackScore-v0", allow_import=False)
    assert str(error.value) == SENTENCE
    assert not any(ids.package_of(env_id) for env_id in known_environments())
    finding = list(doctor.examine())[-1]
    assert (finding.subject, finding.ok, finding.needed) == ("NetHack", False, False)
    assert finding.detail.startswith("nle and minihack not installed; only needed for NetHack and MiniHack: run `make")


@pytest.fixture
def spec():
    """As the server that queued a run has seen it."""
    return check_environment("NetHackScore-v0", allow_import=False)


def test_a_worker_that_lacks_them_ends_with_the_sentence(spec, request):
    request.getfixturevalue("missing")
    with pytest.raises(V3Error) as error:
        EnvironmentBatch(spec, 1, 1)
    assert str(error.value) == SENTENCE


def test_other_environments_do_not_import_it():
    code = "import sys; from v3core.environments import check_environment as c; c('CartPole-v1', allow_import=False); "
    code += "sys.exit('nle' in sys.modules or 'pkg_resources' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_the_module_that_minihack_needs_is_gone_afterwards():
    code = "import sys; from v3core.environments.nethack.ids import import_package as i; i('MiniHack-Room-5x5-v0'); "
    code += "sys.exit('minihack' not in sys.modules or 'pkg_resources' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_graph_describes_it(capsys):
    assert main(["graph", "NetHackScore-v0"]) == 0
    said = capsys.readouterr().out
    assert "NetHackScore-v0: 45 nodes, 216 edges between them" in said
    assert "\n  actions: one of 23: MORE, N, E, S, W, NE, SE, SW, NW, FAR_N, " in said, "as its argument has them"
    assert "\n  situations: health low, monster adjacent, hungry, new level\n" in said


def test_its_description_in_json_has_names_of_actions_and_situations(capsys):
    assert main(["graph", "MiniHack-Room-5x5-v0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["actions"]["names"] == ["N", "E", "S", "W", "NE", "SE", "SW", "NW"]
    assert said["situations"] == ["health low", "monster adjacent", "hungry", "new level"]
