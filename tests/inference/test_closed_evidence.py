"""Evidence and volume against closed forms: a Gaussian matrix, Meijer's G function, and invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from closed_forms import gaussian_log_volume, meijer_evidence
from collapsed_problems import (
    COMPLETION,
    SENSING,
    TASKS,
    Twin,
    collapsed_problem,
    matrices_of,
    run,
    task_of,
    unnormalised,
)
from problems import errors_apart
from scipy import stats

from bayesgc.inference import Control, Importance, Outcome
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

IMPORTANCE = Importance()
GAUSSIAN = unnormalised(1)

# --- depth one: a matrix of independent N(0, 1/rows) entries ----------------------------------------------------------


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_evidence_of_a_gaussian_matrix(task):
    found = run(IMPORTANCE, collapsed_problem(GAUSSIAN, task), draws=10)
    twin = Twin(task, np.eye(4) / 3)
    assert found.outcome is Outcome.CONVERGED
    assert found.log_volume is None
    # The scale of the last layer, 1/√rows, is kept in single precision.
    assert found.log_evidence.value == pytest.approx(twin.log_density(task.targets), rel=1e-6)
    assert found.posterior.summaries["gen_loss"].mean == pytest.approx(twin.gen_loss(task.targets), rel=1e-6)


@pytest.mark.parametrize("eps", [0.1, 0.01, 1e-4])
def test_volume_of_a_gaussian_matrix(eps):
    """Cells are orthonormal measurements: the loss is a noncentral χ²."""
    found = run(IMPORTANCE, collapsed_problem(GAUSSIAN, COMPLETION, eps), draws=10)
    volume = found.log_volume
    assert found.log_evidence is None
    assert errors_apart(volume.value, gaussian_log_volume(COMPLETION, eps), volume.mcse) < 4.5
    # Negative control: a tenth off in ε is seen.
    assert errors_apart(volume.value, gaussian_log_volume(COMPLETION, 1.1 * eps), volume.mcse) > 6


def test_small_volumes_tend_to_evidence_times_ball():
    exact = run(IMPORTANCE, collapsed_problem(GAUSSIAN, COMPLETION), draws=10).log_evidence.value
    eps, n = 1e-7, 5
    ball = n / 2 * math.log(math.pi * n * eps) - math.lgamma(n / 2 + 1)
    # The error of this limit is of the order of ε.
    assert gaussian_log_volume(COMPLETION, eps) == pytest.approx(exact + ball, abs=1e-5)


# --- linear nets whose measurements share a left or a right vector: Meijer's G (Hanin and Zlokapa 2023) ---------------


def shared_vector_task(side: str):
    """Three measurements c aᵢᵀ, or aᵢ cᵀ, of a 5×5 matrix, with orthonormal aᵢ and a unit c; ‖y‖² = 0.7."""
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0][:3]
    one = rng.standard_normal(5)
    one /= np.linalg.norm(one)
    matrices = np.array([np.outer(one, each) if side == "left" else np.outer(each, one) for each in basis])
    return task_of(matrices, np.tensordot([0.6, -0.5, 0.3], matrices, 1))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("widths", "expected"), [((5,), 0.0894396355), ((5, 7), 0.0756971125)])
def test_evidence_is_a_meijer_function(widths, expected, side):
    assert meijer_evidence(0.7, 3, widths, 5) == pytest.approx(expected, rel=1e-8)
    model = unnormalised(1 + len(widths), widths)
    found = run(IMPORTANCE, collapsed_problem(model, shared_vector_task(side)), precision=0.01, draws=10)
    evidence = found.log_evidence
    assert errors_apart(evidence.value, math.log(expected), evidence.mcse) < 4.5
    assert math.exp(evidence.value) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("widths", [(6,), (20, 9), pytest.param((4, 8, 5), marks=pytest.mark.slow)])
def test_evidence_of_other_widths(widths):
    model = unnormalised(1 + len(widths), widths)
    evidence = run(
        IMPORTANCE, collapsed_problem(model, shared_vector_task("left")), precision=0.02, draws=10
    ).log_evidence
    expected = math.log(meijer_evidence(0.7, 3, widths, 5))
    assert errors_apart(evidence.value, expected, evidence.mcse) < 4.5
    # Negative control: a layer more is seen.
    other = math.log(meijer_evidence(0.7, 3, (*widths, 4), 5))
    assert errors_apart(evidence.value, other, evidence.mcse) > 6


# --- invariances ------------------------------------------------------------------------------------------------------


def gap(one, other):
    """How many combined standard errors two runs are apart, in evidence or volume and in E[L_gen]."""
    ours, theirs = (each.log_evidence or each.log_volume for each in (one, other))
    losses = [each.posterior.summaries["gen_loss"] for each in (one, other)]
    return max(
        errors_apart(ours.value, theirs.value, ours.mcse, theirs.mcse),
        errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse),
    )


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_other_combinations_of_the_measurements(activation):
    """(MĀ, My) at ε = 0: evidence over |det M|, and the same posterior. The draws are the same, so exactly."""
    mix = np.random.default_rng(0).standard_normal((5, 5))
    model = unnormalised(2, 4, activation)
    mixed = task_of(np.tensordot(mix, matrices_of(SENSING), 1), SENSING.truth)
    one, other = (
        run(IMPORTANCE, collapsed_problem(model, task), precision=0.05, draws=10) for task in (SENSING, mixed)
    )
    shift = np.linalg.slogdet(mix)[1]
    assert abs(shift) > 0.5
    assert other.log_evidence.value == pytest.approx(one.log_evidence.value - shift, abs=1e-6)
    means = [each.posterior.summaries["gen_loss"].mean for each in (one, other)]
    assert means[1] == pytest.approx(means[0], rel=1e-6)


@pytest.mark.parametrize("eps", [0.0, 0.02])
def test_orthogonal_combinations_leave_everything(eps):
    turn = stats.ortho_group.rvs(5, random_state=0)
    task = task_of(np.tensordot(turn, matrices_of(SENSING), 1), SENSING.truth)
    problems = [collapsed_problem(unnormalised(), each, eps) for each in (SENSING, task)]
    # Two seeds, so that the runs are independent; the larger of two gaps passes 4.5 with a chance of about 1e-4.
    assert (
        gap(*(run(IMPORTANCE, each, seed=seed, precision=0.03, draws=10) for seed, each in enumerate(problems))) < 4.5
    )


def turned(left, right):
    return task_of(left @ matrices_of(SENSING) @ right, left @ SENSING.truth @ right)


@pytest.mark.parametrize("eps", [0.0, 0.02])
@pytest.mark.parametrize(
    ("activation", "right"),
    [
        ("linear", stats.ortho_group.rvs(4, random_state=2)),
        ("tanh", np.diag([1.0, -1, 1, -1])[[2, 0, 3, 1]]),
        ("leaky-relu", np.eye(4)[[2, 0, 3, 1]]),
    ],
    ids=["linear, any rotation", "tanh, signed permutation", "leaky ReLU, permutation"],
)
def test_rotations_of_task_and_truth(activation, right, eps):
    """O₁ W* O₂ and O₁ Aᵢ O₂: any O₁; any O₂ for a linear net, else those that commute with the activation."""
    task = turned(stats.ortho_group.rvs(3, random_state=1), right)
    problems = [collapsed_problem(unnormalised(2, 4, activation), each, eps) for each in (SENSING, task)]
    assert (
        gap(*(run(IMPORTANCE, each, seed=seed, precision=0.03, draws=10) for seed, each in enumerate(problems))) < 4.5
    )


def test_a_rotation_that_does_not_commute_changes_the_answer():
    """The negative control of the test above: leaky ReLU with signs on the right."""
    task = turned(np.eye(3), np.diag([1.0, -1, -1, 1]))
    problems = [collapsed_problem(unnormalised(2, 4, "leaky-relu"), each) for each in (SENSING, task)]
    assert gap(*(run(IMPORTANCE, each, seed=seed, precision=0.03, draws=10) for seed, each in enumerate(problems))) > 6


# --- measurements that no draw can meet -------------------------------------------------------------------------------


def test_more_measurements_on_one_vector_than_the_width():
    """S has the rank of K at most, so three measurements c aᵢᵀ at width two make it singular for every draw."""
    with pytest.raises(InputError, match="singular|width|rank"):
        run(IMPORTANCE, collapsed_problem(unnormalised(2, 2), shared_vector_task("left")), Control(max_seconds=5))
