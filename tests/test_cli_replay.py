"""`replay`: what is printed, and files that other programs read."""

import io
import json
import re
from base64 import b64decode
from contextlib import closing

import av
import gymnasium
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageSequence

from tests.jobs.test_replay_faults import Blind, Draws
from tests.made_replays import played
from tests.training.test_tape import SPARSE
from v3core.cli import main
from v3core.environments.registry import check_environment
from v3core.environments.replaying import play_again
from v3core.insight.replays import MEDIAN, ROLES
from v3core.jobs.files import checkpoint_file
from v3core.jobs.kept_replays import read_replays, recorded_replays, replay_file, write_replays
from v3core.store.opening import open_database
from v3core.store.runs import list_runs, update_run
from v3core.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A data folder with one short run; its id and its replays."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("V3_DATA_DIR", str(folder))
        patch.delenv("V3_DATABASE_URL", raising=False)
        (folder / "sparse.yaml").write_text(json.dumps(SPARSE))
        words = ["train", "--env", "CartPole-v1", "--episodes", "20", "--curriculum", str(folder / "sparse.yaml")]
        assert main(words) == 0
        with closing(open_database()) as database:
            (run,) = list_runs(database)
            (at,) = recorded_replays(database, run.id)
            yield run, read_replays(database, run.id, at)


def printed(capsys, *words):
    assert main(["replay", *words]) == 0
    return capsys.readouterr().out


def test_it_lists_the_episodes(lab, capsys):
    run, replays = lab
    found = json.loads(printed(capsys, run.id, "--json"))
    assert found["trained_episodes"] == run.episode
    assert [one["role"] for one in found["episodes"]] == list(ROLES)
    for one in found["episodes"]:
        assert one["return"] == replays[one["role"]].return_
        assert sum(one["expert_shares"]) == pytest.approx(1)
    assert f"return {replays['best'].return_:.2f}" in printed(capsys, run.id)


def test_a_report_holds_the_frames_of_its_median(lab, tmp_path):
    run, replays = lab
    with closing(open_database()) as database, database.write() as tx:
        update_run(tx, run.id, {"experiment": "one"}, only_in=[run.status])
    target = tmp_path / "one.html"
    assert main(["report", "one", "--to", str(target), "--replay", run.id[:8]]) == 0
    page = target.read_text()
    assert f"An episode of {run.name}" in page
    (content,) = re.findall(r'src="data:image/gif;base64,([^"]+)"', page)
    with Image.open(io.BytesIO(b64decode(content))) as picture:
        shown = sum(frame.info["duration"] for frame in ImageSequence.Iterator(picture))  # like frames are one
    assert shown == 30 * len(frames_of(replays[MEDIAN]))


@pytest.mark.parametrize("form", ["json", "parquet", "csv"])
def test_its_steps_go_to_a_table(lab, capsys, tmp_path, form):
    run, replays = lab
    target, replay = tmp_path / f"steps.{form}", replays["worst"]
    assert f"{len(replay)} steps" in printed(capsys, run.id, "--role", "worst", "--to", str(target))
    if form == "csv":
        assert len(target.read_text().splitlines()) == len(replay) + 1
        return
    rows = json.loads(target.read_text()) if form == "json" else pq.read_table(target).to_pylist()
    assert [row["step"] for row in rows] == list(range(1, len(replay) + 1))
    assert [row["action_1"] for row in rows] == replay.actions[:, 0].tolist()
    assert [row["expert"] for row in rows] == (replay.experts + 1).tolist()
    np.testing.assert_array_equal(np.float32([row["gate_2"] for row in rows]), replay.gates[:, 1])
    alone = [np.float32([row[f"expert_{expert}_output_1"] for row in rows]) for expert in (1, 2, 3, 4)]
    mixed = (replay.gates * np.stack(alone, 1)).sum(1)
    np.testing.assert_allclose(mixed, replay.outputs[:, 0], atol=1e-5)


def test_without_its_checkpoint_a_table_has_no_outputs_of_experts_and_says_why(lab, capsys, tmp_path):
    run, replays = lab
    with closing(open_database()) as database:
        file = checkpoint_file(database, run.id, run.episode)
    content = file.read_bytes()
    try:
        file.unlink()
        assert main(["replay", run.id, "--to", str(tmp_path / "steps.json")]) == 0
    finally:
        file.write_bytes(content)
    said = capsys.readouterr().err
    assert f"Without what each expert puts out: Run {run.id[:8]} has no intact checkpoint at episode" in said
    rows = json.loads((tmp_path / "steps.json").read_text())
    assert len(rows) == len(replays[MEDIAN])
    assert not any("expert_1" in name for name in rows[0])


def frames_of(replay):
    spec = check_environment(replay.environment, allow_import=False)
    return [moment.frame for moment in play_again(spec, replay, frames=True)]


def test_its_frames_go_to_a_video(lab, capsys, tmp_path):
    run, replays = lab
    expected = frames_of(replays["median"])
    assert f"{len(expected)} frames" in printed(capsys, run.id, "--to", str(tmp_path / "a.mp4"))
    with av.open(str(tmp_path / "a.mp4")) as video:
        found = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(found) == len(expected)
    for frame, other in zip(found, expected, strict=True):
        assert frame.shape == other.shape
        assert np.abs(frame.astype(int) - other).mean() < 2, "colours are stored with less detail than brightness"


def test_its_frames_go_to_a_gif(lab, capsys, tmp_path):
    run, replays = lab
    expected = frames_of(replays["median"])
    printed(capsys, run.id, "--to", str(tmp_path / "a.gif"))
    with Image.open(tmp_path / "a.gif") as picture:
        first = np.asarray(picture.convert("RGB"))
        assert sum(frame.info["duration"] for frame in ImageSequence.Iterator(picture)) == 30 * len(expected)
    assert np.abs(first.astype(int) - expected[0]).mean() < 2


def test_other_episodes_are_played(lab, capsys):
    run, replays = lab
    again = json.loads(printed(capsys, run.id, "--checkpoint", str(run.episode), "--json"))
    assert [one["return"] for one in again["episodes"]] == [replay.return_ for replay in replays.values()]
    other = json.loads(printed(capsys, run.id, "--seed", "5", "--episodes", "3", "--json"))
    assert {one["seed"] for one in other["episodes"]}.isdisjoint(replay.seed for replay in replays.values())
    assert max(one["number"] for one in other["episodes"]) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "a.avi"], "'a.avi' cannot be written; end it in .csv, .parquet, .json, .gif, .mp4."),
        (
            ["--evaluation", "3"],
            "The evaluation at episode 3 has no replays; play its episodes again from a checkpoint.",
        ),
        (
            ["--evaluation", "3", "--seed", "1"],
            "--evaluation shows what was recorded and --seed plays other episodes; give one of",
        ),
        (["--checkpoint", "999"], "has no intact checkpoint at episode 999; available:"),
    ],
)
def test_what_cannot_be_shown_is_said(lab, capsys, words, sentence):
    run, _ = lab
    assert main(["replay", run.id, *words]) == 1
    assert sentence in capsys.readouterr().err


@pytest.fixture
def draws():
    """Runs whose recorded episode is of an environment that cannot be drawn, or not from a certain frame on."""
    kinds = {"TestDraws-v0": Draws, "TestBlind-v0": Blind}
    for name, kind in kinds.items():
        gymnasium.register(name, kind)
    yield
    for name in kinds:
        gymnasium.registry.pop(name, None)


@pytest.mark.parametrize(
    ("env", "how", "sentence"),
    [
        ("TestBlind-v0", "", "Environment TestBlind-v0 draws no frames: it has no render mode 'rgb_array'."),
        ("TestDraws-v0", "raises", "cannot be drawn from frame 1 on: render() raised OSError: no window; fix the"),
        ("TestDraws-v0", "raises at", "cannot be drawn from frame 21 on: render() raised OSError: no window"),
        ("TestDraws-v0", "window", ""),
    ],
)
def test_what_cannot_be_drawn_is_not_written(lab, draws, capsys, tmp_path, monkeypatch, env, how, sentence):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        monkeypatch.delenv(name, raising=False)
    run, _ = lab
    with closing(open_database()) as database:
        write_replays(database, run.id, 3, {MEDIAN: played(env, 30, how=how)}, experts=3, boundaries=(3, run.episode))
        try:
            target = tmp_path / "a.mp4"
            assert main(["replay", run.id, "--evaluation", "3", "--to", str(target)]) == bool(sentence)
            said = capsys.readouterr().err.strip()
            assert sentence in said
            assert len(said.splitlines()) <= 1
            assert target.exists() == (not sentence)
        finally:
            replay_file(database, run.id, 3).unlink()


def test_a_checkpoint_of_another_version_plays_nothing(lab, capsys):
    run, _ = lab
    with closing(open_database()) as database:
        file = checkpoint_file(database, run.id, run.episode)
    content = file.read_bytes()
    try:
        torch.save(load_checkpoint(file) | {"format": "v3lab-checkpoint-99"}, file)
        assert main(["replay", run.id, "--seed", "5"]) == 1
    finally:
        file.write_bytes(content)
    assert "is not compatible with this version of V3 Lab; start a new run." in capsys.readouterr().err


def test_an_environment_without_frames_and_a_run_without_replays(lab, capsys, tmp_path):
    assert main(["train", "--env", "Blackjack-v1", "--episodes", "5", "--curriculum", "softmax-only"]) == 0
    with closing(open_database()) as database:
        other = next(one for one in list_runs(database) if one.env == "Blackjack-v1")
        replay_file(database, other.id, other.episode).unlink()
    capsys.readouterr()
    assert main(["replay", other.id]) == 1
    assert "no evaluation was recorded with them; play episodes with --episodes 10." in capsys.readouterr().err
    assert main(["replay", other.id, "--episodes", "2", "--to", str(tmp_path / "steps.json")]) == 0
