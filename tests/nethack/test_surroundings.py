"""What the policy sees of NetHack, on games of its own and against NetHack's own numbers."""

import numpy as np
import pytest

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import check_environment, make_environment, register_graph, state_graph
from v3core.environments.batch import EnvironmentBatch
from v3core.environments.describe import as_text
from v3core.environments.encode import encoder
from v3core.environments.graph_spec import _builders
from v3core.environments.nethack import glyphs, surroundings
from v3core.environments.nethack.published import BLOCKS, PublishedFeatures, published_features
from v3core.environments.node_words import node_names, node_words
from v3core.errors import V3Error

SCORE, ROOM = "NetHackScore-v0", "MiniHack-Room-5x5-v0"
PUBLISHED = ("v3core.environments.nethack:PublishedFeatures",)


def test_glyphs_have_the_numbers_of_the_package():
    from nle import nethack

    names = (
        *("PET", "INVIS", "DETECT", "BODY", "RIDDEN", "OBJ", "CMAP", "EXPLODE", "ZAP", "SWALLOW", "WARNING", "STATUE"),
    )
    own = (
        *(glyphs._PET, glyphs._INVISIBLE, glyphs._DETECTED, glyphs._BODY, glyphs._RIDDEN, glyphs._OBJECT, glyphs._CMAP),
        *(glyphs._EXPLOSION, glyphs._ZAP, glyphs._SWALLOW, glyphs._WARNING, glyphs._STATUE),
    )
    assert own == tuple(getattr(nethack, f"GLYPH_{name}_OFF") for name in names)
    assert (glyphs.MONSTERS, glyphs.END) == (nethack.NUMMONS, nethack.MAX_GLYPH)
    named = {symbol: nethack.symdef.from_idx(symbol).explanation for symbol in (12, 15, 21, 23, 24, 27, 31, 42, 52, 64)}
    for symbol, words in named.items():
        ours = glyphs.class_name(glyphs.STONE + symbol)
        assert {"staircase up": "stairs up", "staircase down": "stairs down"}.get(words, words) == ours


def test_every_glyph_has_a_class_and_every_class_a_name():
    classes, things = glyphs.classes(), glyphs.things()
    assert classes.min() == 0
    assert classes.max() == glyphs.CLASSES - 1
    assert set(range(glyphs.CLASSES)) - set(classes.tolist()) == set()
    assert all(glyphs.class_name(number) for number in range(glyphs.CLASSES))
    from nle import nethack

    for glyph in range(nethack.MAX_GLYPH):
        if nethack.glyph_is_pet(glyph):
            assert (classes[glyph], glyphs.THINGS[things[glyph]]) == (glyphs.MONSTERS, "a pet")
        elif nethack.glyph_is_normal_monster(glyph):
            assert (classes[glyph], glyphs.THINGS[things[glyph]]) == (glyph, "a monster")
        elif nethack.glyph_is_trap(glyph) and glyph != glyphs._CMAP + 65:  # a ray, which nle counts in
            assert glyphs.THINGS[things[glyph]] == "a trap"
        elif nethack.glyph_is_body(glyph):
            assert glyphs.THINGS[things[glyph]] == "a corpse"
        elif nethack.glyph_is_statue(glyph):
            assert glyphs.THINGS[things[glyph]] == "a statue"
        elif nethack.glyph_is_normal_object(glyph):
            kind = ord(nethack.objclass(nethack.glyph_to_obj(glyph)).oc_class)
            assert glyphs.THINGS[things[glyph]] == glyphs.OBJECT_KINDS[kind - 1]
    assert set(things.tolist()) == set(range(len(glyphs.THINGS)))


def words_of(env_id, seed, steps=0):
    """Node to what it observes in words, and the observation, after some random steps."""
    spec, env = check_environment(env_id, allow_import=False), make_environment(env_id)
    observation, _ = env.reset(seed=seed)
    random = np.random.default_rng(seed)
    for _ in range(steps):
        observation, *_ = env.step(int(random.integers(8)))
    row = np.zeros((1, spec.graph.size), dtype=spec.graph.dtype)
    encoder(spec.graph)(observation, row[0])
    words = node_words(spec, row)
    found = {
        name: words.words[place]
        for name, place in zip(node_names(spec), words.said[0].tolist(), strict=True)
        if place >= 0
    }
    glyphs_now = env.unwrapped.last_observation[env.unwrapped._glyph_index].copy()
    status = env.unwrapped.last_observation[env.unwrapped._blstats_index].copy()
    env.close()
    return found, observation, glyphs_now, status


@pytest.mark.parametrize(("env_id", "steps"), [(ROOM, 0), ("MiniHack-Room-Random-15x15-v0", 3), (SCORE, 30)])
def test_nodes_are_what_is_around_the_player(env_id, steps):
    words, observation, map_, status = words_of(env_id, 3, steps)
    column, row = status[0], status[1]
    for place in range(25):
        right, down = place // 5 - 2, place % 5 - 2
        inside = 0 <= row + down < map_.shape[0] and 0 <= column + right < map_.shape[1]
        glyph = map_[row + down, column + right] if inside else glyphs.END
        assert words[surroundings.cell_name(place)] == glyphs.class_name(int(glyphs.classes()[glyph]))
    expected = []
    for i, j in np.argwhere(glyphs.things()[map_] > 0):
        distance = max(abs(i - row), abs(j - column))
        if distance > 2:
            expected.append((distance, glyphs.THINGS[glyphs.things()[map_[i, j]]], j - column, row - i))
    expected.sort(key=lambda thing: thing[0])
    for number, (distance, thing, right, up) in enumerate(expected[:12], 1):
        said = words[f"Thing {number}, by distance"]
        assert said.startswith(f"{thing}, ")
        if up and abs(up) > 3 * abs(right):
            assert ("north" if up > 0 else "south") in said
        if right and abs(right) > 3 * abs(up):
            assert ("east" if right > 0 else "west") in said
        low, _, high = said.rpartition(", ")[2].removesuffix(" steps").partition(" to ")
        assert distance >= int(low.removesuffix(" or more"))
        assert not high or distance <= int(high)
    if len(expected) < 12:
        assert words[f"Thing {len(expected) + 1}, by distance"] == "nothing"
    assert np.array_equal(observation["place"], status[[0, 1, 12, 23, 24]])
    assert observation["health"][0] == status[10]


def test_the_graph_sees_by_adjacency_and_the_player_sees_all():
    graph = check_environment(SCORE, allow_import=False).graph
    assert graph.nodes == 45
    near = graph.neighbours
    assert near[surroundings.PLAYER].all()
    assert near[:, surroundings.PLAYER].all()
    assert near[0].sum() == 5  # a corner: itself, three neighbours and the player
    assert near[30].sum() == 2
    text = as_text(check_environment(SCORE, allow_import=False))
    assert "5 × 5 cells around the player" in text
    assert "the 12 nearest things that matter further away" in text


@pytest.mark.parametrize(
    ("wrappers", "key"),
    [*(((), key) for key in surroundings.KEYS), *((PUBLISHED, key) for key in PublishedFeatures.READ)],
)
def test_a_key_that_is_missing_is_named(wrappers, key):
    spec = check_environment(EnvironmentSetup(SCORE, wrappers=wrappers), allow_import=True)
    batch = EnvironmentBatch(spec, 1, 1)
    game = batch._envs[0].unwrapped
    original = game._get_observation
    game._get_observation = lambda found: {name: one for name, one in original(found).items() if name != key}
    with pytest.raises(V3Error) as error:
        batch.step(np.zeros((1, 1), dtype=np.int64))
    batch.close()
    sentence = f"step(action): the observation has no '{key}'; fix the environment."
    assert str(error.value) == f"Environment {SCORE}, copy 1, failed at step 1: {sentence}"


def test_a_player_who_was_swallowed_has_a_monster_beside():
    seen = {"near": np.full((2, 5, 5, 1), surroundings.CLASSES - 1)}
    seen["near"][1, 1:4, 1:4] = glyphs.classes()[glyphs._SWALLOW + 3]
    assert glyphs.class_name(int(seen["near"][1, 1, 1, 0])) == "the inside of a monster"
    assert surroundings.SITUATIONS["monster adjacent"](seen).tolist() == [False, True]


def test_inventory_and_message():
    _, observation, *_ = words_of(SCORE, 3)
    inventory = dict(zip(surroundings.INVENTORY, observation["inventory"].tolist(), strict=True))
    assert inventory["letter a"] == 1
    assert inventory["letter Z"] == 0
    assert inventory["number of items: food"] >= 1, "a monk has food"
    assert "Monk" in observation["message"]


def test_the_published_features_are_115_in_seven_nodes():
    setup = EnvironmentSetup(SCORE, wrappers=PUBLISHED)
    spec, env = check_environment(setup, allow_import=False), make_environment(setup)
    assert (spec.graph.nodes, spec.graph.size, [part.name for part in spec.graph.parts]) == (7, 115, list(BLOCKS))
    observation, _ = env.reset(seed=1)
    row = np.zeros(115, dtype=np.float32)
    encoder(spec.graph)(observation, row)
    assert row[3] == 1  # all hit points
    assert row[6] == np.float32(0.1)  # depth
    assert (row[80:98] == 0).all()
    assert row[99] == 1
    env.step(20)
    assert env.step(0)[0]["belief"][9] == np.float32(2 / 1000)
    env.close()


def test_published_features_by_hand():
    status = [0] * 27
    status[0:2], status[10:14], status[21] = [5, 5], [2, 10, 5, 300], 600
    map_ = np.full((21, 79), 2359, dtype=np.int16)
    map_[5, 6], map_[4, 5] = 10, 2363
    found = published_features(map_, status, 100)
    assert found[3] == np.float32(0.2)
    assert [round(float(value), 3) for value in found[5:13]] == [0, 0.5, 0.3, 0.4, 0.1, 0.111, 0.778, 0.111]
    # player_alive, hp_low, has_gold, hunger_hungry: places 8, 1, 0, 2 with weights 1, 1/2, 1/3, 1/4
    raw = np.array([1 / 3, 1 / 2, 1 / 4, 0, 0, 0, 0, 0, 1, 0])
    assert np.allclose(found[50:60], raw / np.linalg.norm(raw))
    assert np.allclose(found[60:65], [4 / 30, 1, 0.25, 0.25, 0])
    # dlvl_5 alone is known; monsters_nearby, in_corridor and door_nearby are not
    assert found[65 + 9] == 1
    assert np.allclose(found[75:80], [4 / 40, 0.25, 0, 0.25, 0])


def test_observation_keys_and_own_graphs_get_what_they_ask_for():
    env = make_environment(EnvironmentSetup(SCORE, {"observation_keys": ["blstats", "chars"]}))
    assert set(env.observation_space.spaces) == {"blstats", "chars"}
    env.close()
    register_graph("NetHackScore-*", lambda env: state_graph(env.observation_space["blstats"]))
    try:
        assert "glyphs" in make_environment(SCORE).observation_space.spaces
    finally:
        del _builders["NetHackScore-*"]
    assert "near" in make_environment(SCORE).observation_space.spaces


def test_a_frame_is_the_terminal_in_its_colours():
    env = make_environment(SCORE, render_mode="rgb_array")
    env.reset(seed=1)
    frame = env.render()
    assert frame.shape == (24 * 11 * 2, 80 * 6 * 2, 3)
    assert frame.dtype == np.uint8
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 4
    before = frame.copy()
    env.step(1)
    assert not np.array_equal(before, env.render())
    env.close()
