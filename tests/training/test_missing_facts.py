"""Facts are recorded of each episode; one that no episode has is reported once, and the phase that waits for it."""

import json

import gymnasium
import pytest
import torch

from tests.environments.scored import Scored
from tests.training.conftest import ONE_PHASE
from v3core.training.checkpoint import load_checkpoint
from v3core.training.trainer import train

gymnasium.register("Scoring-v0", entry_point=Scored)
gymnasium.register("ScoringOften-v0", entry_point=Scored, kwargs={"longest": 5})
WAITS = {"metric": "fact:scor", "at_least": 1, "window": 2, "max_episodes": 60}
CURRICULUM = {"name": "waits", "phases": [{"name": "first", "until": WAITS}, {"name": "rest"}]}


@pytest.fixture
def trained(small_run, recorder):
    def run(episodes, facts, curriculum=None, checkpoint=None, env="Scoring-v0"):
        config = small_run(env, episodes=episodes, curriculum=curriculum or ONE_PHASE, facts=facts)
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks, checkpoint=checkpoint)
        return hooks

    return run


def test_every_episode_has_its_own(trained):
    """Of all that end in a rollout, at different steps or at the same, of either environment."""
    recorded = trained(40, {"points": "game.score", "lives": "lives"}, env="ScoringOften-v0").episodes
    assert len({episode.length for episode in recorded}) == 5
    assert [json.loads(episode.facts) for episode in recorded] == [{"points": e.length} for e in recorded]


def test_it_is_said_once_after_twenty_episodes(trained):
    assert trained(19, {"scor": "game.scor"}).remarks == []
    facts = {"score": "game.score", "scor": "game.scor", "lives": "lives"}
    assert trained(60, facts, CURRICULUM).remarks == [
        "No episode so far has a number or a text at info['game.scor'] at its end, so the fact 'scor' is not recorded, "
        "and phase 'first' waits for it.",
        "No episode so far has a number or a text at info['lives'] at its end, so the fact 'lives' is not recorded.",
    ]


def test_what_was_seen_before_a_resume_counts(trained, monkeypatch):
    """Also if it is not seen again; of a checkpoint that does not say what was seen, nothing is reported."""
    never = {"scor": "game.scor"}
    assert len(trained(40, never, checkpoint=trained(12, never).saved[-1][0]).remarks) == 1
    facts = {"score": "game.score"}
    path = trained(12, facts).saved[-1][0]
    state, step = load_checkpoint(path), Scored.step
    monkeypatch.setattr(Scored, "step", lambda self, action: (*step(self, action)[:-1], {}))
    for change, remarks in (({}, 0), ({"facts_seen": []}, 1), ({"facts_seen": None}, 0)):
        torch.save({name: part for name, part in (state | change).items() if part is not None}, path)
        longer = trained(40, facts, checkpoint=path)
        assert (len(longer.remarks), longer.episodes[-1].episode) == (remarks, 40)
