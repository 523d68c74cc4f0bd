"""Collapsed importance sampling: known answers, draws against weights, refusals, budgets, bits; and who chooses it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from arviz_stats.base import array_stats
from collapsed_problems import COMPLETION, SENSING, collapsed_problem, collapsed_target, run, task_of, unnormalised
from problems import errors_apart
from scipy import stats

import bayesgc as gc
from bayesgc.inference import Control, Importance, Outcome, Request, Splitting, Tempering
from bayesgc.inference.automatic import Automatic
from bayesgc.inference.collapsed.importance import BLOCK
from bayesgc.inference.smoothing import pareto_shape, shape_limit
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import MatrixFactorization
from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, load, sensing
from bayesgc.validate import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

IMPORTANCE = Importance()
MODEL = unnormalised(2, 5)


def inferred(case, **options):
    facts = case.facts
    model = MatrixFactorization(**{key: facts[key] for key in ("depth", "width", "activation", "prior", "normalize")})
    tree = gc.infer(model, load(case.path), eps=0.0, gd=False, map=False, draws=100, **options)
    return gc.result_object(tree), facts


@pytest.mark.parametrize("name", ["shared-6", pytest.param("shared-5", marks=pytest.mark.slow)])
def test_cases_with_known_answers(name, cases):
    found, facts = inferred(cases[name], method="importance")
    evidence, loss = found["log_evidence"], found["posterior"]["gen_loss"]
    assert found["outcome"] == "converged"
    assert errors_apart(evidence["estimate"], facts["log_evidence"], evidence["mcse"], facts["log_evidence_se"]) < 4
    assert errors_apart(loss["mean"], facts["gen"], loss["mcse"], facts["gen_se"]) < 4
    assert loss["mcse"] < 0.01 * loss["mean"]
    # Negative control: a hundredth in E[L_gen] or 0.1 in the log evidence is out of reach of these errors.
    assert errors_apart(loss["mean"], 1.06 * facts["gen"], loss["mcse"], facts["gen_se"]) > 4


# --- draws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [0.0, 0.01])
@pytest.mark.parametrize("activation", ["linear", "leaky-relu"])
def test_weights_on_request_make_the_matrices_and_fit(activation, eps):
    model = unnormalised(3, 5, activation)
    draws = run(IMPORTANCE, collapsed_problem(model, SENSING, eps, weights=True), draws=20, weights=True).posterior
    act = collapsed_target(model).collapsed.whitened.network.activation
    value = draws.weights["W1"]
    for name in ("W2", "W3"):
        value = draws.weights[name] @ act(value)
    torch.testing.assert_close(value, draws.end_to_end, rtol=1e-6, atol=1e-9)
    loss = SENSING.train_loss(value.flatten(0, 1).flatten(1).T)
    assert float(loss.max()) < max(eps, 1e-14)


def test_equally_weighted_draws_have_the_weighted_law():
    """Means of W against the weighted conditional means of the raw draws, and L_gen against its expectation."""
    problem = collapsed_problem(MODEL)
    found = run(IMPORTANCE, problem, chains=4, draws=1000)
    draws, weight = found.posterior, np.exp(found.importance["log_weight"] - found.importance["log_weight"].max())
    target, size = collapsed_target(MODEL), len(weight)
    blocks = [generator(0, Stream.IMPORTANCE, index, torch.device("cpu")) for index in range(size // BLOCK)]
    normals = [target.draw(each, BLOCK) for each in blocks]
    means = torch.cat([target.system(part).mean(target.targets(part)) for part in normals]).flatten(1).numpy()
    expected = (weight[:, None] * means).sum(0) / weight.sum()
    flat = draws.end_to_end.flatten(0, 1).flatten(1).numpy()
    # The error of a mean of 4000 equally weighted draws, and that of the weighted mean by its effective size.
    share = 1 / len(flat) + (weight**2).sum() / weight.sum() ** 2
    assert (np.abs(flat.mean(0) - expected) / (flat.std(0) * share**0.5)).max() < 4.5
    losses = draws.quantities["gen_loss"].flatten().numpy()
    summary = draws.summaries["gen_loss"]
    assert errors_apart(losses.mean(), summary.mean, losses.std() * share**0.5) < 4.5
    weighted = float((weight * found.importance["gen_loss"]).sum() / weight.sum())
    assert summary.mean == pytest.approx(weighted, rel=0.01)
    # Negative control: without their weights the raw draws say something else.
    assert errors_apart(losses.mean(), float(found.importance["gen_loss"].mean()), losses.std() * share**0.5) > 4.5


def test_chains_are_alike():
    draws = run(IMPORTANCE, collapsed_problem(MODEL), chains=4, draws=500).posterior
    first, *rest = draws.quantities["nuclear_norm"].numpy()
    assert all(stats.ks_2samp(first, other).pvalue > 1e-3 for other in rest)


# --- refusals ---------------------------------------------------------------------------------------------------------


def dependent():
    matrices = np.random.default_rng(0).standard_normal((4, 3, 4))
    matrices[3] = matrices[0] + matrices[1]
    return task_of(matrices, np.ones((3, 4)))


FULL_ROWS = ArrayTask("completion", (3, 4), ObservedCells((3, 4), np.array([0, 1, 2, 5, 8])), np.ones(5))


@pytest.mark.parametrize(
    ("model", "task", "message"),
    [
        (MODEL, dependent(), r"dependent \(4 of rank 3\)"),
        (unnormalised(2, 2), FULL_ROWS, "a row has 3 observed cells, more than the rank 2 of the model"),
        (unnormalised(2, 1), SENSING, "there are 5 measurements, more than the 3 that a width of 1 can fit"),
        (MatrixFactorization(2, 4), SENSING, "needs an unnormalised factorisation with a last layer of Gaussians"),
        (MatrixFactorization(2, 4, prior="uniform", normalize=False), SENSING, "a last layer of Gaussians"),
    ],
    ids=["dependent", "too many in a row", "too narrow", "normalised", "uniform"],
)
def test_what_cannot_be_conditioned_on_is_refused(model, task, message):
    with pytest.raises(InputError, match=message):
        run(IMPORTANCE, collapsed_problem(model, task))


def test_as_many_as_the_width_carries_is_not_refused():
    narrow = run(IMPORTANCE, collapsed_problem(unnormalised(2, 3), FULL_ROWS), Control(max_evaluations=2 * BLOCK))
    assert narrow.log_evidence.value is not None


def test_it_looks_once_more_when_the_budget_ends(monkeypatch):
    """After 32 blocks, when it last looked, the error was 0.212 %; after 48 it is 0.204 %."""
    monkeypatch.setattr("bayesgc.inference.collapsed.importance._FEWEST_BLOCKS", 16)
    monkeypatch.setattr("bayesgc.inference.collapsed.importance._MOST_BATCHES", 16)
    few, more = (
        run(
            IMPORTANCE,
            collapsed_problem(unnormalised(2, 5)),
            Control(max_evaluations=blocks * BLOCK),
            precision=0.00208,
            draws=10,
        )
        for blocks in (32, 48)
    )
    assert (few.outcome, more.outcome) == (Outcome.EXHAUSTED, Outcome.CONVERGED)
    assert (few.evaluations, more.evaluations) == (32 * BLOCK, 48 * BLOCK)


def test_hyperparameters_are_checked():
    with pytest.raises(InputError, match="most_draws is 0; it must be a whole number at least 1"):
        Importance(most_draws=0)


# --- the tail of the weights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [0.2, 0.5, 1.0, 1.5])
def test_tail_shape_of_known_tails(shape):
    """exp(kE), E exponential, is Pareto with shape k; the fit to 384 of 16384 draws has an error of (1 + k)/√384."""
    exponential = np.random.default_rng(0).exponential(size=16384)
    error = (1 + shape) / 384**0.5
    assert pareto_shape(shape * exponential) == pytest.approx(shape, abs=4 * error)
    # The other tail is a light one, whatever this one is.
    assert pareto_shape(-shape * exponential) < 0


@pytest.mark.parametrize("size", [30, 225, 230, 16384])
@pytest.mark.parametrize("shape", [0.0, 0.4, 3.0])
def test_tail_shape_is_that_of_all_weights(size, shape):
    """Of the largest ones alone, to the last bit; of others it is not."""
    rng = np.random.default_rng([size, int(10 * shape)])
    log_weight = shape * rng.exponential(size=size) + rng.normal(size=size)
    for weights in (log_weight, np.round(log_weight, 1)):  # the second with many that are equal
        _, twin = array_stats.psislw(weights.max() - weights)
        assert pareto_shape(weights) == float(twin)
        assert pareto_shape(weights + rng.exponential(size=size)) != float(twin)


def test_tail_shape_of_odd_weights():
    assert pareto_shape(np.full(1000, -np.inf)) == np.inf
    assert pareto_shape(np.zeros(1000)) == -np.inf
    assert pareto_shape(np.arange(1000.0)) == np.inf
    some = np.where(np.arange(2000) % 2 == 0, -np.inf, np.random.default_rng(0).normal(size=2000) / 10)
    assert pareto_shape(some) < 0.5
    assert [round(shape_limit(size), 3) for size in (10, 50, 100, 10**6)] == [0.0, 0.411, 0.5, 0.5]


# --- the path and the budget ------------------------------------------------------------------------------------------

HARD = sensing(3, 3, 1, 8, seed=0)
"""Eight measurements of nine entries at width three: few hidden layers carry nearly all the weight."""


def test_heavy_tails_are_tempered():
    quick = Importance(tempering=Tempering(particles=100, moves=5))
    found = run(quick, collapsed_problem(unnormalised(3, 3), HARD), Control(max_seconds=6), precision=0.3, draws=20)
    facts = found.diagnostics
    assert facts["path"] == "tempering"
    assert facts["plain_pareto_k"] > facts["plain_pareto_k_limit"]
    assert found.method == "importance"
    assert found.evaluations > facts["plain_draws"] > 0


@pytest.mark.parametrize("eps", [0.0, 1e-4])
def test_a_budget_is_shared_by_the_way_tried_first_and_the_one_taken(eps):
    budget = 40_000
    method = Automatic(
        Importance(most_draws=16 * BLOCK, tempering=Tempering(particles=50, moves=4)), Splitting(particles=50, moves=4)
    )
    found = run(
        method, collapsed_problem(unnormalised(3, 3), HARD, eps), Control(max_evaluations=budget), precision=0.01
    )
    assert found.method == ("importance" if eps == 0 else "splitting")
    assert 16 * BLOCK < found.evaluations <= budget
    # Islands are as many as the rest of the budget affords.
    assert found.evaluations > 0.9 * budget


@pytest.mark.slow
def test_lucky_samples_of_a_heavy_tail_are_not_taken():
    # The tail's shape is 0.6 to 0.7. Samples of 16 blocks without a large weight look like 0.5, and there log volumes
    # were up to five of their own errors too low.
    task = gc.completion(shape=(3, 3, 3), rank=1, measurements=6, seed=1)
    model = gc.TensorTrain(depth=3, width=4, activation="tanh", normalize=False)
    problem = collapsed_problem(model, task, 0.01)
    taken = [IMPORTANCE.plain(problem, Request(seed=seed, precision=0.05), Control()) for seed in range(8)]
    assert [run for run, _ in taken] == [None] * 8


def test_plain_weights_say_so():
    found = run(IMPORTANCE, collapsed_problem(MODEL), precision=0.05, draws=10)
    assert found.diagnostics["path"] == "plain weights"
    assert found.diagnostics["pareto_k"] < found.diagnostics["pareto_k_limit"]
    assert found.evaluations == found.diagnostics["draws"] == len(found.importance["log_weight"])


@pytest.mark.parametrize("eps", [0.0, 0.01])
def test_a_spent_budget_keeps_what_was_found(eps):
    found = run(IMPORTANCE, collapsed_problem(MODEL, SENSING, eps), Control(max_evaluations=3 * BLOCK), draws=5)
    assert found.outcome is Outcome.EXHAUSTED
    assert found.evaluations == 3 * BLOCK
    assert found.posterior.end_to_end.shape == (16, 5, 3, 4)
    assert (found.log_evidence or found.log_volume).mcse > 0


@pytest.mark.parametrize("eps", [0.0, 0.01])
def test_no_budget_at_all(eps):
    found = run(IMPORTANCE, collapsed_problem(MODEL, SENSING, eps), Control(max_evaluations=10))
    assert (found.outcome, found.posterior, found.log_evidence) == (Outcome.EXHAUSTED, None, None)
    assert found.evaluations == 0
    assert eps == 0 or found.log_volume.value is None


@pytest.mark.parametrize("eps", [0.0, 0.01])
def test_threads_change_no_bit(eps, threads):
    found = []
    for number in (1, 2):
        threads(number)
        found.append(run(IMPORTANCE, collapsed_problem(MODEL, SENSING, eps), precision=0.05, draws=20))
    assert torch.equal(found[0].posterior.end_to_end, found[1].posterior.end_to_end)
    assert np.array_equal(found[0].importance["log_weight"], found[1].importance["log_weight"])
    assert found[0].posterior.summaries == found[1].posterior.summaries


def test_seeds_change_the_draws():
    one, two = (run(IMPORTANCE, collapsed_problem(MODEL), seed=seed, precision=0.05, draws=20) for seed in (0, 1))
    assert not np.isin(one.importance["log_weight"], two.importance["log_weight"]).any()


# --- the automatic choice ---------------------------------------------------------------------------------------------

AUTO = Automatic(splitting=Splitting(particles=50, moves=2))


@pytest.mark.parametrize(
    ("model", "task", "eps", "expected"),
    [
        (MODEL, SENSING, 0.0, "importance"),
        (MODEL, SENSING, 1e-3, "importance"),
        (MODEL, SENSING, 2 * SENSING.zero_train_loss, "splitting"),
        (MatrixFactorization(2, 5), SENSING, 0.05, "splitting"),
        (unnormalised(2, 2), FULL_ROWS, 0.3, "splitting"),
        (unnormalised(3, 3), HARD, 1e-3, "splitting"),
    ],
    ids=["exact fit", "collapsible", "zero fits", "normalised", "singular", "heavy tails"],
)
def test_the_method_suits_the_criterion(model, task, eps, expected):
    found = run(AUTO, collapsed_problem(model, task, eps), Control(max_seconds=3), precision=0.5, draws=20)
    assert found.method == expected


def test_an_exact_fit_that_no_method_can_have_is_refused():
    with pytest.raises(InputError, match="dependent"):
        run(AUTO, collapsed_problem(MODEL, dependent()))


def test_cells_and_rows_give_the_same_run():
    """The block structure of completion against the same cells as rows of a matrix: one stream, the same weights."""
    rows = ArrayTask("data", (3, 4), DenseMeasurements((3, 4), COMPLETION.measurements.dense()), COMPLETION.targets)
    cells, dense = (
        run(IMPORTANCE, collapsed_problem(MODEL, task), precision=0.1, draws=5) for task in (COMPLETION, rows)
    )
    both = min(len(cells.importance["log_weight"]), len(dense.importance["log_weight"]))
    one, other = (each.importance["log_weight"][:both] for each in (cells, dense))
    assert one == pytest.approx(other, rel=1e-6)
