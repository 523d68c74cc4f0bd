"""What plots are drawn on: a figure of their own, which shows itself in a notebook, or the axes of somebody's figure.

A plot function returns its figure; given ``ax`` it draws there and returns the axes, so that a notebook, which shows
the figure that these belong to anyway, does not show it twice.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol, cast, overload, runtime_checkable

import matplotlib as mpl
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import SubplotSpec

from bayesgc.analysis.plots.look import COLUMN, LOOK, in_the_look, labels_in_any_script
from bayesgc.validate import InputError


class Picture(Figure):
    """A figure that shows itself in a notebook, also where Matplotlib's own support for notebooks is off.

    Pyplot does not know it, so that nothing shows it a second time.
    """

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        with mpl.rc_context(LOOK), labels_in_any_script():
            self.savefig(content, format="png")
        return content.getvalue()


@dataclass(frozen=True)
class Canvas:
    """A place in a figure for several axes; ``before`` is how many it had."""

    figure: Figure | SubFigure
    place: SubplotSpec
    before: int = 0

    @property
    def axes(self) -> Axes:
        """The first of those that were drawn."""
        return self.figure.axes[self.before]


def canvas(ax: Axes | None, height: float = 3.2, width: float = COLUMN) -> Canvas:
    """The whole of a new figure of so many inches, or the place of ``ax``, which goes.

    Raises:
        InputError: for an ``ax`` that is no axes, or not in a grid of subplots.
    """
    _check_axes(ax)
    if ax is None:
        figure = Picture(figsize=(width, height), layout="constrained")
        return Canvas(figure, figure.add_gridspec(1, 1)[0])
    place, within = ax.get_subplotspec(), ax.figure
    if place is None:
        raise InputError("ax has no place in a grid; give one that plt.subplots or figure.subplots has made.")
    ax.remove()
    return Canvas(within, place, len(within.axes))


def titled_canvas(ax: Axes | None, height: float, width: float) -> Canvas:
    """The same for what has a title or a legend over all its axes: a figure of its own within another one."""
    found = canvas(ax, height, width)
    if ax is None:
        return found
    figure = found.figure.add_subfigure(found.place)
    return Canvas(figure, figure.add_gridspec(1, 1)[0])


def axes_on(ax: Axes | None, height: float = 3.2) -> Axes:
    """``ax`` itself, or the axes of a new figure."""
    _check_axes(ax)
    return canvas(None, height).figure.add_subplot() if ax is None else ax


def _check_axes(ax: object) -> None:
    """Refuse what is no axes, or no single ones."""
    if not isinstance(ax, Axes | None):
        raise InputError(f"ax is {kind_of(ax)}; give one of the axes that plt.subplots or figure.subplots has made.")


Drawn = Axes | Canvas
"""Where something was drawn."""


def handed_over(drawn: Drawn, ax: Axes | None) -> Any:
    """The figure that is new, or of somebody's figure the axes, the first where there are several."""
    if ax is None:
        return drawn.figure
    return drawn if isinstance(drawn, Axes) else drawn.axes


@runtime_checkable
class ResultPlot(Protocol):
    """A plot of one result."""

    @overload
    def __call__(self, tree: xr.DataTree, *, ax: None = None) -> Figure: ...

    @overload
    def __call__(self, tree: xr.DataTree, *, ax: Axes) -> Axes: ...


def unsuited(plot: str, needs: str, tree: xr.DataTree) -> InputError:
    """The refusal of a result that lacks what a plot is of; the same for every plot."""
    return InputError(f"{plot} needs {needs}, which this result, whose method is {tree.attrs['method']!r}, has not.")


def check_result(plot: str, tree: object) -> None:
    """Refuse what is no result."""
    if not isinstance(tree, xr.DataTree) or "outcome" not in tree.attrs:
        raise InputError(f"{plot} needs a result, as infer or load_result gives it, and was given {kind_of(tree)}.")


def kind_of(thing: object) -> str:
    """What something is, in a message."""
    return f"a {type(thing).__name__}"


def plot_of_result(draw: Callable[[xr.DataTree, Axes | None], Drawn]) -> ResultPlot:
    """A plot of one result, in the project's look, from what draws it."""

    @wraps(draw, updated=())
    def plot(tree: xr.DataTree, *, ax: Axes | None = None) -> Figure | Axes:
        check_result(draw.__name__, tree)
        return handed_over(in_the_look(draw)(tree, ax), ax)

    del plot.__wrapped__  # its signature, which documentation would show, is not this one's
    doc = (draw.__doc__ or "").rstrip()
    raises = "" if "Raises:" in doc else f"\n\n    Raises:\n        {_RAISES}"
    plot.__doc__ = f"{doc}\n\n    {_AX}{raises}\n    "
    return cast("ResultPlot", plot)


_RAISES = "InputError: for what is no result, or a result that lacks what is drawn here."
_AX = "Given ``ax``, it draws there, or in its place where it needs several, and returns axes instead of the figure."
