"""Tables of labelled examples: columns become features, and every fault has its line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bayesgc.task import LabelledTask, load
from bayesgc.task.array import sheets
from bayesgc.task.labelled import columns
from bayesgc.validate import InputError

ROWS = ["1.5,red,no,10", "2.5,blue,yes,20", "-1,red,no,30", "0,green,yes,40"]


def table(folder: Path, rows: list[str] | None = None, header: str = "size,colour,ripe,price") -> Path:
    path = folder / "fruit.csv"
    path.write_text("\n".join([header, *(ROWS * 3 if rows is None else rows)]) + "\n", encoding="utf-8")
    return path


def test_numbers_stay_and_texts_become_categories(tmp_path: Path) -> None:
    sheet = sheets.read_sheet(table(tmp_path, ROWS), sheets.Reading())
    examples, facts = columns.examples_in(sheet.lines, sheet.notation, "ripe")
    # size; colour: blue, green, red; price
    expected = [[1.5, 0, 0, 1, 10], [2.5, 1, 0, 0, 20], [-1, 0, 0, 1, 30], [0, 0, 1, 0, 40]]
    np.testing.assert_array_equal(examples.inputs, expected)
    assert examples.labels.tolist() == ["no", "yes", "no", "yes"]
    assert facts == {"target": "ripe", "categories": "colour: blue, green, red"}


def test_a_text_target_is_a_class_and_a_fraction_a_number(tmp_path: Path) -> None:
    task = load(table(tmp_path), target="ripe", train=8)
    assert isinstance(task, LabelledTask)
    assert (task.kind, task.classes, task.inputs.count, task.tested) == ("classification", ("no", "yes"), 8, 4)
    assert task.facts["categories"] == "colour: blue, green, red"
    assert load(table(tmp_path), target="size").kind == "regression"
    assert load(table(tmp_path), target="price", train=6).kind == "classification"
    assert load(table(tmp_path), target="price", fit="squared").kind == "regression"


def test_a_fifth_is_held_out_unless_something_else_is_said(tmp_path: Path) -> None:
    task = load(table(tmp_path, ROWS * 5), target="ripe")
    assert (task.inputs.count, task.tested) == (16, 4)
    assert load(table(tmp_path, ROWS * 5), target="ripe", test=0.5).tested == 10


def test_features_are_standardised_only_where_that_is_asked_for(tmp_path: Path) -> None:
    plain, scaled = (load(table(tmp_path), target="ripe", train=8, standardize=how) for how in (None, True))
    assert plain.inputs.train[:, 0].max() == 2.5
    assert "preparation" not in plain.facts
    np.testing.assert_allclose(scaled.inputs.train.mean(0), 0, atol=1e-12)
    assert scaled.facts["preparation"] == "features standardised by the training inputs"


@pytest.mark.parametrize(("rows", "target", "said"), [
    (["1,red,no,10", "2,,yes,20"], "ripe", "line 3, column 'colour' is missing; fill it in, or leave out the line"),
    (["1,red,no,10", "NA,red,yes,20"], "ripe", "line 3, column 'size' is missing"),
    (["1,red,no,10", "2,blue,,20"], "ripe", "line 3, column 'ripe' is missing"),
    (["1,red,no,10", "x,blue,yes,20"], "ripe", "line 3, column 'size' holds 'x', which is no plain number, though"),
    (["1,red,no,10", "inf,blue,yes,20"], "ripe", "line 3, column 'size' holds 'inf'"),
    (['"1,200",red,no,10', '"2,300",red,yes,20'], "ripe", "line 2, column 'size' holds '1,200', which is no plain"),
    (["1,red,no"], "ripe", "line 2 has 3 cells; it must have 4"),
    ([], "ripe", "has a header and no rows"),
    (["1,red,no,10", "2,blue,yes,20"], "weight", "no column 'weight'; its first line names size, colour, ripe, price"),
    ([f"1,name{i},{'yes' if i % 2 else 'no'},10" for i in range(30)], "ripe", "leave the column out, with `drop`."),
    (["1,red,no,10", "2,blue,no,20"] * 5, "ripe", "every label is 'no'"),
])  # fmt: skip
def test_a_fault_is_told_with_its_place(tmp_path: Path, rows, target, said) -> None:
    with pytest.raises(InputError) as refused:
        load(table(tmp_path, rows), target=target)
    message = str(refused.value)
    assert said in message
    assert message.startswith(str(tmp_path / "fruit.csv"))
    assert "\n" not in message


def test_names_must_be_there_and_differ(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two columns are named 'a'"):
        load(table(tmp_path, ["1,2"], "a,a"), target="a")
    with pytest.raises(InputError, match="no column beside the target"):
        load(table(tmp_path, ["1", "2"], "a"), target="a")


def test_what_is_for_the_other_kind_of_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are for a table without a target"):
        load(table(tmp_path), target="ripe", index=True)
    with pytest.raises(InputError, match="`train` is for labelled examples"):
        load(table(tmp_path), train=3)


def test_parquet_gives_what_the_same_csv_gives(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    pandas.read_csv(table(tmp_path)).to_parquet(tmp_path / "fruit.parquet")
    one, other = (load(tmp_path / f"fruit.{suffix}", target="ripe", train=8) for suffix in ("csv", "parquet"))
    np.testing.assert_array_equal(one.inputs.train, other.inputs.train)
    np.testing.assert_array_equal(one.labels, other.labels)
    (tmp_path / "broken.parquet").write_text("no parquet", encoding="utf-8")
    with pytest.raises(InputError, match="not a parquet file"):
        load(tmp_path / "broken.parquet", target="ripe")


def test_parquet_without_its_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(sheets.importlib, "import_module", absent)
    (tmp_path / "x.parquet").touch()
    with pytest.raises(InputError, match=r"pyarrow, which is not installed: pip install 'bayesgc\[data\]'"):
        load(tmp_path / "x.parquet", target="ripe")
