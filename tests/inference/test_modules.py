"""Networks beyond the perceptron: splitting against rejection, a module against the same MLP, and training."""

from __future__ import annotations

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import CPU, condition
from torch import nn

from bayesgc.inference import SGD, Control, Criterion, Rejection, Splitting
from bayesgc.models import MLP, LeNet, Module, ProgramModel
from bayesgc.task import LabelledTask, classification
from bayesgc.validate import InputError


def bars(examples: int, side: int = 4, seed: int = 0, test: int = 60) -> LabelledTask:
    """Small images of noise with a bright row or a bright column."""
    source = np.random.default_rng(seed)
    labels = np.arange(examples + test) % 2
    images = source.standard_normal((examples + test, side, side))
    for image, label in zip(images, labels, strict=True):
        place = source.integers(side)
        image[(place, slice(None)) if label else (slice(None), place)] += 2
    return classification(images[:examples], labels[:examples], test=(images[examples:], labels[examples:]))


class Residual(nn.Module):
    """Around its hidden layer there is another way."""

    def __init__(self, features: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(math.prod(features), 6)
        self.hidden, self.last = nn.Linear(6, 6), nn.Linear(6, outputs)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        value = torch.relu(self.first(value.flatten(1)))
        return self.last(value + torch.relu(self.hidden(value)))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 2))


def program(inputs: torch.Tensor) -> torch.Tensor:
    """The same network as a Pyro program."""
    value = inputs.flatten(1)
    for place, (rows, cols) in enumerate([(6, 16), (2, 6)]):
        law = dist.Normal(0.0, cols**-0.5)
        weight = pyro.sample(f"weight{place}", law.expand([rows, cols]).to_event(2))
        bias = pyro.sample(f"bias{place}", law.expand([rows]).to_event(1))
        value = (torch.tanh(value) if place else value) @ weight.mT + bias
    return value


TWIN = MLP((6,), "tanh", bias=True)
NETWORKS = {
    "lenet": LeNet((2, 3, 6, 4), bias=True, prior="uniform", scaling="unit"),
    "residual": Module(Residual, prior={"*.bias": "gaussian", "*": "laplace"}),
    "program": ProgramModel(program),
}


def criterion(task: LabelledTask, model, eps: float | None = None) -> Criterion:
    return Criterion(task, model.whiten(task.domain), task.threshold(eps), CPU, torch.float32)


def apart(one, other) -> list[float]:
    """How many combined errors two runs are apart, in log P and test error."""
    volumes = [run.log_volume for run in (one, other)]
    errors = [run.posterior.summaries["test_error"] for run in (one, other)]
    return [
        abs(volumes[0].value - volumes[1].value) / math.hypot(*(each.mcse for each in volumes)),
        abs(errors[0].mean - errors[1].mean) / math.hypot(*(each.mcse for each in errors)),
    ]


def compared(model, examples: int, precision: float) -> list[float]:
    problem = criterion(bars(examples), model)
    ours = condition(Splitting(particles=200), problem, chains=8, precision=precision)
    return apart(ours, condition(Rejection(), problem, precision=precision / 3))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["lenet", "residual"])
def test_splitting_agrees_with_rejection(name):
    assert max(compared(NETWORKS[name], 5, 0.3)) < 4


@pytest.mark.slow
def test_nine_comparisons_in_ten_are_within_two_errors():
    found = [
        each
        for model in (TWIN, NETWORKS["lenet"], NETWORKS["residual"])
        for examples in (8, 12, 16)
        for each in compared(model, examples, 0.1)
    ]
    assert max(found) < 4
    assert np.mean(np.array(found) < 2) >= 0.9


@pytest.mark.parametrize("model", [Module(perceptron), NETWORKS["program"]], ids=["module", "program"])
def test_a_perceptron_has_one_law_however_it_is_written(model):
    """By rejection, which has no errors but those of chance; the control is the same network on one example more."""
    task = bars(5)
    one, twin = (condition(Rejection(), criterion(task, each), precision=0.05) for each in (model, TWIN))
    assert max(apart(one, twin)) < 4
    assert apart(one, condition(Rejection(), criterion(bars(6), TWIN), precision=0.05))[0] > 4


def test_a_program_gives_one_draw_at_training_and_test_inputs():
    task, twin = bars(4), bars(4)
    whitened = NETWORKS["program"].whiten(task.domain)
    column = whitened.draw(torch.Generator().manual_seed(0), 3, device=CPU, dtype=torch.float64)
    sites = whitened.weights(column)
    with pyro.poutine.condition(data={name: value[1] for name, value in sites.items()}):
        for inputs, found in (
            (task.inputs.train, whitened.vectors(column)),
            (twin.inputs.test, whitened.held_out(column, torch.Generator())),
        ):
            torch.testing.assert_close(found[:, 1], program(torch.from_numpy(inputs)).flatten())


def noisy(inputs: torch.Tensor) -> torch.Tensor:
    noise = pyro.sample("noise", dist.Normal(0.0, 1.0).expand([len(inputs), 2]).to_event(2))
    return inputs.flatten(1)[:, :2] + noise


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (noisy, "site 'noise' of model 'noisy' is of another shape at the test inputs"),
        (lambda: torch.zeros(4, 2), "takes 0 arguments; for labelled examples it must take one"),
        (lambda inputs: inputs.flatten(1)[:, :2], "no latent sample site"),
        (lambda inputs: program(inputs)[:, :1], r"returned the shape \(4, 1\)"),
    ],
)
def test_a_program_that_is_no_network_is_refused(source, said):
    with pytest.raises(InputError, match=said):
        ProgramModel(source).whiten(bars(4).domain)


def test_a_program_of_inputs_is_not_for_arrays():
    with pytest.raises(InputError, match="must be given arguments, 1 of them"):
        NETWORKS["program"].whiten((5, 5))


# --- gradient descent -------------------------------------------------------------------------------------------------


def train(model, method: SGD, task=None, eps: float | None = None):
    task = task or bars(6)
    return method.run(model, criterion(task, model, eps), 0, Control())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_is_trained(name):
    init = "prior" if name == "program" else "kaiming"
    found = train(NETWORKS[name], SGD(restarts=3, init=init, lr=0.05, epochs=150))
    assert found.converged.any()
    assert found.quantities["test_error"].isfinite().all()


def test_a_module_takes_the_steps_of_torch():
    task, model = bars(6), Module(Residual)
    method = SGD(batch=None, epochs=12, restarts=1, tol=0.0, lr=0.05)
    criterion_, network = criterion(task, model), model.network(task.domain)
    found = method.run(model, criterion_, 0, Control())
    from bayesgc.inference.descent.sgd import _starts

    _, [start] = _starts(method, model, network, criterion_, 0)
    module, place = network.chain.module, 0
    with torch.no_grad():
        for name, each in module.named_parameters():
            each.copy_(start[place : place + each.numel()].view_as(each))
            assert (each == 0).all() if name.endswith("bias") else each.abs().max() <= math.sqrt(6 / each.shape[1])
            place += each.numel()
    inputs, labels = (torch.from_numpy(each) for each in (task.inputs.train, task.labels))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    for _ in range(12):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(inputs.float()), labels).backward()
        optimizer.step()
    torch.testing.assert_close(found.end_to_end[0], module(inputs.float()).detach(), rtol=1e-3, atol=1e-4)


def test_a_normalised_network_is_trained_as_it_is_and_judged_divided():
    task = bars(6).with_fit("cross-entropy")
    plain, divided = (
        train(MLP((6,), normalize_weights=name), SGD(restarts=2), task, 0.5) for name in (None, "lipschitz")
    )
    labels = [each.end_to_end.argmax(2) for each in (plain, divided)]
    assert torch.equal(*labels)
    assert not torch.allclose(plain.end_to_end, divided.end_to_end)


def test_a_program_starts_at_draws_of_its_prior():
    with pytest.raises(InputError, match="gd init is 'kaiming'"):
        train(NETWORKS["program"], SGD(restarts=2))
