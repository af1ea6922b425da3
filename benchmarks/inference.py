"""One observation to one action of a trained policy: median and 99th percentile, under each routing.

There is no peer: the numbers of softmax stand beside those of the others, which should cost about the same.
"""

import statistics
import time

from _bench import Result, main

from v3core.config import PolicyConfig, RunConfig
from v3core.curriculum import load_preset, scaled
from v3core.environments import check_environment, make_environment
from v3core.policy import Gating, GATMoEPolicy
from v3core.training.inference import TrainedPolicy

CALLS = 2000
ROUTINGS = ("softmax", "sparsemax", "entmax15", "topk")


def latencies(policies: dict[str, TrainedPolicy], env_id: str) -> dict[str, list[float]]:
    """Microseconds of each call, the policies by turns on the same observations."""
    env = make_environment(env_id)
    observation, _ = env.reset(seed=1)
    times: dict[str, list[float]] = {routing: [] for routing in policies}
    for _ in range(CALLS):
        for routing, policy in policies.items():
            start = time.perf_counter()
            action = policy(observation)
            times[routing].append((time.perf_counter() - start) * 1e6)
        observation, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            observation, _ = env.reset()
    env.close()
    return {routing: values[100:] for routing, values in times.items()}


def benchmark() -> list[Result]:
    """Median and 99th percentile for two environments."""
    results = []
    for env_id in ("CartPole-v1", "MiniGrid-DoorKey-5x5-v0"):
        spec = check_environment(env_id, allow_import=False)
        config = RunConfig(
            name="benchmark",
            env=env_id,
            seed=1,
            episodes=100,
            curriculum=scaled(load_preset("v3"), 100),
            backend="native",
            policy=PolicyConfig(width=32, heads=4, layers=2, experts=4),
        )
        policies = {}
        for routing in ROUTINGS:
            network = GATMoEPolicy(spec, config.policy)
            network.gating = Gating(routing=routing)
            policies[routing] = TrainedPolicy(config, spec, network, 0)
        times = latencies(policies, env_id)
        for name, quantile in (("p50", 50), ("p99", 99)):
            at = {routing: statistics.quantiles(values, n=100)[quantile - 1] for routing, values in times.items()}
            for routing in ROUTINGS[1:]:
                ratio = at["softmax"] / at[routing]
                label = f"{env_id} {name}, {routing} against softmax"
                results.append(Result(label, round(at[routing], 1), round(at["softmax"], 1), round(ratio, 3), "µs"))
    return results


if __name__ == "__main__":
    main(benchmark, "One observation to one action of a trained policy, against the same policy under softmax.")
