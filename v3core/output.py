"""Standard output is what a command says, and nothing else; environments and libraries print to standard error.

A reader who has gone (`… | head`) ends what a command says, never what it does. Any text can be said in any encoding.
"""

import io
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TextIO
from unicodedata import east_asian_width

import click

from v3core.errors import V3Error
from v3core.messages import translated

_OUT, _ERR = 1, 2
_said: TextIO | None = None
"""Where `echo` writes while `own_output` lasts; None otherwise."""


class ReaderGoneError(Exception):
    """The reader of the output has closed the pipe."""


def echo(message: object = "", *, err: bool = False) -> None:
    """Say a line, on standard output or on standard error.

    Raises:
        ReaderGoneError: if standard output is closed.
        V3Error: if it cannot be written, because the disk is full say.
    """
    try:
        click.echo(translated(message), file=None if err else _said, err=err)  # noqa: TID251
    except BrokenPipeError:
        if not err:
            raise ReaderGoneError from None
    except OSError as error:
        if not err:
            raise V3Error("Standard output cannot be written: {value}.", value=error.strerror or error) from None


def padded(text: object, columns: int, *, right: bool = False) -> str:
    """A text in the reader's language, with spaces up to a width; Chinese characters are two columns wide each."""
    said = str(translated(text))
    spaces = " " * (columns - width(said))
    return spaces + said if right else said + spaces


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def echo_json(content: object) -> None:
    """Say JSON; times are ISO 8601 with their zone, a number that is not finite is null."""
    echo(json.dumps(_finite(content), indent=2, default=datetime.isoformat, allow_nan=False))


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


def fail(sentence: str, code: int) -> int:
    """Say a sentence on standard error; returns the exit code."""
    echo(sentence, err=True)
    return code


def prepare() -> None:
    """Make the standard streams fit for any text, and open those that the caller has closed.

    Otherwise the next file to be opened, a database say, would be taken for standard output.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for number in (0, _OUT, _ERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


@contextmanager
def own_output() -> Iterator[None]:
    """In this context only `echo` writes to standard output; native code and other processes do not either."""
    global _said
    before = (_said, sys.stdout, sys.stderr)
    saved = _real_output(sys.stdout)
    if saved is None:  # a test's, or closed: it has no number that others could write to
        _said = sys.stdout or io.StringIO()
    else:
        _said = _text(_Whole(saved), sys.stdout)
        os.dup2(_ERR, _OUT)
    sys.stdout = sys.stderr = _standing(sys.stderr)
    try:
        yield
    finally:
        _said, sys.stdout, sys.stderr = before
        if saved is not None:
            os.dup2(saved, _OUT)
            os.close(saved)


def _real_output(stream: TextIO | None) -> int | None:
    """A copy of the standard output of this process, if `stream` is that."""
    try:
        if stream is None or stream.fileno() != _OUT:
            return None
        stream.flush()
        return os.dup(_OUT)
    except (OSError, ValueError):
        return None


def _standing(stream: TextIO | None) -> TextIO:
    """The same stream for a writer who must not be held up by a reader who has gone."""
    if stream is None:
        return io.StringIO()
    try:
        return _text(_Standing(stream.fileno()), stream)
    except (OSError, ValueError):
        return stream


def _text(raw: io.FileIO, like: TextIO) -> TextIO:
    """A text stream in the encoding of another, which writes immediately and escapes unencodable characters."""
    return io.TextIOWrapper(raw, encoding=like.encoding, errors="backslashreplace", write_through=True)


class _Whole(io.FileIO):
    """An open file, written to without a buffer and not closed with this object."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)

    def write(self, data: Any) -> int:
        """All of the data."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        while rest:
            rest = rest[os.write(self.fileno(), rest) :]
        return size


class _Standing(_Whole):
    """A stream that accepts everything, even after the reader has gone."""

    def write(self, data: Any) -> int:
        """All of the data; what cannot be written is dropped."""
        with suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes
