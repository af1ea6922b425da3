"""The library compiled otherwise: for other processors the same numbers to the bit, with sanitisers no finding."""

import os
import platform
import shlex
import subprocess
import sys

import pytest

from tests.native.digest import digest
from v3core.native.build import ARCHITECTURES, FLAGS, HERE, find_compiler


@pytest.fixture
def compile_with(tmp_path):
    """Compiles the sources with further options."""

    def make(*options):
        path = tmp_path / "v3network.so"
        flags = [flag for flag in FLAGS if flag != "-s"]
        command = [*find_compiler(), *flags, *options, "-w", str(HERE / "source" / "network.cpp"), "-o", str(path)]
        subprocess.run(command, check=True)
        return path

    return make


@pytest.mark.skipif(platform.machine() != "x86_64", reason="The options are those of another processor.")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param("-march=x86-64 -O0", id="no fused products, vectors of four"),
        pytest.param(
            "-march=native -O3",
            id="this processor",
            marks=pytest.mark.skipif("V3_EXAMPLES" not in os.environ, reason="In the long form: it compiles for 10 s."),
        ),
    ],
)
def test_processors_of_another_kind_compute_the_same_to_the_bit(compiled, compile_with, options):
    assert digest(compile_with(*shlex.split(options))) == digest(compiled)


def test_sanitisers_find_no_fault_in_addresses_and_no_undefined_behaviour(compiled, compile_with):
    path = compile_with(
        ARCHITECTURES[platform.machine()][0], "-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    )
    assert _under_sanitisers(path).stdout.strip() == digest(compiled)


def _under_sanitisers(path):
    runtime = subprocess.run(
        [*find_compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [sys.executable, "-m", "tests.native.digest", str(path)],
        env=os.environ | {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done
