"""What the policy sees of NetHack, on games of its own and against NetHack's own numbers."""

import colorsys

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
from v3core.environments.nethack.terminal import picture_of_terminal
from v3core.environments.node_words import node_names, node_words
from v3core.environments.situations import computed
from v3core.errors import V3Error
from v3core.training.situation_tags import SituationTags

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


def test_directions_are_eighths_of_a_full_turn():
    directions = surroundings._directions(21, 79)

    def said(right, up):
        return surroundings.DIRECTIONS[directions[-up, right]]

    octants = {
        "north": [(0, 20), (1, 3), (-1, 3)],
        "north-east": [(7, 7), (2, 1), (1, 2)],
        "east": [(78, 0), (3, 1), (3, -1)],
        "south-east": [(7, -7), (2, -1), (1, -2)],
        "south": [(0, -20), (1, -3), (-1, -3)],
        "south-west": [(-7, -7), (-2, -1), (-1, -2)],
        "west": [(-78, 0), (-3, 1), (-3, -1)],
        "north-west": [(-7, 7), (-2, 1), (-1, 2)],
    }
    assert {name: [said(*offset) for offset in offsets] for name, offsets in octants.items()} == {
        name: [name] * len(offsets) for name, offsets in octants.items()
    }
    assert said(0, 0) == "here"


BESIDE = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]
PET, INVISIBLE, FLOOR = glyphs._PET + 16, glyphs._INVISIBLE, glyphs._CMAP + 19
MONSTER, STATUE = 16, glyphs._STATUE + 16


@pytest.fixture(scope="module")
def rows_of():
    """Rows of observations as the policy gets them, of some status lines and glyphs around the player."""
    from nle import nethack

    graph = check_environment(SCORE, allow_import=False).graph
    env = make_environment(SCORE)
    while not isinstance(env, surroundings.Surroundings):
        env = env.env
    original, _ = env.env.reset(seed=1)
    encode = encoder(graph)

    def rows(*situations):
        found = np.zeros((len(situations), graph.size), dtype=graph.dtype)
        for row, (status, around) in zip(found, situations, strict=True):
            numbers = original["blstats"].copy()
            whole = {"X": 10, "Y": 8, "HP": 10, "HPMAX": 10, "HUNGER": 1, "DEPTH": 1} | status
            for name, number in whole.items():
                numbers[getattr(nethack, f"NLE_BL_{name}")] = number
            level = np.full_like(original["glyphs"], FLOOR)
            for (down, right), glyph in ({(0, 0): MONSTER} | around).items():
                level[whole["Y"] + down, whole["X"] + right] = glyph
            encode(env.observation({**original, "blstats": numbers, "glyphs": level}), row)
        return graph, found

    yield rows
    env.close()


@pytest.mark.parametrize(
    ("name", "status", "around", "holds"),
    [
        ("health low", {"HP": 33, "HPMAX": 100}, {}, True),
        ("health low", {"HP": 1, "HPMAX": 3}, {}, False),  # a third is not less than a third
        ("health low", {"HP": 34, "HPMAX": 100}, {}, False),
        ("hungry", {"HUNGER": 0}, {}, False),
        ("hungry", {"HUNGER": 1}, {}, False),
        ("hungry", {"HUNGER": 2}, {}, True),
        ("hungry", {"HUNGER": 4}, {}, True),
        *(("monster adjacent", {}, {place: MONSTER}, True) for place in BESIDE),
        ("monster adjacent", {}, {(1, 0): glyphs.MONSTERS - 1}, True),
        ("monster adjacent", {}, {(1, -1): INVISIBLE}, True),
        ("monster adjacent", {}, dict.fromkeys(BESIDE, PET), False),
        ("monster adjacent", {}, dict.fromkeys(BESIDE, STATUE), False),
        ("monster adjacent", {}, {}, False),  # the player in the middle is a monster
        ("monster adjacent", {}, {(0, 2): MONSTER, (-2, -2): INVISIBLE}, False),
    ],
)
def test_situations_hold_on_one_side_of_their_thresholds(rows_of, name, status, around, holds):
    graph, rows = rows_of((status, around))
    assert computed(name, graph.situations[name], graph.seen(rows), 1).tolist() == [holds]


def test_a_level_is_new_for_20_steps_from_the_arrival(rows_of):
    depths = [1] * 30 + [2] * 25 + [1] * 3 + [2] * 3 + [3] * 5 + [1] * 20 + [4] * 2 + [2] * 2
    graph, rows = rows_of(*(({"DEPTH": depth}, {}) for depth in depths))
    tags = SituationTags(graph, 1)
    ended = np.zeros((len(depths), 1), dtype=bool)
    ended[-4] = True  # the next game begins at depth 4, which is not new
    found = tags.of_steps(rows[:, None], ended)[:, 0, tags.names.index("new level")]
    on_3 = [True] * 5 + [True] * 15 + [False] * 5  # up again after 5 of 20 steps
    assert found.tolist() == [False] * 30 + [True] * 20 + [False] * 11 + on_3 + [True] + [False] * 3


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


HUES = {"RED": 0, "GREEN": 120, "BROWN": 60, "BLUE": 240, "MAGENTA": 300, "CYAN": 180}
"""In degrees, by NetHack's names of the colours 1 to 6; 9 to 14 are the same ones, brighter."""
CELL = 22, 12


def cell(picture, row, column):
    """The pixels of a character."""
    height, width = CELL
    return picture[row * height : (row + 1) * height, column * width : (column + 1) * width].reshape(-1, 3)


def drawn(text, colours, cursor):
    characters = np.array([[ord(sign) for sign in line] for line in text], dtype=np.uint8)
    return picture_of_terminal(characters, np.array(colours, dtype=np.int8), np.array(cursor, dtype=np.uint8))


def test_each_colour_of_the_terminal_is_what_its_name_says():
    picture = drawn(["#" * 16], [range(16)], (1, 0))
    ground = drawn([" "], [[0]], (1, 0))[0, 0].tolist()
    inks = []
    for column in range(16):
        colours = np.unique(cell(picture, 0, column), axis=0).tolist()
        assert len(colours) == 2, "ink on the ground"
        (ink,) = [colour for colour in colours if colour != ground]
        inks.append([part / 255 for part in ink])
    hues, strengths, _ = zip(*(colorsys.rgb_to_hsv(*ink) for ink in inks), strict=True)
    brightness = [0.3 * red + 0.59 * green + 0.11 * blue for red, green, blue in inks]
    for number, hue in enumerate(HUES.values(), 1):
        for place in (number, number + 8):
            assert abs((360 * hues[place] - hue + 180) % 360 - 180) <= 40, place
            assert strengths[place] > 0.4, place
        assert brightness[number] < brightness[number + 8]
    black, dark_grey, grey, white = (brightness[place] for place in (0, 8, 7, 15))
    assert sum(ground) / 3 / 255 < black < dark_grey < grey < white
    assert [strengths[place] for place in (0, 8, 7, 15)] == [0] * 4


def test_a_character_and_the_cursor_are_where_the_terminal_has_them():
    text = ["   ", " @ ", "   ", "   "]
    colours = [[7] * 3] * 4
    without, with_cursor = (drawn(text, colours, cursor) for cursor in ((9, 9), (2, 0)))
    ground = without[0, 0]
    inked = [(row, column) for row in range(4) for column in range(3) if (cell(without, row, column) != ground).any()]
    assert inked == [(1, 1)]
    line = np.zeros(with_cursor.shape[:2], dtype=bool)
    line[3 * CELL[0] - 4 : 3 * CELL[0], : CELL[1]] = True
    assert np.array_equal((with_cursor != without).any(2), line)
    assert len(np.unique(with_cursor[line], axis=0)) == 1
    assert np.array_equal(drawn(["@"], [[7]], (0, 0))[-4:, :], with_cursor[line].reshape(4, CELL[1], 3))


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
