"""Studies by name: open questions as sweeps over several tasks, with claims that the data decide."""

from __future__ import annotations

from bayesgc.experiments.array_studies import ARRAY_STUDIES
from bayesgc.experiments.network_studies import NETWORK_STUDIES
from bayesgc.experiments.study import Study
from bayesgc.experiments.sweep import Sweep
from bayesgc.validate import one_of

STUDIES: dict[str, Study] = ARRAY_STUDIES | NETWORK_STUDIES


def study(name: str, *, quick: bool = False) -> dict[str, Sweep]:
    """The sweeps of one study by the folder that each goes into, ``""`` for the store itself; ``quick`` for a look.

    Raises:
        InputError: for a study that there is not.
    """
    return STUDIES[one_of("study", name, STUDIES)].sweeps(quick=quick)
