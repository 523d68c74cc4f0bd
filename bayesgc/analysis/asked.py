"""What a fit asks for: next to nothing where ε lets pass what has learnt nothing from the data.

That is the reference point that knows nothing, as the zero matrix, or gradient descent where it starts.
"""

from __future__ import annotations

from typing import Any

from bayesgc.analysis.measures import measures_of

Json = dict[str, Any]

MOST_AT_START = 0.5
"""Where more of the restarts that pass ε do so before their first step, passing it takes no search."""


def passed_by(result: Json) -> str | None:
    """What passes ε without having learnt anything, as a sentence begins with it; None where nothing does."""
    measures = measures_of(result)
    loss = ignorant_fit(result)
    if loss is not None and measures.fits(loss, result["eps"]):
        return measures.ignorant.phrase
    share = share_at_start(result)
    return "gradient descent at its start" if share is not None and share > MOST_AT_START else None


def ignorant_fit(result: Json) -> float | None:
    """How well the reference point that knows nothing fits; None where that is not known."""
    measures = measures_of(result)
    point = result["baselines"].get(measures.ignorant.name) or {}
    found: float | None = point.get(measures.fit.name)
    return found


def share_at_start(result: Json) -> float | None:
    """The share of the restarts of gradient descent that passed ε, of those that ever did, where they started."""
    passed = (result["gd"] or {}).get("at_eps")
    return passed["at_start"] / passed["converged"] if passed and passed.get("at_start") is not None else None


def too_loose(result: Json) -> bool:
    """Whether ε is to become smaller: it asks for nothing, or time ended on the way down to that of the data."""
    return passed_by(result) is not None or not result.get("settled", True)


def asks_nothing(result: Json) -> str | None:
    """That a fit asks for next to nothing, as a whole sentence; None where it asks for something."""
    what = passed_by(result)
    if what is None:
        return None
    passes = measures_of(result).passes(result["eps"])
    return f"{what[0].upper()}{what[1:]} already {passes}, so a fit asks for next to nothing here and explains nothing."
