"""Which launcher starts the workers, by V3_LAUNCHER."""

import pytest

from v3core.errors import V3Error
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.launchers.local import LocalLauncher


@pytest.mark.parametrize("value", [None, "", "local", " local "])
def test_workers_are_processes_of_this_machine_unless_another_launcher_is_named(monkeypatch, value):
    monkeypatch.delenv("V3_LAUNCHER", raising=False)
    if value is not None:
        monkeypatch.setenv("V3_LAUNCHER", value)
    assert isinstance(chosen(), LocalLauncher)


@pytest.mark.parametrize("value", ["Local", "slurm", "ray", "ray:", "ray://", "ray://host", "ray://host:port"])
def test_another_value_is_named_in_one_sentence(monkeypatch, value):
    monkeypatch.setenv("V3_LAUNCHER", value)
    with pytest.raises(V3Error, match=r"^V3_LAUNCHER is '") as refused:
        chosen()
    assert repr(value) in str(refused.value)
