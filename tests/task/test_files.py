"""Tasks from .npz and netCDF files, and one clear line for every kind of bad file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from bayesgc.task import ArrayTask, DenseMeasurements, ObservedCells, classification, load, regression, sensing
from bayesgc.validate import InputError


def arrays(**changes: Any) -> dict[str, Any]:
    """A good file's arrays for 4 measurements of a 2 × 3 matrix, with changes; None leaves an array out."""
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((2, 3))
    stack = generator.standard_normal((4, 2, 3))
    good = {"A": stack, "y": np.einsum("nij,ij->n", stack, truth), "truth": truth}
    return {name: array for name, array in (good | changes).items() if array is not None}


def write(folder: Path, suffix: str = ".npz", **changes: Any) -> Path:
    path = folder / f"mine{suffix}"
    content = arrays(**changes)
    if suffix.lower() == ".npz":
        with path.open("wb") as stream:
            np.savez(stream, **content)
    else:
        dims = {name: [f"{name}_{axis}" for axis in range(np.ndim(array))] for name, array in content.items()}
        xarray.Dataset({name: (dims[name], array) for name, array in content.items()}).to_netcdf(
            path, engine="h5netcdf"
        )
    return path


def fault(path: Path, **options: Any) -> str:
    """The message that a file is refused with: one line that starts with its name."""
    with pytest.raises(InputError) as caught:
        load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


def assert_same_task(task: ArrayTask, content: dict[str, Any]) -> None:
    assert task.kind == "data"
    np.testing.assert_allclose(task.measurements.dense(), content["A"].reshape(len(content["A"]), -1))
    np.testing.assert_allclose(task.targets, content["y"])
    if "truth" in content:
        np.testing.assert_allclose(task.truth, content["truth"])
    assert {array.dtype for array in (task.targets, task.measurements.dense())} == {np.dtype(np.float64)}


@pytest.mark.parametrize("suffix", [".npz", ".NPZ", ".nc"])
@pytest.mark.parametrize("truth", [True, False])
def test_arrays_are_read_as_written(tmp_path: Path, suffix: str, truth: bool) -> None:
    changes = {} if truth else {"truth": None}
    task = load(str(write(tmp_path, suffix, **changes)))
    assert_same_task(task, arrays(**changes))
    assert isinstance(task.measurements, DenseMeasurements)
    assert task.description == {"file": f"mine{suffix}"}
    assert (task.truth is None) == (not truth)


def test_compressed_and_extra_arrays_are_fine(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "mine.npz", note=np.array(["of mine"]), **arrays())
    assert_same_task(load(tmp_path / "mine.npz"), arrays())


def test_a_result_is_no_data(tmp_path: Path) -> None:
    xarray.Dataset(attrs={"creation_library": "bayesgc"}).to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
    assert "is a result, not data; `load_result` opens it" in fault(tmp_path / "mine.nc")


def test_classic_netcdf_is_netcdf(tmp_path: Path) -> None:
    dims = {"A": ("n", "row", "col"), "y": ("n",), "truth": ("row", "col")}
    dataset = xarray.Dataset({name: (dims[name], array) for name, array in arrays().items()})
    # Units of time are what they say in a measurement, and no reason to decode it into a date.
    dataset["y"].attrs["units"] = "days"
    dataset.to_netcdf(tmp_path / "mine.nc", engine="scipy")
    assert_same_task(load(tmp_path / "mine.nc"), arrays())


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float32, np.float16])
def test_other_real_types_become_double_precision(tmp_path: Path, dtype: type) -> None:
    stack = (np.random.default_rng(1).integers(0, 2, (4, 2, 3)) + np.eye(4, 6).reshape(4, 2, 3)).astype(dtype)
    content = arrays(A=stack, y=np.array([1, 0, 1, 1], dtype=dtype), truth=None)
    assert_same_task(load(write(tmp_path, **content, truth=None)), content)


def test_dependence_is_judged_at_the_precision_of_the_file(tmp_path: Path) -> None:
    stack = arrays()["A"].copy()
    stack[3] = stack[0] + stack[1]
    assert load(write(tmp_path, A=stack.astype(np.float32))).held_out.count == 3
    assert load(write(tmp_path, A=stack)).held_out.count == 3
    assert load(write(tmp_path)).held_out.count == 2


def test_arrays_of_higher_order(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).standard_normal((5, 2, 3, 4))
    task = load(write(tmp_path, A=stack, y=np.ones(5), truth=np.ones((2, 3, 4))))
    assert (task.shape, task.dims) == ((2, 3, 4), ("mode1", "mode2", "mode3"))


def test_single_cells_are_recognised_in_their_order(tmp_path: Path) -> None:
    stack = np.eye(6)[[4, 0, 3]].reshape(3, 2, 3)
    task = load(write(tmp_path, A=stack, y=np.array([1.0, 2.0, 3.0])))
    assert isinstance(task.measurements, ObservedCells)
    assert task.measurements.cells.tolist() == [4, 0, 3]
    assert task.unobserved_cells.tolist() == [1, 2, 5]
    assert task.kind == "data"


@pytest.mark.parametrize("rows", [[4, 0, 4], None])
def test_repeated_or_scaled_cells_are_general_measurements(tmp_path: Path, rows: list[int] | None) -> None:
    matrix = np.eye(6)[rows] if rows else 2.0 * np.eye(6)[:3]
    task = load(write(tmp_path, A=matrix.reshape(3, 2, 3), y=np.ones(3)))
    assert isinstance(task.measurements, DenseMeasurements)
    assert task.held_out.count == (4 if rows else 3)


def test_nothing_held_out_is_no_error(tmp_path: Path) -> None:
    task = load(write(tmp_path, A=np.random.default_rng(0).standard_normal((6, 2, 3)), y=np.ones(6)))
    assert task.held_out.count == 0
    assert task.zero_gen_loss is None


NAN_STACK = np.where(np.arange(24).reshape(4, 2, 3) == 9, np.nan, 1.0)
ZERO_ROW = np.array([1.0, 0.0, 1.0, 1.0])[:, None, None] * np.ones((4, 2, 3))
BAD_ARRAYS = [
    ({"A": None}, "has no array A; it must hold A and y, and may hold truth"),
    ({"y": None}, "has no array y"),
    ({"A": None, "y": None}, "has no array A and no array y"),
    ({"A": np.ones((4, 6))}, r"A has shape \(4, 6\); it must be \(n, rows, cols\)"),
    ({"A": np.ones(())}, r"A has shape \(\)"),
    ({"A": np.ones((0, 2, 3)), "y": np.ones(0)}, r"A has shape \(0, 2, 3\).* at least 1"),
    ({"A": np.ones((4, 0, 3))}, r"A has shape \(4, 0, 3\)"),
    ({"A": np.ones((7, 2, 3)), "y": np.ones(7)}, r"A holds 7 measurements; shape \(2, 3\) allows at most 6"),
    ({"y": np.ones(3)}, r"y has shape \(3,\); it must be \(4,\)"),
    ({"y": np.ones((4, 1))}, r"y has shape \(4, 1\); it must be \(4,\)"),
    ({"truth": np.ones((3, 2))}, r"truth has shape \(3, 2\); it must be \(2, 3\)"),
    ({"A": NAN_STACK}, r"A\[1, 1, 0\] is nan; every entry must be a finite number"),
    ({"y": np.array([0.0, np.inf, 0.0, 0.0])}, r"y\[1\] is inf"),
    ({"truth": np.full((2, 3), np.nan)}, r"truth\[0, 0\] is nan"),
    ({"y": np.ones(4, dtype=complex)}, "y is of type complex128; it must hold real numbers"),
    ({"y": np.array(["a", "b", "c", "d"])}, "y is of type .*; it must hold real numbers"),
    ({"A": ZERO_ROW}, r"A\[1\] is zero; every measurement must have an entry other than zero"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_ARRAYS)
def test_wrong_arrays_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        load(path)
    fault(path)


@pytest.mark.parametrize("change", [{"A": None}, {"y": np.ones(3)}, {"A": NAN_STACK}])
def test_netcdf_is_checked_alike(tmp_path: Path, change: dict[str, Any]) -> None:
    npz, netcdf = fault(write(tmp_path, **change)), fault(write(tmp_path, ".nc", **change))
    assert npz.partition(": ")[2] == netcdf.partition(": ")[2]


@pytest.mark.parametrize("suffix", [".npz", ".nc", ".csv"])
def test_files_that_cannot_be_opened(tmp_path: Path, suffix: str) -> None:
    assert "No such file" in fault(tmp_path / f"absent{suffix}")
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    assert "directory" in fault(folder).lower()


def test_files_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # By hand, as the superuser may read whatever its mode says.
    monkeypatch.setattr(Path, "open", refuse)
    assert "Permission denied" in fault(path)


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.pkl"])
def test_unknown_suffixes_list_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a,b\n1,\n")
    assert "it must be one of .npz, .nc, .npy, .csv, .tsv" in fault(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npz", ".nc"])
@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\x80\x04\x95pickle", b"CDF\x01", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"]
)
def test_files_of_another_kind(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    assert "is empty, truncated or not" in fault(path)


def test_an_array_saved_alone_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "mine.npz").open("wb") as stream:
        np.save(stream, np.ones(3))
    assert "not an .npz archive" in fault(tmp_path / "mine.npz")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    objects = np.array([[1, 2], None], dtype=object)
    assert "pickled objects" in fault(write(tmp_path, y=objects))


@pytest.mark.parametrize("suffix", [".npz", ".nc"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix)
    whole = path.read_bytes()
    for share in np.linspace(0.02, 0.98, 25):
        path.write_bytes(whole[: int(share * len(whole))])
        fault(path)


def test_corrupted_archives_are_refused_or_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        corrupted = whole.copy()
        corrupted[generator.integers(whole.size, size=3)] = generator.integers(256, size=3)
        path.write_bytes(corrupted.tobytes())
        try:
            load(path)
        except InputError:
            refused += 1
    # Checksums catch what is in the arrays; bytes that nobody reads may change.
    assert refused > 100


def test_labels_are_for_tables(tmp_path: Path) -> None:
    assert "`index` is for a table" in fault(write(tmp_path), index=True)
    assert "`header` is for a table" in fault(write(tmp_path), header=False)


def test_loading_measures_what_was_measured(tmp_path: Path) -> None:
    task = sensing(4, 6, 2, seed=1)
    stack = task.measurements.dense().reshape(-1, 4, 6)
    loaded = load(write(tmp_path, A=stack, y=task.targets, truth=task.truth))
    assert loaded.zero_train_loss == task.zero_train_loss
    assert loaded.zero_gen_loss == pytest.approx(task.zero_gen_loss, rel=1e-12)


def test_a_task_is_shown_in_a_line(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("name,a,b\nx,1,\ny,,4\nz,5,7\n")
    data = np.zeros((300, 8, 8)), np.arange(300) % 2
    assert repr(load(write(tmp_path))) == "<ArrayTask: data 2×3, 4 measurements, file mine.npz>"
    assert repr(load(table)) == "<ArrayTask: data 3×2, 4 measurements, 2 cells missing, file t.csv>"
    assert repr(sensing(seed=3)) == "<ArrayTask: sensing 5×5, 15 measurements, seed 3>"
    labelled = classification(*data, test=data, description={"set": "dark"})
    assert repr(labelled) == (
        "<LabelledTask: classification of 300 examples, 8×8 features, 2 classes, 300 test examples, set dark>"
    )
    assert repr(regression(np.zeros((4, 1)), [0.0, 1.0, 2.0, 3.0])) == (
        "<LabelledTask: regression of 4 examples, 1 feature, no test examples>"
    )
