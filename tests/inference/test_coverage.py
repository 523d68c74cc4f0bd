"""The long proof: over a hundred seeds, 95 % intervals of every method cover the truth as often as they say.

Problems are small, so that every method is quick and a reference can be far more precise than any run: its error adds
about a hundredth to the width that an interval would need. Splitting has the moves at fixed measured values where
the model collapses, as users get it. The counts are printed by

    BAYESGC_UNCHECKED=1 pytest -m slow -n 2 --dist loadgroup -rP tests/inference/test_coverage.py
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from references import COLLAPSIBLE, PROBLEMS, truth
from scipy import stats

from bayesgc.inference import NUTS, Control, Importance, Rejection, Request, Run, Splitting, Tempering
from bayesgc.inference.collapsed.criterion import CollapsedCriterion

SEEDS = 100


class Tempered(Importance):
    """Importance that tempers at once, whatever the weights."""

    def run(self, criterion, request, control):
        target = CollapsedCriterion(criterion.task, criterion.collapsed, criterion.eps, criterion.device)
        return self.tempering.run(target, request.filled(self.defaults), control)


CHAINS = NUTS(warmup=40, target_accept=0.8, max_tree_depth=4)
METHODS = {
    "rejection": (Rejection(), Request()),
    "splitting": (Splitting(particles=200), Request()),
    "plain weights": (Importance(), Request(draws=10)),
    "tempered weights": (Tempered(tempering=Tempering(particles=100, moves=8)), Request(precision=0.05, draws=10)),
    "nuts": (CHAINS, Request(chains=2, draws=50)),
}
PAIRS = [(method, problem) for method in METHODS for problem in COLLAPSIBLE] + [
    (method, "normalised, depth 4") for method in ("rejection", "splitting")
]
"""The quick ones first; a worker takes whole problems, so that each reference is computed once."""
CASES = [pytest.param(*pair, marks=pytest.mark.xdist_group(pair[1]), id=", ".join(pair)) for pair in PAIRS]


def control(method: object, request: Request) -> Control:
    """NUTS stops at the first length of its chains: an interval must hold there too."""
    found = Control(max_seconds=600)
    if isinstance(method, NUTS):
        first = request.chains * (method.warmup + request.draws)
        found.report = lambda progress: found.interrupt() if (progress.total or 0) > first else None
    return found


def intervals(run: Run) -> dict[str, tuple[float, float]]:
    """95 % intervals as the run states them: the volume's own, and as many standard errors around E[L_gen]."""
    loss, volume = run.posterior.summaries["gen_loss"], run.log_volume
    errors = stats.norm.ppf(0.975) if volume is None else (volume.ci95[1] - volume.value) / volume.mcse
    known = {"gen_loss": (loss.mean - errors * loss.mcse, loss.mean + errors * loss.mcse)}
    return known if volume is None else known | {"log_volume": volume.ci95}


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("name", "problem"), CASES)
def test_intervals_cover(name, problem):
    method, request = METHODS[name]
    known, hits = truth(problem), {}
    sharpness = []
    for seed in range(SEEDS):
        run = method.run(PROBLEMS[problem], replace(request, seed=seed), control(method, request))
        for quantity, (low, high) in intervals(run).items():
            hits[quantity] = hits.get(quantity, 0) + (low <= getattr(known, quantity) <= high)
            sharpness.append(getattr(known, f"{quantity}_error") / ((high - low) / 2))
    shown = ", ".join(f"{quantity} {count}" for quantity, count in hits.items())
    print(f"{name}, {problem}: of {SEEDS} intervals cover {shown}")  # noqa: T201
    # The reference's standard error against the half widths of the intervals.
    assert sum(sharpness) / len(sharpness) < 0.15
    # Binomial(100, 0.95) lies within 88 to 99 with probability 0.99.
    assert all(88 <= count <= 99 for count in hits.values()), hits


def test_intervals_that_are_too_narrow_or_too_wide_are_caught():
    """The negative control: intervals at 1.3 and at 3 standard errors cover 81 % and 99.7 %."""
    inside = [abs(stats.norm.ppf((seed + 0.5) / SEEDS)) for seed in range(SEEDS)]
    assert sum(z < 1.3 for z in inside) < 88
    assert sum(z < 3 for z in inside) > 99
