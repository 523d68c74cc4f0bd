"""Claims about Guess & Check against gradient descent at equal fit: what is left of the gap between their ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from bayesgc.analysis.claims.decisions import MARGIN, Claim, decide, ratio_of
from bayesgc.analysis.words.numerals import rounded


def equal_fit(part: xr.Dataset, axis: str, where: str) -> Iterator[Claim]:
    """At the ends of an axis: whether descent is better than Guess & Check where both fit alike, and at its own end."""
    if axis == "measurements" or "gd_at_eps_gen_loss" not in part:
        return
    for place in part[axis].values[[0, -1]].tolist():
        point = part.sel({axis: place})
        if np.isnan(point["gd_at_eps_gen_loss"]).all():
            continue
        kinds = {
            "gd_at_eps": ("gradient descent does better at equal fit", "where it passes ε"),
            "gd": ("gradient descent does better at its end", "at its end"),
        }
        for law, (name, when) in kinds.items():
            measured = f"the median L_gen of gradient descent {when}, over that of Guess & Check"
            ratio = ratio_of(point, point, law=law)
            yield decide(name, f"{where}, {axis} {place}", ratio, 1 / MARGIN, measured, fits(point))


def fits(point: xr.Dataset) -> str:
    """The training losses of descent at ε and at its end, beside the posterior's: medians over tasks."""
    names = {"posterior": "Guess & Check", "gd_at_eps": "descent at ε", "gd": "descent at its end"}
    known = {
        name: np.nanmedian(point[f"{law}_train_loss"].values)
        for law, name in names.items()
        if f"{law}_train_loss" in point and np.isfinite(point[f"{law}_train_loss"].values).any()
    }
    numbers = ", ".join(f"{name} {rounded(float(value), 2)}" for name, value in known.items())
    return f"L_train: {numbers}" if known else ""
