"""A library that cannot be used is never loaded, and is one sentence in `doctor` and in the history."""

import ctypes
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.conftest import ONE_PHASE, Recorder
from v3core import doctor
from v3core.errors import V3Error
from v3core.native import build, library
from v3core.training import trainer

HEAD = "Torch computes the network, because "


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the library is looked for: nothing is there at first."""
    path = tmp_path / "lib" / "v3network.so"
    path.parent.mkdir()
    monkeypatch.setattr(library, "LIBRARY", path)
    monkeypatch.setenv("V3_NATIVE", "1")
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path / "data"))
    return path


def whole(compiled):
    return compiled.read_bytes()


def resealed(compiled, content):
    """Undamaged, whatever it is."""
    return content + build.seal(content)[len(content) :]


def not_built(place, compiled, patch):
    return "the native library was not built; build it with `python -m v3core.native`."


def empty(place, compiled, patch):
    place.touch()
    return f"{place} is damaged; build it with `python -m v3core.native`."


def cut_short(place, compiled, patch):
    place.write_bytes(whole(compiled)[: len(whole(compiled)) // 2])
    return f"{place} is damaged; build it with `python -m v3core.native`."


def cut_short_in_its_code_alone(place, compiled, patch):
    """As after a crash of the disk: the end is there."""
    content = whole(compiled)
    place.write_bytes(content[:20_000] + content[30_000:])
    return f"{place} is damaged; build it with `python -m v3core.native`."


def one_bit_is_wrong(place, compiled, patch):
    content = bytearray(whole(compiled))
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    return f"{place} is damaged; build it with `python -m v3core.native`."


def other_sources(place, compiled, patch):
    content = whole(compiled)
    place.write_bytes(content)
    patch.setattr(build, "FLAGS", (*build.FLAGS, "-DOTHER"))
    return f"{place} was built from another version of the sources or for another machine; build it with `python -m"


def other_machine(place, compiled, patch):
    place.write_bytes(whole(compiled))
    patch.setattr(library, "NEEDED", {})
    patch.setattr(platform, "machine", lambda: "riscv64")
    return f"{place} was built from another version of the sources or for another machine; build it with `python -m"


def no_library_at_all(place, compiled, patch):
    place.write_bytes(resealed(compiled, b"no library"))
    return f"{place} cannot be loaded: "


def another_library(place, compiled, patch):
    """Which has none of the functions."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    other = re.search(r"/\S*/libm\.so[.\d]*$", maps, re.MULTILINE)[0]
    place.write_bytes(resealed(compiled, Path(other).read_bytes()))
    return f"{place} cannot be loaded: "


def a_folder(place, compiled, patch):
    place.mkdir()
    return f"{place} cannot be loaded: "


def an_older_processor(place, compiled, patch):
    place.write_bytes(whole(compiled))
    cpu = place.with_name("cpuinfo")
    cpu.write_text("processor\t: 0\nflags\t\t: fpu sse sse2 avx f16c bmi1 bmi2 abm movbe\n\nflags : avx2 fma\n")
    patch.setattr(library, "CPU", cpu)
    patch.setattr(library, "NEEDED", {platform.machine(): library.NEEDED["x86_64"]})
    return "this processor lacks avx2, fma."


def an_unknown_processor(place, compiled, patch):
    place.write_bytes(whole(compiled))
    patch.setattr(library, "CPU", place.with_name("none"))
    patch.setattr(library, "NEEDED", {platform.machine(): {"avx2"}})
    return "this processor lacks avx2."


@pytest.fixture(
    params=[
        *(not_built, empty, cut_short, cut_short_in_its_code_alone, one_bit_is_wrong, other_sources, other_machine),
        *(no_library_at_all, another_library, a_folder, an_older_processor, an_unknown_processor),
    ]
)
def trouble(request, place, compiled, monkeypatch):
    """One that cannot be used; the sentence's beginning."""
    return HEAD + request.param(place, compiled, monkeypatch)


def test_it_is_one_sentence_in_doctor_and_in_the_history(small_run, tmp_path, trouble):
    (found,) = (finding for finding in doctor.examine() if finding.subject == "Native library")
    assert found.detail.startswith(trouble)
    assert "\n" not in found.detail
    assert (found.ok, found.needed) == (False, False)
    hooks = Recorder(tmp_path)
    config = small_run(episodes=4, curriculum=ONE_PHASE)
    trainer.train(config, curriculum=config.curriculum, hooks=hooks)
    assert hooks.remarks == [found.detail]
    assert (hooks.backend, hooks.episodes[-1].episode) == ("eager", 4)


def test_nothing_is_loaded_that_could_end_the_process(place, compiled, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda path: pytest.fail(f"{path} was loaded"))
    for spoil in (not_built, empty, cut_short, cut_short_in_its_code_alone, one_bit_is_wrong, an_older_processor):
        with monkeypatch.context() as patch:
            spoil(place, compiled, patch)
            with pytest.raises(V3Error):
                library.load()


def test_a_library_cut_short_would_end_the_process(tmp_path, compiled):
    """Why checksums are compared before loading."""
    content = compiled.read_bytes()
    path = tmp_path / "v3network.so"
    path.write_bytes(content[:20_000])
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    assert subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False).returncode


def test_what_is_whole_is_loaded_and_said(place, compiled):
    place.write_bytes(whole(compiled))
    (found,) = (finding for finding in doctor.examine() if finding.subject == "Native library")
    assert (found.ok, found.detail) == (True, f"computes the network, of policies with memory its graph, from {place}")


def test_it_can_be_turned_off_which_is_no_fault(small_run, tmp_path, place, compiled, monkeypatch):
    place.write_bytes(whole(compiled))
    monkeypatch.setenv("V3_NATIVE", "0")
    (found,) = (finding for finding in doctor.examine() if finding.subject == "Native library")
    assert (found.ok, found.detail) == (True, f"{HEAD}V3_NATIVE is 0.")
    hooks, config = Recorder(tmp_path), small_run(episodes=4, curriculum=ONE_PHASE)
    trainer.train(config, curriculum=config.curriculum, hooks=hooks)
    assert (hooks.backend, hooks.remarks) == ("eager", [])


def test_a_change_of_any_source_is_another_version(tmp_path, monkeypatch):
    before = build.fingerprint()
    names = [path.relative_to(build.HERE) for path in (build.HERE / "layouts.py", *(build.HERE / "source").iterdir())]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((build.HERE / name).read_bytes())
    monkeypatch.setattr(build, "HERE", tmp_path)
    assert build.fingerprint() == before
    for name in names:
        with (tmp_path / name).open("a") as file:
            file.write(" ")
        assert build.fingerprint() != before, name
        before = build.fingerprint()
