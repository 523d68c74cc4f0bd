"""What may be asked of tasks in text: refused without torch where it could be meant for none."""

from __future__ import annotations

import math

from bayesgc.validate import InputError, real_or_share

EVIDENCE = "evidence"
"""The ε that noisy data suggest themselves."""
_MOST_HIDDEN = 0.5


def threshold_in(eps: float | str) -> tuple[float, bool]:
    """ε as a number from 0 on, or the share that a percentage is; and whether it is a share.

    Raises:
        InputError: for what is neither.
    """
    try:
        return real_or_share("eps", eps)
    except InputError:
        raise InputError(
            f"eps is {eps!r}; it must be a training loss, 0 for an exact fit, a share of the zero predictor's such as "
            f"'5%', or '{EVIDENCE}'; of labelled examples, how many may be wrong, or the loss of their fit."
        ) from None


def check_threshold(eps: float | str) -> None:
    """Refuse what is no threshold of arrays or of labelled examples.

    Raises:
        InputError: for it.
    """
    if eps != EVIDENCE:
        threshold_in(eps)


def share_to_hide(hide: float | str) -> float:
    """The share of a table's observed cells that is to be hidden, from 0 to one half.

    Raises:
        InputError: for another one, or what is none.
    """
    try:
        share, _ = real_or_share("hide", hide)
    except InputError:
        share = math.inf
    if share > _MOST_HIDDEN:
        raise InputError(
            f"hide is {hide!r}; it must be a share of the observed cells, as '15%' or 0 for none, at most "
            f"{_MOST_HIDDEN:.0%}."
        )
    return share
