"""What an environment says at an episode's end: recorded by name, and used by triggers."""

import json

import gymnasium
import numpy as np
import pytest

from tests.environments.scored import Scored
from v3core.config import Recipe, build_run_config
from v3core.curriculum import Progress, next_phase_due, parse
from v3core.curriculum.typed import format_end, parse_end
from v3core.environments import EnvironmentBatch, check_environment
from v3core.environments.episode_facts import facts_as_text, facts_of
from v3core.errors import V3Error

PATHS = {"score": "game.score", "cause": "game.cause", "lives": "lives", "dotted": "a.b", "missing": "no.such"}


def test_numbers_and_short_words_by_path():
    info = {"game": {"score": np.int64(12), "cause": " killed by\na newt "}, "lives": True, "a.b": 0.5}
    facts, odd = facts_of(info, PATHS)
    assert facts == {"score": 12.0, "cause": "killed by a newt", "lives": 1.0, "dotted": 0.5}
    assert odd is None
    assert json.loads(facts_as_text(facts)) == {"score": 12, "cause": "killed by a newt", "lives": 1, "dotted": 0.5}
    assert facts_as_text({}) is None


@pytest.mark.parametrize("value", [float("nan"), [1, 2], {"a": 1}, np.zeros(3), 10**400])
def test_anything_else_is_said_once_and_left_out(value):
    facts, odd = facts_of({"lives": value}, PATHS)
    assert facts == {}
    assert odd.startswith("info['lives'] at the end of an episode is a ")
    assert "the fact 'lives' of such an episode is not recorded" in odd


def test_words_are_what_every_database_and_terminal_takes():
    assert facts_of({"lives": "a\udc80b\x1b[2Jc"}, PATHS)[0] == {"lives": "a b [2Jc"}


def test_long_words_are_cut():
    assert len(facts_of({"lives": "x" * 500}, PATHS)[0]["lives"]) == 60


def test_a_batch_takes_them_at_ends_only():
    gymnasium.register("TestCounting-v0", entry_point=Scored)
    spec = check_environment("TestCounting-v0", allow_import=False)
    batch = EnvironmentBatch(spec, 2, 1, facts={"score": "game.score", "cause": "game.cause"})
    found = [batch.step(np.zeros((2, 1), dtype=np.int64)).facts for _ in range(4)]
    assert found == [{}, {}, {n: {"score": 3.0, "cause": "third"} for n in (0, 1)}, {}]
    assert EnvironmentBatch(spec, 1, 1).step(np.zeros((1, 1), dtype=np.int64)).facts == {}


CURRICULUM = """
{name: test, phases: [{name: first, until: {metric: "fact:score", at_least: 10, window: 3}, routing: softmax},
 {name: last, routing: sparsemax}]}
"""


def test_triggers_watch_them():
    curriculum, progress = parse(CURRICULUM), Progress(episode=5, episodes=100)

    def due(*facts):
        return next_phase_due(curriculum, progress, facts=facts)

    assert due({"score": 9.0}, {"score": 10.0}, {"score": 12.0})
    assert not due({"score": 9.0}, {"score": 10.0}, {"score": 10.0})
    assert not due({"score": 90.0}, {}, {"score": 90.0}), "unknown in one of its window"
    assert not due({"score": 90.0}, {"score": "many"}, {"score": 90.0}), "a word is no number"
    assert not due({"score": 90.0}, {"score": 90.0}), "fewer than its window"


def test_they_are_typed_as_other_triggers():
    until = parse_end("fact:score ≥ 10 (3)")
    assert until == parse(CURRICULUM).phases[0].until
    assert format_end(until) == "fact:score ≥ 10 (3)"
    with pytest.raises(V3Error, match="watches 'reward'; choose return, length, success or a fact"):
        parse_end("reward >= 4")


def test_a_trigger_on_a_fact_that_is_not_recorded_is_refused():
    def config(facts):
        recipe = Recipe(name="r", match=("*",), episode_facts=facts)
        curriculum = parse(CURRICULUM)
        return build_run_config(name="n", env="CartPole-v1", seed=1, episodes=50, curriculum=curriculum, recipe=recipe)

    assert config({"score": "game.score"}).episode_facts == {"score": "game.score"}
    with pytest.raises(V3Error) as error:
        config({"depth": "game.depth"})
    assert "Phase 1 'first' waits for the episode fact 'score', which the run does not record; it records depth" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"Score!": "a"}, "'Score!' is not a valid name"),
        *(({"score": path}, "'score' has no path in info") for path in (" ", ".", "a..b", "a. .b", "a.")),
    ],
)
def test_bad_names_and_paths(facts, sentence):
    with pytest.raises(ValueError, match=sentence):
        Recipe(name="r", match=("*",), episode_facts=facts)


def test_spaces_around_a_path_are_no_part_of_it():
    assert Recipe(name="r", match=("*",), episode_facts={"score": " game.score "}).episode_facts == {
        "score": "game.score"
    }
