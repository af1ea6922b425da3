"""One observation to one action of a policy: median and 99th percentile, under each routing and after each curriculum.

There is no peer: the numbers of softmax, and of the curriculum v3, stand beside those of the others. A policy is as
at the end of the curriculum: its network, and the gating of the last phase. The speed does not depend on the weights.
"""

import statistics
import time

from _bench import Result, main

from v3core.config import RunConfig, build_run_config, recipe_for
from v3core.curriculum import Progress, load_preset, preset_names, scaled, settings_at
from v3core.environments import EnvironmentSpec, check_environment, make_environment
from v3core.errors import V3Error
from v3core.policy import Gating, GATMoEPolicy
from v3core.training.inference import TrainedPolicy

CALLS = 2000
EPISODES = 100
ROUTINGS = ("softmax", "sparsemax", "entmax15", "topk")


def trained(curriculum: str, spec: EnvironmentSpec, env_id: str, routing: str | None = None) -> TrainedPolicy:
    """As after this curriculum, or under another routing; V3Error if it does not suit the environment's recipe."""
    config: RunConfig = build_run_config(
        name="benchmark",
        env=env_id,
        seed=1,
        episodes=EPISODES,
        curriculum=scaled(load_preset(curriculum), EPISODES),
        recipe=recipe_for(env_id),
    ).model_copy(update={"backend": "native"})
    network = GATMoEPolicy(spec, config.policy)
    last = len(config.curriculum.phases) - 1
    settings = settings_at(config.curriculum, Progress(last, EPISODES), config.base.values())
    network.gating = Gating(routing=routing) if routing else Gating.of(settings)
    return TrainedPolicy(config, spec, network, 0)


def latencies(policies: dict[str, TrainedPolicy], env_id: str) -> dict[str, list[float]]:
    """Microseconds of each call, the policies by turns on the same observations."""
    env = make_environment(env_id)
    observation, _ = env.reset(seed=1)
    times: dict[str, list[float]] = {name: [] for name in policies}
    order = list(policies.items())
    for _ in range(CALLS):
        order.append(order.pop(0))  # the first one after a step finds the caches cold
        for name, policy in order:
            start = time.perf_counter()
            action = policy(observation)
            times[name].append((time.perf_counter() - start) * 1e6)
        observation, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            observation, _ = env.reset()
    env.close()
    return {name: values[100:] for name, values in times.items()}


def compared(policies: dict[str, TrainedPolicy], env_id: str) -> list[Result]:
    """Each against the first one."""
    results = []
    times = latencies(policies, env_id)
    first, *others = policies
    for quantile in (50, 99):
        at = {name: statistics.quantiles(values, n=100)[quantile - 1] for name, values in times.items()}
        for name in others:
            label = f"{env_id} p{quantile}, {name} against {first}"
            results.append(Result(label, round(at[name], 1), round(at[first], 1), round(at[first] / at[name], 3), "µs"))
    return results


def benchmark() -> list[Result]:
    """Routings on the network of v3, and curricula, on two environments."""
    results = []
    for env_id in ("CartPole-v1", "MiniGrid-DoorKey-5x5-v0"):
        spec = check_environment(env_id, allow_import=False)
        results += compared({routing: trained("v3", spec, env_id, routing) for routing in ROUTINGS}, env_id)
        curricula = {}
        for name in sorted(preset_names(), key=lambda name: (name != "v3", name)):
            try:
                curricula[name] = trained(name, spec, env_id)
            except V3Error:  # it has tasks of other environments
                continue
        results += compared(curricula, env_id)
    return results


if __name__ == "__main__":
    main(benchmark, "One observation to one action of a policy, under each routing and after each curriculum.")
