"""What a model leaves of the data whatever its weights are: of measurements that ask for another norm than its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bayesgc.verification import Check, at_most

Json = dict[str, Any]

LEFT = "left_by_norm"
"""The name of the share among the diagnostics of a run, where it is more than a little."""
MOST_LEFT = 0.01
"""What may be left without a word: with cells of norm 1.1 the norm 1 fits about as well."""


def too_normal(result: Json) -> str | None:
    """That a normalised model cannot reach the data, as a whole sentence; None where it can, or that is not known."""
    share = result["diagnostics"].get(LEFT)
    if share is None:
        return None
    return (
        f"The model gives every matrix the norm 1, which leaves at least {100 * share:.2g} % of the data unexplained, "
        "as if it were noise; `normalize=False` does not."
    )


def reach_checks(result: Json) -> Iterator[Check]:
    """The same as a check: the run may be right, and is about a model that does not suit, so a caution."""
    share = result["diagnostics"].get(LEFT)
    if share is not None:
        advice = "Every matrix of the model has the norm 1, and the data ask for another: take `normalize=False`."
        name = "share of the data that the norm 1 leaves unexplained"
        yield at_most(name, share, MOST_LEFT, advice, caution=True)
