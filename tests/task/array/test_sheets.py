"""Tables as people have them: separators, decimal commas, missing markers, chosen columns, other kinds of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesgc.task import ArrayTask, load
from bayesgc.validate import InputError

PLAIN = "who,a,b\nann,1.5,2\nbob,,3\ncem,2.5,5\n"


def read(folder: Path, text: str, name: str = "table.csv", **options: Any) -> ArrayTask:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load(path, **options)


def cells(task: ArrayTask) -> list[list[float | None]]:
    """The observed cells in their own units, None elsewhere."""
    table = np.full(task.shape, np.nan)
    table.flat[task.cells] = task.targets
    table = table if task.units is None else task.units.to_units(table)
    return [[None if np.isnan(x) else round(float(x), 9) for x in row] for row in table]


EXPECTED = [[1.5, 2.0], [None, 3.0], [2.5, 5.0]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_separator_is_what_divides_all_lines_alike(tmp_path: Path, separator: str, mark: str) -> None:
    task = read(tmp_path, mark + PLAIN.replace(",", separator))
    assert (cells(task), task.coords) == (EXPECTED, {"row": ["ann", "bob", "cem"], "col": ["a", "b"]})


def test_a_tsv_has_tabs_and_other_separators_can_be_named(tmp_path: Path) -> None:
    assert cells(read(tmp_path, PLAIN.replace(",", "\t"), "table.tsv")) == EXPECTED
    for separator, name in ((":", ":"), (" ", "space"), ("\t", "tab")):
        text = PLAIN.replace(",,", ",NA,").replace(",", separator)
        assert cells(read(tmp_path, text, separator=name)) == EXPECTED
        # What is recorded goes on a command line: a name where there is one, whatever was asked for.
        assert read(tmp_path, text, separator=separator).description["separator"] == name
        assert "signs_found" not in read(tmp_path, text, separator=separator).description
    found = read(tmp_path, PLAIN.replace(",", "\t")).description
    assert (found["separator"], found["signs_found"]) == ("tab", "separator")
    assert "signs_found" not in read(tmp_path, PLAIN).description  # by commas, as usual
    both = "who;a;b\nann;1,5;2\nbob;;3\ncem;2,5;5\n"
    assert read(tmp_path, both).description["signs_found"] == "separator, decimal"
    assert read(tmp_path, both, decimal=",").description["signs_found"] == "separator"
    with pytest.raises(InputError, match=r"separator is '::'; give one sign, or comma, semicolon, tab"):
        read(tmp_path, PLAIN, separator="::")


def test_labels_may_hold_what_separates_elsewhere(tmp_path: Path) -> None:
    assert read(tmp_path, "who,a\nx; y,1\nz,\nw,2\n").coords["row"] == ["x; y", "z", "w"]


def test_a_decimal_comma_is_seen_where_commas_separate_no_cells(tmp_path: Path) -> None:
    text = "who;a;b\nann;1,5;2\nbob;;3\ncem;2,5;5\n"
    task = read(tmp_path, text)
    assert cells(task) == EXPECTED
    assert task.description["decimal"] == ","
    # In a file of commas it has to be asked for, and so where all might be thousands.
    assert cells(read(tmp_path, 'who,a\nann,"1,5"\nbob,\ncem,2\n', decimal=",")) == [[1.5], [None], [2]]
    with pytest.raises(InputError, match=r"column 'a' holds '1,500'.*written plainly"):
        read(tmp_path, "a;b\n1,500;2\n2,500;\n", index=False)
    assert cells(read(tmp_path, "a;b\n1,500;2\n2,500;\n", decimal=",")) == [[1.5, 2.0], [2.5, None]]
    with pytest.raises(InputError, match=r"column 'a' holds '1.5'; .*\(written plainly, as 1234,5\)"):
        read(tmp_path, "a;b\n1.5;2\n2,5;\n", decimal=",", index=False)
    with pytest.raises(InputError, match="decimal is ';'"):
        read(tmp_path, PLAIN, decimal=";")


@pytest.mark.parametrize("marker", ["?", "-", "null", "None", "#N/A", "NULL", "<NA>"])
def test_markers_of_missing_values(tmp_path: Path, marker: str) -> None:
    assert read(tmp_path, f"a,b\n1,2\n3,{marker}\n").unobserved_cells.tolist() == [3]


def test_own_markers_of_missing_values(tmp_path: Path) -> None:
    text = "a,b\n1,-999\n3,x\n4,-999.0\n5,6\n"
    assert cells(read(tmp_path, text, missing="-999,x")) == [[1, None], [3, None], [4, None], [5, 6]]
    assert cells(read(tmp_path, text, missing=["x"]))[0] == [1, -999]
    with pytest.raises(InputError, match=r"column 'b' holds 'x'; .*say with `missing` that it marks"):
        read(tmp_path, text)


def test_columns_are_chosen_and_dropped_by_name(tmp_path: Path) -> None:
    text = "who,id,a,kind,b\nann,7,1.5,x,2\nbob,3,,y,3\ncem,5,2.5,x,5\n"
    for options in ({"columns": "a,b"}, {"columns": ["a", "b"]}, {"drop": "id,kind"}):
        task = read(tmp_path, text, **options)
        assert cells(task) == EXPECTED
        assert task.coords == {"row": ["ann", "bob", "cem"], "col": ["a", "b"]}
    assert "row" not in read(tmp_path, text, drop=["who", "id", "kind"]).coords
    with pytest.raises(InputError, match="has no column 'c'; its first line names who, id, a, kind, b"):
        read(tmp_path, text, drop="c")


def test_columns_of_text_are_named_together(tmp_path: Path) -> None:
    text = "a,kind,colour,b\n1,x,red,2\n2,y,blue,\n3,z,NA,4\n"
    with pytest.raises(InputError, match=r"line 2, column 'kind' holds 'x'.*\('kind', 'colour'\) with `drop=kind,col"):
        read(tmp_path, text)


def test_a_column_that_names_the_rows_is_doubted(tmp_path: Path) -> None:
    text = "n,year,user_id,a\n1,2001,17,1\n2,2003,4,\n3,2002,8,4\n"
    task = read(tmp_path, text)
    assert task.description["doubtful_columns"] == "n (a count of the rows?), year (a year?), user_id (an id?)"
    assert "doubtful_columns" not in read(tmp_path, "a,b\n5,7\n8,\n6,9\n2,2\n").description
    assert "doubtful_columns" not in read(tmp_path, text, index=True, drop="year,user_id").description


def test_empty_rows_and_columns_are_named(tmp_path: Path) -> None:
    assert read(tmp_path, "who,a,b\nann,1,2\nbob,,\ncem,3,5\n").description["empty_rows"] == "bob"
    assert read(tmp_path, "a,b\n1,2\n,\n3,5\n").description["empty_rows"] == "line 3"
    with pytest.raises(InputError, match=r"columns 'b', 'c' have no observed cell.*`drop`"):
        read(tmp_path, "a,b,c\n1,,\n2,,\n")
    # Spreadsheets leave such columns at the end.
    assert cells(read(tmp_path, "a,b,,\n1,2,,\n3,,,\n")) == [[1, 2], [3, None]]


def test_a_line_is_counted_after_line_ends_within_cells(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 4, column 'a' holds 'x'"):
        read(tmp_path, 'who,a\n"two\nlines",1\ncem,x\n')


def frame() -> pd.DataFrame:
    return pd.DataFrame({"who": ["ann", "bob", "cem"], "a": [1.5, None, 2.5], "b": [2, 3, 5]})


@pytest.mark.parametrize("suffix", ["parquet", "xlsx"])
def test_other_files_give_what_the_same_csv_gives(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pyarrow" if suffix == "parquet" else "openpyxl")
    path = tmp_path / f"table.{suffix}"
    getattr(frame(), {"parquet": "to_parquet", "xlsx": "to_excel"}[suffix])(path, index=False)
    one, other = load(path), read(tmp_path, PLAIN)
    assert cells(one) == cells(other)
    assert one.coords == other.coords
    with pytest.raises(InputError, match="has no separator"):
        load(path, separator=";")
    path.write_text("something else", encoding="utf-8")
    with pytest.raises(InputError, match="is empty, truncated or not a"):
        load(path)


def test_a_data_frame_is_a_table(tmp_path: Path) -> None:
    task = load(frame())
    assert (cells(task), task.coords["row"]) == (EXPECTED, ["ann", "bob", "cem"])
    assert task.description["source"] == "a DataFrame"
    # An index that is no count holds labels, years among them; nullable numbers have holes too.
    years = pd.DataFrame({"a": pd.array([1, None, 4], dtype="Int64"), "b": [1.0, 2, 4]}, index=[2001, 2003, 2004])
    assert load(years).coords == {"row": ["2001", "2003", "2004"], "col": ["a", "b"]}
    assert cells(load(years))[1] == [None, 2.0]
    assert load(frame(), columns=["a"]).shape == (3, 1)
    with pytest.raises(InputError, match="is empty"):
        load(frame()[[]])
    with pytest.raises(InputError, match="Leave the column of text out"):
        load(frame().assign(kind=["x", "y", "z"]))


def test_the_index_of_a_data_frame_is_no_feature(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"u": [1.0, 2, 3, 4], "v": [5.0, 6, 8, 7], "y": [0.5, 1.5, 2.5, 4]})
    shuffled = table.sample(frac=1, random_state=0)
    assert load(shuffled, target="y").inputs.features[0] == load(table, target="y").inputs.features[0] == 2
    shuffled.to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet", target="y").inputs.features[0] == 2
    named = table.set_index("u")
    assert load(named, target="y").inputs.features[0] == 1
    assert load(named, target="y", columns="u,v,y").inputs.features[0] == 2  # it was asked for
    assert load(named, target="y", drop="u").inputs.features[0] == 1
    assert load(table.set_index("y"), target="y").inputs.features[0] == 2
    # Nor do labels stay beside columns that were chosen.
    text = "who,u,v,y\nann,1,2,0.5\nbob,3,4,1.5\ncem,3,5,2.5\n"
    assert read(tmp_path, text, target="y", columns="u,y").inputs.features[0] == 1


def test_an_index_may_have_any_name() -> None:
    table = frame()[["a", "b"]]
    for name in ("a", " b ", 0, None):
        task = load(table.set_index(pd.Index(["x", "y", "z"], name=name)))
        assert (cells(task), task.coords) == (EXPECTED, {"row": ["x", "y", "z"], "col": ["a", "b"]})
    clash = table.set_index(pd.Index(["x", "y", "z"], name="a"))
    assert load(clash, columns="a").coords["col"] == ["a"]
    assert "row" not in load(clash, drop="a_2").coords
    assert load(clash, index=False).coords == {"col": ["a", "b"]}
    with pytest.raises(InputError, match="an index of 2 levels"):
        load(frame().set_index(["who", "b"]))
    long = pd.DataFrame({"n": [1.0, 2, 3]}, index=pd.MultiIndex.from_tuples(["ax", "by", "ay"], names=["r", "c"]))
    assert load(long, rows="r", cols=" c", values="n").coords == {"row": ["a", "b"], "col": ["x", "y"]}


def test_names_go_without_the_spaces_around_them() -> None:
    table = frame().rename(columns={"a": " a ", "b": "b "})
    assert load(table).coords["col"] == ["a", "b"]
    assert load(table, drop=[" b "]).coords["col"] == load(table, columns=["a "]).coords["col"] == ["a"]
    assert load(table.fillna(0.5), target=" a", drop="who").inputs.features[0] == 1


def test_what_is_of_text_is_refused_for_a_data_frame(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    numbers = frame()[["a", "b"]]
    numbers.to_parquet(tmp_path / "a.parquet")
    for source, kind in ((numbers, "a DataFrame"), (tmp_path / "a.parquet", "a .parquet")):
        for options, said in (
            ({"separator": ";"}, f"{kind} has no separator between its cells"),
            ({"header": False}, f"{kind} has names of its columns"),
            ({"decimal": ","}, f"`decimal` is for numbers written as text, and this is {kind} without text"),
        ):
            with pytest.raises(InputError, match=said):
                load(source, **options)
    assert cells(load(numbers, header=True, decimal=".")) == EXPECTED
    # Of text it says how that is written; numbers are numbers.
    assert cells(load(pd.DataFrame({"a": ["1,5", None, "2,5"], "b": [2.5, 3, 5]}), decimal=",")) == [
        [1.5, 2.5], [None, 3], [2.5, 5],
    ]  # fmt: skip


def test_a_marker_may_be_a_number() -> None:
    table = pd.DataFrame({"a": [1.0, -999, 3], "b": [2, 5, -1]})
    assert cells(load(table, missing=-999)) == [[1, 2], [None, 5], [3, -1]]
    assert cells(load(table, missing=[-999.0, np.int64(-1)]))[2] == [3, None]


def test_a_marker_with_decimals_is_the_same_number_with_a_comma(tmp_path: Path) -> None:
    text = "who;a\nann;-9,5\nbob;1,5\ncem;2\n"
    assert cells(read(tmp_path, text, missing=-9.5)) == [[None], [1.5], [2]]


def test_columns_without_names_cannot_be_chosen_by_name(tmp_path: Path) -> None:
    for options in ({"columns": "1,2"}, {"drop": ["1"]}):
        with pytest.raises(InputError, match="`columns` and `drop` go by names, and `header=False` says"):
            read(tmp_path, "1,2,3\n4,,6\n7,8,9\n", header=False, **options)
    with pytest.raises(InputError, match=r"column '1' has no observed cell.*: leave it out\.$"):
        read(tmp_path, "1,NA\n2,NA\n", header=False)


def test_a_name_with_a_comma_stands_in_quotation_marks(tmp_path: Path) -> None:
    text = 'a,"city,state",b\n1,x,2\n2,y,\n3,z,4\n'
    with pytest.raises(InputError, match=r"\('city,state'\) with `drop`, a name with a comma in double quot"):
        read(tmp_path, text)
    task = read(tmp_path, text, drop='"city,state"')
    assert task.coords["col"] == ["a", "b"]
    assert read(tmp_path, text, drop=task.description["drop"]).coords == task.coords  # as the result says it
    assert read(tmp_path, text, drop=["city,state"]).coords == task.coords
    assert read(tmp_path, text, columns='b, "city,state", a', drop=["city,state"]).coords == task.coords


def test_features_and_ratings_that_share_a_scale_are_doubted_where_theirs_differ(tmp_path: Path) -> None:
    text = "a,b,kind\n" + "1,1000,x\n2,3000,y\n3,2000,x\n4,1500,y\n" * 6
    assert read(tmp_path, text, target="kind").description["unlike_scales"].startswith("one feature varies")
    assert "unlike_scales" not in read(tmp_path, text, target="kind", standardize=True).description
    assert (
        "unlike_scales" not in read(tmp_path, text.replace("000", "").replace("1500", "2"), target="kind").description
    )
    long = "who,what,value\n1,a,1\n1,b,1000\n2,a,2\n2,b,3000\n3,a,4\n"
    own = read(tmp_path, long, rows="who", cols="what", values="value").description
    assert own["unlike_scales"].startswith("one what varies")


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ("1,-999\n2,3\n-999,5\n", "-999"),
        ("1,-999\n2,3\n4,5\n", None),  # there once
        ("1,99\n2,30\n99,50\n", None),  # not far from the others
    ],
)
def test_numbers_that_may_stand_for_missing_cells_are_doubted(tmp_path: Path, cells: str, found: str | None) -> None:
    assert read(tmp_path, f"a,b\n{cells}7,\n").description.get("stand_ins") == found
