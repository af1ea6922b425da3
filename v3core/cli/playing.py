"""Replays: what the policy did in an evaluation, step by step."""

import os
from pathlib import Path
from typing import Any

import click

from v3core.cli.common import commands, json_option, opened, run_argument
from v3core.config import MAX_SEED
from v3core.errors import V3Error
from v3core.insight.replays import MEDIAN, ROLE_WORDS, ROLES, Replay
from v3core.messages import _, translated
from v3core.output import echo, echo_json, padded
from v3core.phrases import listed
from v3core.store.runs import resolve

PATIENCE = 10
"""Niceness of a process that makes a replay which nobody waits for."""


@commands.command()
@run_argument
@click.option("--evaluation", "at", type=click.IntRange(0), metavar="N", help="That at episode N; default: the newest.")
@click.option("--checkpoint", type=click.IntRange(0), metavar="N", help="Play with the checkpoint at episode N.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), metavar="S", help="Play episodes from this first seed.")
@click.option("--episodes", type=click.IntRange(1, 1000), metavar="K", help="Play this many episodes.")
@click.option(
    "--role", type=click.Choice(ROLES), default=MEDIAN, show_default=True, help="The episode that --to writes."
)
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write an episode to a file.")
@json_option
def replay(
    run_id: str,
    at: int | None,
    checkpoint: int | None,
    seed: int | None,
    episodes: int | None,
    role: str,
    target: Path | None,
    as_json: bool,
) -> None:
    """Show the best, median, worst and last episode of an evaluation, and write one to a file.

    A .csv, .json or .parquet file has its steps: actions, rewards, values, gates, and what each expert says; a .gif or
    .mp4 its frames. It shows the newest recorded evaluation, or plays other episodes with a checkpoint.
    """
    from v3core.jobs import kept_replays, played_episodes, replay_files  # only here: a worker's start is waited for

    form = replay_files.check_target(target) if target is not None else None
    plays = {"checkpoint": checkpoint, "seed": seed, "episodes": episodes}
    given = [name for name, value in plays.items() if value is not None]
    if at is not None and given:
        raise V3Error(
            "--evaluation shows what was recorded and --{given} plays other episodes; give one of them.", given=given[0]
        )
    with opened() as database:
        run_id = resolve(database, run_id)
        if given:
            policy = played_episodes.policy_of(database, run_id, checkpoint)
            found, trained = played_episodes.play(policy, seed=seed, episodes=episodes), policy.episode
        else:
            known = kept_replays.recorded_replays(database, run_id)
            if not known:
                raise V3Error(
                    "Run {run_id} has no replays: no evaluation was recorded with them; play episodes with "
                    "--episodes 10.",
                    run_id=run_id[:8],
                )
            trained = known[-1] if at is None else at
            found = kept_replays.read_replays(database, run_id, trained)
        chosen = found[role]
        spec, why = None, ""
        if form in replay_files.PICTURES:
            spec = played_episodes.spec_of_replay(database, run_id, chosen)
        elif form:
            try:
                chosen = played_episodes.with_experts(database, run_id, trained, chosen)
            except V3Error as problem:
                why = problem.message
    if target is not None:
        if spec is not None:
            count, what = replay_files.draw(spec, chosen, target), _("frames")
        else:
            count, what = replay_files.write_steps(target, chosen), _("steps")
            if chosen.expert_outputs is None:
                echo(_("Without what each expert puts out: {why}", why=why), err=True)
        echo(
            _(
                "{count} {what} of the {role} episode written to {target}.",
                count=count,
                what=what,
                role=ROLE_WORDS[role],
                target=target,
            )
        )
        return
    described = [_described(role, one) for role, one in found.items()]
    if as_json:
        echo_json({"run": run_id, "trained_episodes": trained, "episodes": described})
        return
    echo(_("Evaluation after {trained} episodes of training:", trained=trained))
    for one in described:
        shares = listed([f"{share:.0%}" for share in one["expert_shares"]])
        said = _(
            "{role} episode {number}: return {returned}, {steps} steps, {switches} switches between experts; their "
            "shares: {shares}",
            role=padded(ROLE_WORDS[one["role"]], 7),
            number=one["number"],
            returned=f"{one['return']:.2f}",
            steps=one["steps"],
            switches=one["switches"],
            shares=shares,
        )
        echo(f"  {translated(said)}")


@commands.command()
@run_argument
@click.argument("episode", type=click.IntRange(0), metavar="N")
@click.argument("seed", metavar="SEED")
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write what was drawn to a file.")
@click.option("--patient", is_flag=True, help="Yield to other processes.")
def make_replay(run_id: str, episode: int, seed: str, target: Path | None, *, patient: bool) -> int:
    """Draw a replay for the page in a child process, which the server starts with this command.

    With --to it writes the frames that were drawn already to a .gif or .mp4 file.
    """
    from v3core.jobs.made_replays import Wanted, made_folder

    if not (seed == MEDIAN or seed.isdecimal()):
        raise V3Error("'{seed}' is not a seed; give a number, or `{median}`.", seed=seed, median=MEDIAN)
    with opened() as database:
        wanted = Wanted(resolve(database, run_id), episode, None if seed == MEDIAN else int(seed))
        if target is not None:
            from v3core.jobs.frame_files import pictures
            from v3core.jobs.replay_files import write_pictures

            write_pictures(target, pictures(made_folder(database, wanted)))
            return 0
        from v3core.jobs.replay_process import make

        if patient:
            os.nice(PATIENCE)
        return 0 if make(database, wanted) else 1


def _described(role: str, replay: Replay) -> dict[str, Any]:
    shares = [float((replay.experts == expert).mean()) for expert in range(replay.gates.shape[1])]
    return {
        "role": role,
        "number": replay.number,
        "seed": replay.seed,
        "return": replay.return_,
        "steps": len(replay),
        "success": replay.success,
        "ended": replay.ended,
        "switches": len(replay.switches),
        "expert_shares": shares,
    }
