"""What a fit is: scores of outputs against labels, from which events nest, and nothing that is no number fits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bayesgc.task import FITS, Fit, register_fit
from bayesgc.task.labelled.fits import fit_named, is_wrong, margins
from bayesgc.validate import InputError

LABELS = torch.arange(9) % 3


def outputs(draws: int = 500, classes: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(9, classes, draws, generator=generator, dtype=torch.float64)


def correct(draws: int = 1) -> torch.Tensor:
    """Outputs whose largest is the label's, by 1."""
    return torch.nn.functional.one_hot(LABELS, 3).double()[:, :, None].expand(-1, -1, draws).clone()


def counted(values: torch.Tensor) -> np.ndarray:
    """The errors of each draw, by a loop."""
    array, labels = values.numpy(), LABELS.numpy()
    return np.array(
        [
            sum(not all(draw[i, y] > draw[i, j] for j in range(draw.shape[1]) if j != y) for i, y in enumerate(labels))
            for draw in np.moveaxis(array, 2, 0)
        ]
    )


def test_the_event_of_eps_is_at_most_eps_errors() -> None:
    values = outputs()
    score, errors = fit_named("errors").score(values, LABELS), counted(values)
    for eps in range(9):
        np.testing.assert_array_equal((score < fit_named("errors").check(eps, 9)).numpy(), errors <= eps)
    np.testing.assert_array_equal(fit_named("errors").reported(score, values, LABELS).numpy(), errors)


def test_the_violation_is_below_one_and_tells_draws_with_as_many_errors_apart() -> None:
    values = outputs()
    violation = fit_named("errors").score(values, LABELS).numpy() - counted(values) + 1
    assert 0 <= violation.min() < violation.max() < 1
    wrong = -correct()  # nothing but errors: as far violated as can be, and still below one error more
    assert 8 < float(fit_named("errors").score(wrong, LABELS)[0]) < 9
    nearer = correct()
    nearer[0, :, 0] = torch.tensor([0.0, 0.1, 0.0])
    farther = correct()
    farther[0, :, 0] = torch.tensor([0.0, 5.0, 0.0])
    near, far = (float(fit_named("errors").score(each, LABELS)[0]) for each in (nearer, farther))
    assert 0 < near < far < 1


def test_single_precision_tells_errors_apart_too() -> None:
    labels = torch.zeros(1000, dtype=torch.long)
    values = torch.zeros(1000, 2, 2, dtype=torch.float32)
    values[:, 1] = 1.0
    values[0, :, 1] = torch.tensor([1.0, 0.0])
    errors = fit_named("errors").reported(fit_named("errors").score(values, labels), values, labels)
    assert errors.tolist() == [1000, 999]


def test_ties_and_zeros_are_errors() -> None:
    assert float(fit_named("errors").score(torch.zeros(9, 3, 1), LABELS)[0]) == 8
    tied = correct()
    tied[0, 1, 0] = 1.0
    values = torch.cat([correct(), tied], 2)
    score = fit_named("errors").score(values, LABELS)
    assert (score < 0).tolist() == [True, False]
    assert fit_named("errors").reported(score, values, LABELS).tolist() == [0, 1]


@pytest.mark.parametrize("name", [name for name in FITS if name != "squared"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_never_fits(name: str, bad: float) -> None:
    values = 10 * correct(2)
    values[4, :, 1] = bad
    score = fit_named(name).score(values, LABELS)
    assert math.isfinite(score[0])
    assert not bool(score[1] < 9)


def test_margins_of_two_classes_are_those_of_many() -> None:
    values, labels = outputs(classes=2), LABELS % 2
    padded = torch.cat([values, torch.full_like(values[:, :1], -1e9)], 1)
    torch.testing.assert_close(margins(values, labels), margins(padded, labels))


def test_losses_are_the_formulas() -> None:
    values = outputs(4)
    logits = values.permute(2, 0, 1)
    own = torch.stack([torch.nn.functional.cross_entropy(each, LABELS) for each in logits])
    torch.testing.assert_close(fit_named("cross-entropy").score(values, LABELS), own)
    hinge = torch.stack([torch.nn.functional.multi_margin_loss(each[:, [0, 1]], LABELS % 2) for each in logits])
    torch.testing.assert_close(fit_named("margin").score(values[:, [0, 1]], LABELS % 2), 2 * hinge)
    codes = 2.0 * torch.nn.functional.one_hot(LABELS, 3) - 1
    squared = ((logits - codes) ** 2).mean((1, 2))
    torch.testing.assert_close(fit_named("squared").score(values, LABELS), squared)


@pytest.mark.parametrize("name", FITS)
def test_descent_follows_a_loss_that_is_the_score_where_that_is_smooth(name: str) -> None:
    values = outputs(4)
    surrogate = fit_named(name).surrogate(values.permute(2, 0, 1), LABELS.expand(4, -1))
    smooth = "cross-entropy" if name == "errors" else name
    torch.testing.assert_close(surrogate, fit_named(smooth).score(values, LABELS))


def test_numbers_are_compared_as_they_are() -> None:
    targets = torch.linspace(-1, 1, 9, dtype=torch.float64)
    values = targets[:, None, None] + torch.tensor([0.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(fit_named("squared").score(values, targets), torch.tensor([0.0, 0.25]).double())


@pytest.mark.parametrize(("name", "eps"), [("errors", 0.5), ("errors", 9), ("squared", 0.0), ("cross-entropy", 0.0)])
def test_a_threshold_that_is_no_event_is_refused(name: str, eps: float) -> None:
    with pytest.raises(InputError, match=f"eps is {eps:g}"):
        fit_named(name).check(eps, 9)


def test_the_volume_is_told_for_every_number_of_errors() -> None:
    assert fit_named("errors").readings(8.5, 0.0, 9) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert fit_named("errors").readings(3.0, 1.0, 9) == [3, 2]


def test_a_fit_of_ones_own_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FITS, "most", raising=False)

    @register_fit
    class Most(Fit):
        """Less than a share ε of the labels are wrong."""

        name, summary, measure, default = "most", "less than a share ε of the labels are wrong", "wrong_share", 0.1

        def score(self, outputs, labels):
            return is_wrong(outputs, labels).double().mean(0)

    try:
        values = outputs()
        np.testing.assert_allclose(fit_named("most").score(values, LABELS).numpy() * 9, counted(values))
    finally:
        FITS.pop("most")
