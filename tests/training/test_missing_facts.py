"""A fact that no episode has is reported once, and the phase that waits for it."""

import gymnasium
import pytest

from tests.environments.scored import Scored
from tests.training.conftest import ONE_PHASE
from v3core.curriculum import Curriculum
from v3core.training.trainer import train

gymnasium.register("Scoring-v0", entry_point=Scored)
WAITS = {"metric": "fact:scor", "at_least": 1, "window": 2, "max_episodes": 60}
CURRICULUM = {"name": "waits", "phases": [{"name": "first", "until": WAITS}, {"name": "rest"}]}


@pytest.fixture
def trained(small_run, recorder):
    def run(episodes, facts, curriculum=None, checkpoint=None):
        chosen = Curriculum.model_validate(curriculum or ONE_PHASE)
        config = small_run("Scoring-v0", episodes=episodes, curriculum=ONE_PHASE)
        config = config.model_copy(update={"episode_facts": facts, "curriculum": chosen})
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks, checkpoint=checkpoint)
        return hooks

    return run


def test_it_is_said_once_after_twenty_episodes(trained):
    assert trained(19, {"scor": "game.scor"}).remarks == []
    facts = {"score": "game.score", "scor": "game.scor", "lives": "lives"}
    assert trained(60, facts, CURRICULUM).remarks == [
        "No episode so far has a number or a text at info['game.scor'] at its end, so the fact 'scor' is not recorded, "
        "and phase 'first' waits for it.",
        "No episode so far has a number or a text at info['lives'] at its end, so the fact 'lives' is not recorded.",
    ]


def test_what_was_seen_before_a_resume_counts(trained):
    facts = {"score": "game.score"}
    before = trained(12, facts)
    longer = trained(40, facts, checkpoint=before.saved[-1][0])
    assert (longer.remarks, longer.episodes[-1].episode) == ([], 40)
    assert len(trained(40, {"scor": "x"}, checkpoint=trained(12, {"scor": "x"}).saved[-1][0]).remarks) == 1
