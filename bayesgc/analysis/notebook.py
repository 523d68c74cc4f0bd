"""A result as a notebook shows it: what ran, the table of laws, the sentence, and the groups of the tree to unfold."""

from __future__ import annotations

from importlib.resources import files
from itertools import chain

import xarray as xr
from markupsafe import Markup

from bayesgc.analysis.markup import environment
from bayesgc.analysis.tree.summary import cell_labels, result_object
from bayesgc.analysis.words.legend import legend_line
from bayesgc.analysis.words.rendered import IN_PYTHON
from bayesgc.analysis.words.sentences import FACTS
from bayesgc.analysis.words.wording import (
    CELLS_SHOWN,
    absent_lines,
    cell_numbers,
    cut_lines,
    headings,
    law_rows,
    summary_lines,
)


def result_html(tree: xr.DataTree, groups: str) -> str:
    """The HTML of a result, from the same lines and rows as in a terminal; ``groups`` is the tree's own HTML."""
    result = result_object(tree)
    warnings = [result["message"]] if result["outcome"] != "converged" else []
    cells = result["unobserved"] or []
    template = files("bayesgc.analysis").joinpath("notebook.html.jinja").read_text(encoding="utf-8")
    return environment().from_string(template).render(
        lines=summary_lines(result),
        headings=headings(result),
        rows=list(law_rows(result)),
        legend=[legend_line(result), *absent_lines(result)],
        cells=[[*cell_labels(cell).values(), *cell_numbers(cell)] for cell in cells[:CELLS_SHOWN]],
        places=list(cell_labels(cells[0])) if cells else [],
        meaning=result["unobserved_intervals"]["meaning"] if cells else "",
        more=len(cells) - CELLS_SHOWN,
        rest=IN_PYTHON,
        facts=list(chain.from_iterable(lines(result) for lines in FACTS.values())),
        verdict=result["verdict"],
        warnings=[*warnings, *cut_lines(result)],
        groups=Markup(groups),
    )  # fmt: skip
