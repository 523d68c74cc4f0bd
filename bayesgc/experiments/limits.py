"""What a cell would give if its net were infinitely wide, where that is known: one answer for all widths of a sweep."""

from __future__ import annotations

import functools
import json

from bayesgc.experiments.cell import Cell
from bayesgc.inference.collapsed.wide import wide_limit
from bayesgc.models.factorization.wide import wide_gram
from bayesgc.options import MODEL, TASK, Options
from bayesgc.task import linear_view

NAMES = ("wide_gen_loss", "wide_gen_loss_mcse", "wide_prior_gen_loss")


def limit_of(cell: Cell, eps: float) -> dict[str, float | str]:
    """E[L_gen] given the fit, its error, and E[L_gen] under the prior, in the limit; nothing where it is not known.

    Only of cells along an axis of widths, which is where it is looked at.
    """
    own = cell.options.model is not None or cell.options.data is not None
    if own or cell.options.normalize is not False or "width" not in cell.place:
        return {}
    about = (Options.names(MODEL) | Options.names(TASK)) & cell.options.given - {"width"}
    return _limit(json.dumps({name: getattr(cell.options, name) for name in sorted(about)}, default=str), eps)


@functools.lru_cache(maxsize=1024)
def _limit(given: str, eps: float) -> dict[str, float | str]:
    options = Options.checked(json.loads(given))
    task = linear_view(options.make_task())
    gram = None if task is None else wide_gram(options.make_model(task), task.shape)
    found = None if task is None or gram is None else wide_limit(task, gram, eps)
    if found is None or found.gen_loss is None or found.gen_loss.value is None:
        return {}
    values = (found.gen_loss.value, found.gen_loss.mcse, found.prior_gen_loss)
    return {name: float(value) for name, value in zip(NAMES, values, strict=True) if value is not None}
