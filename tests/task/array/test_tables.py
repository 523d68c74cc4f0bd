"""Tables with missing cells: what they become, in whose units, and the place of whatever is wrong with one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayesgc.task import ArrayTask, ObservedCells, load
from bayesgc.validate import InputError

LABELLED = "name,height,weight\nann,1.5,50\nbob,,70\ncem,1.9,NA\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(folder: Path, text: str | bytes, **options: Any) -> ArrayTask:
    return load(write(folder, text), **options)


def in_units(task: ArrayTask) -> np.ndarray:
    """The observed cells of a task in the table's units, NaN elsewhere."""
    table = np.full(task.shape, np.nan)
    table.flat[task.measurements.cells] = task.targets
    return table if task.units is None else task.units.to_units(table)


def test_labels_and_columns_become_coordinates(tmp_path: Path) -> None:
    task = read(tmp_path, LABELLED)
    assert (task.kind, task.shape, task.dims) == ("data", (3, 2), ("row", "col"))
    assert task.coords == {"row": ["ann", "bob", "cem"], "col": ["height", "weight"]}
    assert isinstance(task.measurements, ObservedCells)
    assert task.measurements.cells.tolist() == [0, 1, 3, 4]
    assert task.unobserved_cells.tolist() == [2, 5]
    assert task.truth is None
    known = {"file": "table.csv", "standardize": True, "index": True, "header": True, "heading": "name"}
    assert task.description == known
    np.testing.assert_allclose(in_units(task), [[1.5, 50], [np.nan, 70], [1.9, np.nan]])


def test_columns_are_centred_with_the_variance_of_the_prior(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal([3.0, -1e6, 1e-7], [1.0, 1e3, 1e-9], (50, 3))
    values[generator.random((50, 3)) < 0.3] = np.nan
    text = "a,b,c\n" + "\n".join(",".join("" if np.isnan(x) else repr(float(x)) for x in row) for row in values)
    task = read(tmp_path, text)
    standard = np.full(task.shape, np.nan)
    standard.flat[task.measurements.cells] = task.targets
    np.testing.assert_allclose(np.nanmean(standard, axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.nanvar(standard, axis=0), 1 / 50, rtol=1e-9)
    np.testing.assert_allclose(in_units(task), values, rtol=1e-12)
    # The zero matrix is the mean of each column.
    np.testing.assert_allclose(task.units.to_units(np.zeros((50, 3)))[0], np.nanmean(values, axis=0), rtol=1e-12)


def test_a_table_can_be_taken_as_it_is(tmp_path: Path) -> None:
    task = read(tmp_path, LABELLED, standardize=False)
    assert task.units is None
    assert task.targets.tolist() == [1.5, 50.0, 70.0, 1.9]


def test_a_constant_column_is_only_centred(tmp_path: Path) -> None:
    task = read(tmp_path, "a,b\n0.1,1\n0.1,2\n0.1,\n,4\n")
    assert task.units.center[0] == 0.1
    assert task.units.scale[0] == 2.0  # The square root of four rows.
    assert in_units(task)[:3, 0].tolist() == [0.1, 0.1, 0.1]


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_extreme_columns_neither_overflow_nor_vanish(tmp_path: Path, size: float) -> None:
    task = read(tmp_path, f"a,b\n{size},1\n{3 * size},2\n{-size},\n")
    np.testing.assert_allclose(task.targets[[0, 2, 4]] * np.sqrt(3 * 8 / 3), [0, 2, -2], atol=1e-12)


@pytest.mark.parametrize("missing", ["", " ", "NA", "na", "NaN", "nan", "n/a", "N/A", '""'])
def test_unobserved_cells_as_they_are_written(tmp_path: Path, missing: str) -> None:
    assert read(tmp_path, f"a,b\n1,2\n3,{missing}\n").unobserved_cells.tolist() == [3]


def test_numbers_as_they_are_written(tmp_path: Path) -> None:
    task = read(tmp_path, 'a,b\n 1e3 ,-.5\n"+2",\n', standardize=False)
    assert task.targets.tolist() == [1000.0, -0.5, 2.0]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa,b\n1,2\n3,\n",
        "a,b\r\n1,2\r\n3,\r\n",
        "\na,b\n\n1,2\n3,\n\n\n",
        "a,b\n1,2\n3,",
        '"a", "b"\n1,2\n3,\n',
    ],
)
def test_byte_order_marks_line_ends_blank_lines_and_quotes(tmp_path: Path, text: str) -> None:
    task = read(tmp_path, text, standardize=False)
    assert task.coords == {"col": ["a", "b"]}
    assert task.targets.tolist() == [1.0, 2.0, 3.0]


def test_quoted_labels_may_hold_commas_and_line_ends(tmp_path: Path) -> None:
    task = read(tmp_path, '"who","a, b"\n"x, y",1\n"two\nlines",\n"z",3\n')
    assert task.coords == {"row": ["x, y", "two\nlines", "z"], "col": ["a, b"]}


def test_numeric_labels_need_to_be_asked_for(tmp_path: Path) -> None:
    text = "year,a,b\n2001,1,2\n2002,3,\n"
    assert read(tmp_path, text).shape == (2, 3)
    task = read(tmp_path, text, index=True)
    assert task.coords == {"row": ["2001", "2002"], "col": ["a", "b"]}
    # As pandas writes its index: without a name.
    assert read(tmp_path, ",a,b\n0,1,2\n1,3,\n", index=True).coords["row"] == ["0", "1"]


def test_text_labels_can_be_ruled_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2, column 'name' holds 'ann'"):
        read(tmp_path, LABELLED, index=False)


def test_a_row_may_be_wholly_unobserved(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n1,2\n,\n3,5\n").unobserved_cells.tolist() == [2, 3]


def test_labels_that_are_empty_or_alike_are_told_apart_by_their_lines(tmp_path: Path) -> None:
    task = read(tmp_path, "who,a,b\nsame,1,2\nsame,3,\n,,5\nalone,2,7\n")
    assert task.coords["row"] == ["same (line 2)", "same (line 3)", "(line 4)", "alone"]
    assert task.description["repeated_labels"] == "same"
    many = "".join(f"{label},1,{i}\n{label},2,\n" for i, label in enumerate("stuvw"))
    assert read(tmp_path, f"who,a,b\n{many}").description["repeated_labels"] == "s, t, u and 2 more"


@pytest.mark.parametrize("label", ["1,234", "1.234,5", "1 234", "0,5", "$3", "12 %", "1'234.5"])
def test_numbers_with_separators_become_no_labels(tmp_path: Path, label: str) -> None:
    text = f'n,a,b\n"{label}",1,2\n"x",3,\n'
    with pytest.raises(InputError, match=r"line 2, column 1 holds .*, a number with separators.*`index`") as caught:
        read(tmp_path, text)
    assert label in str(caught.value).replace('"', "")
    assert read(tmp_path, text, index=True).coords["row"] == [label, "x"]
    with pytest.raises(InputError, match=r"column 'b' holds .*a finite number \(written plainly, as 1234.5\)"):
        read(tmp_path, f'a,b\n1,"{label}"\n3,\n')


@pytest.mark.parametrize("label", ["01.02.2020", "2020-01", "1.2.3", "12:30", "3rd", "5 kg"])
def test_dates_and_versions_are_labels(tmp_path: Path, label: str) -> None:
    assert read(tmp_path, f"n,a,b\n{label},1,2\nx,3,\n").coords["row"] == [label, "x"]


@pytest.mark.parametrize("first", ["1,2,3", "ann,1,2", "country,2001,2002", "ann,NA,x", 'ann,x,"1,234"'])
def test_a_first_line_with_numbers_is_asked_about(tmp_path: Path, first: str) -> None:
    rows = "\nbob,3,\ncem,2,5\n" if first[0].isalpha() else "\n4,5,\n7,8,10\n"
    message = r"line 1, column \d holds '.*', so that line may hold data or names.*`header` .*`header=False`"
    with pytest.raises(InputError, match=message):
        read(tmp_path, first + rows)


def test_a_first_line_of_numbers_is_what_it_is_said_to_be(tmp_path: Path) -> None:
    text = "country,2001,2002\nann,1,2\nbob,3,\n"
    assert read(tmp_path, text, header=True).coords == {"row": ["ann", "bob"], "col": ["2001", "2002"]}
    task = read(tmp_path, "ann,1,2\nbob,3,\n", header=False)
    assert (task.shape, task.coords) == ((2, 2), {"row": ["ann", "bob"]})
    assert task.description["header"] is False
    plain = read(tmp_path, "1,2\n3,\n", header=False, standardize=False)
    assert (plain.shape, plain.targets.tolist(), plain.coords) == ((2, 2), [1.0, 2.0, 3.0], {})
    with pytest.raises(InputError, match="line 2 has 1 cells; it must have 2, as the first line has"):
        read(tmp_path, "1,2\n3\n", header=False)
    with pytest.raises(InputError, match="line 1, column 1 holds 'a'"):
        read(tmp_path, "a,b\n1,2\n3,\n", header=False, index=False)


@pytest.mark.parametrize("text", ["a\n1\n\n3\n", 'a\n1\n""\n3\n\n\n', "\n\na\n1\n\n3"])
def test_a_blank_line_of_one_column_is_an_empty_cell(tmp_path: Path, text: str) -> None:
    task = read(tmp_path, text, standardize=False)
    assert (task.shape, task.unobserved_cells.tolist(), task.targets.tolist()) == ((3, 1), [1], [1.0, 3.0])


def test_a_quoted_empty_cell_at_the_end_of_one_column_counts(tmp_path: Path) -> None:
    # So pandas writes a column that ends with a missing value.
    assert read(tmp_path, 'a\n1\n2\n""\n').unobserved_cells.tolist() == [2]


def test_one_column_is_a_table(tmp_path: Path) -> None:
    assert read(tmp_path, "a\n1\nNA\n3\n").shape == (3, 1)


def test_a_table_of_many_cells(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = np.round(generator.random((300, 60)), 3).astype(str)
    values[generator.random(values.shape) < 0.4] = ""
    header = ",".join(f"c{column}" for column in range(60))
    task = read(tmp_path, "\n".join([header, *(",".join(row) for row in values)]))
    assert task.measurements.count == np.count_nonzero(values != "")
    assert task.measurements.count + task.held_out.count == 18_000
    # Each column has observed variance 1/rows, and so has the whole, weighted by observed cells.
    assert task.zero_train_loss == pytest.approx(1 / 300, rel=1e-9)


BAD_TABLES = [
    ("", "is empty; a table needs a header and at least one row"),
    ("\n\n", "is empty"),
    ("a,b\n", "has a header and no rows"),
    ("a,b\n1,2\n3\n", "line 3 has 1 cells; it must have 2, as the header has"),
    ("a,b\n1,2,3\n", "line 2 has 3 cells"),
    ("a,b\n\n1,2\n3,x\n", "line 4, column 'b' holds 'x'; it must be a finite number, or empty or NA where unobserved"),
    ("a,b\n1,inf\n3,\n", "line 2, column 'b' holds 'inf'"),
    ("a,b\n1,1e999\n3,\n", "line 2, column 'b' holds '1e999'"),
    ("a,b\n1,1_000\n3,\n", "line 2, column 'b' holds '1_000'"),
    ("a,b\n1,2\nx,3\n4,\n", r"line 3, column 1 holds 'x'.*is not a number.*`index`"),
    ("name\nann\nbob\n", "has no column of numbers"),
    ("a,b\n1,2\n3,4\n", "no cell is empty, so nothing is left to predict"),
    ("a,b\n,\nNA,n/a\n", "no cell is observed"),
    ("a,b\n1,\n3,\n", "column 'b' has no observed cell"),
    ("a,a\n1,2\n3,\n", "two columns are named 'a'"),
    ("a,\n1,2\n3,\n", "column 2 has no name; the first line must name every column"),
    (",a\n1,2\n3,\n", r"column 1 has no name.*`index`"),
    ("n,a,\nx,1,2\ny,3,\n", "column 3 has no name"),
    ("a,b\n1,2\n1,\n", "every column is constant"),
    ('a,b\n1,"2\n3,\n', "is not comma-separated text"),
    ("a,b\n-1.7e308,1\n1.7e308,\n", "spread of a column is too large"),
    (
        "a,b\n1,2\n3,é\n".encode("latin-1"),
        "not text in UTF-8, but perhaps in WINDOWS-1252, if line 3 reads right so: '3,é'. .* -f WINDOWS-1252 -t UTF-8",
    ),
    ("a,b\n1,2\n3,\n".encode("utf-16"), "probably in UTF-16. .* iconv -f UTF-16 -t UTF-8 .*/table.csv > utf8.csv"),
    (b"a,b\n1,\0\n3,\n", "line 2"),
]


def test_the_command_that_converts_a_table_finds_it_from_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "my tables"
    folder.mkdir()
    path = write(folder, "a,b\n1,2\n3,é\n".encode("latin-1"))
    with pytest.raises(InputError) as caught:
        load(path)
    command = str(caught.value).partition("convert it: ")[2].partition(" > ")[0]
    assert shlex.split(command) == ["iconv", "-f", "WINDOWS-1252", "-t", "UTF-8", str(path)]


@pytest.mark.parametrize(("text", "message"), BAD_TABLES)
def test_bad_tables_are_refused_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
