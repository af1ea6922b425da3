"""`python -m v3core …`: everything that the pages can do, without a browser. One module per group of commands.

Exit code 0, or non-zero with one sentence on stderr.
"""

import click

from v3core.cli import (
    ask,
    claiming,
    exchange,
    experiment,
    forking,
    machine,
    playing,
    removing,
    show,
    start,
    verdicts,
)  # each adds its commands
from v3core.cli.common import commands
from v3core.cli.help_words import in_language
from v3core.errors import V3Error
from v3core.messages import _
from v3core.output import ReaderGoneError, echo, fail, prepare
from v3core.paths import COMMAND
from v3core.phrases import closed_up

__all__ = [
    "ask",
    "claiming",
    "commands",
    "exchange",
    "experiment",
    "forking",
    "machine",
    "main",
    "removing",
    "show",
    "start",
    "verdicts",
]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; print one sentence on stderr if it cannot be done."""
    prepare()
    in_language(commands)
    try:
        result = commands.main(arguments, prog_name=COMMAND, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ReaderGoneError:
        return 0
    except V3Error as error:
        return fail(error.message, 1)
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message())
        return 0
    except click.ClickException as error:
        return fail(closed_up(error.format_message()), 2)  # click puts spaces between its sentences
    except (click.Abort, KeyboardInterrupt):
        return fail(_("Interrupted."), 130)
