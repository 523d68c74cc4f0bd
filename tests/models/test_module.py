"""Torch modules as networks: against torch itself, layer by layer, their priors, and what is refused and why."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sweeps import assert_a_sweep_gives_the_whole, assert_what_lies_below_is_kept
from torch import nn

from bayesgc.models import MLP, LeNet, Module, ProgramModel, as_model
from bayesgc.models.networks.convolutions import ManyConvolutions
from bayesgc.models.networks.normalized import frobenius, spectral
from bayesgc.models.networks.trial import MOST_WEIGHTS
from bayesgc.task import Inputs
from bayesgc.validate import InputError

DRAWS = 5
CPU = torch.device("cpu")


class Residual(nn.Module):
    """A network with a way around one layer, a norm and a buffer that stays."""

    def __init__(self, features: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(math.prod(features), 5), nn.Linear(5, 5, bias=False)
        self.norm, self.last = nn.LayerNorm(5), nn.Linear(5, outputs)
        self.register_buffer("shift", torch.tensor(0.1))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.first(value.flatten(1))) + self.shift
        return self.last(self.norm(hidden + torch.relu(self.second(hidden))))


def chain() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(2, 3, 2, bias=False),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(3 * 2 * 2, 2),
    )


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.last = nn.GRU(6, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.last(self.cell(value)[0][:, -1])


MODELS = {
    "a residual one": Module(Residual, scaling="kaiming"),
    "a chain": Module(chain, prior="uniform"),
    "a module that is there": Module(chain(), prior="rademacher"),
    "a recurrent one, one draw at a time": Module(Recurrent),
    "lenet": LeNet(0.3, bias=True, prior=("student-t:df=4", ..., "uniform")),
}


def images(train: int = 4, test: int = 6, outputs: int = 2, side: int = 6) -> Inputs:
    source = np.random.default_rng(0)
    return Inputs(source.standard_normal((train, side, side)), source.standard_normal((test, side, side)), outputs)


def drawn(whitened, seed: int, draws: int = DRAWS) -> torch.Tensor:
    return whitened.draw(torch.Generator().manual_seed(seed), draws, device=CPU, dtype=torch.float64)


@pytest.mark.parametrize("name", MODELS)
def test_the_fast_form_is_the_module(name):
    model, domain = MODELS[name], images()
    whitened, network = model.whiten(domain), model.network(domain)
    column = drawn(whitened, 0)
    weights, module = whitened.weights(column), network.chain.module.double()
    for inputs, found in (
        (network.train, whitened.vectors(column)),
        (network.test, whitened.held_out(column, torch.Generator())),
    ):
        for place in range(DRAWS):
            own = {key: value[place] for key, value in weights.items()}
            expected = torch.func.functional_call(module, own, (inputs.like(column),))
            torch.testing.assert_close(found[:, place], expected.flatten())
    assert list(weights) == list(network.parameters)


@pytest.mark.parametrize("name", MODELS)
def test_a_sweep_gives_the_outputs_of_the_whole(name):
    whitened = MODELS[name].whiten(images())
    assert_a_sweep_gives_the_whole(whitened, drawn(whitened, 0), drawn(whitened, 1))


def test_a_sweep_keeps_what_lies_below_in_a_chain():
    """The negative control of the test above: what changes below unseen is not noticed."""
    whitened = MODELS["a chain"].whiten(images())
    assert_what_lies_below_is_kept(whitened, drawn(whitened, 0), drawn(whitened, 1))


@pytest.mark.parametrize("name", ["a residual one", "a chain", "lenet"])
def test_descent_sees_the_same_outputs(name):
    model, domain = MODELS[name], images()
    whitened = model.whiten(domain)
    column = drawn(whitened, 1)
    inputs = torch.from_numpy(domain.train).expand(DRAWS, *domain.train.shape)
    found = model.network(domain).raw(whitened.weights(column), inputs)
    torch.testing.assert_close(found.flatten(1).T, whitened.vectors(column))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("padding", [0, 1])
def test_convolutions_of_many_draws_are_those_of_torch(shared, padding):
    source = torch.Generator().manual_seed(0)
    weight = torch.randn(DRAWS, 4, 3, 3, 2, generator=source, dtype=torch.float64)
    value = torch.randn(*(() if shared else (DRAWS,)), 2, 3, 7, 5, generator=source, dtype=torch.float64)

    def network(weight, value):
        return nn.functional.max_pool2d(nn.functional.conv2d(value, weight, padding=padding), 2)

    mapped = torch.func.vmap(network, in_dims=(0, None if shared else 0))
    with ManyConvolutions():
        found = mapped(weight, value)
    torch.testing.assert_close(found, mapped(weight, value))
    with ManyConvolutions():  # what it does not know is torch's
        strided = torch.func.vmap(lambda own: nn.functional.conv2d(value if shared else value[0], own, stride=2))(
            weight
        )
    assert strided.shape[3:] == (3, 2)


# --- priors -----------------------------------------------------------------------------------------------------------


def spreads(model, domain=None) -> dict[str, float]:
    domain = domain or images()
    return {name: float(law.base_dist.scale.flatten()[0]) for name, law in model.laws(model.network(domain)).items()}


def test_scales_are_by_the_fan_in_of_torch_and_a_bias_has_that_of_its_layer():
    found = spreads(Module(chain))
    assert found["0.0.weight"] == found["0.0.bias"] == pytest.approx(1 / 3)
    assert found["1.weight"] == pytest.approx(8**-0.5)
    assert found["4.weight"] == found["4.bias"] == pytest.approx(12**-0.5)
    assert spreads(Module(Residual))["norm.weight"] == 1.0


@pytest.mark.parametrize("as_text", [True, False])
def test_priors_by_pattern_go_to_the_names_they_match(as_text):
    prior = {"*.bias": "gaussian:mean=1", "0*": "uniform", "*": "laplace"}
    given = ";".join(f"{pattern}={spec}" for pattern, spec in prior.items()) if as_text else prior
    model = Module(chain, prior=given)
    laws = model.laws(model.network(images()))
    kinds = {name: type(law.base_dist).__name__ for name, law in laws.items()}
    assert (kinds["0.0.weight"], kinds["0.0.bias"], kinds["1.weight"]) == ("Uniform", "Normal", "Laplace")
    assert model.facts["prior"] == "*.bias=gaussian:mean=1;0*=uniform;*=laplace"


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        ({"0*": "uniform"}, "no pattern of prior matches '1.weight'"),
        ({"*": "gaussian", "fc*": "uniform"}, "pattern 'fc\\*', which matches none of 0.0.weight"),
        (("gaussian", "uniform"), "lists 2 layers; the model has 3: 0.0, 1, 4"),
        ("0*=uniform;laplace", "write pattern=prior"),
        ({"*": "gausian"}, "gausian"),
    ],
    ids=str,
)
def test_a_prior_that_does_not_match_is_refused(prior, said):
    with pytest.raises(InputError, match=said):
        Module(chain, prior=prior).whiten(images())


def test_parameters_without_gradients_stay_as_they_are():
    module = chain()
    module[1].weight.requires_grad_(False)
    whitened = Module(module).whiten(images())
    assert list(whitened.weights(drawn(whitened, 0))) == ["0.0.weight", "0.0.bias", "4.weight", "4.bias"]


# --- normalised networks ----------------------------------------------------------------------------------------------


def test_sizes_of_weights_are_the_norms_of_torch():
    weight = torch.randn(40, 6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(spectral(weight), torch.linalg.matrix_norm(weight, ord=2), rtol=1e-4, atol=0)
    torch.testing.assert_close(spectral(weight.mT), torch.linalg.matrix_norm(weight, ord=2), rtol=1e-4, atol=0)
    torch.testing.assert_close(frobenius(weight), torch.linalg.matrix_norm(weight) / 3)


@pytest.mark.parametrize("name", ["frobenius", "lipschitz"])
@pytest.mark.parametrize("model", [MLP, LeNet, Module], ids=lambda each: each.family)
def test_outputs_are_divided_by_the_norms_of_all_layers(model, name):
    given = {MLP: {"width": (5, 4), "bias": True}, LeNet: {"bias": True}, Module: {"source": chain}}[model]
    domain, plain, normalized = images(), model(**given), model(**given, normalize_weights=name)
    whitened, own = plain.whiten(domain, weights=True), normalized.whiten(domain)
    column = drawn(own, 0)
    matrices = [own.network.matrices(index, column[rows]) for index, rows in enumerate(own.blocks)]
    order, factor = {"frobenius": ("fro", 1 / 3), "lipschitz": (2, 1.0)}[name]
    sizes = [torch.linalg.matrix_norm(each, ord=order) * factor for layer in matrices for each in layer]
    scale = torch.stack(sizes).prod(0)
    torch.testing.assert_close(own.vectors(column), whitened.vectors(column) / scale, rtol=1e-4, atol=1e-10)
    held_out = whitened.held_out(column, torch.Generator()) / scale
    torch.testing.assert_close(own.held_out(column, torch.Generator()), held_out, rtol=1e-4, atol=1e-10)
    network = normalized.network(domain)
    torch.testing.assert_close(network.scale(own.weights(column)), scale, rtol=1e-4, atol=0)
    other, sweep = drawn(own, 1), own.sweep(column)
    for place, rows in enumerate(own.blocks):
        if place:
            sweep.advance()
        column[rows] = other[rows]
        torch.testing.assert_close(sweep.vectors(other[rows]), own.vectors(column), rtol=1e-4, atol=1e-10)
    assert normalized.facts["normalize_weights"] == name
    assert "normalize_weights" not in plain.facts


# --- LeNet ------------------------------------------------------------------------------------------------------------


def test_lenet_at_half_width_has_the_weights_of_chiang():
    whitened = LeNet(bias=True).whiten(images(side=28))
    assert whitened.size == 11_074
    assert [rows.stop - rows.start for rows in whitened.blocks] == [78, 608, 7740, 2562, 86]
    assert LeNet(1.0).sizes == (6, 16, 120, 84)
    assert LeNet((3, 8, 60, 42)).sizes == LeNet().sizes


@pytest.mark.parametrize(
    ("changes", "features", "said"),
    [
        ({"width": 0}, (8, 8), "width is 0"),
        ({"width": (3, 8)}, (8, 8), r"width is \(3, 8\)"),
        ({"activation": "sine"}, (8, 8), "activation is 'sine'"),
        ({}, (9,), "for images"),
        ({}, (3, 8), "at least 4 × 4"),
        ({}, (8, 8, 3), r"\(channels, height, width\)"),
    ],
    ids=str,
)
def test_what_is_no_lenet_is_refused(changes, features, said):
    with pytest.raises(InputError, match=said):
        LeNet(**changes).whiten(Inputs(np.ones((3, *features)), None, 2))


# --- refusals ---------------------------------------------------------------------------------------------------------


class Noisy(nn.Linear):
    def forward(self, value):
        return super().forward(value) + torch.randn(2)


class Counting(nn.Linear):
    def __init__(self) -> None:
        super().__init__(36, 2)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, value):
        self.seen += 1
        return super().forward(value)


class Centred(nn.Linear):
    def forward(self, value):
        return super().forward(value - value.mean(0))


class Lost(nn.Linear):
    def forward(self, value):
        return super().forward(value) * float("nan")


def flat(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), *layers)


REFUSED = {
    "fails": (lambda: flat(nn.Linear(35, 2)), "failed with RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    "wrong outputs": (
        lambda: flat(nn.Linear(36, 10)),
        r"gave the shape \(3, 10\) for a trial of 3 examples; it must give \(3, 2\)",
    ),
    "no tensor": (lambda: nn.GRU(6, 2, batch_first=True), "gave tuple"),
    "dropout": (lambda: flat(nn.Linear(36, 2), nn.Dropout()), r"has dropout \(2, Dropout\): .* not of chance"),
    "batch norm": (lambda: flat(nn.Linear(36, 2), nn.BatchNorm1d(2)), "has batch statistics .* LayerNorm"),
    "chance": (lambda: Noisy(36, 2), "gave other outputs when it ran again"),
    "state": (Counting, "changes its buffer 'seen'"),
    "other examples": (lambda: Centred(36, 2), "other outputs in a batch than alone"),
    "nan": (lambda: Lost(36, 2), "not finite in each of 1000 draws"),
    "no parameters": (nn.Flatten, "no parameters that require gradients"),
    "many weights": (lambda: flat(nn.Linear(36, 300_000, bias=False)), "10800000 weights, and .* takes 44.2 GB"),
    "an argument": (lambda size: nn.Linear(36, size), "asks for 'size'"),
    "no module": (lambda: 3, "made int; it must be or make a torch.nn.Module"),
    "raises": (lambda: {}["x"], "failed with KeyError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_is_refused_in_one_line(name):
    source, said = REFUSED[name]
    with pytest.raises(InputError, match=said) as refusal:
        Module(source, name="net").whiten(images())
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("model 'net'")


def test_too_many_weights_are_told_before_they_are_made():
    made = []

    def large() -> nn.Module:
        made.append(nn.Linear(10**6, 10**6, bias=False))
        return made[-1]

    with pytest.raises(InputError, match=f"at most {MOST_WEIGHTS}"):
        Module(large).whiten(images())
    assert [each.weight.device.type for each in made] == ["meta"]


def test_a_module_is_for_labelled_examples():
    with pytest.raises(InputError, match="an array of shape"):
        Module(chain).whiten((5, 5))
    assert isinstance(as_model(chain()), Module)
    assert isinstance(as_model(Recurrent), Module)
    assert isinstance(as_model(lambda: torch.zeros(2, 2)), ProgramModel)
