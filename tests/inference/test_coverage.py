"""The long proof: 95 % intervals of splitting, at full size, cover the truth as often as they say.

Minutes a case: ``pytest -m slow -s tests/inference/test_coverage.py``.
"""

from __future__ import annotations

import pytest
from problems import condition, criterion

from bayesgc.inference import Outcome, Splitting
from bayesgc.models import MatrixFactorization
from bayesgc.task import load

SEEDS = 100


def covers(interval, truth, truth_se, mcse):
    """Whether an interval holds the truth, which is itself known to a standard error that widens it."""
    low, high = interval
    widen = (1 + (truth_se / mcse) ** 2) ** 0.5
    middle, half = (low + high) / 2, (high - low) / 2
    return abs(truth - middle) <= widen * half


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["shared-2", "shared-1"])
def test_intervals_cover(name, cases, capsys):
    facts = cases[name].facts
    options = {key: facts[key] for key in ("depth", "width", "activation", "prior", "normalize")}
    problem = criterion(MatrixFactorization(**options), load(cases[name].path), facts["eps"])
    hits = {"log_volume": 0, "gen_loss": 0}
    for seed in range(SEEDS):
        run = condition(Splitting(), problem, seed=seed)
        assert run.outcome is Outcome.CONVERGED
        volume, levels = run.log_volume, run.levels
        hits["log_volume"] += covers(volume.ci95, facts["log_volume"], facts["log_volume_se"], volume.mcse)
        loss = run.posterior.summaries["gen_loss"]
        # The interval of Student's t over as many islands as the volume's: the same number of standard errors wide.
        errors = (volume.ci95[1] - volume.value) / volume.mcse
        interval = (loss.mean - errors * loss.mcse, loss.mean + errors * loss.mcse)
        hits["gen_loss"] += covers(interval, facts["gen"], facts["gen_se"], loss.mcse)
        assert levels.gen_loss[-1] == pytest.approx(loss.mean)
    with capsys.disabled():
        print(f"\n{name}: of {SEEDS} intervals {hits['log_volume']} cover log volume, {hits['gen_loss']} E[L_gen]")  # noqa: T201
    # Binomial(100, 0.95) lies within 88 to 99 with probability 0.99.
    assert all(88 <= count <= 99 for count in hits.values()), hits
