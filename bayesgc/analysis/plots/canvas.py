"""What plots are drawn on: a figure of their own, which shows itself in a notebook, or the axes of somebody's figure.

A plot function returns its figure; given ``ax`` it draws there and returns the axes, so that a notebook, which shows
the figure that these belong to anyway, does not show it twice.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, cast, overload, runtime_checkable

import matplotlib as mpl
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from bayesgc.analysis.plots.look import COLUMN, LOOK, in_the_look, labels_in_any_script
from bayesgc.validate import InputError

Drawn = Axes | Figure | SubFigure
"""Where something was drawn."""


class Picture(Figure):
    """A figure that shows itself in a notebook, also where Matplotlib's own support for notebooks is off.

    Pyplot does not know it, so that nothing shows it a second time.
    """

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        with mpl.rc_context(LOOK), labels_in_any_script():
            self.savefig(content, format="png")
        return content.getvalue()


def canvas(ax: Axes | None, height: float = 3.2, width: float = COLUMN) -> Figure | SubFigure:
    """A figure of so many inches, or one within another figure in the place of ``ax``, which goes.

    Raises:
        InputError: for an ``ax`` that is not in a grid of subplots.
    """
    if ax is None:
        return Picture(figsize=(width, height), layout="constrained")
    place = ax.get_subplotspec()
    if place is None or ax.figure is None:
        raise InputError("ax has no place in a grid; give one that plt.subplots or figure.subplots has made.")
    within = ax.figure.add_subfigure(place)
    ax.remove()
    return within


def axes_on(ax: Axes | None, height: float = 3.2) -> Axes:
    """``ax`` itself, or the axes of a new figure."""
    return canvas(None, height).add_subplot() if ax is None else ax


def handed_over(drawn: Drawn, ax: Axes | None) -> Any:
    """The figure that is new, or of somebody's figure the axes, the first where there are several."""
    if ax is None:
        return drawn.figure if isinstance(drawn, Axes) else drawn
    return drawn if isinstance(drawn, Axes) else drawn.axes[0]


@runtime_checkable
class ResultPlot(Protocol):
    """A plot of one result."""

    @overload
    def __call__(self, tree: xr.DataTree, *, ax: None = None) -> Figure: ...

    @overload
    def __call__(self, tree: xr.DataTree, *, ax: Axes) -> Axes: ...


def plot_of_result(draw: Callable[[xr.DataTree, Axes | None], Drawn]) -> ResultPlot:
    """A plot of one result, in the project's look, from what draws it."""

    @wraps(draw, updated=())
    def plot(tree: xr.DataTree, *, ax: Axes | None = None) -> Figure | Axes:
        return handed_over(in_the_look(draw)(tree, ax), ax)

    del plot.__wrapped__  # its signature, which documentation would show, is not this one's
    plot.__doc__ = f"{(draw.__doc__ or '').rstrip()}\n\n    {_AX}\n    "
    return cast("ResultPlot", plot)


_AX = "Given ``ax``, it draws there, or in its place where it needs several, and returns axes instead of the figure."
