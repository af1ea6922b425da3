"""Observations of any space as rows of one flat array."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.environments.types import NodePart, StateGraphSpec
from v3core.messages import _

Encoder = Callable[[Any, NDArray[Any]], None]
"""Writes an observation into a row [size], each part where the graph says.

Raises:
    ValueError: naming the problem, if the observation is not in the space that the graph was made for.
"""


def encoder(graph: StateGraphSpec) -> Encoder:
    """How observations become rows, worked out once: a batch needs it at every step of every environment."""
    parts = [(part.path, part.name, _encoder(part, graph.dtype)) for part in graph.parts if part.size]
    if len(parts) == 1 and not parts[0][0]:
        return parts[0][2]

    def write(observation: Any, row: NDArray[Any]) -> None:
        for path, name, write_part in parts:
            entry = observation
            try:
                for key in path:
                    entry = entry[key]
            except (KeyError, IndexError, TypeError):
                raise ValueError(_("the observation has no '{name}'", name=name)) from None
            write_part(entry, row)

    return write


def _encoder(part: NodePart, dtype: str) -> Encoder:
    entries = slice(part.start, part.start + part.size)
    if part.kind == "words":
        return _words(part, entries)
    if part.kind not in {"categories", "grid"}:
        return _numbers(part, entries, dtype)
    if part.size == 1 and part.shape == (1,):
        return _category(part)
    return _categories(part, entries)


def _numbers(part: NodePart, entries: slice, dtype: str) -> Encoder:
    expected = part.shape if part.observed is None else part.observed
    kinds = "biu" if dtype == "uint8" else "biuf"
    one_axis = len(expected) == 1
    fits = ("uint8", "bool") if dtype == "uint8" else None

    def write(observation: Any, row: NDArray[Any]) -> None:
        values = observation if type(observation) is np.ndarray else np.asarray(observation)
        if values.shape != expected and not (values.ndim == 0 and part.size == 1):
            raise _wrong(part, _("has shape {shape}, not {expected}", shape=values.shape, expected=expected))
        if values.dtype.kind not in kinds:
            raise _wrong(part, _("is of type {dtype}", dtype=values.dtype))
        if fits is not None and values.dtype.name not in fits and (values.min() < 0 or values.max() > 255):
            raise _wrong(part, _("contains a number that is not a byte"))
        if part.channels_first:
            values = values.transpose(1, 2, 0)
        row[entries] = values if one_axis else values.reshape(-1)

    return write


def _category(part: NodePart) -> Encoder:
    """A single category, such as a Discrete: the observation is one whole number."""
    first, count = (part.starts or (0,))[0], part.categories[0]

    def write(observation: Any, row: NDArray[Any]) -> None:
        if not isinstance(observation, int | np.integer):
            values = np.asarray(observation)
            if values.shape not in ((), part.observed if part.observed is not None else part.shape):
                raise _wrong(part, _("has shape {shape}, not {value}", shape=values.shape, value=part.observed or ()))
            if values.dtype.kind not in "biu":
                raise _wrong(part, _("is of type {dtype}", dtype=values.dtype))
            observation = values.item()
        category = int(observation) - first
        if not 0 <= category < count:
            raise _wrong(part, _("contains a category outside its space"))
        row[part.start] = category

    return write


def _categories(part: NodePart, entries: slice) -> Encoder:
    expected = part.shape if part.observed is None else part.observed
    starts = np.array(part.starts) if any(part.starts) else None
    highest = np.resize(np.array(part.categories), part.size) - 1

    def write(observation: Any, row: NDArray[Any]) -> None:
        values = observation if type(observation) is np.ndarray else np.asarray(observation)
        if values.shape != expected:
            raise _wrong(part, _("has shape {shape}, not {expected}", shape=values.shape, expected=expected))
        if values.dtype.kind not in "biu":
            raise _wrong(part, _("is of type {dtype}", dtype=values.dtype))
        values = values.reshape(-1)
        if starts is not None:
            values = values.astype(np.int64) - starts
        if (values > highest).any() or (values.dtype.kind == "i" and (values < 0).any()):
            raise _wrong(part, _("contains a category outside its space"))
        row[entries] = values

    return write


def _words(part: NodePart, entries: slice) -> Encoder:
    bag = bag_of_words(part.labels, part.size)

    def write(observation: Any, row: NDArray[Any]) -> None:
        if not isinstance(observation, str):
            raise _wrong(part, _("is a {name}, not a string", name=type(observation).__name__))
        row[entries] = bag(observation)

    return write


def _wrong(part: NodePart, problem: str) -> ValueError:
    place = _(" at '{name}'", name=part.name) if part.path else ""
    return ValueError(_("the observation{place} {problem}", place=place, problem=problem))


def bag_of_words(vocabulary: tuple[str, ...], size: int) -> Callable[[str], NDArray[np.uint8]]:
    """What turns a text into how often each word is in it, [size], at most 255.

    Words of the vocabulary have the first places; all others share the rest.
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
