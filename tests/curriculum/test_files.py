"""Curriculum files: what is wrong with a bad one is told in one sentence."""

import pytest

from v3core.curriculum import dump, load_curriculum, load_preset, parse, preset_names
from v3core.errors import V3Error


def test_the_presets_are_there_and_v3_comes_first():
    assert preset_names() == ["v3", "direct-sparsemax", "softmax-only"]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_being_written_and_read(name):
    assert parse(dump(load_preset(name))) == load_preset(name)


@pytest.mark.parametrize("control", ["direct-sparsemax", "softmax-only"])
def test_the_controls_differ_from_v3_in_routing_and_temperature_only(control):
    for phase, other in zip(load_preset("v3").phases, load_preset(control).phases, strict=True):
        assert (phase.until, phase.lr, phase.load_balance) == (other.until, other.lr, other.load_balance)


def test_an_unknown_preset_names_its_neighbours():
    with pytest.raises(V3Error, match=r"no curriculum preset 'softmax'\. Did you mean softmax-only"):
        load_curriculum("softmax")


def test_a_path_is_a_file_and_a_word_is_a_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(dump(load_preset("v3")))
    assert load_curriculum(str(path)) == (load_preset("v3"), False)
    assert load_curriculum("v3")[1] is True
    with pytest.raises(V3Error, match=r"nothing\.yaml cannot be read: No such file"):
        load_curriculum(str(tmp_path / "nothing.yaml"))


def test_a_binary_file_is_told_to_be_no_text(tmp_path):
    path = tmp_path / "image.yaml"
    path.write_bytes(b"\xff\xfe\x00\x89")
    with pytest.raises(V3Error, match="is not text"):
        load_curriculum(str(path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "not valid YAML at line 1"),
        ("- 1", "must be a mapping with 'name' and 'phases'"),
        ("{phases: [{name: a}]}", "'name' is missing"),
        ("{name: x, phases: []}", "'phases' is empty; give at least one"),
        ("{name: x, phases: [{name: a, lrr: 2}]}", "'lrr' of phase 1 is not a known key"),
        ("{name: x, phases: [{name: a, lr: foo}]}", "phase 'a' has lr 'foo'; give a number of 0 or more"),
        ("{name: x, phases: [{name: a, lr: 0}]}", "phase 'a' has lr 0; it must be greater than 0"),
        ("{name: x, phases: [{name: a, temperature: .nan}]}", "phase 'a' has temperature nan"),
        ("{name: x, phases: [{name: a, routing: hard}]}", "'routing' of phase 1 is 'hard'"),
        ("{name: x, phases: [{name: a}, {name: b}]}", "Phase 1 'a' has no end; only the last phase may"),
        ("{name: x, phases: [{name: a, until: {episode: 5}}]}", "Phase 1 'a' is the last and lasts to the end"),
        (
            "{name: x, phases: [{name: a, until: {episode: 5}}, {name: b, until: {episode: 4}}, {name: c}]}",
            "Phase 2 'b' ends at episode 4 but phase 1 'a' ends at 5",
        ),
        (
            "{name: x, phases: [{name: a, until: {episode: 5}}, {name: a}]}",
            "Phases 1 and 2 are both named 'a'",
        ),
    ],
)
def test_each_mistake_gets_its_sentence(text, sentence):
    with pytest.raises(V3Error) as caught:
        parse(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
