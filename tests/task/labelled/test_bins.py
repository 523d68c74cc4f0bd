"""A loss within a bin: the event, that its scores nest, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from bayesgc.task import classification, regression
from bayesgc.task.labelled.bins import BEYOND, Bin, fit_of
from bayesgc.task.labelled.fits import fit_named, is_wrong
from bayesgc.validate import InputError

LABELS = torch.arange(6) % 2
SOURCE = np.random.default_rng(0)
TASK = classification(SOURCE.normal(size=(6, 2)), LABELS.numpy())
LOW, HIGH = 0.4, 0.6


def outputs(draws: int = 4000) -> torch.Tensor:
    """Of which many have every label right, and as many a loss below, within and above the bin."""
    source = torch.Generator().manual_seed(0)
    codes = torch.nn.functional.one_hot(LABELS, 2)[:, :, None] - 0.5
    return codes + 0.4 * torch.randn(6, 2, draws, generator=source)


@pytest.mark.parametrize("name", ["cross-entropy", "margin", "squared"])
@pytest.mark.parametrize("right", [False, True])
def test_the_event_is_a_loss_in_the_bin_and_every_label_right(name: str, right: bool) -> None:
    values, fit = outputs(), fit_of(name, LOW, right)
    loss = fit_named(name).score(values, LABELS)
    wanted = (loss >= LOW) & (loss < HIGH)
    if right:
        wanted &= ~is_wrong(values, LABELS).any(0)
    fits = fit.score(values, LABELS) < fit.check(HIGH, 6)
    assert 50 < int(wanted.sum()) < len(wanted) - 50
    assert torch.equal(fits, wanted)
    # Negative control: of another bin, and without the labels, it is another event.
    assert not torch.equal(fit_of(name, 0.9 * LOW, right).score(values, LABELS) < HIGH, wanted)
    assert not torch.equal(fit_of(name, LOW, not right).score(values, LABELS) < HIGH, wanted)


def test_the_loss_is_reported_wherever_a_draw_is() -> None:
    values, fit = outputs(), fit_of("cross-entropy", LOW, right=True)
    score, loss = fit.score(values, LABELS), fit_named("cross-entropy").score(values, LABELS)
    assert (score < BEYOND).any()
    assert (score >= BEYOND).any()
    assert torch.equal(fit.reported(score, values, LABELS), loss)
    assert fit.shown(HIGH) == HIGH
    assert fit.shown(float(score.max())) == math.inf


def test_on_the_way_come_errors_then_losses_below_then_losses_above() -> None:
    values, fit = outputs(), fit_of("cross-entropy", LOW, right=True)
    score, loss = fit.score(values, LABELS), fit_named("cross-entropy").score(values, LABELS)
    errors = is_wrong(values, LABELS).sum(0)
    below = (errors == 0) & (loss < LOW)
    assert score[errors > 1].min() > score[errors == 1].max() > score[errors == 1].min() > score[below].max()
    assert score[below].min() > BEYOND > score[(errors == 0) & (loss >= LOW)].max()
    order = score[below].argsort()
    assert (loss[below][order].diff() <= 0).all()
    # Single precision tells as many of them apart as there are.
    assert score.dtype == torch.float32
    assert len(score[below].unique()) > 0.99 * int(below.sum())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_in_no_bin(bad: float) -> None:
    values = outputs(2)
    values[4, :, 1] = bad
    for right in (False, True):
        assert not bool(fit_of("cross-entropy", 1e-3, right).score(values, LABELS)[1] < 100)


def test_the_way_down_is_told_in_nats_that_fall() -> None:
    fit = fit_of("cross-entropy", LOW, right=True)
    way = [BEYOND * 8, BEYOND * 3.5, BEYOND * 1.5, 0.9, HIGH]
    assert all(fit.nats(high, low, 6) > 0 for high, low in pairwise(way))
    assert fit.nats(BEYOND * 8, BEYOND * 3.5, 6) == pytest.approx(4.5)


def test_results_record_what_it_is() -> None:
    task = TASK.with_fit("margin", low=0.2, right=True)
    assert {"fit": "margin", "eps_low": 0.2, "right": True}.items() <= task.facts.items()
    assert "eps_low" not in TASK.with_fit("margin", right=True).facts
    assert not {"eps_low", "right"} & TASK.with_fit("margin").facts.keys()


def test_what_makes_no_bin_is_refused() -> None:
    with pytest.raises(InputError, match="the fit 'errors' is not a loss, so it takes no lower end"):
        TASK.with_fit("errors", low=0.1)
    with pytest.raises(InputError, match="the lower end of eps is 0; it must be"):
        TASK.with_fit("margin", low=0)
    with pytest.raises(InputError, match=r"eps is 0.4; with a lower end of 0.4 \(`eps_low`\) it must be above"):
        TASK.with_fit("margin", low=0.4).threshold(0.4)
    with pytest.raises(InputError, match="is not a loss"):
        Bin(Bin(fit_named("margin")), 0.1)
    numbers = regression(SOURCE.normal(size=(6, 2)), SOURCE.normal(size=6))
    assert numbers.with_fit("squared", low=0.1).threshold(0.2) == 0.2
    with pytest.raises(InputError, match="is for classes, and the labels are numbers"):
        numbers.with_fit("squared", right=True)
