"""The words that a page shows and reads out, and those among them that are not in its language."""

import re
from collections.abc import Sequence
from functools import cache

from tests.pages.kinds import EXPERIMENT, FAILURE, KINDS, NAME, NOTES, TAGS
from v3core.claims.statements import claims
from v3core.claims.study import study_files
from v3core.curriculum import load_preset
from v3core.curriculum.knobs import KNOBS, ROUTINGS
from v3core.curriculum.presets import preset_names
from v3core.insight.alarms import RULES
from v3core.store.run_filter import FIELDS

WORDS = """(within) => {
    const icons = "[data-testid=stIconMaterial], [data-testid=stExpanderIcon], [role=img][aria-label$=icon]"
    const code = `script, style, code, pre, kbd, [data-testid=stCode], .v3-language, ${icons}`
    const root = document.querySelector(within ?? "body")
    const isSeen = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true })
    const found = []
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
        const place = text.parentElement
        // A table of Streamlit is a drawing, within which its cells stand for those who cannot see it.
        if (!place.closest(code) && (place.closest("canvas") || isSeen(place))) found.push(text.data)
    }
    for (const name of ["placeholder", "aria-label", "title", "alt"])
        for (const node of root.querySelectorAll(`[${name}]`))
            if (isSeen(node) && !node.closest(code)) found.push(node.getAttribute(name))
    for (const field of root.querySelectorAll("input[role=combobox]")) found.push(field.value)
    return [...new Set(found.map((text) => text.trim()).filter(Boolean))]
}"""
"""What is seen or read out below an element, by default the whole page, without code."""

STREAMLIT = re.compile(
    "Skip to main content|Sidebar|Collapse sidebar|Main menu|Open|Help( for .*)?|Increment|Decrement|Clear (all|value)"
    "|Remove .*|Scrollable table|.* icon|progress|Upload|200MB per file.*"
)
"""Streamlit's own words, most of them only read out; nothing of it sets them."""
_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z]{2,}")
_CODE = re.compile(r"\S*[\w}][_./=:][\w{]\S*|\S*[A-Za-z]-?\d\S*|--\w[\w-]*|\b[0-9a-f]{6,}\b|\S*…")
"""Ids, paths, options, settings and files."""
_PRODUCTS = """Lab Gymnasium MiniGrid MiniHack NetHack PyTorch Python Streamlit CartPole DoorKey LunarLander Switch
Mixtral DeepSeekMoE EvoMoE ReMoE ReLU MOORE Bengio Google Mistral DeepSeek ICML NeurIPS
CUDA YAML CSV JSON Parquet GIF PNG SVG Esc Ctrl Enter Shift"""
_UNITS = "CPU GPU Bytes MiB GiB kB MB GB UTC nat nats nan"
_TERMS = """PPO KL GAE PCA MAD Adam Welch Holm Jensen Shannon Student Fisher logits softmax sparsemax entmax token epoch
ln log exp min max clip cosine arXiv eq Var target value keep chance"""
_SETTINGS = """id info step steps return reset scenario yes no none unset auto recipe base device backend native view
env wrappers Class seed episodes width gru eager torch EnvironmentSetup exponential curriculum my PYTHONPATH
module image direction mission task"""
_CITATIONS = (
    *(
        "MAD of Chen et al.",
        "Schulman's estimator",
        "Sokar et al.",
        "eq. 4 to 6",
        "Cohen's kappa, Educ. Psychol. Meas.",
    ),
    *("Veličković", "Brody", "Cho"),
)
_FILTER = ("status:failed env:CartPole tag:paper -seed:1 promising", 'note:"looks good"', '"looks good"', "failed`")
_LEFT = ("状态：lost",)
"""Parts of what docs/open-ends.md says is still in English."""
_NAMES = frozenset(f"{_PRODUCTS} {_UNITS} {_TERMS} {_SETTINGS}".split())
"""Words that are the same in Chinese."""


@cache
def _names() -> tuple[str, ...]:
    """What people and files name, the longest first: runs, presets, phases, knobs, routings."""
    phases = [phase.name for preset in preset_names() for phase in load_preset(preset).phases]
    of_people = [EXPERIMENT, NAME, NOTES.strip(), TAGS, *TAGS.split(), *KINDS, "CartPole-v1 · seed", FAILURE, "test"]
    files = [*preset_names(), *study_files(), *RULES]
    return tuple(
        sorted(
            {*of_people, *(f"{name}:" for name in FIELDS), *_CITATIONS, *_FILTER, *files, *phases, *KNOBS, *ROUTINGS},
            key=len,
            reverse=True,
        )
    )


def english_in(texts: Sequence[str]) -> list[str]:
    """Those texts that have English words, with these words in front."""
    own = _of_the_document()
    found = []
    for text in dict.fromkeys(texts):
        if STREAMLIT.fullmatch(text) or text in own or any(left in text for left in _LEFT):
            continue
        rest = _without(text, [name for name in _names() if " " in name])
        rest = _without(_CODE.sub(" ", rest), _names())
        words = [word for word in _WORD.findall(rest) if word not in _NAMES]
        if words:
            found.append(f"{', '.join(words)} in: {text}")
    return found


def _without(text: str, names: Sequence[str]) -> str:
    for name in names:
        text = re.sub(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", " ", text)
    return text


def han_in(texts: Sequence[str]) -> list[str]:
    """Those texts that have Chinese words, but not what the founding document says itself."""
    own = _of_the_document()
    return [text for text in dict.fromkeys(texts) if _HAN.search(text) and text not in own]


@cache
def _of_the_document() -> str:
    """What the founding document says itself, in Chinese with some English words."""
    return " ".join(claim.words for claim in claims().values())
