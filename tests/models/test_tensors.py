"""Factorised tensors: the matrix model at order two, plain contractions as twins, laws that have a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bayesgc.models import ACTIVATIONS, CPFactorization, MatrixFactorization, TensorTrain, WhitenedProgram
from bayesgc.validate import InputError

FAMILIES = [CPFactorization, TensorTrain]
ORDERS = [(3, 4, 5), (2, 3, 2, 4)]
LETTERS = "abcd"


def normals(size: int, draws: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, draws, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensors(model, shape: tuple[int, ...], draws: int, seed: int = 0) -> np.ndarray:
    """(draw, *shape)."""
    whitened = model.whiten(shape)
    return whitened.vectors(normals(whitened.size, draws, seed)).T.reshape(draws, *shape).numpy()


def einsum_of(model, weights: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The tensor of one draw from its weight matrices, by the definitions and nothing else."""
    act = ACTIVATIONS[model.activation]
    order = len(shape)

    def chain(mode: int, value: np.ndarray) -> np.ndarray:
        """The layers that follow the first one of a mode, with the activation after each."""
        value = act(torch.from_numpy(value)).numpy()
        for j in range(2, model.depth):
            value = act(torch.from_numpy(weights[f"A{mode}_{j}"] @ value.reshape(len(value), -1))).numpy()
        return value.reshape(len(value), -1)

    first = {m: weights[f"A{m}" if model.depth == 2 else f"A{m}_1"] for m in range(2, order + 1)}
    if isinstance(model, CPFactorization):
        factors = [chain(mode, first[mode]) for mode in range(2, order + 1)]
        letters = LETTERS[:order]
        terms = ",".join(["ar", *(f"r{letter}" for letter in letters[1:])])
        return np.einsum(f"{terms}->{letters}", weights["A1"], *factors)
    features = chain(order, first[order])
    for mode in range(order - 1, 1, -1):
        core = first[mode].reshape(len(first[mode]), shape[mode - 1], -1)
        features = chain(mode, np.einsum("kib,bj->kij", core, features))
    return (weights["A1"] @ features).reshape(shape)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("activation", ["linear", "tanh", "relu"])
@pytest.mark.parametrize("depth", [2, 3, 10])
def test_a_tensor_of_order_two_is_the_matrix_model_draw_for_draw(family, depth, activation, normalize):
    model = family(depth, 6, activation, normalize=normalize)
    matrix = MatrixFactorization(depth, 6, activation, normalize=normalize)
    ours, theirs = model.whiten((3, 5)), matrix.whiten((3, 5), weights=True)
    z = normals(ours.size, 40)
    assert torch.equal(ours.vectors(z), theirs.vectors(z))
    # Negative control: the other orientation has another law, and other draws.
    assert not torch.equal(ours.vectors(z), model.whiten((5, 3)).vectors(z))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", ORDERS)
@pytest.mark.parametrize(("depth", "width"), [(2, 3), (2, 1), (4, (2, 5, 3))])
@pytest.mark.parametrize("activation", ["linear", "tanh", "leaky-relu"])
def test_a_draw_is_the_plain_contraction_of_its_weights(family, shape, depth, width, activation):
    whitened = family(depth, width, activation, scaling="unit", normalize=False).whiten(shape)
    z = normals(whitened.size, 3)
    weights = {name: value.numpy() for name, value in whitened.weights(z).items()}
    model = family(depth, width, activation)
    for draw in range(3):
        expected = einsum_of(model, {name: value[draw] for name, value in weights.items()}, shape)
        np.testing.assert_allclose(whitened.vectors(z)[:, draw].reshape(shape), expected, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prior", ["gaussian", "uniform:mean=0.3"])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_pyro_program_and_the_fast_form_are_one_model(family, prior, normalize):
    model = family(3, (4, 2), "tanh", prior, normalize=normalize)
    shape = (3, 2, 4)
    fast, program = model.whiten(shape), WhitenedProgram(model.program(shape), shape, batched=True)
    z = normals(fast.size, 6)
    torch.testing.assert_close(fast.vectors(z), program.vectors(z))
    assert list(program.weights(z)) == list(fast.weights(z)) == model.layer_names(shape)
    one_by_one = WhitenedProgram(model.program(shape), shape, batched=False)
    torch.testing.assert_close(fast.vectors(z), one_by_one.vectors(z))


def test_weights_are_named_by_mode():
    assert CPFactorization().layer_names((4, 4, 4)) == ["A3", "A2", "A1"]
    assert TensorTrain(3).layer_names((4, 4)) == ["A2_1", "A2_2", "A1"]
    assert CPFactorization(3, (7, 2)).layer_shapes((3, 4, 5)) == [(7, 5), (2, 7), (7, 4), (2, 7), (3, 2)]
    assert TensorTrain(3, (7, 2)).layer_shapes((3, 4, 5)) == [(7, 5), (2, 7), (7, 8), (2, 7), (3, 2)]


# --- laws -------------------------------------------------------------------------------------------------------------


def away(values: np.ndarray, expected: float) -> float:
    """How many standard errors the mean of independent values is from what is expected."""
    return abs(values.mean() - expected) / (values.std() / math.sqrt(len(values)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", ORDERS)
@pytest.mark.parametrize(("depth", "width"), [(2, 1), (2, 7), (3, 4), (4, (2, 5, 3))])
@pytest.mark.parametrize("scaling", ["fan-out", "fan-in"])
def test_entries_have_the_variance_of_the_matrix_model(family, shape, depth, width, scaling):
    drawn = tensors(family(depth, width, scaling=scaling, normalize=False), shape, 20_000)
    expected = 1 / shape[0] if scaling == "fan-out" else 1 / math.prod(shape[1:])
    squares = np.square(drawn).mean(axis=tuple(range(1, len(shape) + 1)))
    assert away(squares, expected) < 4.5
    # Negative control: a scale that is not shared among the factors is off by the width to some power.
    if family is CPFactorization and scaling == "fan-out" and width != 1:
        assert away(squares, expected * model_width(width) ** (2 - len(shape))) > 6
    assert away(drawn[:, 0, 0].reshape(len(drawn), -1)[:, 0], 0.0) < 4.5


def model_width(width: int | tuple[int, ...]) -> int:
    return width if isinstance(width, int) else width[-1]


def test_the_uniform_prior_keeps_a_third_for_each_matrix():
    squares = np.square(tensors(CPFactorization(2, 3, prior="uniform", normalize=False), (3, 4, 5), 20_000))
    assert away(squares.mean(axis=(1, 2, 3)), 1 / 3 / 3**3) < 4.5


@pytest.mark.parametrize("width", [1, 4])
def test_fourth_moments_of_an_entry(width):
    """Σ_r a b c has E T⁴ = v² (3^N k + 3k(k−1)), v = 1/(k n_1); a train of order three 3 (k+2)²/(k n_1)²."""
    shape, count = (2, 2, 2), 400_000
    fourth = {family: tensors(family(2, width, normalize=False), shape, count)[:, 0, 1, 0] ** 4 for family in FAMILIES}
    sum_of_products = (27 / width + 3 * (1 - 1 / width)) / 4
    train = 3 * (width + 2) ** 2 / (4 * width**2)
    assert away(fourth[CPFactorization], sum_of_products) < 4.5
    assert away(fourth[TensorTrain], train) < 4.5
    # Negative control: the Gaussian limit of large widths.
    assert away(fourth[CPFactorization], 3 / 4) > 6


def test_the_law_of_a_tensor_of_rank_one():
    """T = a ⊗ b ⊗ c, Gaussian: ‖T‖² = χ²_3 χ²_4 χ²_5 / n_1, apart from three uniform directions, all independent."""
    drawn = tensors(CPFactorization(2, 1, normalize=False), (3, 4, 5), 4000)
    norms = np.linalg.norm(drawn.reshape(len(drawn), -1), axis=1)
    rng = np.random.default_rng(0)
    twin = np.sqrt(rng.chisquare(3, 40_000) * rng.chisquare(4, 40_000) * rng.chisquare(5, 40_000) / 3)
    assert stats.ks_2samp(norms, twin).pvalue > 1e-3
    assert stats.ks_2samp(norms, 1.1 * twin).pvalue < 1e-3  # Negative control.
    assert away(norms**2, 20.0) < 4.5
    assert away(np.log(norms), expected_log_norm((3, 4, 5))) < 4.5
    directions = [np.linalg.svd(np.moveaxis(drawn, axis, 1).reshape(len(drawn), side, -1))[0][:, :, 0]
                  for axis, side in enumerate((3, 4, 5), start=1)]  # fmt: skip
    for axis, (side, direction) in enumerate(zip((3, 4, 5), directions, strict=True)):
        # The square of one coordinate of a uniform direction is Beta(1/2, (n − 1)/2), whatever the norm.
        share = direction[:, 0] ** 2
        assert stats.kstest(share, stats.beta(0.5, (side - 1) / 2).cdf).pvalue > 1e-3
        assert abs(stats.spearmanr(share, norms).statistic) < 4.5 / math.sqrt(len(norms))
        other = directions[(axis + 1) % 3][:, 0] ** 2
        assert abs(stats.spearmanr(share, other).statistic) < 4.5 / math.sqrt(len(norms))


def expected_log_norm(shape: tuple[int, ...]) -> float:
    """E log ‖T‖ = Σ_m ½ (log 2 + ψ(n_m/2)) − ½ log n_1."""
    from scipy.special import digamma

    return sum(math.log(2) + digamma(side / 2) for side in shape) / 2 - math.log(shape[0]) / 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("depth", [2, 40, 300])
def test_normalised_tensors_have_norm_one_at_any_depth(family, depth):
    drawn = tensors(family(depth, 3), (3, 2, 4), 20)
    np.testing.assert_allclose(np.linalg.norm(drawn.reshape(20, -1), axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 1}, "depth is 1; a tensor factorisation has a depth of at least 2"),
        ({"depth": 3, "width": (2,)}, r"width is \(2,\); a depth of 3 has 2 hidden layers"),
        ({"prior": "cauchy"}, "prior is 'cauchy'"),
        ({"scaling": "fan"}, "scaling is 'fan'"),
    ],
)
def test_wrong_options_are_refused(family, options, message):
    with pytest.raises(InputError, match=message):
        family(**options)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_is_no_tensor(family):
    with pytest.raises(InputError, match=r"the shape \(4,\); a tensor factorisation needs two or more sides"):
        family().whiten((4,))


def test_a_priors_function_is_the_final_law_of_each_matrix():
    import pyro.distributions as dist

    def wide(rows: int, cols: int) -> dist.Distribution:
        return dist.Normal(0.0, 2.0).expand([rows, cols]).to_event(2)

    weights = CPFactorization(2, 3, prior=wide).laws((4, 4, 4))
    assert [float(law.stddev.unique()) for law in weights.values()] == [2.0, 2.0, 2.0]
