"""RunConfig and its parts: typed, validated, frozen, JSON in and out. Saved whole with the run."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from v3core.curriculum import (
    KNOBS,
    Architecture,
    BaseValues,
    Curriculum,
    Graph,
    Length,
    check_environment_named,
    check_experts,
    check_facts,
    check_fits,
    check_router_learns,
    ignoring_base,
)
from v3core.curriculum.knobs import Knob
from v3core.curriculum.length import MAX_EPISODES as MAX_EPISODES
from v3core.curriculum.length import MAX_STEPS as MAX_STEPS
from v3core.environment_setup import (
    VIEW,
    EnvArg,
    EnvArgs,
    EnvironmentSetup,
    Wrappers,
    canonical,
    is_several,
    joined,
)
from v3core.errors import V3Error, explained
from v3core.messages import _
from v3core.paths import shipped
from v3core.phrases import listed, unended

RECIPES = shipped("data", "recipes")
Device = Literal["auto", "cpu", "cuda"]
Backend = Literal["eager", "native"]
BalanceOn = Literal["softmax", "gates"]
Memory = Literal["none", "gru"]
MAX_SEED = 2**32 - 1
MAX_NAME = 120
_BREAK_A_LINE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control characters, halves of a character, separators of lines and paragraphs."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


Scalar = bool | int | float | str | None
"""What one setting can be."""


class Override(_Frozen):
    """A setting that was changed from the recipe's."""

    value: Scalar
    """What was chosen."""
    recipe: Scalar
    """What the recipe has."""


class PolicyConfig(_Frozen):
    """Sizes of the network."""

    width: Annotated[int, Field(ge=4, le=1024)] = 64
    """Width of node features, of the scene embedding and of the hidden layers."""
    heads: Annotated[int, Field(ge=1, le=16)] = 4
    """Attention heads of each graph layer; must divide `width`."""
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    """Graph attention layers."""
    experts: Annotated[int, Field(ge=1, le=64)] = 4
    """Experts that the router chooses among."""
    expert_width: Annotated[int, Field(ge=1, le=16384)] | None = None
    """Hidden width of each expert; `width` if unset."""
    shared_experts: Annotated[int, Field(ge=0, le=16)] = 0
    """Additional experts that are always active and not routed (DeepSeekMoE, arXiv:2401.06066)."""
    graph: Graph = "gatv1"
    """Graph attention of Veličković et al. (2018), of Brody et al. (2022), or no messages between nodes at all."""
    memory: Memory = "none"
    """What the policy remembers of an episode: `none`, or `gru`, gated recurrent units (Cho et al., 2014) between the
    scene embedding and the router, and before the value head. For environments that hide what was seen before."""
    memory_width: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Width of the memory; `width` if unset."""

    @property
    def hidden(self) -> int:
        """Hidden width of each expert."""
        return self.width if self.expert_width is None else self.expert_width

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                _(
                    "width {width} is not a multiple of heads {heads}; change one of them.",
                    width=self.width,
                    heads=self.heads,
                )
            )
        return self


class PPOConfig(_Frozen):
    """Settings of PPO that no phase owns."""

    environments: Annotated[int, Field(ge=1, le=256)] = 8
    """Environments stepped side by side."""
    rollout_steps: Annotated[int, Field(ge=1)] = 128
    """Steps of each environment between two updates."""
    minibatch: Annotated[int, Field(ge=2)] = 256
    """Samples of one gradient step."""
    epochs: Annotated[int, Field(ge=1, le=100)] = 10
    """Passes over each rollout."""
    sequence_steps: Annotated[int, Field(ge=1, le=4096)] = 64
    """With memory, steps over which gradients go back in time at most: a rollout is learned from in such pieces."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.99
    """Discount."""
    gae_lambda: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Lambda of generalised advantage estimation."""
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Clip range of the probability ratio."""
    value_coefficient: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the value loss."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 0.5
    """Gradients are clipped to this norm."""
    balance_on: BalanceOn = "softmax"
    """What the losses for balance and entropy of the experts read: the softmax of the router's logits, which has a
    gradient for experts that are off, or the gates, as up to version 0.2.0."""


def _base_value(knob: Knob) -> Any:
    allowed = replace(knob.allowed, high=min(knob.allowed.high, knob.most_in_recipe))
    meaning = _("{meaning} if no phase sets it; phases can multiply it.", meaning=unended(knob.meaning))
    return float, Field(knob.default, description=meaning, **allowed.bounds)


_base_values: dict[str, Any] = {name: _base_value(knob) for name, knob in KNOBS.items() if knob.from_recipe}
_BaseKnobs: Any = create_model("_BaseKnobs", __base__=_Frozen, **_base_values)


class BaseConfig(_BaseKnobs):  # type: ignore[misc]  # its fields follow from the table of knobs
    """Base values of the knobs that phases own: used where no phase sets them, multiplied by `{times: …}`."""

    def values(self) -> BaseValues:
        """As `settings_at` takes them."""
        return BaseValues(**dict(self))


class EvaluationConfig(_Frozen):
    """Episodes apart from training: no routing noise, nothing learned, the same seeds for every run."""

    episodes: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Episodes of one evaluation, of each environment if there are several; 0 for none."""
    every: Annotated[int, Field(ge=1)] | None = None
    """Completed training episodes between two evaluations; unset evaluates at the end of the run only."""
    knockout: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Episodes played without each expert at the end of the run, to see which are needed; 0 for none. Unset is 10, or
    fewer if all of them would be more than a fifth of the run's episodes."""
    sampled: bool = False
    """Sample actions as in training instead of taking the most likely one. A policy without memory that sees only part
    of its world may walk into a wall forever if it always takes the most likely action."""


FACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_FACTS = 16


def _checked_facts(value: dict[str, str]) -> dict[str, str]:
    if len(value) > MAX_FACTS:
        raise ValueError(
            _("episode_facts has {value} entries; name at most {max_facts}.", value=len(value), max_facts=MAX_FACTS)
        )
    paths = {name: path.strip() for name, path in value.items()}
    for name, path in paths.items():
        if not FACT_NAME.fullmatch(name):
            raise ValueError(
                _(
                    "'{name}' is not a valid name of an episode fact; use small letters, digits and _, as in depth_2.",
                    name=name[:60],
                )
            )
        if not all(map(str.strip, path.split("."))) or len(path) > 200:
            raise ValueError(
                _("The episode fact '{name}' has no path in info; write it as in score: nethack.score.", name=name)
            )
    return paths


EpisodeFacts = Annotated[dict[str, str], AfterValidator(_checked_facts)]
"""Names of facts, and the path of each in `info`: a key, or keys joined by dots."""


class Recipe(_Frozen):
    """What suits an environment: PPO settings, base values of the curriculum's knobs, network sizes."""

    name: str
    """The file's name without its ending."""
    match: tuple[str, ...]
    """Environment ids it applies to; `*` matches anything."""
    note: str = ""
    """Where the settings come from."""
    envs: tuple[str, ...] = ()
    """Several environments that its names in `match` stand for: a run trains on all of them at once."""
    episodes: Annotated[int, Field(ge=1)] = 1000
    """Run length offered for it."""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 100_000
    """Run length offered for it where the length is given in environment steps."""
    env_args: EnvArgs = {}
    """Arguments of the environment, by name; a run can override them."""
    wrappers: Wrappers = ()
    """Around the environment, innermost first; those of a run take their place."""
    base: BaseConfig = BaseConfig()
    ppo: PPOConfig = PPOConfig()
    policy: PolicyConfig = PolicyConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    episode_facts: EpisodeFacts = {}
    """What is recorded of `info` at the end of each episode: a number or a short word by each name."""
    overrides: dict[str, Override] = {}
    """Settings that were changed from the file's, by their path, such as `ppo.epochs`."""


class RunConfig(_Frozen):
    """Everything that decides a run. The same config and seed on one machine record the same numbers."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    """Shown in lists; need not be unique."""
    env: Annotated[str, Field(min_length=1)]
    """Gymnasium environment id; several, on which it trains at once, as in `A + B(size=8) + C`."""
    env_args: EnvArgs = {}
    """Arguments of the environment, by name."""
    wrappers: Wrappers = ()
    """Around the environment, innermost first: names of `gymnasium.wrappers`, or `module:Class`, with arguments."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    """Every random source of the run is seeded from it."""
    episodes: Annotated[int, Field(ge=1, le=MAX_EPISODES)]
    """The run is complete after this many episodes. With `steps` alone, a bound that is not reached before them."""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    """The run is complete after this many environment steps, all environments together; unset: after its episodes."""
    curriculum: Curriculum
    """As launched; later edits are revisions in the store."""
    recipe: str = "default"
    """Name of the recipe that the settings below came from."""
    overrides: dict[str, Override] = {}
    """The settings that were changed, by their path, such as `ppo.epochs`."""
    base: BaseConfig = BaseConfig()
    ppo: PPOConfig = PPOConfig()
    policy: PolicyConfig = PolicyConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    episode_facts: EpisodeFacts = {}
    """What is recorded of `info` at the end of each episode: a number or a short word by each name."""
    device: Device = "auto"
    """The device of the network; `auto` uses the CPU, or CUDA if available and faster."""
    backend: Backend | None = None
    """What computes the network, the native library or torch (`eager`); recorded when the run begins. Unset in runs of
    versions that had torch only."""
    view: Annotated[int, Field(ge=1, le=VIEW)] = 1
    """Version of what the policy sees and obeys of its environments, as in `EnvironmentSetup`; 1 where none is named:
    before there were versions."""

    @property
    def length(self) -> Length:
        """How long it trains, in episodes and steps."""
        return Length(self.episodes, self.steps)

    @property
    def environment(self) -> EnvironmentSetup:
        """The environment of phases that do not set one."""
        return EnvironmentSetup(self.env, self.env_args, self.wrappers, self.view)

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, saved: Any) -> Any:
        """A run that was saved without `balance_on` trained on the gates, and continues so."""
        if isinstance(saved, Mapping) and isinstance(ppo := saved.get("ppo"), Mapping) and "balance_on" not in ppo:
            return {**saved, "ppo": {**ppo, "balance_on": "gates"}}
        return saved

    @model_validator(mode="after")
    def _curriculum_fits(self) -> Self:
        try:
            check_fits(self.curriculum, self.episodes, self.steps)
            check_facts(self.curriculum, self.episode_facts)
        except V3Error as error:
            raise ValueError(error.message) from None
        return self


def check_name(of: str, name: str) -> None:
    """Raise V3Error for a name that a line of a list cannot show; `of` says of what it is."""
    if not name.strip():
        raise V3Error("The {of} has no name; give it one.", of=of)
    if len(name.strip()) > MAX_NAME:
        raise V3Error(
            "The name of the {of} has {strip} characters; use at most {max_name}.",
            of=of,
            strip=len(name.strip()),
            max_name=MAX_NAME,
        )
    if any(unicodedata.category(letter) in _BREAK_A_LINE for letter in name.strip()):
        raise V3Error(
            "The name of the {of} contains a line break, a control character or invalid UTF-8; remove it.", of=of
        )


def chosen_environment(
    env: str, recipe: Recipe, args: Mapping[str, EnvArg] | None = None, wrappers: Sequence[str] = ()
) -> EnvironmentSetup:
    """An environment with the arguments and wrappers of its recipe, overridden by the chosen ones.

    A name that the recipe has for several environments becomes their ids.
    """
    env_id = joined(recipe.envs) if recipe.envs and env.strip() in recipe.match else canonical(env)
    return EnvironmentSetup(env_id, {**recipe.env_args, **(args or {})}, tuple(wrappers) or recipe.wrappers)


def run_name(titles: Sequence[str], environment: EnvironmentSetup, seed: int) -> str:
    """A name made of what distinguishes the run from others; arguments that would make it too long are cut."""
    before, after, env = " · ".join(titles), f"seed {seed}", str(environment)
    room = MAX_NAME - len(f"{before} ·  · {after}")
    return f"{before} · {env if len(env) <= room else f'{env[: room - 1]}…'} · {after}"


def name_apart_from_seed(name: str, environment: EnvironmentSetup) -> str:
    """What such a name says besides environment and seed, which is the same for all runs of an arm of a study."""
    env = str(environment)
    kept = [
        part
        for part in name.split(" · ")
        if not re.fullmatch(r"seed \d+", part) and part != env and not (part[-1:] == "…" and env.startswith(part[:-1]))
    ]
    return " · ".join(kept) or name


def fitting_length(episodes: int | None, steps: int | None, ppo: PPOConfig) -> Length:
    """The length that was asked for, its steps rounded up to a multiple of the environments: these step together.

    Raises:
        V3Error: if it is none, out of bounds, or less than one rollout.
    """
    length = Length.of(episodes, steps)
    if length.steps is None:
        return length
    rollout = ppo.environments * ppo.rollout_steps
    if length.steps < rollout:
        raise V3Error(
            "A budget of {steps:,} environment steps is less than one rollout, which is {rollout:,} ({environments} "
            "environments × {rollout_steps} steps); choose at least that many.",
            steps=length.steps,
            rollout=rollout,
            environments=ppo.environments,
            rollout_steps=ppo.rollout_steps,
        )
    whole = -(-length.steps // ppo.environments) * ppo.environments
    return Length.of(None if length.is_by_steps else length.episodes, whole)


def build_run_config(
    *,
    name: str,
    env: EnvironmentSetup | str,
    seed: int,
    episodes: int | None = None,
    steps: int | None = None,
    curriculum: Curriculum,
    recipe: Recipe,
    device: Device = "auto",
) -> RunConfig:
    """A validated RunConfig from a user's choices; a bare id gets the arguments and wrappers of the recipe.

    It is as long as `episodes` or `steps`, whichever is reached first; one of them is needed. Steps are rounded up to a
    multiple of the environments, which are stepped together. A V3Error names the field that is invalid.
    """
    check_name(_("run"), name)
    if not 0 <= seed <= MAX_SEED:
        raise V3Error(
            "Seed {seed} is out of range; choose a whole number from 0 to {max_seed}.", seed=seed, max_seed=MAX_SEED
        )
    length = fitting_length(episodes, steps, recipe.ppo)
    setup = env if isinstance(env, EnvironmentSetup) else chosen_environment(env, recipe)
    check_environment_named(curriculum, setup.env_id)
    _check_network_is_free(curriculum, recipe.overrides)
    policy = _built(recipe.policy, curriculum.policy)
    check_experts(curriculum, policy.experts)
    check_router_learns(curriculum, policy.experts)
    with explained(_("The run")):
        return RunConfig(
            name=name.strip(),
            env=setup.env_id,
            env_args=dict(setup.args),
            wrappers=setup.wrappers,
            seed=seed,
            episodes=length.episodes,
            steps=length.steps,
            curriculum=curriculum,
            recipe=recipe.name,
            overrides=recipe.overrides,
            base=recipe.base,
            ppo=recipe.ppo,
            policy=policy,
            evaluation=recipe.evaluation,
            episode_facts=recipe.episode_facts,
            device=device,
            view=setup.view,
        )


def _check_network_is_free(curriculum: Curriculum, overrides: dict[str, Override]) -> None:
    """Refuse to change network settings that the curriculum sets."""
    for name in ("experts", "shared_experts", "graph"):
        decided = getattr(curriculum.policy, name, None)
        changed = overrides.get(f"policy.{name}")
        if decided is not None and changed is not None and changed.value != decided:
            raise V3Error(
                "policy.{name} is set to {value}, but curriculum '{name2}' needs {decided}; keep the recipe's "
                "value, or choose another curriculum.",
                name=name,
                value=changed.value,
                name2=curriculum.name,
                decided=decided,
            )


_OF_MEMORY = ("policy.memory_width", "ppo.sequence_steps")


def settings_without_effect(configs: Sequence[RunConfig]) -> list[str]:
    """A sentence for each changed setting that is not used.

    That are base values where phases set an absolute value, and the settings of the memory of a policy without one.
    """
    sentences = [
        _(
            "{path} has no effect in {phases}, where curriculum '{name}' sets {knob} itself; to change it there, "
            "set phases.{first}.{knob}.",
            path=path,
            phases=listed(phases),
            name=config.curriculum.name,
            knob=knob,
            first=phases[0],
        )
        for config in configs
        for path in config.overrides
        for section, _dot, knob in [path.partition(".")]
        if section == "base" and (phases := ignoring_base(config.curriculum, knob))
    ]
    sentences += [
        _("{path} has no effect without memory; to have one, set policy.memory to gru.", path=path)
        for config in configs
        for path in _OF_MEMORY
        if path in config.overrides and config.policy.memory == "none"
    ]
    return list(dict.fromkeys(sentences))  # once for all seeds of a curriculum


def _built(sizes: PolicyConfig, architecture: Architecture | None) -> PolicyConfig:
    """The recipe's network with the settings of the curriculum."""
    if architecture is None:
        return sizes
    changes: dict[str, Any] = architecture.model_dump(include={"experts", "shared_experts", "graph"}, exclude_none=True)
    if architecture.single_expert:
        # As wide as all of them: what a mixture adds beyond its parameters is what is to be seen.
        changes |= {"experts": 1, "expert_width": sizes.hidden * (sizes.experts + sizes.shared_experts)}
    elif architecture.expert_width_times is not None:
        changes["expert_width"] = max(1, round(sizes.hidden * architecture.expert_width_times))
    return PolicyConfig.model_validate({**dict(sizes), **changes})


def load_recipe(path: Path) -> Recipe:
    """A recipe from its YAML file; V3Error if it cannot be read or is not a recipe."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        with explained(_("Recipe {name}", name=path.name)):
            return Recipe.model_validate({"name": path.stem, **content})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise V3Error("Recipe {name} cannot be read: {error}.", name=path.name, error=error) from None


def recipe_for(env: str, folder: Path = RECIPES) -> Recipe:
    """The recipe of an environment id: an exact name before a pattern, the longest pattern before a shorter one.

    What matches `Name-v0` matches `module:Name-v0` too. `default.yaml` matches every id. Several environments have the
    recipe that lists just these, or else one that matches each of them.
    """
    recipes = [load_recipe(path) for path in sorted(folder.glob("*.yaml"))]
    candidates = [(*fit, recipe) for recipe in recipes if (fit := _fit(recipe, env)) is not None]
    return max(candidates, key=lambda found: found[:2])[2] if candidates else Recipe(name="default", match=("*",))


def named_sets(folder: Path = RECIPES) -> list[str]:
    """The names that recipes have for several environments at once, such as `MT3`."""
    recipes = map(load_recipe, sorted(folder.glob("*.yaml")))
    return [name for recipe in recipes if recipe.envs for name in recipe.match]


def _fit(recipe: Recipe, env: str) -> tuple[bool, int] | None:
    """Whether an environment is named exactly, and by how long a pattern; None if the recipe is not for it."""
    if is_several(env):
        if recipe.envs:
            mine, asked = (set(EnvironmentSetup(text).task_names) for text in (joined(recipe.envs), env))
            return (True, len(env)) if mine == asked else None
        fits = [_fit(recipe, task.env_id) for task in EnvironmentSetup(env).tasks]
        return min((fit for fit in fits if fit is not None), default=None) if None not in fits else None
    names = {env, env.rpartition(":")[2]}
    return max(
        (
            (pattern in names, len(pattern))
            for pattern in recipe.match
            if any(fnmatchcase(name, pattern) for name in names)
        ),
        default=None,
    )
