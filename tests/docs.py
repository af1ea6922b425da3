"""The parts of the documentation that follow from the code: `python -m tests.docs` writes them again.

Those of a page in Chinese are what the catalogue has, as the dashboard has it.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from tests.chinese import glossary
from v3core import cli
from v3core.claims.document import claim_text, how_verdicts_follow, outcome_table, study_text
from v3core.claims.statements import claims, states
from v3core.curriculum.knobs import SETTINGS, Knob
from v3core.insight.alarms import RULES
from v3core.insight.alarms.remedies import REMEDIES
from v3core.jobs.kinds import COMMANDS
from v3core.jobs.lifecycle import Status
from v3core.messages import ENGLISH, _, speaking, translated, translation
from v3core.metrics import DERIVED, METRICS, OVER, Acted, EpisodeRecord, InForce, Metric, Update
from v3core.phrases import listed
from v3core.rollup import MEAN_WINDOW

DOCS = Path(__file__).resolve().parents[1] / "docs"


def knobs() -> str:
    """The settings of a phase, as a table."""
    rows = []
    for name, setting in SETTINGS.items():
        if isinstance(setting, Knob):
            allowed = setting.allowed.words
            default = _("from the recipe") if setting.from_recipe else f"{setting.default:g}"
        else:
            choices = setting.allowed
            allowed = choices if isinstance(choices, str) else listed([f"`{choice}`" for choice in choices])
            default = setting.default
        rows.append((f"`{name}`", setting.title, setting.meaning, allowed, default, setting.source))
    return table((_("Key"), _("Title"), _("Meaning"), _("Allowed"), _("Default"), _("Source")), rows)


def commands() -> str:
    """What can be asked of a run, as a table."""
    rows = [
        (
            command.title,
            f"`{' '.join(part for part in (command.shell, 'ID', command.takes) if part)}`",
            command.meaning,
            ", ".join(status for status in Status if status in command.when),
            command.answered_by,
        )
        for command in COMMANDS.values()
    ]
    return table(("Command", "Shell command", "What it does", "Statuses", "Carried out by"), rows)


def shell() -> str:
    """Every command of the command line with its options, as its own help has them."""
    sections = []
    for name, command in sorted(cli.commands.commands.items()):
        context = click.Context(command, info_name=name)
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
        options = [(f"`{record[0]}`".replace("|", "\\|"), record[1]) for record in records if record]
        text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        sections.append(f"## `{usage}`\n\n{text}\n" + (f"\n{table(('Option', 'Meaning'), options)}" if options else ""))
    return "\n".join(sections)


def metrics_page() -> str:
    """The page of the metrics."""
    titles = {Acted: "Episode", Update: "Update", EpisodeRecord: "Run", InForce: "Effective settings"}
    sections = [_METRICS]
    for part, title in titles.items():
        of_part = [metric for metric in METRICS.values() if metric.part is part]
        over = f"{OVER[part].capitalize()}, unless stated otherwise."
        sections.append(f"## {title}\n\n{over}\n\n{_metrics(of_part)}")
    return "\n".join([*sections, f"## Computed when drawn\n\n{_metrics(DERIVED.values())}"])


def _metrics(entries: Iterable[Metric]) -> str:
    rows = []
    for metric in entries:
        name = f"{metric.name}_1 …" if metric.per_expert else metric.name
        over = "" if metric.over in ("", OVER.get(metric.part)) else f" Computed over {metric.over}."
        chart = metric.chart.title if metric.chart else ""
        rows.append((f"`{name}`", metric.title, metric.unit, f"{metric.sentence}{over}", chart, str(metric.since)))
    return table(("Column", "Title", "Unit", "Meaning", "Chart on Live", "Schema"), rows)


_METRICS = f"""# Metrics

The metrics of an episode, generated from `v3core/metrics.py` by `python -m tests.docs`.

The columns are those of the table `episodes` and of every [export](data.md). Columns with `_1 …` are per expert: rows
of `expert_loads` in the database, one column per expert in exports, numbered from 1. "Schema" is the first database
schema with the column; in runs recorded before, it is empty. The tooltips of the charts have the same texts.

Charts of long runs draw buckets of episodes: the mean of each bucket, with its minimum and maximum in the
hover text; of a metric that is over several episodes already, the value at the bucket's end. Return and success are
also drawn as a moving average over {MEAN_WINDOW}. A mean of loads over
episodes that is chosen on a page is over all of their steps together; that of a bucket is not. NaN counts as missing.
"""


def alarm_rules() -> str:
    """The rules of alarms, one section each."""
    sections = []
    for rule in RULES.values():
        template = _("at most {threshold:g}") if rule.below else _("at least {threshold:g}")
        limit = template.filled(threshold=rule.threshold)
        if rule.measure is None and not rule.threshold:
            limit = _("any: that promise was broken")
        buttons = listed([f"*{translated(REMEDIES[name].title)}*" for name in rule.remedies])
        rows = [
            (_("Measures"), rule.meaning),
            (_("Window"), rule.window),
            (_("Threshold"), limit),
            (
                _("Helps"),
                _("{advice} (buttons: {buttons})", advice=rule.advice, buttons=buttons) if buttons else rule.advice,
            ),
            (_("Source"), rule.source),
        ]
        title = translated(_("{title}.", title=rule.title))
        sections.append(f"### `{rule.name}`\n\n{title}\n\n{table(('', ''), rows)}")
    return "\n".join(sections)


def claims_part() -> str:
    """Every claim with its verdict."""
    found = [finding for state in states() for finding in state.findings]
    return "\n\n".join(
        f"## {translation(claim.title)}\n\n{claim_text(claim, [one for one in found if one.hypothesis.claim == key])}"
        for key, claim in claims().items()
    )


def studies_part() -> str:
    """Every study with its arms, and what the outcomes mean."""
    sections = [f"### {state.study.name}\n\n{study_text(state)}" for state in states()]
    return "\n\n".join([*sections, f"### {translated(_('Outcomes'))}\n\n{outcome_table()}"])


def terms() -> str:
    """The glossary, as a table."""
    return table(("English", "中文"), [(term.english[0], term.chinese) for term in glossary()])


CHINESE = "zh_CN"
PARTS: dict[tuple[str, str], tuple[str, Callable[[], str]]] = {
    ("claims.md", "rule"): (ENGLISH, how_verdicts_follow),
    ("claims.md", "claims"): (ENGLISH, claims_part),
    ("claims.md", "studies"): (ENGLISH, studies_part),
    ("alarms.md", "rules"): (ENGLISH, alarm_rules),
    ("curricula.md", "knobs"): (ENGLISH, knobs),
    ("jobs.md", "commands"): (ENGLISH, commands),
    ("commands.md", "shell"): (ENGLISH, shell),
    ("zh-CN/alarms.md", "rules"): (CHINESE, alarm_rules),
    ("zh-CN/curricula.md", "knobs"): (CHINESE, knobs),
    ("zh-CN/claims.md", "rule"): (CHINESE, how_verdicts_follow),
    ("zh-CN/claims.md", "claims"): (CHINESE, claims_part),
    ("zh-CN/claims.md", "studies"): (CHINESE, studies_part),
    ("zh-CN/glossary.md", "terms"): (CHINESE, terms),
}
"""File and name of each part, its language, and what writes it. It stands between two comments with its name."""


def part(file: str, name: str) -> str:
    """A part as the code has it now, in the language of its page."""
    language, make = PARTS[file, name]
    with speaking(language):
        return make()


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    titles = tuple(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(str(translated(cell)) for cell in line)} |\n" for line in lines)


def renewed(text: str, name: str, content: str) -> str:
    """The text of a file with one of its parts as the code has it now."""
    pattern = rf"(<!-- {name}: [^>]*-->\n)(?:.*?\n)?(<!-- end of {name} -->)"
    found, count = re.subn(pattern, lambda mark: f"{mark[1]}\n{content}\n{mark[2]}", text, flags=re.DOTALL)
    assert count == 1, f"the file has no part {name}"
    return found


def write() -> None:
    """Bring every part up to date, and the page that is made as a whole."""
    for file, name in PARTS:
        path = DOCS / file
        path.write_text(renewed(path.read_text(encoding="utf-8"), name, part(file, name)), encoding="utf-8")
    with speaking(ENGLISH):
        (DOCS / "metrics.md").write_text(metrics_page(), encoding="utf-8")


if __name__ == "__main__":
    write()
