"""Knock-out: whether a run's experts are needed."""

import math
from datetime import UTC, datetime

import click

from v3core.cli.common import commands, json_option, opened, run_argument
from v3core.cli.show import checkpoint_file
from v3core.insight.removals import ALL_EXPERTS, Interval, Removal, removals
from v3core.messages import Message, _
from v3core.output import echo, echo_json
from v3core.phrases import counted
from v3core.store.expert_records import add_knockouts
from v3core.store.runs import get_run, resolve


@commands.command()
@run_argument
@click.option(
    "--episodes", type=click.IntRange(1, 1000), default=20, show_default=True, metavar="K", help="Number of episodes."
)
@click.option("--checkpoint", "at", type=click.IntRange(0), metavar="N", help="Use the run's checkpoint at episode N.")
@json_option
def knockout(run_id: str, episodes: int, at: int | None, as_json: bool) -> None:
    """Evaluate a run's newest checkpoint without each expert, and record the returns.

    The gates of the other experts are renormalised; where the removed expert had all the weight, the routing chooses
    among the others. Episodes of the same number begin alike, so the difference of each pair counts.
    """
    with opened() as database:
        run_id = resolve(database, run_id)
    file, imports = checkpoint_file(run_id, at)

    from v3core.training import inference, knockout  # torch: seconds to import

    policy = inference.load_policy(file, imports=imports)
    played = knockout.knock_out(policy.backend, policy.spec, episodes, sampled=policy.config.evaluation.sampled)
    results = {
        expert: [(episode.return_, episode.length, episode.success) for episode in of_expert]
        for expert, of_expert in played.items()
    }
    with opened() as database, database.write() as tx:
        get_run(tx, run_id)  # it may have been deleted meanwhile
        add_knockouts(tx, run_id, episode=policy.episode, results=results, now=datetime.now(UTC))
    returns = {expert: [return_ for return_, _, _ in of_expert] for expert, of_expert in results.items()}
    complete = returns.pop(ALL_EXPERTS)
    found = removals(complete, returns)
    if as_json:
        entries = [
            {"expert": removal.expert + 1, "returns": returns[removal.expert], "verdict": str(removal.verdict)}
            | {"difference": _rounded(removal.difference)}
            for removal in found
        ]
        echo_json({"run": run_id, "trained_episodes": policy.episode, "returns": complete, "without": entries})
        return
    mean = sum(complete) / len(complete)
    echo(
        _(
            "{played_episodes} after {episode} of training: mean return {mean:.2f} with all experts.",
            played_episodes=counted(episodes, "episode"),
            episode=policy.episode,
            mean=mean,
        )
    )
    for removal in found:
        echo(_("Without expert {value}: {described}", value=removal.expert + 1, described=_described(removal)))


def _described(removal: Removal) -> Message:
    difference = removal.difference
    spread = (
        ""
        if math.isnan(difference.low)
        else _(", 95 % interval {low:+.2f} to {high:+.2f}", low=difference.low, high=difference.high)
    )
    return _(
        "{mean:.2f} ({difference:+.2f}{spread}): {verdict}.",
        mean=removal.returns.mean,
        difference=difference.mean,
        spread=spread,
        verdict=removal.verdict.words,
    )


def _rounded(interval: Interval) -> dict[str, float | None]:
    values = {name: getattr(interval, name) for name in ("mean", "low", "high")}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
