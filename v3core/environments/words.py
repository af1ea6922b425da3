"""Instructions in words, such as BabyAI's missions, as a bag of words over a fixed vocabulary."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MISSION_WORDS = (
    "a", "after", "and", "at", "avoid", "ball", "behind", "blue", "box", "door", "end", "fetch", "find", "from",
    "front", "get", "go", "goal", "green", "grey", "hallway", "in", "key", "lava", "left", "matching", "maze", "must",
    "near", "next", "object", "of", "on", "open", "opening", "pick", "purple", "put", "reach", "red", "right", "room",
    "rooms", "square", "the", "then", "to", "traverse", "unlock", "up", "use", "yellow", "you", "your",
)  # fmt: skip
"""All words of the missions of MiniGrid and BabyAI. Listed here and not asked of the package: what a policy reads must
not change with its version."""

SHARED = 10
"""Places that all other words share, each at the one that its checksum says."""


def bag_of_words(vocabulary: tuple[str, ...], size: int) -> Callable[[str], NDArray[np.uint8]]:
    """What turns a text into how often each word is in it, [size], at most 255.

    Args:
        vocabulary: words that have a place of their own, the first ones.
        size: places; those beyond the vocabulary are for all other words.
    """
    places = {word: place for place, word in enumerate(vocabulary)}
    shared = size - len(vocabulary)

    @lru_cache(maxsize=4096)
    def count(text: str) -> NDArray[np.uint8]:
        counts = np.zeros(size, dtype=np.int64)
        for word in re.findall(r"[^\W_]+", text.lower()):
            place = places.get(word)
            counts[len(vocabulary) + zlib.crc32(word.encode()) % shared if place is None else place] += 1
        return np.minimum(counts, 255).astype(np.uint8)

    return count
