"""All that the page of replays shows of a step beside its frame, as JSON; and what is the same for all steps."""

import json
from typing import Any

from v3core.charts.figure import Figure
from v3core.charts.replay_actions import replay_actions
from v3core.charts.state_graph import RULE, state_graph
from v3core.environments.action_names import action_names, chosen_words
from v3core.insight.explained import explained
from v3core.insight.inside import Inside
from v3core.insight.jumps import RULES, space_of
from v3core.insight.replays import Replay
from v3core.messages import _, say, translated
from v3core.phrases import sentences

NOT_RECORDED = _("What the outputs of this policy mean was not recorded, so their distribution cannot be drawn.")
MIXTURE_ONLY = _("Of the experts alone nothing was recorded.")
ACTIONS_RULE = _(
    "The action distribution of the mixture, which acted, and of each expert alone, as it would act with a gate of "
    "1 and the shared experts. The triangle or line marks what was chosen; grey columns are actions that were not "
    "allowed. Experts whose gate is 0 are pale. Of numbers: mean ± deviation, in units of the environment."
)
EXPLAINED_RULE = _(
    "The numbers of the network's own forward pass, from the observation to the action, under the routing of the "
    "checkpoint and without routing noise. Gates, mixture and value are those that acted."
)


def step_view(
    replay: Replay,
    inside: Inside | None,
    *,
    step: int,
    layer: int = 1,
    head: int | None = None,
    no_inside: str = "",
) -> dict[str, Any]:
    """One step as JSON.

    `graph` and `actions` are figures or None, `graph_note` and `actions_note` say why they are None, and `explained` is
    a list of parts with `title`, `text` and `rows` of two texts.

    Args:
        replay: of which the step is.
        inside: what the network computed in its states; None if that is not known, for the reason `no_inside`.
        step: from 1; of steps, layers and heads one beyond the ends is the nearest.
        layer: of the graph that is drawn, from 1.
        head: from 1; None for the mean of all heads.
        no_inside: a sentence.
    """
    step = min(max(step, 1), len(replay))
    graph = None
    note = no_inside or say("The graph and its attention need a checkpoint of this evaluation, and there is none.")
    if inside is not None:
        layer = min(max(layer, 1), inside.layers)
        head = None if head is None else min(max(head, 1), inside.heads)
        graph, note = state_graph(inside, step, layer, head), ""
        if inside.attention is None:
            note = say("This policy has no graph: with graph=mlp the nodes send each other no messages.")
        elif graph is None:
            note = say(
                "Attention was kept of the first {attention:,} steps of this long episode.",
                attention=len(inside.attention),
            )
    facts = space_of(replay)
    actions = replay_actions(replay, step)
    names: list[str] = []
    done = ""
    if facts is not None:
        names = action_names(replay.environment, facts, outputs=replay.outputs.shape[1])
        done = chosen_words(names, facts, replay.actions[step - 1].tolist())
    return {
        "step": step,
        "graph": _plain(graph),
        "graph_note": translated(note),
        "actions": _plain(actions),
        "actions_note": _actions_note(replay, actions, no_inside),
        "explained": explained(
            replay, inside, step, facts=facts, names=names, done=done, head=head, no_inside=no_inside
        ),
    }


def _actions_note(replay: Replay, actions: Figure | None, no_inside: str) -> str:
    if actions is None:
        return str(translated(NOT_RECORDED))
    if replay.expert_outputs is not None:
        return ""
    why = no_inside or _("What they put out is computed from a checkpoint, and there is none.")
    return str(translated(sentences(MIXTURE_ONLY, why)))


def step_choices(inside: Inside | None) -> dict[str, Any]:
    """What is the same for all steps: `layers` and `heads` to choose from, and `help` for each part.

    A choice is the number that `step_view` takes, and its title; there are none without attention.
    """
    layers: list[tuple[int, str]] = []
    heads: list[tuple[int | None, str]] = []
    if inside is not None and inside.attention is not None:
        layers = [(layer, say("Layer {layer}", layer=layer)) for layer in range(1, inside.layers + 1)]
        heads = [
            (None, say("Mean of heads")),
            *((head, say("Head {head}", head=head)) for head in range(1, inside.heads + 1)),
        ]
    return {
        "layers": layers,
        "heads": heads,
        "help": {
            part: translated(rule)
            for part, rule in {"graph": RULE, "actions": ACTIONS_RULE, "explained": EXPLAINED_RULE, **RULES}.items()
        },
    }


def _plain(figure: Figure | None) -> Any:
    return None if figure is None else json.loads(figure.to_json())
