"""The policy network. Everything here is differentiable from observation to action logits."""

from v3core.policy.network import Gating, GATMoEPolicy, PolicyOutput
from v3core.policy.routing import gate_weights

__all__ = ["GATMoEPolicy", "Gating", "PolicyOutput", "gate_weights"]
