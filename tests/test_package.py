"""What pip installs works without a checkout, and names the versions that requirements.txt pins."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import v3core
from tests import catalogues
from tests.processes import kill_all
from tests.served import served
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.native.build import find_compiler

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
A_PAGE = f"""
import sys
from streamlit.testing.v1 import AppTest
from v3core.paths import shipped

app = AppTest.from_file(str(shipped("app.py")), default_timeout={PATIENCE_SECONDS})
app.query_params["run"] = sys.argv[1]
app.switch_page("pages/live.py")
app.run()
assert not app.exception, app.exception
print([element.value for element in (*app.title, *app.subheader, *app.caption, *app.markdown, *app.metric)])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A fresh environment with V3 Lab from its wheel; what else it needs it finds where the tests find it."""
    folder = tmp_path_factory.mktemp("installed")
    built = wheel(folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", str(built)], check=True)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "env"


def wheel(folder, **variables):
    """Build the wheel into a folder; its path."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run(command, check=True, env=os.environ | variables)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def user(installed, tmp_path):
    """Give a command as somebody who has only the package: `user("runs")` returns what was printed."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("V3_", "STREAMLIT_"))}
    variables |= {"PYTHONPATH": "", "XDG_DATA_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}

    def give(*arguments, program="v3lab", fails=False, **more):
        done = subprocess.run(
            [installed / "bin" / program, *arguments],
            cwd=tmp_path,
            env=variables | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if fails else None,
            text=True,
            timeout=240,
            check=not fails,
        )
        assert bool(done.returncode) is fails
        return done.stderr if fails else done.stdout

    yield give
    kill_all(tmp_path / "home" / "v3lab")


def test_a_run_is_trained_and_shown_from_any_folder(user, installed, tmp_path):
    data = tmp_path / "home" / "v3lab"
    package = Path(user("-c", "import v3core; print(v3core.__file__)", program="python").strip()).parent
    assert package.is_relative_to(installed)
    assert user("--version") == f"v3lab {v3core.__version__}\n"
    before = sorted(path for path in package.rglob("*") if "__pycache__" not in path.parts)

    (queued,) = user("sweep", "--env", "CartPole-v1", "--curricula", "v3", "--episodes", "4").split()

    def completed():
        (run,) = json.loads(user("runs", "--json"))
        return run["status"] == "completed" and run

    run = wait_for(completed, seconds=2 * PATIENCE_SECONDS)
    assert Path(run["checkpoint"]).is_relative_to(data)
    findings = {found["subject"]: found["detail"] for found in json.loads(user("doctor", "--json"))}
    assert str(data) in findings["Data folder"]
    assert findings["Version"] == f"{v3core.__version__}, installed in {package}"
    if find_compiler() is not None:
        library = package / "native" / "v3network.so"
        assert findings["Native library"] == f"computes the network, of policies with memory its graph, from {library}"
        assert "with the native backend" in user("log", queued)
    assert run["name"] in user("-c", A_PAGE, queued, program="python")
    with served(
        tmp_path, program=[str(installed / "bin" / "v3lab")], PYTHONPATH="", XDG_DATA_HOME=str(tmp_path / "home")
    ) as server:
        for path in ("/", "/live", "/app/static/plotly.min.js"):
            assert server.get(path)[0] == 200, path
        assert server.get("/app/static/plotly.min.js")[1].startswith("/**\n* plotly.js (cartesian")
        assert server.get("/", host="evil.example.org")[0] == 403, "the wheel's settings are in force"
        assert "WARNING" not in server.log.read_text()
    assert sorted(path for path in package.rglob("*") if "__pycache__" not in path.parts) == before


def files_in(path, ending):
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if name.endswith(ending)]


def test_a_wheel_has_each_language_compiled_and_its_source_and_speaks_it(installed, user):
    (built,) = installed.parent.glob("*.whl")
    sources = files_in(built, ".po")
    assert sources == [str(path.relative_to(ROOT)) for path in catalogues.sources()] != []
    assert files_in(built, ".mo") == [name.removesuffix(".po") + ".mo" for name in sources]
    code = """
from v3core import messages
del messages.compile_catalogue  # what is compiled already is read
print(messages.say("Cancel"))
"""
    assert user("-c", code, program="python", V3_LANG="zh") == "取消\n"


@pytest.mark.skipif(find_compiler() is None, reason="There is no C++ compiler here.")
def test_a_wheel_with_the_native_library_is_for_this_platform_and_uses_it(installed, user):
    (built,) = installed.parent.glob("*.whl")
    assert files_in(built, ".so") == ["v3core/native/v3network.so"]
    platform = sysconfig.get_platform().replace("-", "_")
    assert built.name == f"v3lab-{v3core.__version__}-py3-none-{platform}.whl"
    code = "from v3core.native import library; print(library.load()._name)"
    assert Path(user("-c", code, program="python", V3_NATIVE="1").strip()).is_relative_to(installed)


@pytest.mark.parametrize(
    "variables",
    [{"PATH": "/usr/sbin", "CXX": "", "PIP_NO_INDEX": "1"}, {"CXX": "false"}, {"V3_NATIVE": "0"}],
    ids=["no compiler", "one that fails", "none wanted"],
)
def test_a_wheel_is_built_without_a_compiler_and_says_so(tmp_path, variables):
    built = wheel(tmp_path / "wheel", **variables)
    assert files_in(built, ".so") == []
    assert built.name == f"v3lab-{v3core.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(tmp_path / "site")
    others = {"PYTHONPATH": str(tmp_path / "site"), "V3_DATA_DIR": str(tmp_path / "data"), "V3_NATIVE": "1"}
    command = [sys.executable, "-m", "v3core", "doctor", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | others, stdout=subprocess.PIPE, check=False)
    (found,) = [found for found in json.loads(done.stdout) if found["subject"] == "Native library"]
    assert found["detail"] == (
        "Torch computes the network, because the native library was not built; reinstall V3 Lab with a C++ compiler."
    )


def pins(name):
    """The requirements of a file, without those of files that it includes."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(text) for line in lines if (text := line.partition("#")[0].strip()) and text[0] != "-"]
    return {requirement.name.lower().replace("_", "-"): requirement for requirement in found}


def ranges(names):
    """The package's own requirements."""
    found = [Requirement(text) for text in names]
    return {requirement.name.lower().replace("_", "-"): requirement for requirement in found}


@pytest.mark.parametrize(
    ("file", "declared"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        (
            "requirements-dev.txt",
            [*PROJECT["optional-dependencies"]["dev"], *PROJECT["optional-dependencies"]["postgres"]],
        ),
        (
            "requirements-ray.txt",
            [*PROJECT["optional-dependencies"]["ray"], *PROJECT["optional-dependencies"]["postgres"]],
        ),
        (
            "requirements-s3.txt",
            [*PROJECT["optional-dependencies"]["s3"], *PROJECT["optional-dependencies"]["postgres"]],
        ),
    ],
)
def test_what_is_pinned_is_what_the_package_asks_for(file, declared):
    pinned, asked = pins(file), ranges(declared)
    asked.pop("v3lab", None)  # an extra that names another
    assert pinned.keys() == asked.keys()
    for name, requirement in pinned.items():
        assert requirement.extras == asked[name].extras, name
        for specifier in requirement.specifier:
            assert asked[name].specifier.contains(specifier.version), f"{asked[name]} leaves out {specifier.version}"


def test_each_python_that_is_named_is_taken():
    minors = [int(found[1]) for line in PROJECT["classifiers"] if (found := re.search(r":: 3\.(\d+)$", line))]
    wanted = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert minors == [minor for minor in range(30) if wanted.contains(f"3.{minor}.1")] == [11, 12, 13]


def test_sentences_name_the_command_that_is_there(user, installed):
    done = user("show", "0000", fails=True)
    assert done.endswith("list them with: v3lab runs.\n")
    assert "Usage: v3lab runs" in user("runs", "--help")
    for path in sorted((ROOT / "v3core").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} - docs
        said = [text for text in texts if isinstance(text, str) and "python -m v3core" in text and "\n" not in text]
        assert said == (["python -m v3core"] if path.name == "paths.py" else []), path


@pytest.mark.parametrize("minor", [12, 13])
def test_other_pythons_can_read_it(minor, tmp_path):
    program = shutil.which(f"python3.{minor}")
    if program is None or subprocess.run([program, "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"Python 3.{minor} is not installed here; the workflow has it")
    command = [program, "-W", "error", "-m", "compileall", "-q", "-f", "v3core", "pages", "app.py", "asgi.py"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path)}, check=True)


def test_the_changelog_names_this_version_as_its_newest_release():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(v3core.__version__)} \(\d{{4}}-\d\d-\d\d\)", headings[1])
