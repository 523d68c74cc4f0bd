"""The DataTree of a result, which shows what the run said when it is printed and in a notebook."""

from __future__ import annotations

import xarray as xr

_GROUPS = ("prior", "observed_data", "constant_data")
_ATTRIBUTES = (
    "configuration", "method", "outcome", "message", "eps", "held_out", "seeds", "evaluations", "seconds",
    "diagnostics", "reasons", "versions",
)  # fmt: skip
"""What every result has."""


def lacking(tree: xr.DataTree) -> list[str]:
    """What a tree lacks of what every result has, in words."""
    missing = [f"the group {name!r}" for name in _GROUPS if name not in tree.children]
    return missing + [f"the attribute {name!r}" for name in _ATTRIBUTES if name not in tree.attrs]


class Result(xr.DataTree):
    """An `xarray.DataTree` that is printed as the table of the result and its sentence, as by ``bayesgc show``.

    In a notebook the groups unfold below. It holds nothing that a plain tree would not: every function of xarray, ArviZ
    and this package takes either.
    """

    __slots__ = ()

    def __str__(self) -> str:
        if lacking(self):
            return super().__str__()
        from bayesgc.analysis.words.rendered import result_text

        return result_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        groups = super()._repr_html_()
        # A part of a result is a tree like any other, and so is one that somebody has cut down.
        if lacking(self):
            return groups
        from bayesgc.analysis.notebook import result_html

        return result_html(self, groups)


def as_result(tree: xr.DataTree) -> Result:
    """The same tree, to be shown as a result."""
    return Result(tree.to_dataset(), children=dict(tree.children), name=tree.name)
