"""The end of gradient descent: where its restarts came to rest, or where they were stopped on their way."""

from __future__ import annotations

from typing import Any

import xarray as xr

Json = dict[str, Any]

STOPPED = "stopped early"


def cut_counts(gd: xr.Dataset) -> Json | None:
    """How many restarts were stopped on their way, and how many of them fitted; None where it was not recorded."""
    if "cut" not in gd:
        return None
    cut, fitted = (gd[name].values.astype(bool) for name in ("cut", "converged"))
    return {"restarts": int(cut.sum()), "fitted": int((cut & fitted).sum())}


def cut_short(gd: Json) -> bool:
    """Whether most restarts were stopped on their way, of those that are told: the ones that fitted, where any did."""
    return 2 * _cut_told(gd) > (gd.get("converged") or gd.get("restarts", 0))


def _cut_told(gd: Json) -> int:
    counts = gd.get("cut")
    return 0 if counts is None else int(counts["fitted" if gd["converged"] else "restarts"])


def cut(gd: Json) -> int:
    """How many restarts were stopped on their way, whether they fitted or not."""
    return int((gd.get("cut") or {"restarts": 0})["restarts"])


def end_name(gd: Json) -> str:
    """What tables call the last state of the restarts that fitted."""
    return STOPPED if cut_short(gd) else "at its end"


def end_name_in(tree: xr.DataTree) -> str:
    """The same for a tree."""
    if "gd" not in tree.children:
        return end_name({})
    gd = tree["gd"].to_dataset()
    fitted = gd["converged"].values.astype(bool)
    return end_name({"cut": cut_counts(gd), "converged": int(fitted.sum()), "restarts": fitted.size})


def none_fitted(gd: Json) -> str:
    """That no restart fitted: where all were stopped before, that is no failure of theirs."""
    stopped, restarts = cut(gd), gd["restarts"]
    if stopped == restarts:
        return f"gradient descent was {STOPPED}, before any of its {restarts} restarts fitted"
    some = f", {stopped} of them {STOPPED}" if stopped else ""
    return f"no restart of gradient descent fitted ({restarts} tried{some})"


def fits(gd: Json) -> str:
    """That gradient descent fits: ``fits``, or ``fits in 20 of 64 restarts``."""
    fitted, tried = gd["converged"], gd["restarts"]
    return "fits" if fitted == tried else f"fits in {fitted} of {tried} restarts"


def of_those(gd: Json) -> str:
    """Of which restarts a sentence tells, where not all fitted."""
    fitted, tried = gd["converged"], gd["restarts"]
    return "" if fitted == tried else f", in the {fitted} of {tried} restarts that fitted"


def ending(gd: Json) -> str:
    """Where a sentence tells of the last state: ``at its end``, or ``where it was stopped early``."""
    return f"where it was {STOPPED}" if cut_short(gd) else f"at its end{_but_for(gd)}"


def trained(gd: Json) -> str:
    """The same of training that goes on after the first fit."""
    return f"trained on until it was {STOPPED}" if cut_short(gd) else f"trained on to its end{_but_for(gd)}"


def _but_for(gd: Json) -> str:
    """A few restarts of which it is not so."""
    count = _cut_told(gd)
    return f", but for {count} restart{' that was' if count == 1 else 's that were'} {STOPPED}" if count else ""
