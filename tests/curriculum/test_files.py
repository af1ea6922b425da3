"""Curriculum files: what is wrong with a bad one is reported in one sentence."""

import re

import pytest

from v3core.config import RunConfig, build_run_config, recipe_for
from v3core.curriculum import (
    BaseValues,
    Curriculum,
    Progress,
    check_environment_named,
    check_experts,
    check_router_learns,
    dump,
    environments_of,
    load_curriculum,
    load_preset,
    parse,
    preset_names,
    preset_names_for,
    settings_at,
)
from v3core.curriculum.edit import check_edit
from v3core.curriculum.presets import PRESETS, save_preset
from v3core.errors import V3Error


def test_the_presets_are_there_and_v3_comes_first():
    assert preset_names() == [
        "v3",
        "bengio-minigrid",
        "deepseek-moe",
        "deepseek-three-stage",
        "deepseek-v3-bias",
        "demo-with-curriculum",
        "demo-without-curriculum",
        "direct-sparsemax",
        "memory-tasks",
        "minihack-tasks",
        "mixtral",
        "no-graph",
        "single-expert",
        "softmax-only",
        "switch",
        "switch-two-stage",
        "v3-entmax",
    ]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_being_written_and_read(name):
    assert parse(dump(load_preset(name))) == load_preset(name)


@pytest.mark.parametrize("control", ["direct-sparsemax", "softmax-only"])
def test_the_controls_differ_from_v3_in_routing_and_temperature_only(control):
    for phase, other in zip(load_preset("v3").phases, load_preset(control).phases, strict=True):
        assert (phase.until, phase.lr, phase.load_balance) == (other.until, other.lr, other.load_balance)


def test_the_demo_ends_with_the_routing_that_its_control_begins_with():
    base = BaseValues(lr=1e-3)
    ended = settings_at(load_preset("demo-with-curriculum"), Progress(399, 400), base)
    control = settings_at(load_preset("demo-without-curriculum"), Progress(0, 400), base)
    assert (ended.routing, ended.temperature, ended.lr) == (control.routing, control.temperature, control.lr)
    assert load_preset("demo-with-curriculum").policy == load_preset("demo-without-curriculum").policy


@pytest.mark.parametrize("control", ["single-expert", "no-graph"])
def test_the_controls_of_the_network_have_the_phases_of_v3(control):
    assert load_preset(control).phases == load_preset("v3").phases
    assert load_preset(control).policy is not None
    assert load_preset("v3").policy is None


def test_v3_entmax_differs_from_v3_in_the_routing_of_its_transition_only():
    v3, entmax = load_preset("v3").phases, load_preset("v3-entmax").phases
    assert (entmax[0], entmax[2]) == (v3[0], v3[2])
    assert entmax[1].model_copy(update={"routing": "sparsemax", "alpha": None}) == v3[1]


@pytest.mark.parametrize(
    ("staged", "plain", "phase"), [("switch-two-stage", "switch", 0), ("deepseek-three-stage", "deepseek-moe", 2)]
)
def test_what_the_document_says_is_labelled_and_differs_in_its_stages_only(staged, plain, phase):
    assert "in the project's specification" in load_preset(staged).description
    assert "# As described in the project's specification" in (PRESETS / f"{staged}.yaml").read_text(encoding="utf-8")
    assert load_preset(staged).policy == load_preset(plain).policy
    base = BaseValues(lr=1e-3)
    inside = settings_at(load_preset(staged), Progress((500, 2000, 3500)[phase], 4000), base)
    alone = settings_at(load_preset(plain), Progress(0, 4000), base)
    assert {**vars(inside), "phase": 0, "phase_name": "", "alpha": 0} == {**vars(alone), "phase_name": "", "alpha": 0}


@pytest.mark.parametrize("name", preset_names())
def test_phases_of_presets_say_what_they_do(name):
    phases = [phase.name for phase in load_preset(name).phases]
    assert len({*phases}) == len(phases)
    for phase in phases:
        assert phase != name, "the curriculum's name says nothing of the phase"
        assert not re.search(r"\b(rate|phase|stage)\b", phase), "a number of the schedule is no purpose"


def test_no_preset_leaves_a_balance_loss_to_the_recipe():
    for name in preset_names():
        assert load_preset(name).phases[0].load_balance is not None, name


def test_presets_that_name_environments_are_offered_there_only():
    assert "bengio-minigrid" not in preset_names_for("CartPole-v1")
    of_others = {"memory-tasks", "minihack-tasks"}
    assert preset_names_for("MiniGrid-DoorKey-5x5-v0") == [name for name in preset_names() if name not in of_others]
    for env in ("MiniGrid-MemoryS7-v0", "MiniGrid-MemoryS11-v0"):
        assert "memory-tasks" in preset_names_for(env)
    assert "memory-tasks" not in preset_names_for("MiniGrid-MemoryS13-v0")
    bengio = load_preset("bengio-minigrid")
    assert environments_of(bengio) == (
        "MiniGrid-Empty-5x5-v0",
        "MiniGrid-DoorKey-5x5-v0",
        "MiniGrid-DoorKey-6x6-v0",
    )
    check_environment_named(bengio, "MiniGrid-DoorKey-6x6-v0")
    with pytest.raises(V3Error, match=r"trains on MiniGrid-Empty-5x5-v0, .*, not on CartPole-v1; choose one of them"):
        check_environment_named(bengio, "CartPole-v1")


def test_choosing_more_experts_than_there_are_is_refused():
    check_experts(load_preset("mixtral"), 2)
    with pytest.raises(V3Error, match="top_k 2, but the router has 1 expert "):
        check_experts(load_preset("mixtral"), 1)


@pytest.mark.parametrize("weights", ["renormalised", "sigmoid", "probabilities"])
def test_a_router_without_a_gradient_is_refused_with_what_to_use(tmp_path, weights):
    """Of the one chosen expert the normalised weight is 1, whatever the router says. A phase inherits what it omits."""
    one = {"name": "one", "until": {"episode": 9}, "top_k": 1, "top_k_weights": weights}
    curriculum = Curriculum.model_validate({"name": "c", "phases": [one, {"name": "two", "routing": "topk"}]})
    two = Curriculum.model_validate({"name": "c", "phases": [one, {"name": "two", "routing": "topk", "top_k": 2}]})
    file, recipe = tmp_path / "c.yaml", recipe_for("CartPole-v1")
    file.write_text(dump(curriculum))
    RunConfig(name="earlier", env="CartPole-v1", seed=1, episodes=20, curriculum=curriculum)  # is loaded
    progress = Progress(3, 20)
    checks = [
        lambda: load_curriculum(str(file)),
        lambda: build_run_config(
            name="n", env="CartPole-v1", seed=1, episodes=20, curriculum=curriculum, recipe=recipe
        ),
        lambda: check_edit(two, curriculum, progress),
    ]
    for check in checks:
        if weights == "probabilities":
            check()
            continue
        sentence = f"Phase 2 'two' chooses top_k 1 with top_k_weights {weights}, .* to probabilities, or top_k to 2 or"
        with pytest.raises(V3Error, match=sentence):
            check()
    check_edit(curriculum, two, progress)
    check_edit(curriculum, curriculum, progress)  # of a run that was started before this was refused
    check_router_learns(curriculum, experts=1)


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


def test_a_binary_file_is_reported_as_binary(tmp_path):
    path = tmp_path / "image.yaml"
    path.write_bytes(b"\xff\xfe\x00\x89")
    with pytest.raises(V3Error, match="is not a text file"):
        load_curriculum(str(path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "not valid YAML at line 1"),
        ("- 1", "must be a mapping with 'name' and 'phases'"),
        ("{phases: [{name: a}]}", "'name' is missing"),
        ("{name: x, phases: []}", "'phases' is empty; give at least one"),
        ("{name: x, phases: [{name: a, lrr: 2}]}", "'lrr' of phase 1 is not a known key"),
        (
            "{name: x, phases: [{name: a, lr: foo}]}",
            "phase 'a' has lr 'foo'; give a number greater than 0, {times: F}",
        ),
        ("{name: x, phases: [{name: a, lr: 0}]}", "phase 'a' has lr 0; it must be greater than 0"),
        ("{name: x, phases: [{name: a, temperature: .nan}]}", "phase 'a' has temperature nan"),
        ("{name: x, phases: [{name: a, lr: true}]}", "phase 'a' has lr True"),
        ("{name: x, phases: [{name: a, alpha: 3}]}", "phase 'a' has alpha 3; it must be from 1 to 2"),
        ("{name: x, phases: [{name: a, jitter: 1}]}", "phase 'a' has jitter 1; it must be at least 0 and below 1"),
        ("{name: x, phases: [{name: a, alpha: {times: 2}}]}", "it has no base value to multiply; write the number"),
        ("{name: x, phases: [{name: a, z_loss: -1}]}", "phase 'a' has z_loss -1; it must be 0 or more"),
        ("{name: x, phases: [{name: a, gate_entropy: x}]}", "gate_entropy 'x'; give a number or {from: A, to: B}"),
        ("{name: x, phases: [{name: a, until: 5}]}", "phase 'a' has until 5; write {episode: N}"),
        ("{name: x, phases: [{name: a, until: {}}, {name: b}]}", "exactly one of 'episode', 'step' and 'metric'"),
        ("{name: x, phases: [{name: a, until: {episode: 1, step: 1}}, {name: b}]}", "has 'episode' and 'step'"),
        ("{name: x, phases: [{name: a, until: {step: 1, window: 3}}, {name: b}]}", "'window' belongs to a trigger"),
        ("{name: x, phases: [{name: a, until: {metric: return}}, {name: b}]}", "needs either 'at_least' or 'at_most'"),
        (
            "{name: x, phases: [{name: a, until: {metric: success, at_least: 90}}, {name: b}]}",
            "has 90; it is a rate, so choose from 0 to 1",
        ),
        (
            "{name: x, phases: [{name: a, until: {metric: return, at_least: 9, max_episodes: 50}}, {name: b}]}",
            "has max_episodes 50, too few for it to fire: raise it to 100",
        ),
        (
            "{name: x, phases: [{name: a, until: {metric: return, at_least: 9}, lr: {from: 1, to: 2}}, {name: b}]}",
            "the length of its ramp of lr is unknown; give the ramp 'over: {episodes: N}'",
        ),
        (
            "{name: x, phases: [{name: a, lr: {from: 1, to: 2, over: {episodes: 5, steps: 9}}}]}",
            "phase 'a' has lr {'from': 1, 'to': 2, 'over': {'episodes': 5, 'steps': 9}}",
        ),
        (
            "{name: x, phases: [{name: a, until: {step: 9}}, {name: b, until: {step: 9}}, {name: c}]}",
            "Phase 2 'b' ends at step 9 but phase 1 'a' ends at 9",
        ),
        (
            "{name: x, policy: {single_expert: true, experts: 3}, phases: [{name: a}]}",
            "'policy' has single_expert and experts",
        ),
        ("{name: x, phases: [{name: a, routing: hard}]}", "'routing' of phase 1 is 'hard'"),
        ("{name: x, phases: [{name: a}, {name: b}]}", "Phase 1 'a' has no end; only the last phase can"),
        ("{name: x, phases: [{name: a, until: {episode: 5}}]}", "Phase 1 'a' is the last and lasts until the end"),
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


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        (
            "{name: x, phases: [{name: a, lr: foo}]}",
            "阶段“a”的 lr 为 'foo'；请给出一个数（大于 0）、{times: F} 或 {from: A, to: B}。",
        ),
        ("{name: x, phases: [{name: a, gate_entropy: x}]}", "请给出数字或 {from: A, to: B}。"),
        ("{name: x, phases: [{name: a, alpha: {times: 2}}]}", "没有可乘的基准值；请直接写数。"),
        (
            "{name: x, phases: [{name: a, until: {step: 9}}, {name: b, until: {step: 9}}, {name: c}]}",
            "阶段 2“b”在第 9 步结束，但阶段 1“a”在 9 结束；每个阶段都必须在前一个之后结束。",
        ),
        (
            "{name: x, phases: [{name: a, until: {episode: 5}}, {name: b, until: {episode: 4}}, {name: c}]}",
            "阶段 2“b”在第 4 回合结束，但阶段 1“a”在 5 结束；每个阶段都必须在前一个之后结束。",
        ),
    ],
)
def test_a_mistake_is_said_in_the_readers_language(text, chinese):
    with pytest.raises(V3Error) as caught:
        parse(text)
    assert chinese in caught.value.message.in_language("zh_CN")


def test_presets_are_saved_in_a_folder_that_is_made_once(monkeypatch, tmp_path):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path / "not" / "yet"))
    for name in ("mine", "other"):
        assert save_preset(load_preset("v3"), name).is_file()
        assert load_preset(name).phases == load_preset("v3").phases
    with pytest.raises(V3Error, match="already a preset 'mine'"):
        save_preset(load_preset("v3"), "mine")
