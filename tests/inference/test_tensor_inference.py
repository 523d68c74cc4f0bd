"""Conditioning tensors: a closed form at rank one, the matrix model at order two, methods against each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyro
import pytest
import torch
from calibration import Simulation, ranks, worst
from closed_forms import meijer_evidence
from collapsed_problems import Twin, collapsed_problem, run
from problems import errors_apart
from scipy import stats

import bayesgc as gc
from bayesgc.inference import NUTS, Control, Importance, Outcome, Rejection, Splitting, Tempering
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.models import CPFactorization, MatrixFactorization, TensorTrain
from bayesgc.models.factorization.collapse import collapse
from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, completion, sensing
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

SPLITTING, REJECTION, IMPORTANCE = Splitting(particles=400, moves=15), Rejection(), Importance()
METHODS = {"splitting": SPLITTING, "rejection": REJECTION, "importance": IMPORTANCE}
FAMILIES = [CPFactorization, TensorTrain]


def unnormalised(family, depth=2, width=4, activation="linear"):
    return family(depth, width, activation, normalize=False)


# --- order three, rank one: a fibre of a ⊗ b ⊗ c ----------------------------------------------------------------------

SHAPE = (3, 4, 2)
RANK_ONE = unnormalised(CPFactorization, width=1)


def fibre_task() -> ArrayTask:
    """The three cells T[:, 1, 0] of a tensor."""
    truth = sensing(shape=SHAPE, rank=1, seed=3).truth.copy()
    cells = np.array([np.ravel_multi_index((row, 1, 0), SHAPE) for row in range(3)])
    targets = np.array([0.4, -0.3, 0.2])
    truth[:, 1, 0] = targets
    return ArrayTask("data", SHAPE, ObservedCells(SHAPE, cells), targets, truth, dims=("a", "b", "c"))


FIBRE = fibre_task()


class FibreQuadrature:
    """T = a ⊗ b ⊗ c with a ~ N(0, I/3) and b, c standard normal: given b₁ and c₀ the fibre is N(0, f² I/3), f = b₁ c₀.

    So everything is an integral over the two, on a grid of positive values, four times for the signs.
    """

    def __init__(self, task: ArrayTask) -> None:
        grid = np.linspace(0.01, 8, 800)
        self.b, self.c = grid[:, None], grid
        self.variance = (self.b * self.c) ** 2 / 3
        self.prior = 4 * stats.norm.pdf(self.b) * stats.norm.pdf(self.c) * (grid[1] - grid[0]) ** 2
        self.square, self.task = float(np.sum(task.targets**2)), task

    @property
    def _density(self) -> np.ndarray:
        return self.prior * np.exp(-self.square / (2 * self.variance)) / (2 * np.pi * self.variance) ** 1.5

    def log_evidence(self) -> float:
        return float(np.log(self._density.sum()))

    def gen_loss(self) -> float:
        """E[L_gen] at zero loss: a is y/f then, and the sums of squares of the other entries of b and c are 3 and 1."""
        share = self._density / self._density.sum()
        whole = self.square * np.sum(share * (self.b**2 + 3) * (self.c**2 + 1) / (self.b * self.c) ** 2)
        return float(whole - self.square) / self.task.held_out.count + self.task.zero_gen_loss

    def log_volume(self, eps: float) -> float:
        """The squared distance from y, over the variance, is a noncentral χ²_3."""
        near = self.square / self.variance < 1e4  # elsewhere the fibre is far too short to fit
        variance = self.variance[near]
        inside = stats.ncx2.cdf(3 * eps / variance, 3, self.square / variance)
        return float(np.log(np.sum(self.prior[near] * inside)))


EXACT = FibreQuadrature(FIBRE)


def test_the_quadrature_is_meijers_function():
    """As the evidence of a linear net with two hidden layers of one unit, one column of which is seen."""
    square = float(np.sum(FIBRE.targets**2))
    assert EXACT.log_evidence() == pytest.approx(math.log(meijer_evidence(square, 3, (1, 1), 3)), abs=1e-4)


def test_evidence_and_loss_of_a_tensor_of_rank_one():
    found = run(IMPORTANCE, collapsed_problem(RANK_ONE, FIBRE), precision=0.02, draws=100)
    assert found.outcome is Outcome.CONVERGED
    evidence, loss = found.log_evidence, found.posterior.summaries["gen_loss"]
    assert errors_apart(evidence.value, EXACT.log_evidence(), evidence.mcse) < 4.5
    assert errors_apart(loss.mean, EXACT.gen_loss(), loss.mcse) < 4.5
    # Negative control: two outer products in place of one.
    other = run(IMPORTANCE, collapsed_problem(replace(RANK_ONE, width=2), FIBRE), precision=0.03, draws=100)
    assert errors_apart(other.log_evidence.value, EXACT.log_evidence(), other.log_evidence.mcse) > 6


@pytest.mark.parametrize("name", METHODS)
def test_volume_of_a_tensor_of_rank_one(name):
    eps = 0.02
    volume = run(METHODS[name], collapsed_problem(RANK_ONE, FIBRE, eps), precision=0.03).log_volume
    assert errors_apart(volume.value, EXACT.log_volume(eps), volume.mcse) < 4.5
    # Negative control: half the threshold.
    assert errors_apart(volume.value, EXACT.log_volume(eps / 2), volume.mcse) > 6


@pytest.mark.parametrize("order", [3, 4])
def test_evidence_of_a_tensor_train(order):
    """Fibres e_i ⊗ u ⊗ v of a train are one column of a linear net with the bonds as widths, whatever u and v."""
    shape, rng = (3, 4, 2, 3)[:order], np.random.default_rng(0)
    rest = np.ones(1)
    for side in shape[1:]:
        direction = rng.standard_normal(side)
        rest = np.outer(rest, direction / np.linalg.norm(direction)).ravel()
    matrix = np.array([np.outer(row, rest).ravel() for row in np.eye(3)])
    truth = sensing(shape=shape, rank=1, seed=1).truth
    dims = tuple("abcd"[:order])
    task = ArrayTask("data", shape, DenseMeasurements(shape, matrix), np.array([0.4, -0.3, 0.2]), truth, dims=dims)
    problem = collapsed_problem(unnormalised(TensorTrain), task)
    evidence = run(IMPORTANCE, problem, precision=0.01, draws=10).log_evidence
    expected = math.log(meijer_evidence(0.29, 3, (4,) * (order - 1), 3))
    assert errors_apart(evidence.value, expected, evidence.mcse) < 4.5
    # Negative control: bonds of one.
    assert errors_apart(evidence.value, math.log(meijer_evidence(0.29, 3, (1,) * (order - 1), 3)), evidence.mcse) > 6


# --- order two --------------------------------------------------------------------------------------------------------

MATRIX_TASK = sensing(3, 4, 1, 5, seed=2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_order_two_gives_the_matrix_result_bit_for_bit(family, name):
    tensor, matrix = (
        run(METHODS[name], collapsed_problem(unnormalised(each), MATRIX_TASK, 0.02), precision=0.1, draws=50)
        for each in (family, MatrixFactorization)
    )
    assert torch.equal(tensor.posterior.end_to_end, matrix.posterior.end_to_end)
    assert tensor.log_volume == matrix.log_volume


@pytest.mark.parametrize("family", FAMILIES)
def test_order_two_gives_the_matrix_result_within_error_where_draws_are_made_otherwise(family):
    """The matrix model of this width is drawn width-free, from other normals."""
    ours, theirs = (
        run(
            IMPORTANCE,
            collapsed_problem(unnormalised(each, width=30), MATRIX_TASK),
            seed=seed,
            precision=0.01,
            draws=50,
        )
        for seed, each in enumerate((family, MatrixFactorization))
    )
    evidence = (ours.log_evidence, theirs.log_evidence)
    losses = [each.posterior.summaries["gen_loss"] for each in (ours, theirs)]
    assert not torch.equal(ours.posterior.end_to_end, theirs.posterior.end_to_end)
    assert errors_apart(evidence[0].value, evidence[1].value, evidence[0].mcse, evidence[1].mcse) < 4.5
    assert errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse) < 4.5


# --- methods against each other ---------------------------------------------------------------------------------------

SMALL = sensing(shape=(3, 3, 3), rank=1, measurements=5, seed=1)
CELLS = completion(shape=(3, 3, 3), rank=1, measurements=6, seed=1)
QUANTITIES = ("gen_loss", "train_loss", "error", "nuclear_norm", "effective_rank")


def gaps(one, other):
    """Combined standard errors between two runs, in the volume and the mean of every quantity."""
    volumes = (one.log_volume, other.log_volume)
    found = {"log_volume": errors_apart(*(each.value for each in volumes), *(each.mcse for each in volumes))}
    for name in QUANTITIES:
        ours, theirs = one.posterior.summaries[name], other.posterior.summaries[name]
        found[name] = errors_apart(ours.mean, theirs.mean, ours.mcse, theirs.mcse)
    return found


@pytest.mark.parametrize(
    ("model", "task", "eps"),
    [
        (unnormalised(CPFactorization), SMALL, 0.02),
        (unnormalised(TensorTrain, 3, activation="tanh"), SMALL, 0.02),
        (CPFactorization(3, 4, "relu"), SMALL, 0.01),
        (TensorTrain(2, 3, prior="uniform:mean=0.2"), CELLS, 0.01),
    ],
    ids=["cp", "deep tanh train", "normalised deep relu cp", "normalised uniform train"],
)
def test_methods_agree_on_a_small_tensor(model, task, eps):
    names = list(METHODS) if not model.normalize else ["splitting", "rejection"]
    runs = {name: run(METHODS[name], collapsed_problem(model, task, eps), precision=0.03) for name in names}
    for name in names[1:]:
        found = gaps(runs["splitting"], runs[name])
        # Student's t with 15 degrees of freedom passes 4.5 by chance with probability 4e-4, for one of six numbers.
        assert max(found.values()) < 4.5, (name, found)
    # Negative control: the other threshold.
    wrong = run(REJECTION, collapsed_problem(model, task, 2 * eps), precision=0.03)
    assert max(gaps(wrong, runs["rejection"]).values()) > 6


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_nuts_agrees_with_importance_on_a_small_tensor(family):
    problem = collapsed_problem(unnormalised(family), SMALL)
    # Converged or not: the chains' own errors are put to the test.
    chains = run(NUTS(), problem, Control(max_seconds=40), precision=0.03)
    losses = [each.posterior.summaries["gen_loss"] for each in (chains, run(IMPORTANCE, problem, precision=0.01))]
    assert errors_apart(losses[0].mean, losses[1].mean, losses[0].mcse, losses[1].mcse) < 4.5


# --- the algebra ------------------------------------------------------------------------------------------------------


def unfolded(task: ArrayTask) -> ArrayTask:
    """The same as a task of a matrix."""
    shape = task.unfolding
    measurements = DenseMeasurements(shape, task.measurements.dense())
    return ArrayTask("data", shape, measurements, task.targets, task.truth.reshape(shape))


@pytest.mark.parametrize("task", [SMALL, CELLS], ids=["sensing", "completion"])
@pytest.mark.parametrize("family", FAMILIES)
def test_given_the_other_modes_the_tensor_is_gaussian(family, task):
    target = CollapsedCriterion(task, collapse(unnormalised(family), task.shape), 0.0, torch.device("cpu"))
    normals = target.draw(torch.Generator().manual_seed(0), 3)
    scores, losses = target.evaluate(normals)
    features = target.collapsed.features(normals).movedim(-1, 0).numpy()
    for draw in range(3):
        twin = Twin(unfolded(task), features[draw].T @ features[draw])
        assert float(scores[draw]) == pytest.approx(twin.log_density(task.targets), rel=1e-8)
        assert float(losses[draw]) == pytest.approx(twin.gen_loss(task.targets), rel=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_conditioned_program_has_the_density_of_the_collapsed_tensor(family):
    model = unnormalised(family, 3, (2, 4), "tanh")
    program = gc.conditioned(model, SMALL, eps=0, complete=True)
    trace = pyro.poutine.trace(program).get_trace()
    names = model.layer_names(SMALL.shape)
    assert [name for name in trace.nodes if name in names] == names
    weights = [trace.nodes[name]["value"][..., None] for name in names]
    features = model.network(SMALL.shape).features(weights[:-1])[..., 0].numpy() / math.sqrt(3)
    twin = Twin(unfolded(SMALL), features.T @ features)
    y = trace.nodes["y"]
    assert float(y["fn"].log_prob(y["value"])) == pytest.approx(twin.log_density(SMALL.targets), rel=1e-8)
    np.testing.assert_allclose(trace.nodes["mean"]["value"], twin.mean(SMALL.targets).reshape(3, 3, 3), rtol=1e-6)
    end = trace.nodes["end_to_end"]["value"]
    assert end.shape == SMALL.shape
    assert float(SMALL.train_loss(end.reshape(-1, 1))) < 1e-20
    whole = model.network(SMALL.shape).forward(weights, normalize=False)
    torch.testing.assert_close(whole[..., 0].reshape(SMALL.shape), end)


def test_too_narrow_a_tensor_has_no_exact_fit():
    with pytest.raises(InputError, match="5 measurements, more than the 3 that a width of 1 can fit"):
        run(IMPORTANCE, collapsed_problem(RANK_ONE, SMALL))


# --- calibration ------------------------------------------------------------------------------------------------------

FAST = 60
SEEN = sensing(shape=(2, 3, 2), rank=1, measurements=3, seed=1)


class TooWide(Rejection):
    """Rejection at three times the threshold."""

    def run(self, criterion, request, control):
        return super().run(replace(criterion, eps=3 * criterion.eps), request, control)


@pytest.mark.parametrize("family", [CPFactorization, pytest.param(TensorTrain, marks=pytest.mark.slow)])
def test_rejection_is_calibrated_on_tensors(family):
    simulation = Simulation(unnormalised(family, width=3), SEEN, 0.1)
    assert worst(ranks(simulation, REJECTION, FAST)) > 1e-3
    assert worst(ranks(simulation, TooWide(), FAST)) < 1e-4  # Negative control.


@pytest.mark.slow
def test_importance_is_calibrated_on_tensors():
    simulation = Simulation(unnormalised(CPFactorization, 3, 4, "tanh"), SEEN, 0.0)
    method = Importance(tempering=Tempering(particles=100, moves=5))
    assert worst(ranks(simulation, method, FAST)) > 1e-3
