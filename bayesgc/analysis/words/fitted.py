"""A table that loses nothing where it does not fit: its columns go on below, each time with the labels of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

_LOOK = {"box": box.SIMPLE_HEAD, "padding": (0, 1), "collapse_padding": True, "pad_edge": False, "show_edge": False}
_ENDLESS = 1_000_000


class FittedTable:
    """Rows of ``labels`` columns that name them and columns of numbers; strings are text, never markup.

    Numbers stand on one line. Where all columns do not fit side by side, they are cut into blocks, one below another;
    and only where a terminal has no room for one column beside the labels do numbers wrap.
    """

    def __init__(
        self, headings: Sequence[str], *, labels: int = 1, aligned: str = "left", title: str | None = None
    ) -> None:
        self._headings, self._labels, self._aligned, self._title = headings, labels, aligned, title
        self._rows: list[tuple[tuple[RenderableType, ...], str, bool]] = []

    def add_row(self, *cells: RenderableType, style: str = "", end_section: bool = False) -> None:
        """A row, in a style, maybe with a gap below."""
        self._rows.append(
            (tuple(escape(each) if isinstance(each, str) else each for each in cells), style, end_section)
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for place, columns in enumerate(self._blocks(console, options)):
            if place:
                yield ""
            fits = self._measured(columns, console, options).minimum <= options.max_width
            yield self._part(columns, wrapped=not fits)

    def _blocks(self, console: Console, options: ConsoleOptions) -> list[list[int]]:
        """Which columns stand side by side, those of the labels in each block."""
        every = [*range(len(self._headings))]
        if self._measured(every, console, options).minimum <= options.max_width:
            return [every]
        labels, blocks = every[: self._labels], [every[: self._labels + 1]]
        for column in every[self._labels + 1 :]:
            wider = [*blocks[-1], column]
            if self._measured(wider, console, options).maximum <= options.max_width:
                blocks[-1] = wider
            else:
                blocks.append([*labels, column])
        return blocks

    def _measured(self, columns: Sequence[int], console: Console, options: ConsoleOptions) -> Measurement:
        """The width with the labels wrapped, and with nothing wrapped."""
        endless = options.update(max_width=_ENDLESS)
        unwrapped = Measurement.get(console, endless, self._part(columns)).maximum
        labels = Measurement.get(console, endless, self._part([*range(self._labels)]))
        return Measurement(unwrapped - labels.maximum + labels.minimum, unwrapped)

    def _part(self, columns: Sequence[int], *, wrapped: bool = False) -> Table:
        table = Table(**_LOOK, title=self._title and escape(self._title), title_justify="left")  # type: ignore[arg-type]
        for column in columns:
            label = column < self._labels
            justify = self._aligned if label else "right"
            table.add_column(
                escape(self._headings[column]),
                justify=justify,  # type: ignore[arg-type]
                no_wrap=not (label or wrapped),
                overflow="fold",
            )
        for cells, style, end_section in self._rows:
            table.add_row(*(cells[column] for column in columns), style=style, end_section=end_section)
        return table
