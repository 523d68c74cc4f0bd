"""The look of every figure: colour-blind safe (Okabe & Ito 2008), legible at a column's width, and one for all.

A plot takes DataTrees and returns a matplotlib ``Figure`` (see `canvas`); no global setting is left changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import xarray as xr
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bayesgc.analysis.ends import end_name_in
from bayesgc.analysis.measures import measures_in
from bayesgc.analysis.tree import whole
from bayesgc.analysis.tree.storage import CREATOR
from bayesgc.analysis.tree.summary import Json
from bayesgc.validate import InputError

COLUMN, PAGE = 3.5, 7.2
"""Inches: the width of a paper's column, and of its page."""
COLOURS = {
    "prior": "#8A8A8A",
    "posterior": "#0072B2",
    "gd": "#D55E00",
    "gd_at_eps": "#D55E00",
    "map": "#009E73",
    "reference": "#222222",
    "truth": "#222222",
}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A8A")
NAMES = {
    "prior": "prior",
    "posterior": "G&C posterior",
    "gd": "GD, at its end",
    "gd_at_eps": "GD, at ε",
    "map": "MAP",
    "truth": "truth",
}


def names_in(tree: xr.DataTree) -> dict[str, str]:
    """What the laws of a result are called."""
    return NAMES | {"gd_at_eps": f"GD, {measures_in(tree).first_fit}", "gd": f"GD, {end_name_in(tree)}"}


LOOK = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "axes.prop_cycle": cycler(color=SERIES),
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
FLOOR = 1e-16
"""What is below this is drawn at it on a logarithmic axis."""

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


def in_the_look(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Draw with the project's settings and put back what was there."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with mpl.rc_context(LOOK), labels_in_any_script():
            return draw(*args, **kwargs)

    return drawn


@contextlib.contextmanager
def labels_in_any_script() -> Iterator[None]:
    """Draw labels whose letters the font lacks as boxes, without a warning for each of these.

    An SVG keeps its text, which whatever shows it writes in a font of its own.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        warnings.filterwarnings("ignore", r"Matplotlib currently does not support .* natively", UserWarning)
        yield


def title_and_legend(
    axes: Axes, title: str, handles: tuple[list[Artist], list[str]] | None = None, labels: float = 0.75
) -> None:
    """The title, and below it a legend in one row, or in two where one would be wider than the axes.

    ``labels`` is how many inches the labels of the vertical axis take.
    """
    found = axes.get_legend_handles_labels() if handles is None else handles
    rows = 1 + (_width(found[1]) > _room(axes) - labels)
    legend = axes.legend(
        *found, loc="lower left", bbox_to_anchor=(0, 1), ncols=-(-len(found[1]) // rows), borderaxespad=0,
        borderpad=0.2, labelspacing=0.3, handlelength=_HANDLE, handletextpad=0.4, columnspacing=_APART,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):  # a point that stands for many is small and pale
            handle.set(alpha=0.9, sizes=np.maximum(handle.get_sizes(), 14.0))
    pad = 5 + 10 * rows
    axes.set_title(title, pad=pad)
    _make_room(axes, pad + 1.3 * float(mpl.rcParams["axes.titlesize"]) * (title.count("\n") + 1))


def _make_room(axes: Axes, points: float) -> None:
    """Lower the top of axes whose heading takes so many points, where no layout of their figure does."""
    figure = axes.get_figure(root=True)
    if figure is None or figure.get_layout_engine() is not None:
        return
    place, height = axes.get_position(), figure.bbox.height / figure.dpi
    top = min(place.y1, 1 - points / 72 / height)
    if place.y0 < top < place.y1:
        axes.set_position((place.x0, place.y0, place.width, top - place.y0))
        axes.set_in_layout(True)  # of a layout that is made later


_HANDLE, _APART = 1.1, 1.0


def _width(labels: list[str]) -> float:
    """Inches of a legend in one row."""
    size = float(mpl.rcParams["legend.fontsize"])
    return sum(map(inches, labels)) + size * len(labels) * (_HANDLE + 0.4 + _APART) / 72


def inches(words: str) -> float:
    """How wide words are in the letters of legends and labels."""
    return float(TextPath((0, 0), words, size=float(mpl.rcParams["legend.fontsize"])).get_extents().width) / 72


def _room(axes: Axes) -> float:
    """Inches that the axes and the labels beside them have of the figure."""
    place = axes.get_subplotspec()
    if place is None:
        return COLUMN
    left, right = place.get_position(axes.figure).intervalx  # type: ignore[arg-type] # a SubFigure has what it asks for
    return float((right - left) * inches_across(axes.figure) / _USED)


def inches_across(figure: Figure | SubFigure) -> float:
    """The width of a figure, or of one within another."""
    return float(figure.bbox.width / figure.dpi)


_USED = 0.775
"""The share of a figure that is within its margins before its layout is made."""


def plain_numbers(axis: Axis) -> None:
    """Marks of a logarithmic axis as plain numbers, as many as there is room for; over many decades as powers."""
    low, high = axis.get_view_interval()
    if high / low > _DECADES:
        return
    marks = (1, 2, 5) if high / low > 10 else (1, 2, 3, 5, 7)
    axis.set_major_locator(LogLocator(subs=marks) if high / low > 3 else MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


_DECADES = 300


def positive(values: np.ndarray) -> np.ndarray:
    """The finite ones in one row, floored for a logarithmic axis."""
    flat = values.reshape(-1).astype(np.float64)
    return np.maximum(flat[np.isfinite(flat)], FLOOR)


def with_outcome(title: str, result: Json) -> str:
    """The title, with the outcome where the run did not converge."""
    return title if result["outcome"] == "converged" else f"{title} ({result['outcome']})"


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write ``figure`` to ``path``, whole or not at all, in the format that its ending names."""
    target = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    if target.suffix.lstrip(".").lower() not in formats:
        raise InputError(f"The plot file is {str(target)!r}; its ending must be one of {', '.join(sorted(formats))}.")
    ending, content = target.suffix.lstrip(".").lower(), io.BytesIO()
    with mpl.rc_context(LOOK), labels_in_any_script():
        figure.savefig(content, format=ending, metadata=_SIGNED.get(ending))
    return whole.write(target, content.getbuffer())


_SIGNED = {"png": {"Software": CREATOR}, "svg": {"Creator": CREATOR}, "pdf": {"Creator": CREATOR}}
"""How a picture says that it is ours, in the formats that have a place for it."""
