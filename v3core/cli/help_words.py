"""Help and usage errors in the language of the command line: the words of our commands, and those of click.

Click asks gettext for its own words, in a catalogue that it does not have. They are in ours, like everything else.
"""

from collections.abc import Iterator

import click
from click import core, decorators, exceptions, formatting, parser, types, utils

from v3core.messages import ENGLISH, plural_translation, spoken, translation

CLICK = (core, decorators, exceptions, formatting, parser, types, utils)
"""The modules of click that say something."""


def in_language(command: click.Command) -> None:
    """Put the help of a command, and of all below it, into the language of the environment's variables."""
    if spoken() == ENGLISH:
        return
    for module in CLICK:
        for name, said in (("_", translation), ("ngettext", plural_translation)):
            if hasattr(module, name):
                setattr(module, name, said)
    for one in commands_of(command):
        if one.help:
            one.help = translation(one.help)
            one.short_help = one.help.partition("。")[0].partition("\n\n")[0]
        for option in options_of(one):
            option.help = translation(option.help or "")


def help_texts(command: click.Command) -> Iterator[str]:
    """What the help of a command, and of all below it, says in English."""
    for one in commands_of(command):
        if one.help:
            yield one.help
        yield from (option.help for option in options_of(one) if option.help)


def commands_of(command: click.Command) -> Iterator[click.Command]:
    """A command and all below it."""
    yield command
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from commands_of(one)


def options_of(command: click.Command) -> list[click.Option]:
    """The options of a command, with the ones that click adds."""
    found = command.get_params(click.Context(command))
    return [option for option in found if isinstance(option, click.Option)]
