"""Infinitely wide perceptrons: their kernel against twins and wide networks, and the process that is drawn from it."""

from __future__ import annotations

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from bayesgc.models import MLP, InfiniteMLP, as_model
from bayesgc.models.activations import ACTIVATIONS, Activation, activation_named
from bayesgc.models.kernels import expected_products
from bayesgc.models.priors.prior import PRIORS, RegisteredPrior
from bayesgc.models.program import trainable
from bayesgc.task import Inputs
from bayesgc.validate import InputError

CPU = torch.device("cpu")
MODELS = {
    "relu": InfiniteMLP(2),
    "relu with biases": InfiniteMLP(3, bias=True, scaling="kaiming"),
    "tanh with biases": InfiniteMLP(2, "tanh", bias=True),
    "leaky relu": InfiniteMLP(1, "leaky-relu"),
    "linear": InfiniteMLP(1, "linear"),
    "fan-out": InfiniteMLP(2, bias=True, scaling="fan-out"),
    "fan-out of tanh": InfiniteMLP(2, "tanh", bias=True, scaling="fan-out"),
}


def inputs(train: int = 5, features: int = 4, test: int = 3, outputs: int = 2) -> Inputs:
    source = np.random.default_rng(0)
    return Inputs(source.standard_normal((train, features)), source.standard_normal((test, features)), outputs)


def columns_of(domain: Inputs) -> np.ndarray:
    return np.concatenate([domain.flat_train, domain.flat_test], axis=1)


def drawn(whitened, draws: int, seed: int = 0) -> torch.Tensor:
    """Outputs at all inputs, (input, output, draw), in double precision."""
    source = torch.Generator().manual_seed(seed)
    normals = whitened.draw(source, draws, device=CPU, dtype=torch.float64)
    both = torch.cat([whitened.vectors(normals), whitened.held_out(normals, source)])
    return both.unflatten(0, (-1, 2))


# --- the kernel -------------------------------------------------------------------------------------------------------


def expectation(function, variances: tuple[float, float], covariance: float, reach: float = 9.0) -> float:
    """E of a product by the trapezoidal rule over two independent normals: a slow twin, exact where σ is analytic."""
    grid = np.linspace(-reach, reach, 1201)
    weight = np.exp(-(grid**2) / 2)
    weight /= weight.sum()
    correlation = covariance / math.sqrt(variances[0] * variances[1])
    across = math.sqrt(max(0.0, 1 - correlation**2))
    first = function(math.sqrt(variances[0]) * grid)
    second = function(math.sqrt(variances[1]) * (correlation * grid[:, None] + across * grid))
    return float(weight * first @ second @ weight)


@pytest.mark.parametrize("variances", [(1e-8, 3e-8), (0.3, 0.5), (1.0, 9.0), (16.0, 16.0)])
@pytest.mark.parametrize("correlation", [-1.0, -0.6, 0.0, 0.3, 0.999, 1.0])
def test_the_kernel_of_tanh_is_that_of_a_twin(variances, correlation):
    mixed = correlation * math.sqrt(variances[0] * variances[1])
    covariance = torch.tensor([[variances[0], mixed], [mixed, variances[1]]], dtype=torch.float64)
    found = expected_products(activation_named("tanh"), covariance)
    sizes = math.sqrt(float(found[0, 0] * found[1, 1]))
    assert abs(float(found[0, 1]) - expectation(np.tanh, variances, mixed)) < 1e-12 * max(sizes, 1e-3)
    torch.testing.assert_close(found, found.mT)


def test_tanh_of_large_numbers_is_their_sign():
    """The kernel of signs is (2/π) asin ρ; tanh differs from them with a probability of the order of 1/size."""
    covariance = 1e16 * torch.tensor([[1.0, 0.4], [0.4, 1.0]], dtype=torch.float64)
    found = expected_products(activation_named("tanh"), covariance)
    assert float(found[0, 0]) == pytest.approx(1, abs=1e-7)
    assert float(found[0, 1]) == pytest.approx(2 / math.pi * math.asin(0.4), abs=1e-7)


@pytest.mark.parametrize("name", ["relu", "leaky-relu", "linear"])
def test_the_kernels_of_homogeneous_activations_are_those_of_a_twin(name):
    """Of the twin kinks cost digits, so a few are asked for; the angle form of Cho and Saul has all of them."""
    covariance = torch.tensor([[2.0, 0.7], [0.7, 0.5]], dtype=torch.float64)
    found = expected_products(activation_named(name), covariance)
    twin = expectation(lambda x: activation_named(name)(torch.from_numpy(x)).numpy(), (2.0, 0.5), 0.7)
    assert float(found[0, 1]) == pytest.approx(twin, abs=1e-4)
    if name == "relu":
        angle = math.acos(0.7)
        exact = (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
        assert float(found[0, 1]) == pytest.approx(exact, abs=1e-14)
        assert found.diagonal().tolist() == pytest.approx([1.0, 0.25], abs=1e-14)


def test_a_small_difference_of_inputs_keeps_its_digits():
    """Of relu E (σ(x) − σ(y))² is about half the square of a small difference."""
    for step in (1e-2, 1e-4, 1e-6):
        covariance = torch.tensor([[1.0, 1 - step**2 / 2], [1 - step**2 / 2, 1.0]], dtype=torch.float64)
        found = expected_products(activation_named("relu"), covariance)
        assert float(found[0, 0] + found[1, 1] - 2 * found[0, 1]) == pytest.approx(step**2 / 2, rel=0.01, abs=4e-16)


def layered(model: InfiniteMLP, columns: np.ndarray, outputs: int) -> np.ndarray:
    """The kernel by a recursion of its own: variances of weights times fans, biases as the finite network has them."""
    activation = activation_named(model.activation)
    each = {"fan-in": 1.0, "kaiming": 2.0, "fan-out": 1.0}[model.scaling]
    fan_out = model.scaling == "fan-out"
    found = each * (columns.T @ columns + model.bias) / (1 if fan_out else len(columns))
    for _ in range(model.layers):
        if fan_out and activation.name == "tanh":
            passed = found
        else:
            function = lambda x: activation(torch.from_numpy(x)).numpy()  # noqa: E731 - used at once
            count = len(found)
            passed = np.array([
                [expectation(function, (found[i, i], found[j, j]), found[i, j]) for j in range(count)]
                for i in range(count)
            ])  # fmt: skip
        found = each * passed + (model.bias if fan_out else 0)
    return found / (outputs if fan_out else 1)


@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_goes_through_the_layers(name):
    columns = np.random.default_rng(1).standard_normal((4, 3))
    np.testing.assert_allclose(MODELS[name].kernel(columns, 2), layered(MODELS[name], columns, 2), atol=1e-3)


def test_a_prior_of_another_scale_counts_by_its_variance(monkeypatch):
    def halved(rows: int, cols: int, *, scale: float) -> dist.Distribution:
        """Normals of half the scale."""
        return dist.Normal(0.0, scale / 2).expand([rows, cols]).to_event(2)

    monkeypatch.setitem(PRIORS, "halved", RegisteredPrior("halved", halved, scaled=True))
    columns = columns_of(inputs())
    narrow = InfiniteMLP(1, "tanh", prior=("halved", "gaussian")).kernel(columns, 2)
    np.testing.assert_allclose(narrow, InfiniteMLP(1, "tanh").kernel(columns / 2, 2), atol=1e-12)
    last = InfiniteMLP(1, "tanh", prior="gaussian,halved").kernel(columns, 2)
    np.testing.assert_allclose(4 * last, InfiniteMLP(1, "tanh").kernel(columns, 2), atol=1e-12)


# --- wide networks ----------------------------------------------------------------------------------------------------


def deviations(sample: torch.Tensor, kernel: np.ndarray) -> float:
    """The largest distance of second moments from a kernel, in standard errors; (input, output, draw)."""
    flat = sample.flatten(1)
    products = flat[:, None] * flat[None]
    error = products.std(2) / math.sqrt(flat.shape[1])
    return float(((products.mean(2) - torch.from_numpy(kernel)).abs() / error).max())


@pytest.mark.parametrize("name", MODELS)
def test_draws_have_the_kernel(name):
    model, domain = MODELS[name], inputs()
    sample, columns = drawn(model.whiten(domain), 20_000), columns_of(domain)
    # Of 36 normals the largest is above 4.2 with probability 1e-3.
    assert deviations(sample, model.kernel(columns, 2)) < 4.2
    independent = (sample[:, 0] * sample[:, 1]).mean(1) / (sample[:, 0] * sample[:, 1]).std(1) * math.sqrt(20_000)
    assert float(independent.abs().max()) < 4.2
    # Negative control: the kernel of one more layer.
    deeper = InfiniteMLP(model.layers + 1, model.activation, model.bias, model.prior, model.scaling)
    if model.activation != "linear":
        shallow_and_deep = deviations(sample, deeper.kernel(columns, 2))
        assert shallow_and_deep > 5 or (model.scaling == "fan-out" and model.activation == "tanh" and not model.bias)


ONE = [InfiniteMLP(1), InfiniteMLP(1, bias=True, scaling="fan-out"), InfiniteMLP(1, "tanh", True, scaling="kaiming")]
TWO = [InfiniteMLP(2), InfiniteMLP(2, "tanh", bias=True), InfiniteMLP(2, bias=True, scaling="fan-out")]


def assert_wide_networks_have_the_kernel(model: InfiniteMLP, width: int, batches: int):
    """Second moments of outputs at training and test inputs together, of 200 draws a batch, and their control."""
    domain = inputs()
    columns = columns_of(domain)
    wide = MLP((width,) * model.layers, model.activation, model.bias, scaling=model.scaling).whiten(domain)
    sample = torch.cat([drawn(wide, 200, seed) for seed in range(batches)], dim=2)
    assert deviations(sample, model.kernel(columns, 2)) < 4.2
    deeper = InfiniteMLP(model.layers + 1, model.activation, model.bias, scaling=model.scaling)
    assert deviations(sample, deeper.kernel(columns, 2)) > 5


@pytest.mark.parametrize("model", ONE, ids=str)
def test_wide_networks_have_the_kernel(unchecked, model):
    """Of one hidden layer the kernel holds at any width but for the bias of the output, which is 1/width."""
    assert_wide_networks_have_the_kernel(model, 500, 15)


@pytest.mark.slow
@pytest.mark.parametrize("model", TWO, ids=str)
def test_wide_and_deep_networks_have_the_kernel(unchecked, model):
    """Of two it is off by the order of 1/width, a part in a hundred, and the errors are of two or three."""
    assert_wide_networks_have_the_kernel(model, 400, 10)


# --- the process ------------------------------------------------------------------------------------------------------

AWKWARD = {
    "more inputs than features": (InfiniteMLP(1, "linear"), np.random.default_rng(2).standard_normal((9, 3))),
    "multiples": (InfiniteMLP(2), np.outer([1.0, 2.0, 3.0, 1e9, 1e-9], [1.0, -1.0, 0.5])),
    "repeated": (InfiniteMLP(2, "tanh", bias=True), np.repeat(np.random.default_rng(3).random((3, 4)), 2, axis=0)),
    "zeros": (InfiniteMLP(2), np.zeros((4, 3))),
    "some zeros": (InfiniteMLP(2), np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0], [3.0, -1.0]])),
    "close": (InfiniteMLP(2), 1 + 1e-5 * np.random.default_rng(4).standard_normal((5, 3))),
    "scales": (InfiniteMLP(2), 10.0 ** np.arange(-20, 20, 8)[:, None] * np.random.default_rng(5).random((5, 3))),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_any_inputs_have_a_root(name):
    """All second moments, read off the process itself with unit normals; the inputs are trained on and tested on."""
    model, examples = AWKWARD[name]
    order = np.random.default_rng(6).permutation(len(examples))
    domain = Inputs(examples, np.concatenate([examples[order], examples + 0.1]), 2)
    whitened = model.whiten(domain)
    kernel = model.kernel(columns_of(domain), 2)
    train = whitened.root(torch.zeros(1, dtype=torch.float64)).numpy()
    test = whitened._test.array
    left = np.zeros((test.shape[0], 1)) if whitened._missed is None else whitened._missed.array
    whole = np.block([[train, np.zeros((len(train), left.shape[1]))], [test, left]])
    scale = np.sqrt(np.maximum(kernel.diagonal(), 1e-300))
    np.testing.assert_allclose(whole @ whole.T / np.outer(scale, scale), kernel / np.outer(scale, scale), atol=1e-12)
    assert whitened.rank <= len(np.unique(examples, axis=0))
    assert whitened.size == 2 * whitened.rank >= 2
    # An input that is both has one output.
    normals = whitened.draw(torch.Generator().manual_seed(0), 5, device=CPU, dtype=torch.float64)
    unit = torch.from_numpy(scale[: len(examples), None, None])
    trained = whitened.vectors(normals).unflatten(0, (-1, 2)) / unit
    tested = whitened.held_out(normals, torch.Generator()).unflatten(0, (-1, 2))[: len(examples)]
    torch.testing.assert_close(tested / unit[order], trained[order], atol=1e-6, rtol=0)


def test_the_linear_process_has_the_rank_of_its_inputs():
    assert InfiniteMLP(1, "linear").whiten(inputs(train=9, features=3)).rank == 3
    assert InfiniteMLP(1, "linear", bias=True).whiten(inputs(train=9, features=3)).rank == 4
    assert InfiniteMLP(1).whiten(inputs(train=9, features=3)).rank == 9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_repeated_inputs_have_the_very_same_outputs(dtype):
    examples = np.random.default_rng(0).standard_normal((40, 7))
    whitened = InfiniteMLP(2).whiten(Inputs(np.concatenate([examples, examples[::-1]]), None, 3))
    normals = whitened.draw(torch.Generator().manual_seed(0), 500, device=CPU, dtype=dtype)
    outputs = whitened.vectors(normals).unflatten(0, (80, 3))
    assert outputs.dtype == dtype
    assert torch.equal(outputs[:40], outputs[40:].flip(0))
    assert whitened.held_out(normals, torch.Generator()) is None


@pytest.mark.parametrize("name", MODELS)
def test_the_fast_form_is_the_program(name):
    domain = Inputs(np.repeat(inputs().train, 2, axis=0), inputs().test, 2)
    model = MODELS[name]
    whitened = model.whiten(domain)
    column = whitened.draw(torch.Generator().manual_seed(0), 6, device=CPU, dtype=torch.float64)
    sites = {"normals": column.T.unflatten(1, (whitened.rank, 2))}
    with pyro.poutine.condition(data=sites):
        value = model.program(domain)()
    assert value.shape == (6, 10, 2)
    torch.testing.assert_close(value.flatten(1).T, whitened.vectors(column))
    assert as_model(model) is model
    assert trainable(model) is None


def test_draws_do_not_depend_on_what_stands_beside_them():
    whitened = MODELS["relu"].whiten(inputs())
    column = whitened.draw(torch.Generator().manual_seed(0), 6, device=CPU, dtype=torch.float64)
    alone = torch.cat([whitened.vectors(column[:, [i]]) for i in range(6)], dim=1)
    torch.testing.assert_close(whitened.vectors(column), alone)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers is 0"),
        ({"layers": math.inf}, "layers is inf"),
        ({"activation": "sine"}, "activation is 'sine'"),
        ({"scaling": "unit"}, "scaling is 'unit', with which the outputs of an infinitely wide network are infinite"),
        ({"scaling": "wide"}, "scaling is 'wide'; choose one of fan-out"),
        ({"bias": 1}, "bias is 1"),
        ({"prior": "uniform"}, "prior is 'uniform'; an infinitely wide network has a kernel"),
        ({"prior": "gaussian:mean=1"}, "where weights are centred normals"),
        ({"prior": "student-t:df=3"}, "where weights are centred normals"),
        ({"prior": "orthogonal"}, "where weights are centred normals"),
        ({"prior": ("gaussian", "laplace", "gaussian", "gaussian")}, "prior is 'laplace'"),
        ({"prior": "gaussian,gaussian"}, "lists 2 layers; the model has 4"),
        ({"prior": print}, "takes one by name"),
        ({"prior": "gausian"}, "gausian"),
    ],
    ids=str,
)  # fmt: skip
def test_what_has_no_known_kernel_is_refused(unchecked, changes, message):
    with pytest.raises(InputError, match=message):
        InfiniteMLP(**changes)


def test_an_activation_of_ones_own_may_have_no_known_kernel(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "sine", Activation("sine", "sin x", torch.sin, torch.ones_like))
    with pytest.raises(
        InputError, match="the kernel of 'sine' is not known here; take tanh, or one that is positively"
    ):
        InfiniteMLP(1, "sine")
    own = Activation("mine", "|x|", torch.abs, torch.sign, homogeneous=True)
    monkeypatch.setitem(ACTIVATIONS, "mine", own)
    covariance = InfiniteMLP(1, "mine").kernel(np.eye(2), 2)
    np.testing.assert_allclose(covariance, [[0.5, 1 / math.pi], [1 / math.pi, 0.5]], atol=1e-14)


def test_widths_and_inputs_that_do_not_fit_are_refused(unchecked):
    for width in (math.inf, (20, math.inf)):
        with pytest.raises(InputError, match="InfiniteMLP has infinitely wide layers"):
            MLP(width)
    with pytest.raises(InputError, match="an array of shape"):
        InfiniteMLP().whiten((5, 5))
    with pytest.raises(InputError, match="10001 here; choose 10000 at most"):
        InfiniteMLP().kernel(np.zeros((1, 10_001)), 2)
    with pytest.raises(InputError, match="not finite at these inputs"), np.errstate(over="ignore", invalid="ignore"):
        InfiniteMLP().whiten(Inputs(np.array([[1e200], [1.0]]), None, 2))
    whitened = InfiniteMLP().whiten(inputs(), weights=True)
    with pytest.raises(InputError, match="no weights that could be kept"):
        whitened.weights(torch.zeros(whitened.size, 1))
