"""Function-space quantities on matrices whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bayesgc.task import ArrayTask, completion, sensing
from bayesgc.task.array import spectra

TASK = sensing(3, 4, 1, 7, seed=0)


def vectorised(*matrices):
    return torch.stack([torch.as_tensor(matrix, dtype=torch.float64).reshape(-1) for matrix in matrices], dim=1)


def test_known_matrices():
    equal = np.eye(3, 4) * 2.0
    rank_one = np.outer([1.0, 2.0, 2.0], [0.0, 3.0, 0.0, 4.0])
    uneven = np.diag([3.0, 1.0, 0.0]) @ np.eye(3, 4)
    found = TASK.measures(vectorised(equal, rank_one, uneven))
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    expected = torch.tensor([3.0, 1.0, np.exp(entropy)], dtype=torch.float64)
    torch.testing.assert_close(found["effective_rank"], expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(found["nuclear_norm"], torch.tensor([6.0, 15.0, 4.0], dtype=torch.float64))
    assert found["singular_value"].shape == (3, 3)
    torch.testing.assert_close(found["singular_value"][2], torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64))


def test_losses_and_error_are_those_of_the_task():
    vectors = torch.randn(12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = TASK.measures(vectors)
    A, B = TASK.measurements.dense(), TASK.held_out.dense()
    off = vectors.numpy() - TASK.truth.reshape(-1, 1)
    np.testing.assert_allclose(found["train_loss"], np.mean((A @ off) ** 2, axis=0))
    np.testing.assert_allclose(found["gen_loss"], np.mean((B @ off) ** 2, axis=0))
    np.testing.assert_allclose(found["error"], np.sum(off**2, axis=0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_matrices_have_rank_zero(dtype):
    # As a ReLU net leaves them whose units are all inactive.
    found = TASK.measures(torch.zeros(12, 2, dtype=dtype))
    assert all(not values.isnan().any() for values in found.values())
    assert found["effective_rank"].tolist() == [0.0, 0.0]
    assert found["nuclear_norm"].dtype == dtype


def test_a_diverged_matrix_spoils_only_itself():
    vectors = torch.ones(12, 3)
    vectors[0, 0], vectors[3, 2] = torch.nan, torch.inf
    found = TASK.measures(vectors)
    for name in ("effective_rank", "nuclear_norm", "singular_value"):
        assert found[name][[0, 2]].isnan().all()
    assert found["effective_rank"][1] == pytest.approx(1.0, abs=1e-5)


def test_blocks_change_nothing(monkeypatch):
    vectors = torch.randn(12, 23, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = TASK.measures(vectors)
    monkeypatch.setattr(spectra, "_BLOCK_ENTRIES", 60)
    blocks = TASK.measures(vectors)
    assert all(torch.equal(whole[name], blocks[name]) for name in whole)


def test_no_draws():
    found = TASK.measures(torch.zeros(12, 0))
    assert found["singular_value"].shape == (0, 3)
    assert found["effective_rank"].shape == (0,)


def test_scale_does_not_change_the_effective_rank():
    vectors = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    small = TASK.measures(vectors * 1e-200)["effective_rank"]
    torch.testing.assert_close(small, TASK.measures(vectors)["effective_rank"])


def test_unknown_truth_and_nothing_held_out():
    unknown = ArrayTask("data", TASK.shape, TASK.measurements, TASK.targets)
    matrix_quantities = {"effective_rank", "nuclear_norm", "singular_value"}
    assert set(unknown.measures(torch.ones(12, 1))) == {"train_loss"} | matrix_quantities
    determined = completion(2, 3, 1, 6, seed=0)
    assert set(determined.measures(torch.ones(6, 1))) == {"train_loss", "error"} | matrix_quantities


def test_tensors_have_the_spectra_of_their_unfoldings():
    shape = (2, 3, 7)
    task = sensing(shape=shape, rank=1, measurements=4)
    rng = np.random.default_rng(0)
    rank_one = np.einsum("a,b,c->abc", *(rng.standard_normal(side) for side in shape))
    anything = rng.standard_normal(shape)
    found = task.measures(vectorised(rank_one, anything))
    assert set(found) == {"train_loss", "gen_loss", "error", "effective_rank", "nuclear_norm", "mode_singular_value"}
    unfolded = [np.moveaxis(anything, mode, 0).reshape(side, -1) for mode, side in enumerate(shape)]
    spectra = [np.linalg.svd(each, compute_uv=False) for each in unfolded]
    for mode, spectrum in enumerate(spectra):
        padded = np.r_[spectrum, np.zeros(6 - len(spectrum))]  # the third mode against the others is 7 × 6
        np.testing.assert_allclose(found["mode_singular_value"][1, mode], padded, atol=1e-12)
    np.testing.assert_allclose(found["nuclear_norm"][1], np.mean([each.sum() for each in spectra]))
    shares = [each / each.sum() for each in spectra]
    np.testing.assert_allclose(found["effective_rank"][1], np.mean([np.exp(-each @ np.log(each)) for each in shares]))
    np.testing.assert_allclose(found["effective_rank"][0], 1.0)
    np.testing.assert_allclose(found["nuclear_norm"][0], np.linalg.norm(rank_one))


def test_the_means_over_unfoldings_are_those_of_the_matrix_for_a_matrix_with_one_more_side_of_one():
    flat, thick = sensing(3, 4, measurements=4), sensing(shape=(3, 4, 1), measurements=4)
    vectors = torch.randn(12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix, tensor = flat.measures(vectors), thick.measures(vectors)
    torch.testing.assert_close(tensor["mode_singular_value"][:, 0, :3], matrix["singular_value"])
    torch.testing.assert_close(tensor["mode_singular_value"][:, 1, :3], matrix["singular_value"])
