"""What moves a policy moves it the right way: signs and factors, worked by hand."""

import pytest
import torch

from v3core.environments import check_environment
from v3core.training import trainer
from v3core.training.checkpoint import load_checkpoint
from v3core.training.state import TrainingState


def test_a_bias_falls_for_experts_chosen_more_often_than_the_mean_and_rises_for_others(small_run):
    """Three of four steps choose expert 1, one the second, which is the mean; how large the gates are is no matter."""
    state = TrainingState(small_run(), check_environment("CartPole-v1", allow_import=False))
    gates = torch.tensor([[0.2, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.0], [0.3, 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]])
    state.balance_bias(gates.reshape(2, 2, 4), speed=0.25)
    assert state.policy.expert_bias.tolist() == [-0.25, 0.0, 0.25, 0.25]
    state.balance_bias(gates, speed=0.5)
    assert state.policy.expert_bias.tolist() == [-0.75, 0.0, 0.75, 0.75]


def test_training_turns_the_bias_away_from_the_expert_that_takes_all(small_run, recorder, monkeypatch):
    class Tilted(TrainingState):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            with torch.no_grad():
                self.policy.router.bias.copy_(torch.tensor([0.0, 4.0, 0.0, 0.0]))

    monkeypatch.setattr(trainer, "TrainingState", Tilted)
    phase = {"name": "one", "routing": "topk", "top_k": 1, "top_k_weights": "sigmoid", "bias_speed": 0.001}
    config, hooks = small_run(curriculum={"name": "bias", "phases": [phase]}, episodes=20), recorder()
    trainer.train(config, curriculum=config.curriculum, hooks=hooks)
    assert all(episode.hard_loads == (0, 1, 0, 0) for episode in hooks.episodes)
    bias = load_checkpoint(hooks.saved[-1][0])["policy"]["expert_bias"]
    updates = round(-bias[1].item() / 0.001)
    assert updates > 1
    assert bias.tolist() == pytest.approx([0.001 * updates * sign for sign in (1, -1, 1, 1)], abs=1e-6)
