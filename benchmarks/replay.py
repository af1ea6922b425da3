"""Replays of 500 steps of CartPole: from `begin` to the first frame, to all, to the inside of the network; as videos.

And from a click in Chromium to the page with its first frame. And what replays cost a run: the share of its processor
time for recording them in evaluations, and of its size.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import _bench  # noqa: F401  it puts the project on the path
import numpy as np
import torch
from _live import chromium
from playwright.sync_api import sync_playwright

from tests.browser.support import serve
from v3core.config import EvaluationConfig, build_run_config, recipe_for
from v3core.curriculum import parse
from v3core.environments.encode import encoder
from v3core.environments.make import make_environment
from v3core.environments.replaying import play_again
from v3core.insight.replays import Digest, Replay
from v3core.jobs import kept_replays, made_replays, recorder, replay_process, warm
from v3core.jobs.files import folder_bytes
from v3core.jobs.frame_files import frame_count
from v3core.jobs.housekeeping import run_sizes
from v3core.jobs.launcher import create
from v3core.jobs.launchers.processes import keep_warm
from v3core.jobs.played_episodes import policy_of
from v3core.jobs.replay_files import write_pictures
from v3core.jobs.replay_making import Wanted, begin, progress, read_made
from v3core.jobs.signals import StopRequest
from v3core.jobs.worker import adopt, train_run
from v3core.store.database import Database
from v3core.store.history import read_checkpoints
from v3core.store.opening import open_database
from v3core.training.explaining import look_inside
from v3core.training.tape import Tape

ROOT = Path(__file__).resolve().parents[1]
ENV, STEPS, SEED = "CartPole-v1", 500, 1
EVERY = 50
"""Episodes between two evaluations of the run."""
CURRICULUM = parse("{name: one phase, phases: [{name: only, routing: softmax}]}")


def recorded_run(database: Database, episodes: int) -> tuple[str, dict[str, float]]:
    """Train a run of the recipe; its id, and what its replays took of it."""
    config = build_run_config(
        name="replay",
        env=ENV,
        seed=1,
        episodes=episodes,
        curriculum=CURRICULUM,
        recipe=recipe_for(ENV).model_copy(update={"evaluation": EvaluationConfig(every=EVERY)}),
    )
    with database.write() as tx:
        run_id = create(tx, config, now=datetime.now(UTC))
    spent = [0.0]

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*arguments: Any, **named: Any) -> Any:
            start = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                spent[0] += time.thread_time() - start

        return inner

    for name in ("begin", "act", "reward", "end", "chosen"):
        setattr(Tape, name, timed(getattr(Tape, name)))
    recorder.write_replays = timed(kept_replays.write_replays)
    start = time.thread_time()
    train_run(database, adopt(database, run_id), StopRequest())
    whole = time.thread_time() - start
    files = [
        kept_replays.replay_file(database, run_id, one).stat().st_size
        for one in kept_replays.recorded_replays(database, run_id)
    ]
    return run_id, {
        "recording, share of the training thread's processor time": round(spent[0] / whole, 4),
        "stored replays, share of the run's size": round(sum(files) / run_sizes(database, [run_id])[run_id].total, 4),
        "stored replays, evaluations": len(files),
    }


def balanced(database: Database, run_id: str, episode: int) -> Replay:
    """An episode of 500 steps, balanced by hand, with the numbers that the run's policy has for its states."""
    policy = policy_of(database, run_id, episode)
    world = make_environment(ENV)
    encode, row, digest = encoder(policy.spec.graph), np.zeros(4, dtype=policy.spec.graph.dtype), Digest()
    observation, _ = world.reset(seed=SEED)
    rows, actions = [], []
    for _ in range(STEPS):
        encode(observation, row)
        digest.add(row)
        rows.append(row.copy())
        position, speed, angle, turning = observation
        actions.append([int(angle + 0.5 * turning + 0.02 * position + 0.05 * speed > 0)])
        observation, _, terminated, _, _ = world.step(actions[-1][0])
        assert not terminated
    encode(observation, row)
    digest.add(row)
    inside = look_inside(policy.network, policy.spec, np.stack(rows))
    return Replay(
        environment=policy.spec.environment,
        number=1,
        seed=SEED,
        return_=float(STEPS),
        success=None,
        ended="truncated",
        seen=digest.text(),
        actions=np.array(actions),
        rewards=np.ones(STEPS),
        values=inside.values,
        gates=inside.gates,
        outputs=inside.outputs,
        expert_outputs=inside.expert_outputs,
    )


def opened(database: Database, wanted: Wanted) -> dict[str, float]:
    """Seconds from `begin` until each part can be read."""
    made_replays.discard_of_run(database, wanted.run_id)
    start = time.perf_counter()
    begin(database, wanted)
    found = {"its numbers": time.perf_counter() - start} if len(read_made(database, wanted).replay) == STEPS else {}
    folder = made_replays.made_folder(database, wanted)
    while (now := progress(database, wanted)).stage in made_replays.UNFINISHED:
        frames = frame_count(folder)
        if frames:
            found.setdefault("first frame", time.perf_counter() - start)
        if now.stage == made_replays.EXPLAINING:
            found.setdefault(f"all {STEPS + 1} frames", time.perf_counter() - start)
        time.sleep(0.002)
    assert now.stage == made_replays.DONE, now.error
    made = read_made(database, wanted)
    assert made.frames == STEPS + 1, made.no_frames
    assert made.inside is not None, made.no_inside
    return found | {"the inside of the network, all done": time.perf_counter() - start}


def in_processor_time(database: Database, wanted: Wanted) -> dict[str, float]:
    """Seconds of the processor for all of it, imports aside."""
    made_replays.discard_of_run(database, wanted.run_id)
    folder = made_replays.made_folder(database, wanted)
    folder.mkdir(parents=True)
    made_replays.write_state(folder, made_replays.State())
    start = time.process_time()
    assert replay_process.make(database, wanted)
    return {"all of it, s of processor time": round(time.process_time() - start, 2)}


def encoded(replay: Replay, spec: Any, folder: Path) -> dict[str, Any]:
    """Seconds of encoding 501 frames, and how large the files are."""
    frames = [moment.frame for moment in play_again(spec, replay, frames=True) if moment.frame is not None]
    found: dict[str, Any] = {}
    for form in ("mp4", "gif"):
        target = folder / f"replay.{form}"
        start, used = time.perf_counter(), time.process_time()
        write_pictures(target, frames)
        found[f"encoding to {form}, s"] = round(time.perf_counter() - start, 2)
        found[f"encoding to {form}, s of processor time"] = round(time.process_time() - used, 2)
        found[f"{form}, kB"] = target.stat().st_size // 1000
    return found


def in_browser(folder: Path, database: Database, wanted: Wanted, turns: int) -> dict[str, float]:
    """Median seconds from the click on Replay until its frame and its chart are there, on a server that is warm.

    Of a replay whose frames are drawn meanwhile, and of one that was looked at before.
    """
    found: dict[str, list[float]] = {}
    server = serve(ROOT / "app.py", folder)
    try:
        with sync_playwright() as playwright:
            browser = chromium(playwright)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            for turn in range(turns + 1):
                made_replays.discard_of_run(database, wanted.run_id)
                for kind in ("for the first time", "again"):
                    page.goto(server.url)
                    page.locator(".v3-runs tbody tr").wait_for()
                    start = time.perf_counter()
                    # Of the newest run and its newest evaluation, which is this one.
                    page.get_by_test_id("stSidebarUserContent").get_by_role("link", name="Replay").click()
                    page.wait_for_selector(".v3-replay-screen canvas[data-frame='0']")
                    page.wait_for_selector(".v3-replay-timeline[data-drawn]")
                    if turn:  # after one that makes the server and its process warm
                        found.setdefault(kind, []).append(time.perf_counter() - start)
                    page.wait_for_selector(".v3-replay-graph .main-svg")
                    page.get_by_role("button", name="Download").wait_for()
            browser.close()
    finally:
        server.stop()
    return {f"in Chromium, opened {kind}, s": round(statistics.median(each), 2) for kind, each in found.items()}


def measured(turns: int, episodes: int) -> dict[str, Any]:
    """All figures; seconds are medians of the turns."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "data")
        folder.mkdir()
        os.environ |= {
            "V3_DATA_DIR": str(folder),
            "V3_DATABASE_URL": f"sqlite:///{folder}/v3.db",
            "PYTHONPATH": str(ROOT),
        }
        database = open_database()
        run_id, result = recorded_run(database, episodes)
        figures: dict[str, Any] = dict(result)
        episode = read_checkpoints(database, run_id)[-1].episode
        replay = balanced(database, run_id, episode)
        kept_replays.write_replays(database, run_id, episode, {"median": replay}, experts=4, boundaries=())
        stored = kept_replays.replay_file(database, run_id, episode).stat().st_size
        figures[f"stored replay of {STEPS} steps, kB"] = round(stored / 1000, 1)
        wanted = Wanted(run_id, episode, None)
        cold = [opened(database, wanted) for _ in range(turns)]
        warm.allow()
        keep_warm(database)
        while not warm.is_ready():
            time.sleep(0.1)
        hot = [opened(database, wanted) for _ in range(turns)]
        warm.end()
        for kind, rounds in (("warm", hot), ("cold", cold)):
            for name in rounds[0]:
                figures[f"{kind}, {name}, s"] = round(statistics.median(one[name] for one in rounds), 3)
        figures |= in_processor_time(database, wanted)
        figures |= encoded(replay, policy_of(database, run_id, episode).spec, folder)
        figures |= in_browser(Path(temporary), database, wanted, turns)
        made = folder_bytes(made_replays.made_folder(database, wanted))
        figures["made replay, with frames and inside, kB"] = made // 1000
        database.close()
    return figures


def main() -> None:
    """As a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=300, help="Of the run whose replays are recorded.")
    parser.add_argument("--json", action="store_true", help="JSON in place of a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = measured(options.turns, options.episodes)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"Replays, {ENV}")
    for name, value in figures.items():
        print(f"  {name:<58} {value}")


if __name__ == "__main__":
    main()
