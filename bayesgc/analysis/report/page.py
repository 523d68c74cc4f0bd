"""Assemble the page: a template, what it says of a result or a sweep, pictures that move and pictures that print."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import bokeh.embed
from bokeh.resources import Resources
from markupsafe import Markup

from bayesgc.analysis.markup import environment
from bayesgc.analysis.tree import whole
from bayesgc.analysis.tree.outputs import check_output
from bayesgc.analysis.tree.storage import load
from bayesgc.validate import InputError

_MOST_ON_A_PHONE = 6
_NOTHING = "-"
"""What a cell holds that has nothing to say."""


@dataclass(frozen=True)
class Picture:
    """One picture in two forms: ``live`` is a Bokeh layout or None, ``still`` an image as a data URI.

    ``title`` says what one sees, ``words`` how to read it; ``alternative`` says it to those who do not see it.
    """

    key: str
    title: str
    words: str
    alternative: str
    still: str
    live: Any = None


@dataclass(frozen=True)
class Table:
    """A table with its caption. A row's first cell names it; the columns from ``first`` to ``last`` hold numbers.

    ``marks`` gives rows a class by their place.
    """

    caption: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    marks: dict[int, str] = field(default_factory=dict)
    first: int = 1
    last: int = 99

    @property
    def cards(self) -> bool:
        """Whether a phone has no room for the columns, so that there each row is a card with a line a column."""
        return len(self.headings) > _MOST_ON_A_PHONE

    @property
    def told(self) -> Table:
        """The same without the columns in which no row says anything."""
        kept = [place for place in range(len(self.headings)) if any(row[place] != _NOTHING for row in self.rows)]
        return replace(
            self,
            headings=tuple(self.headings[place] for place in kept),
            rows=[tuple(row[place] for place in kept) for row in self.rows],
            first=sum(place < self.first for place in kept),
            last=sum(place <= self.last for place in kept) - 1,
        )

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, which are set to the right."""
        return self.first <= column <= self.last


@dataclass(frozen=True)
class Section:
    """A part of the page: words, pictures, tables and literal text to copy, in this order."""

    key: str
    title: str
    words: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    code: tuple[tuple[str, str], ...] = ()
    folded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Page:
    """All that the template needs."""

    title: str
    question: str
    answer: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    warning: str
    sections: tuple[Section, ...]
    made_by: str
    losses: bool = True
    """Whether what is told are losses, and not shares of errors."""


def write_report(source: str | os.PathLike[str], target: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the page about ``source``, a saved result or the folder of a sweep, to ``target`` and return its path.

    With ``force``, a file that is not a page of ours may be replaced.

    Raises:
        InputError: for a source that is neither; for a target that cannot be written, is the source, or is not ours.
    """
    from bayesgc.analysis.report.result import result_page
    from bayesgc.analysis.report.sweep import sweep_page

    if not isinstance(source, str | os.PathLike):
        raise InputError("write_report takes the file of a result, or the folder of a sweep: save_result writes one.")
    origin, path = Path(source), Path(target)
    inputs = [*origin.glob("sweep.*")] if origin.is_dir() else [origin]
    check_output("the report", path, (".html", ".htm"), inputs=inputs, force=force)
    page = sweep_page(origin) if origin.is_dir() else result_page(load(origin), origin)
    # A name of a file may hold what is no character.
    return whole.write(path, rendered(page).encode("utf-8", "backslashreplace"))


def rendered(page: Page) -> str:
    """The page as HTML. Everything but the pictures' own code is escaped, so labels from files stay text."""
    layouts = {picture.key: picture.live for section in page.sections for picture in section.pictures if picture.live}
    script, divisions = bokeh.embed.components(layouts) if layouts else ("", {})
    library = Resources(mode="inline", components=["bokeh"]).render_js() if layouts else ""
    template, style = (_shipped(name) for name in ("page.html.jinja", "page.css"))
    return (
        environment()
        .from_string(template)
        .render(
            page=page,
            style=Markup(style),
            library=Markup(library),
            script=Markup(script),
            divisions={key: Markup(each) for key, each in divisions.items()},
        )
    )


def _shipped(name: str) -> str:
    return files("bayesgc.analysis.report").joinpath(name).read_text(encoding="utf-8")
