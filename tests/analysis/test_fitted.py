"""Tables lose neither a digit nor a label in a narrow terminal, and no number is long."""

from __future__ import annotations

import io
import re

import pytest
from records_for_tests import sensing_task, table_task, tree
from rich.console import Console

from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.fitted import FittedTable
from bayesgc.analysis.words.numerals import decimals, duration, with_error
from bayesgc.cli.render import print_result

HEADINGS = ("law", "L_gen", "L_train")
ROWS = (("G&C posterior", "0.06723 ± 0.00072", "0.0407 ± 0.0002"), ("[bold]zero", "0.0228", "0.0395"))


def shown(width: int) -> str:
    table, file = FittedTable(HEADINGS), io.StringIO()
    for row in ROWS:
        table.add_row(*row)
    Console(file=file, width=width).print(table)
    return file.getvalue()


@pytest.mark.parametrize("width", range(8, 81, 6))
def test_everything_is_there_at_any_width(width: int) -> None:
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    characters = "".join(text.split())
    for digit in "0123456789±":
        assert characters.count(digit) == "".join("".join(row[1:]) for row in ROWS).count(digit)


def test_numbers_stay_on_one_line_beside_their_label_where_there_is_room_for_one_column() -> None:
    assert shown(80).count("posterior") == 1
    for width in (29, 32, 40):
        lines = shown(width).splitlines()
        for value in ROWS[0][1:]:
            assert any(value in line and "G&C" in line for line in lines)
        assert shown(width).count("[bold]zero") == 2


@pytest.mark.parametrize("task", [sensing_task(), table_task()])
def test_a_result_at_forty_columns_holds_what_it_holds_at_eighty(task: object) -> None:
    result = result_object(tree(task))  # type: ignore[arg-type]
    found = {}
    for width in (40, 80):
        file = io.StringIO()
        print_result(Console(file=file, width=width), result)
        found[width] = file.getvalue()
    assert max(map(len, found[40].splitlines())) <= 40
    numbers = {width: set(re.findall(r"\d+\.\d+|\w+", text)) for width, text in found.items()}
    assert numbers[80] <= numbers[40]


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (1.234e30, 5.6e28, "(1.234 ± 0.056)e+30"),
        (-1.234e30, 5.6e28, "(-1.234 ± 0.056)e+30"),
        (43.0, 2.1e31, "43.0 ± 2.1e+31"),
        (1.234e30, 0.0, "1.2e+30"),
        (1.234e30, 1.0, "1.2e+30"),
        (1.234e30, float("inf"), "1.2e+30 ± ?"),
        (123456.0, 120.0, "123456 ± 120"),
        (1e300, 1e308, "1.0e+300 ± 1.0e+308"),
    ],
)
def test_a_number_and_its_error_are_short(value: float, error: float, said: str) -> None:
    assert with_error(value, error) == said


def test_no_number_of_a_column_is_long() -> None:
    assert decimals(0.01234, 4) == "0.0123"
    assert decimals(1e30, 4) == "1.0e+30"
    assert decimals(999999.0, 1) == "999999.0"
    assert duration(3e30) == "3.5e+25 days"
    assert duration(400_000) == "5 days"
    for value in (10.0**k for k in range(-30, 301, 15)):
        for error in (10.0**k for k in range(-30, 301, 15)):
            assert len(with_error(value, error)) <= 24
