"""The checks of shapes catch a wrong call however many of its kind were right, and one of another kind among them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import beartype
import numpy as np
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from shape_checks import CHECKS, LONGEST, SETTLED, SOME, checked
from torch import Tensor

check = checked(typechecker=beartype.beartype)
WRONG = pytest.raises(TypeCheckError)


@check
def product(left: Float[Tensor, "row inner"], right: Float[Tensor, "inner col"]) -> Float[Tensor, "row col"]:
    product.calls.append(1)
    return left @ right


@pytest.fixture(autouse=True)
def calls():
    product.calls = []


def often(function, *arguments, **named):
    for _ in range(3 * CHECKS):
        function(*arguments, **named)


@pytest.mark.parametrize(
    "wrong",
    [
        (torch.ones(2, 3), torch.ones(2, 4)),
        (torch.ones(2, 3), torch.ones(3, 4, 1)),
        (torch.ones(2, 3), torch.ones(3, 4, dtype=torch.int64)),
        (torch.ones(2, 3), np.ones((3, 4), dtype=np.float32)),
        (torch.ones(2, 3), None),
    ],
    ids=["size", "axes", "dtype", "library", "none"],
)
def test_a_wrong_argument_is_caught_among_right_ones_and_before_the_call(wrong):
    often(product, torch.ones(2, 3), torch.ones(3, 4))
    before = len(product.calls)
    assert before == 3 * CHECKS
    for _ in range(2 * CHECKS):
        with WRONG:
            product(*wrong)
        with WRONG:
            product(wrong[0], right=wrong[1])
    assert len(product.calls) == before


def test_in_a_function_that_is_called_without_end_what_stays_wrong_is_caught_too():
    for _ in range(2 * SETTLED):
        product(torch.ones(2, 3), torch.ones(3, 4))
    caught = 0
    for _ in range(SOME):
        try:
            product(torch.ones(2, 3), torch.ones(1, 1, 3, 4))
        except TypeCheckError:
            caught += 1
    assert caught >= 1
    with WRONG:  # and from then on at once
        product(torch.ones(2, 3), torch.ones(1, 1, 3, 4))


def test_what_came_by_position_and_by_name_are_two_kinds():
    often(product, torch.ones(2, 3), torch.ones(3, 4))
    often(product, torch.ones(2, 3), right=torch.ones(3, 4))
    with WRONG:
        product(right=torch.ones(2, 3), left=torch.ones(3, 4))


def test_a_wrong_result_of_a_right_call_is_caught():
    found = [torch.ones(2), torch.ones(3), torch.ones(2, 1), torch.ones(2, dtype=torch.int32), None]

    @check
    def give(like: Float[Tensor, " n"], place: int) -> Float[Tensor, " n"]:
        return found[place]

    for _ in range(2 * CHECKS):
        often(give, torch.ones(2), 0)
        for place in range(1, len(found)):
            with WRONG:
                give(torch.ones(2), place)
    often(give, torch.ones(3), 1)


def test_literals_and_classes_are_told_apart_by_themselves():
    @check
    def choose(what: Literal["this", "that"], of: type[Tensor]) -> str:
        return what

    often(choose, "this", Tensor)
    with WRONG:
        choose("other", Tensor)
    with WRONG:
        choose("this", np.ndarray)


def test_items_of_containers_are_looked_at():
    @check
    def total(
        parts: list[Float[Tensor, " _"]], named: dict[str, Float[Tensor, " n"]], names: set[str] | None = None
    ) -> tuple[int, ...]:
        return (len(parts), len(named))

    right, named = [torch.ones(2), torch.ones(3)], {"a": torch.ones(2)}
    often(total, right, named)
    often(total, right, named, {"a"})
    with WRONG:
        total(right, named, {1})
    with WRONG:
        total([torch.ones(2, 2), torch.ones(3, 3)], named)
    with WRONG:
        total(right, {"a": torch.ones(2, 2)})
    long = [torch.ones(2)] * (LONGEST + 1)
    often(total, long, named)
    with WRONG:
        total([torch.ones(2, 2)] * (LONGEST + 1), named)


def test_fields_of_dataclasses_are_checked_as_they_are_made():
    @check
    @dataclass
    class Pair:
        first: Float[np.ndarray, " n"]
        second: Float[np.ndarray, " n"]

    often(Pair, np.ones(2), np.ones(2))
    with WRONG:
        Pair(np.ones(2), np.ones(3))


@pytest.mark.skipif("BAYESGC_UNCHECKED" in os.environ, reason="checks are left out")
def test_the_package_is_checked():
    import bayesgc as gc

    task = gc.sensing(2, 2, 1, 3, seed=0)
    often(task.train_loss, torch.ones(4, 5))
    with WRONG:
        task.train_loss(torch.ones(4))
