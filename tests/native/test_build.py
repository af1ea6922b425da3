"""Building the library where it is installed: with any compiler, with one that is downloaded, and not at all."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from v3core.native import build as native
from v3core.native.build import BuildError, build, defect, find_compiler

COPIES = """
import shutil, sys

if "--version" not in sys.argv:
    shutil.copy({library!r}, sys.argv[sys.argv.index("-o") + 1])
"""
"""A compiler that has compiled before."""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder that is all of PATH, and no CXX."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    return folder


@pytest.fixture
def copier(tmp_path, compiled):
    """A Python program that writes what a compiler would."""
    program = tmp_path / "copies.py"
    program.write_text(COPIES.format(library=str(compiled)))
    return program


def executable(path, text="#!/bin/sh\n"):
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize("there", [["clang++"], ["g++", "clang++"], ["c++", "g++", "clang++"]])
def test_any_usual_compiler_is_found(programs, there):
    for name in there:
        executable(programs / name)
    assert find_compiler() == [str(programs / there[0])]


def test_cxx_names_the_compiler_with_its_options(programs, monkeypatch):
    executable(programs / "g++")
    monkeypatch.setenv("CXX", "ccache 'my clang++' -stdlib=libc++")
    assert find_compiler() == ["ccache", "my clang++", "-stdlib=libc++"]


def test_a_library_that_is_up_to_date_is_not_compiled_again(tmp_path, copier, monkeypatch):
    target, compiler = tmp_path / "v3network.so", [sys.executable, str(copier)]
    build(target, compiler)
    build(target, ["false"])
    for change in (lambda: target.write_bytes(b"damaged"), lambda: monkeypatch.setattr(native, "FLAGS", ("-O0",))):
        change()
        assert defect(target)
        with pytest.raises(BuildError):
            build(target, ["false"])
        build(target, compiler)
        assert defect(target) is None


@pytest.mark.parametrize(
    ("compiler", "sentence"),
    [
        (
            ["sh", "-c", "echo 'x.h:1: error: no such thing' >&2; exit 1"],
            "cannot compile the native library: x.h:1: error",
        ),
        (["false"], "^false cannot compile the native library: it failed"),
        (["true"], "^true cannot compile the native library: it failed"),
        (["/none/c++"], "^The native library cannot be built: .*No such file"),
        (["/"], "^The native library cannot be built: .*Permission denied"),
    ],
)
def test_a_compiler_that_fails_is_one_sentence_and_leaves_nothing(tmp_path, compiler, sentence):
    with pytest.raises(BuildError, match=sentence) as found:
        build(tmp_path / "v3network.so", compiler)
    assert "\n" not in str(found.value)
    assert not list(tmp_path.iterdir())


def test_a_read_only_installation_is_one_sentence(tmp_path, copier):
    (tmp_path / "file").touch()  # where root, too, cannot write
    with pytest.raises(BuildError, match=r"^The native library cannot be built: .*Not a directory"):
        build(tmp_path / "file" / "v3network.so", [sys.executable, str(copier)])


def test_without_a_compiler_one_is_downloaded_and_removed(programs, tmp_path, copier, monkeypatch):
    wheel = tmp_path / "wheels" / "ziglang-0.17.1-py3-none-any.whl"
    wheel.parent.mkdir()
    info = "ziglang-0.17.1.dist-info/"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ziglang/__main__.py", copier.read_text())
        archive.writestr(f"{info}METADATA", "Metadata-Version: 2.1\nName: ziglang\nVersion: 0.17.1\n")
        archive.writestr(f"{info}WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(native.tempfile, "tempdir", None)
    target = tmp_path / "v3network.so"
    with pytest.raises(BuildError, match="There is no C\\+\\+ compiler, and the package ziglang"):
        build(target)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    build(target)
    assert defect(target) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "copies.py", "v3network.so", "wheels"]
    assert importlib.util.find_spec("ziglang") is None


def test_the_command_says_what_was_built_or_why_not(compiled):
    command = [sys.executable, "-m", "v3core.native"]
    built = subprocess.run(command, capture_output=True, text=True, check=True)
    assert built.stdout == f"The native library is {compiled}.\n"
    out_of_date = (
        "import runpy, v3core.native.build as b; b.FLAGS = (); runpy.run_module('v3core.native', {}, '__main__')"
    )
    failed = subprocess.run(
        [sys.executable, "-c", out_of_date],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CXX": "false"},
    )
    assert failed.returncode == 1
    assert failed.stderr == (
        "Torch computes the network, more slowly than the native library would: false cannot compile the native "
        "library: it failed\n"
    )
    assert defect(compiled) is None


def test_sources_are_for_any_compiler():
    """GCC and Clang, with which they give the same numbers to the bit: no builtin that only one of them has."""
    for path in (native.HERE / "source").iterdir():
        assert "__builtin_ia32" not in path.read_text(), path


@pytest.mark.skipif(shutil.which("clang++") is None, reason="Clang is not installed here.")
def test_clang_compiles_them(tmp_path):
    build(tmp_path / "v3network.so", ["clang++"])
