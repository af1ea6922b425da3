"""The policy network. Everything here is differentiable from observation to action logits."""

from v3core.policy.network import GATMoEPolicy, PolicyOutput
from v3core.policy.routing import Gating

__all__ = ["GATMoEPolicy", "Gating", "PolicyOutput"]
