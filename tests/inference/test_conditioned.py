"""The conditioned Pyro program: its density, its evidence, its draws through ``pyro.infer``, and what it refuses."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import CPU, errors_apart
from pyro.infer import MCMC, NUTS, Predictive

import bayesgc as gc
from bayesgc.inference import Control, Criterion, Importance, Request
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.models.factorization.collapse import collapse
from bayesgc.validate import InputError

TASK = gc.sensing(3, 4, 1, 5, seed=2)
EPS = [0.0, 0.02]


def model_of(depth: int = 3, activation: str = "tanh", **options) -> gc.MatrixFactorization:
    return gc.MatrixFactorization(depth, 4, activation, normalize=False, **options)


def one_run(program) -> pyro.poutine.Trace:
    return pyro.poutine.trace(program).get_trace()


def log_prior(trace: pyro.poutine.Trace) -> torch.Tensor:
    sites = [site for site in trace.nodes.values() if site["type"] == "sample" and not site["is_observed"]]
    return sum(site["fn"].log_prob(site["value"]) for site in sites)


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("task", [TASK, gc.completion(3, 4, 1, 5, seed=2)], ids=["sensing", "completion"])
def test_density_is_prior_times_collapsed_score(task, eps):
    model = model_of()
    target = CollapsedCriterion(task, collapse(model, task.shape, weights=True), eps, CPU)
    pyro.set_rng_seed(0)
    trace = one_run(gc.conditioned(model, task, eps=eps))
    scales = [law.base_dist.scale.flatten()[0].double() for law in list(model.laws(task.shape).values())[:-1]]
    hidden = [(trace.nodes[f"W{j}"]["value"] / scale).flatten() for j, scale in enumerate(scales, start=1)]
    rest = [trace.nodes["residual"]["value"]] if eps > 0 else []
    score = target.score(torch.cat([*hidden, *rest])[:, None])[0]
    # The model's own laws hold their scales in single precision.
    torch.testing.assert_close(trace.log_prob_sum() - log_prior(trace), score, rtol=1e-6, atol=1e-6)
    assert trace.nodes["W1"]["value"].dtype == torch.float64


def test_y_is_a_multivariate_normal():
    """O1: S_ij = tr(A_i K A_jᵀ), written out with loops."""
    model = model_of(2, "linear")
    pyro.set_rng_seed(1)
    trace = one_run(gc.conditioned(model, TASK, eps=0))
    hidden = trace.nodes["W1"]["value"]
    gram = hidden.T @ hidden / 3  # fan-out: the last layer has variance 1/rows
    seen = torch.as_tensor(TASK.measurements.dense()).reshape(-1, 3, 4)
    covariance = torch.stack([torch.stack([torch.trace(a @ gram @ b.T) for b in seen]) for a in seen])
    y = torch.as_tensor(TASK.targets)
    expected = dist.MultivariateNormal(torch.zeros_like(y), covariance).log_prob(y)
    torch.testing.assert_close(trace.nodes["y"]["fn"].log_prob(y), expected)
    mean = sum(x * (a @ gram) for x, a in zip(torch.linalg.solve(covariance, y), seen, strict=True))
    torch.testing.assert_close(trace.nodes["mean"]["value"], mean)


@pytest.mark.parametrize("eps", EPS)
def test_batches_pass_through(eps):
    program = gc.conditioned(model_of(), TASK, eps=eps, complete=True)
    pyro.set_rng_seed(2)
    with pyro.plate("many", 6):
        trace = one_run(program)
    trace.compute_log_prob()
    assert trace.nodes["end_to_end"]["value"].shape == (6, 3, 4)
    for index in range(6):
        values = {
            name: site["value"][index]
            for name, site in trace.nodes.items()
            if site["type"] == "sample" and not site["is_observed"] and name != "many"
        }
        alone = pyro.poutine.trace(pyro.poutine.condition(program, values)).get_trace()
        alone.compute_log_prob()
        torch.testing.assert_close(alone.nodes["y"]["log_prob"], trace.nodes["y"]["log_prob"][index])
        torch.testing.assert_close(alone.nodes["end_to_end"]["value"], trace.nodes["end_to_end"]["value"][index])


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("depth", [1, 3])
def test_completed_draws_fit_and_multiply(eps, depth):
    draws = Predictive(gc.conditioned(model_of(depth), TASK, eps=eps, complete=True), num_samples=20)()
    matrices = draws["end_to_end"]
    loss = TASK.train_loss(matrices.reshape(20, -1).T)
    assert (loss < max(eps, 1e-20)).all()
    value = draws["W1"]
    for j in range(2, depth + 1):
        value = draws[f"W{j}"] @ torch.tanh(value)
    torch.testing.assert_close(value.reshape(matrices.shape), matrices)


def test_evidence_is_the_volume_of_the_fit():
    """Pyro's own importance sampling from the prior finds log P(L_train < ε)."""
    model = model_of(2, "linear")
    program = gc.conditioned(model, TASK, eps=0.02)
    pyro.set_rng_seed(3)
    with pyro.plate("many", 20_000):
        trace = one_run(program)
    trace.compute_log_prob()
    log_weight = trace.nodes["y"]["log_prob"] + trace.nodes["ball"]["log_prob"]
    weight = log_weight.exp()
    collapsed = collapse(model, TASK.shape)
    run = Importance().run(
        Criterion(TASK, collapsed.whitened, 0.02, CPU, torch.float32, collapsed), Request(), Control()
    )
    mcse = (weight.std() / weight.mean() / math.sqrt(len(weight))).item()
    # 4.5 combined standard errors.
    assert errors_apart(weight.mean().log().item(), run.log_volume.value, mcse, run.log_volume.mcse) < 4.5


def test_measurements_from_the_prior_have_their_covariance():
    program = gc.conditioned(model_of(2, "linear"), TASK, eps=0)
    law = one_run(program).nodes["y"]["fn"]
    torch.manual_seed(4)
    draws = law.expand(torch.Size([1])).sample(torch.Size([20_000]))[:, 0]
    gram = law.features.T @ law.features
    seen = torch.as_tensor(TASK.measurements.dense()).reshape(-1, 3, 4)
    covariance = torch.einsum("irc,cd,jrd->ij", seen, gram, seen)
    # Entries of a sample covariance have a standard error of at most √2 times the largest variance over √draws.
    torch.testing.assert_close(
        draws.T.cov(), covariance, rtol=0, atol=5 * 2**0.5 * covariance.max().item() / 20_000**0.5
    )


def chain_of(model: gc.MatrixFactorization, task: gc.ArrayTask, eps: float, draws: int, warmup: int) -> torch.Tensor:
    """End-to-end matrices: Pyro's NUTS on the program, then exact last layers."""
    pyro.set_rng_seed(0)
    chain = MCMC(NUTS(gc.conditioned(model, task, eps=eps)), draws, warmup, disable_progbar=True)
    chain.run()
    found = Predictive(gc.conditioned(model, task, eps=eps, complete=True), chain.get_samples())()["end_to_end"]
    return found.reshape(draws, -1).T


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.usefixtures("unchecked")
def test_pyro_runs_it(eps):
    vectors = chain_of(gc.MatrixFactorization(2, 3, normalize=False), gc.sensing(2, 2, 1, 2, seed=1), eps, 8, 8)
    assert vectors.unique(dim=1).shape == (4, 8)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("eps", EPS)
def test_pyro_samples_it(eps):
    model, task = gc.MatrixFactorization(2, 6, normalize=False), gc.sensing(3, 3, 1, 4, seed=1)
    loss = task.gen_loss(chain_of(model, task, eps, 300, 100))
    collapsed = collapse(model, task.shape)
    run = Importance().run(
        Criterion(task, collapsed.whitened, eps, CPU, torch.float32, collapsed), Request(), Control()
    )
    expected = run.posterior.summaries["gen_loss"]
    # The last layers are independent draws; a third of the draws counts for the chain's correlation.
    mcse = loss.std().item() / (300 / 3) ** 0.5
    assert errors_apart(loss.mean().item(), expected.mean, mcse, expected.mcse) < 4.5


@pytest.mark.parametrize(
    ("model", "eps", "message"),
    [
        (gc.MatrixFactorization(normalize=True), 0.01, "its output is normalised.*`method=splitting` or rejection"),
        (gc.MatrixFactorization(normalize=True), 0, "its output is normalised"),
        (gc.MatrixFactorization(prior="uniform", normalize=False), 0, "its last layer is not"),
        (lambda: pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2)), 0.1, "not a factorisation"),
        (model_of(activation="relu"), 0.01, "hidden units can die"),
        (model_of(depth=60), 0.01, r"with 60 layers \d+% of the weights are, to sixteen digits, of too low a rank"),
        (model_of(depth=60), 0, "to sixteen digits"),
        (gc.MatrixFactorization(2, 1, normalize=False), 0.01, "conditioned cannot condition"),
        (model_of(), -1, "eps is -1"),
    ],
)
def test_refusals(model, eps, message):
    with pytest.raises(InputError, match=message):
        gc.conditioned(model, TASK, eps=eps)


@pytest.mark.usefixtures("unchecked")
def test_a_task_is_asked_for():
    with pytest.raises(InputError, match="task is 3"):
        gc.conditioned(model_of(), 3, eps=0)
