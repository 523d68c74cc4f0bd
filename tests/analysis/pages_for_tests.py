"""Pages of reports as a reader of their HTML sees them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import xarray as xr

import bayesgc as gc
from bayesgc.analysis.report import write_report

EVIL = "<script>alert(1)</script>"


class Tables(HTMLParser):
    """The cells of every table of a page, row by row, under the table's caption; and the addresses it asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.addresses: list[str] = []
        self._rows: list[list[str]] = []
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        if tag in ("caption", "th", "td"):
            self._inside = tag
            if tag != "caption":
                self._rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "caption":
            self._caption += data
        elif self._inside is not None:
            self._rows[-1][-1] += data.replace("\u00a0", " ")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None
        if tag == "table":
            self.tables[self._caption] = self._rows

    def table(self, start: str) -> dict[str, list[str]]:
        """The table whose caption starts so, its rows by their first cells."""
        (rows,) = [rows for caption, rows in self.tables.items() if caption.startswith(start)]
        return {row[0]: row[1:] for row in rows[1:]}


def page_of(result: xr.DataTree, folder: Path) -> tuple[str, Tables]:
    gc.save_result(result, folder / "run.nc")
    text = write_report(folder / "run.nc", folder / "run.html").read_text(encoding="utf-8")
    return text, Tables(text)
