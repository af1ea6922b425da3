"""Episodes of an evaluation step by step: what the policy weighed, chose and got; and the file that holds them."""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.insight.actions import ActionFacts
from v3core.messages import _

Floats = NDArray[np.float32]

BEST, MEDIAN, WORST, LAST = "best", "median", "worst", "last"
ROLES = (BEST, MEDIAN, WORST, LAST)
ROLE_WORDS = {BEST: _("best"), MEDIAN: _("median"), WORST: _("worst"), LAST: _("last")}
FORMAT = "v3lab-replays-2"
EARLIER = "v3lab-replays-1"
"""Of files that have their numbers as they are, which are read too."""
MAX_BYTES = 1 << 30
"""A file that unpacks to more is refused: it is damaged, or made to fill the memory."""


@dataclass(frozen=True, eq=False)
class Replay:
    """One episode, with T steps. It can be played again from its seed and its actions."""

    environment: EnvironmentSetup
    """In which it was played."""
    number: int
    """Number of the episode in its evaluation, from 1."""
    seed: int
    """What its environment was reset with."""
    return_: float
    success: float | None
    """1 or 0 where the environment says so."""
    ended: str
    """`terminated`, `truncated` by the environment, or `cut` because it was too long."""
    seen: str
    """Digest of all observations, which shows whether it went the same when it is played again."""
    actions: NDArray[Any]
    """As the policy chose them, [T, components]."""
    rewards: NDArray[np.float64]
    """[T]."""
    values: Floats
    """Expected discounted return before each step, [T], in units of the reward scale."""
    gates: Floats
    """[T, experts]."""
    outputs: Floats
    """Parameters of the action distribution of the mixture, [T, outputs], before masks."""
    expert_outputs: Floats | None = None
    """Those of each expert alone, [T, experts, outputs]; None if they are left to the checkpoint."""
    masks: NDArray[np.bool_] | None = None
    """Which values of the actions were allowed, [T, mask size]; None if nothing says."""
    space: ActionFacts | None = None
    """What outputs and actions mean; None if it was not recorded."""
    discount: float | None = None
    """That of the values; None if it was not recorded."""
    reward_scale: float | None = None
    """What rewards are divided by before values are learned from them; None if it was not recorded."""

    def __len__(self) -> int:
        return len(self.rewards)

    def __eq__(self, other: object) -> bool:
        """Whether all is the same, to the bit."""
        return isinstance(other, Replay) and _bits(self) == _bits(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def experts(self) -> NDArray[np.int64]:
        """The expert with the largest gate at each step, [T]."""
        experts: NDArray[np.int64] = self.gates.argmax(1)
        return experts

    @property
    def switches(self) -> NDArray[np.int64]:
        """The steps, from 0, at which another expert has the largest gate than at the step before."""
        return np.flatnonzero(np.diff(self.experts)) + 1

    @property
    def margins(self) -> Floats:
        """Difference of the two largest normalised gates at each step, [T]; 1 with a single expert."""
        shares = self.gates / np.maximum(self.gates.sum(1, keepdims=True), 1e-9)
        if shares.shape[1] < 2:
            return np.ones(len(shares), dtype=np.float32)
        two = np.partition(shares, -2, axis=1)
        return (two[:, -1] - two[:, -2]).astype(np.float32)


def _bits(replay: Replay) -> list[object]:
    return [
        (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)
        for value in vars(replay).values()
    ]


class Digest:
    """A digest of observations in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, observation: NDArray[Any]) -> None:
        """One more observation, flat."""
        self._hash.update(np.ascontiguousarray(observation).tobytes())

    def text(self) -> str:
        """Of all so far."""
        return self._hash.hexdigest()


def roles(returns: Sequence[float]) -> dict[str, int]:
    """The places of the episodes that are kept of an evaluation, by their role; several roles may be one episode.

    Of equal returns the first counts, in each role, so that few are kept of episodes that all are perfect.
    The median is the lower one of an even number of episodes. A return that is not a number is the worst.
    """
    numbers = [-math.inf if math.isnan(value) else value for value in returns]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)  # stable: of equal ones the first comes first
    if not order:
        return {}
    return {
        BEST: numbers.index(numbers[order[-1]]),
        MEDIAN: numbers.index(numbers[order[(len(order) - 1) // 2]]),
        WORST: order[0],
        LAST: len(order) - 1,
    }


_ARRAYS = ("actions", "rewards", "values", "gates", "outputs", "expert_outputs", "masks")
_LATER = ("discount", "reward_scale")
"""Facts that the first files do not have."""
_FACTS = tuple(field.name for field in fields(Replay) if field.name not in {*_ARRAYS, "environment", "space"})
_DTYPES = {"rewards": "f8", "actions": None, "masks": "?"} | dict.fromkeys(
    ("values", "gates", "outputs", "expert_outputs"), "f4"
)


def to_bytes(replays: Mapping[str, Replay]) -> bytes:
    """Replays of one evaluation by their role as a compressed file of arrays; nothing in it is code.

    One that has several roles is in it once. The numbers of all are in one array for each field, one after another,
    because every array of a file takes 160 bytes more.
    """
    columns: dict[str, list[NDArray[Any]]] = {}
    facts: list[dict[str, Any]] = []
    for replay in {replay.number: replay for replay in replays.values()}.values():
        own = [role for role, other in replays.items() if other.number == replay.number]
        of_environment = {"environment": vars(replay.environment) | {"args": dict(replay.environment.args)}}
        space = {"space": None if replay.space is None else vars(replay.space)}
        arrays = {name: array for name in _ARRAYS if (array := getattr(replay, name)) is not None}
        shapes = {"shapes": {name: array.shape for name, array in arrays.items()}}
        named = {name: getattr(replay, name) for name in _FACTS}
        facts.append({"roles": own} | of_environment | space | named | shapes)
        for name, array in arrays.items():
            columns.setdefault(name, []).append(array.reshape(-1))
    described = json.dumps({"format": FORMAT, "episodes": facts}).encode()
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    content = {name: _smallest(array) if name == "actions" else _by_rank(array) for name, array in whole.items()}
    target = io.BytesIO()
    np.savez_compressed(target, allow_pickle=False, described=np.frombuffer(described, dtype=np.uint8), **content)
    return target.getvalue()


def _smallest(actions: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in as few bytes as hold them."""
    if actions.dtype.kind not in "iu" or not actions.size:
        return actions
    low, high = int(actions.min()), int(actions.max())
    return actions.astype(np.result_type(np.min_scalar_type(low), np.min_scalar_type(high)))


def _by_rank(numbers: NDArray[Any]) -> NDArray[Any]:
    """Floats [n] as their bytes [size of a number, n]: those of one rank side by side compress best (shuffling).

    What is not made of floats stays as it is.
    """
    if numbers.dtype.kind != "f":
        return numbers
    # Little-endian: the same file on every machine.
    whole = np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("<"))
    return np.ascontiguousarray(whole.view(np.uint8).reshape(len(numbers), -1).T)


def _from_ranks(ranks: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """The numbers of that kind whose bytes `_by_rank` has put apart; ValueError if they are not."""
    if kind.kind != "f":
        return ranks
    if ranks.dtype != np.uint8 or ranks.ndim != 2 or len(ranks) != kind.itemsize:
        raise ValueError(_("bytes of {kind} of shape {shape}", kind=kind, shape=ranks.shape))
    numbers: NDArray[Any] = np.ascontiguousarray(ranks.T).reshape(-1).view(kind.newbyteorder("<")).astype(kind)
    return numbers


def from_bytes(content: bytes) -> dict[str, Replay]:
    """What `to_bytes` made, also that of earlier versions, in the order of `ROLES`.

    Raises:
        V3Error: if it is anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise ValueError(_("too large"))
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            described = json.loads(bytes(arrays["described"]))
            if described["format"] not in (FORMAT, EARLIER):
                raise V3Error("These replays are of another version of V3 Lab; play the episodes again.")
            parts = (_apart if described["format"] == FORMAT else _earlier)(described["episodes"], arrays)
            found: dict[str, Replay] = {}
            for facts, own in zip(described["episodes"], parts, strict=True):
                found |= dict.fromkeys(facts["roles"], _replay(facts, own))
            return {role: found[role] for role in ROLES if role in found}
    except V3Error:
        raise
    except Exception as problem:  # whatever a damaged file makes numpy raise
        raise V3Error("The replays cannot be read: their file is damaged; play the episodes again.") from problem


def _apart(episodes: Sequence[dict[str, Any]], arrays: Any) -> list[dict[str, NDArray[Any]]]:
    """The arrays of each episode; ValueError if they are not as long as its shapes say."""
    found: list[dict[str, NDArray[Any]]] = [{} for _ in episodes]
    for name in _ARRAYS:
        if name not in arrays:
            continue
        kind = _DTYPES[name]
        whole, end = arrays[name] if kind is None else _from_ranks(arrays[name], np.dtype(kind)), 0
        for own, facts in zip(found, episodes, strict=True):
            if (shape := facts["shapes"].get(name)) is not None:
                start, end = end, end + math.prod(shape)
                own[name] = whole[start:end].reshape(shape)
        if end != len(whole):
            raise ValueError(f"{len(whole)} {name}")
    return found


def _earlier(episodes: Sequence[dict[str, Any]], arrays: Any) -> list[dict[str, NDArray[Any]]]:
    """The same for files of the first format."""
    return [
        {name: arrays[f"{place}.{name}"] for name in _ARRAYS if f"{place}.{name}" in arrays}
        for place in range(len(episodes))
    ]


def _replay(facts: dict[str, Any], found: dict[str, Any]) -> Replay:
    for name, array in found.items():
        if (wanted := _DTYPES[name]) is not None and array.dtype != np.dtype(wanted):
            raise ValueError(_("{name} are {dtype}", name=name, dtype=array.dtype))
    if found["actions"].dtype.kind in "iu":
        found["actions"] = found["actions"].astype(np.int64)
    environment = facts["environment"]
    setup = EnvironmentSetup(**environment | {"wrappers": tuple(map(str, environment["wrappers"]))})
    more: dict[str, Any] = {name: facts.get(name) if name in _LATER else facts[name] for name in _FACTS}
    space = None if facts.get("space") is None else ActionFacts.from_plain(facts["space"])
    replay = Replay(environment=setup, space=space, **more, **found)
    steps, experts = replay.gates.shape
    shapes = {
        "rewards": (steps,),
        "values": (steps,),
        "actions": (steps, *replay.actions.shape[1:]),
        "outputs": (steps, *replay.outputs.shape[1:]),
        "expert_outputs": (steps, experts, *replay.outputs.shape[1:]),
        "masks": (steps, *(() if replay.masks is None else replay.masks.shape[1:])),
    }
    for name, shape in shapes.items():
        if (array := found.get(name)) is not None and array.shape != shape:
            raise ValueError(_("{name} have the shape {shape}", name=name, shape=array.shape))
    return replay
