"""Arrays with holes: NaN, masks, sparse matrices, from files and from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from bayesgc.task import load
from bayesgc.validate import InputError

VALUES = np.array([[1.0, 2, 3], [4, 5, 7], [8, 8, 9]])
HOLES = np.array([[False, True, False], [False, False, True], [False, False, False]])
WITH_NAN = np.where(HOLES, np.nan, VALUES)
SPARSE = scipy.sparse.coo_array(([4.0, 0.0, 5.0, 1.0], ([0, 0, 1, 2], [0, 2, 1, 2])), shape=(3, 3))


def assert_holes(task, values=VALUES, holes=HOLES):
    assert task.shape == values.shape
    assert task.unobserved_cells.tolist() == np.flatnonzero(holes).tolist()
    table = np.zeros(task.shape)
    table.flat[task.cells] = task.targets
    np.testing.assert_allclose(task.in_units(table)[~holes], values[~holes])


def test_nan_and_masks_mark_the_holes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", WITH_NAN)
    np.savez(tmp_path / "b.npz", values=WITH_NAN)
    np.savez(tmp_path / "c.npz", values=VALUES, mask=HOLES)
    for source in (*(tmp_path / name for name in ("a.npy", "b.npz", "c.npz")), WITH_NAN):
        assert_holes(load(source))
    assert_holes(load(np.ma.array(VALUES, mask=HOLES)))
    assert_holes(load(np.ma.masked_invalid(WITH_NAN)))


def test_a_truth_makes_held_out_cells_known(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", values=WITH_NAN, truth=VALUES)
    task = load(tmp_path / "a.npz")
    np.testing.assert_allclose(task.in_units(task.truth), VALUES)
    assert task.judged


def test_tensors_of_any_order_share_one_scale() -> None:
    values = np.random.default_rng(0).normal(3, 2, (3, 4, 2))
    holes = values > 5
    task = load(np.where(holes, np.nan, values))
    assert_holes(task, values, holes)
    assert task.dims == ("mode1", "mode2", "mode3")
    assert task.targets.var() == pytest.approx(1 / 3)


def test_what_is_stored_of_a_sparse_matrix_is_observed(tmp_path: Path) -> None:
    lines = ["%%MatrixMarket matrix coordinate real general", "3 3 4", "1 1 4", "1 3 0", "2 2 5", "3 3 1"]
    (tmp_path / "a.mtx").write_text("\n".join([*lines, ""]), encoding="utf-8")
    holes = np.ones((3, 3), dtype=bool)
    holes[SPARSE.coords] = False
    for source in (SPARSE, SPARSE.tocsr(), scipy.sparse.coo_matrix(SPARSE), tmp_path / "a.mtx"):
        assert_holes(load(source), SPARSE.toarray(), holes)
    assert load(SPARSE, standardize=False).targets.tolist() == [4, 0, 5, 1]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.ones(4), r"values has shape \(4,\); it must have two axes or more"),
        (np.array([[1, np.inf], [np.nan, 2]]), r"values\[0, 1\] is infinite"),
        (np.array([["a", "b"]]), "it must hold real numbers"),
        (VALUES, r"nothing is left to predict; the cells to predict must be NaN or masked\.$"),
        (scipy.sparse.coo_array(VALUES), r"to predict; a sparse matrix must not store the entries to predict\.$"),
        (scipy.sparse.coo_array(([1.0, np.inf], ([0, 1], [1, 0])), shape=(2, 2)), "row 2 and column 1 .* is infinite"),
        (scipy.sparse.coo_array(([-1e308, 1.5e308], ([0, 1], [1, 0])), shape=(2, 2)), "spread of the values is too"),
        (np.full((2, 2), np.nan), "no cell is observed"),
        (np.array([[1, np.nan], [2, np.nan]]), r"column 1 \(from 0\) has no observed cell"),
        (scipy.sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2)), "row 1 and column 2 .* there twice"),
    ],
)
def test_arrays_that_cannot_be_completed(source, said) -> None:
    with pytest.raises(InputError, match=said):
        load(source)


def test_files_that_cannot_be_completed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", values=WITH_NAN, mask=~HOLES)
    np.savez(tmp_path / "b.npz", values=VALUES, mask=HOLES[:2])
    (tmp_path / "c.mtx").write_text("%%MatrixMarket matrix coordinate pattern general\n2 2 1\n1 1\n", encoding="utf-8")
    (tmp_path / "d.mtx").write_text("no matrix\n", encoding="utf-8")
    (tmp_path / "e.npy").write_text("no array", encoding="utf-8")
    lines = ["%%MatrixMarket matrix coordinate real general", "2 2 2", "1 1 4", "2 1 inf", ""]
    (tmp_path / "f.mtx").write_text("\n".join(lines), encoding="utf-8")
    faults = {
        "f.mtx": "entry in row 2 and column 1 .* is infinite",
        "a.npz": "mask is true where values are",
        "b.npz": "mask is bool of shape",
        "c.mtx": "is a pattern",
        "d.mtx": "is no MatrixMarket file",
        "e.npy": "not an .npy file",
    }
    for name, said in faults.items():
        with pytest.raises(InputError, match=said):
            load(tmp_path / name)
    with pytest.raises(InputError, match="`index` is for a table"):
        load(WITH_NAN, index=True)
