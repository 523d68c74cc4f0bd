"""Standard output and standard error as they are met: in any encoding, closed, full, or a pipe that nobody reads."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bayesgc.cli.flags import in_flags

_PLAIN = {
    "ε": "eps", "δ": "delta", "Δ": "delta ", "σ": "sigma", "ρ": "rho", "±": "+/-", "×": "x", "−": "-", "–": "-",
    "—": "-", "…": "...", "√": "sqrt ", "∞": "inf", "→": "->", "≤": "<=", "≥": ">=", "✓": "+", "✗": "x", "•": "*",
    "│": "|", "┃": "|", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
_BOX, _BRAILLE = range(0x2500, 0x25A0), range(0x2800, 0x2900)


class OutputError(Exception):
    """Standard output cannot be written. No `OSError`, which libraries would take into their own hands.

    ``kept`` says what is there all the same.
    """

    def __init__(self, reason: str, *, broken_pipe: bool) -> None:
        super().__init__(reason)
        self.broken_pipe = broken_pipe
        self.kept = ""


class Terminal(Console):
    """A console on one of the standard streams, which lays out what the stream's encoding can show."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(file=sys.stderr if stderr else sys.stdout)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does, with what will stand in place of characters that the encoding lacks."""
        return super().render_str(text.encode(self.encoding, _HANDLER).decode(self.encoding), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with options as flags wherever a text names them."""
        if isinstance(renderable, Text) and "`" in renderable.plain:
            renderable = renderable.copy()
            renderable.plain = in_flags(renderable.plain)
        return super().render(renderable, options)


class Outlet:
    """A standard stream whose failures are an `OutputError`, or nothing where ``silent``; None for a closed one."""

    def __init__(self, stream: TextIO | None, *, silent: bool) -> None:
        self._stream, self._silent, self._failed = stream, silent, False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.errors = _HANDLER

    def write(self, text: str) -> int:
        """Write, unless that has failed before."""
        if not isinstance(text, str):
            raise TypeError(f"a stream of text was given {text!r}")  # by which libraries know one
        if text and not self._failed:
            with self._failures():
                if self._stream is None:
                    raise OSError("it is closed")
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Bring what is written to where it goes."""
        if self._stream is not None and not self._failed:
            with self._failures():
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor, where there is one."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failed = True
            self._discard()
            if not self._silent:
                raise OutputError(
                    error.strerror or str(error), broken_pipe=isinstance(error, BrokenPipeError)
                ) from error

    def _discard(self) -> None:
        """What is still in buffers goes nowhere, so that Python has nothing to complain about when it ends."""
        with contextlib.suppress(OSError):
            number, nowhere = self.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Within, standard output and standard error are outlets: no character and no device ends in a traceback."""
    before = sys.stdout, sys.stderr
    with _occupied(1, before[0]), _occupied(2, before[1]), _lenient(before[0]), _lenient(before[1]):
        sys.stdout = Outlet(before[0], silent=False)
        sys.stderr = Outlet(before[1], silent=True)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def kept(what: str) -> Iterator[None]:
    """Where standard output fails within, it is said that ``what`` is there all the same."""
    try:
        yield
        sys.stdout.flush()
    except OutputError as error:
        error.kept = what
        raise


def say(message: str) -> None:
    """One line on standard error."""
    print(f"bayesgc: {' '.join(in_flags(message).split())}", file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def _lenient(stream: TextIO | None) -> Iterator[None]:
    """Let a stream put something readable in place of what its encoding lacks."""
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors=_HANDLER)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            stream.reconfigure(errors=before)


@contextlib.contextmanager
def _occupied(descriptor: int, stream: TextIO | None) -> Iterator[None]:
    """Keep the number of a closed stream from the next file that is opened, which would be taken for it."""
    if stream is None and not _is_open(descriptor):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
    yield


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    """What stands for a character, in ASCII: a known word, the letter without its accent, or its number."""
    if character in _PLAIN:
        return _PLAIN[character]
    if ord(character) in _BOX:
        return "-"
    if ord(character) in _BRAILLE:
        return "*"
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or character.encode("ascii", "backslashreplace").decode()


_HANDLER = "bayesgc-readable"
codecs.register_error(_HANDLER, _readable)
