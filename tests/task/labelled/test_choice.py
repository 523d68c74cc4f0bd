"""Which examples are trained on and which are tested on: what a choice gives, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgc.task.labelled.choice import Choice, Examples
from bayesgc.validate import InputError


def pool(count: int = 60, classes: int = 3) -> Examples:
    """The input is the number of the example, and its label that number modulo the classes."""
    places = np.arange(count)
    return Examples(places[:, None].astype(float), places % classes)


def places(examples: Examples) -> list[int]:
    return [int(place) for place in examples.inputs[:, 0]]


def chosen(examples: Examples | None = None, tests: Examples | None = None, **asked):
    train, test = Choice(**asked).applied(examples or pool(), tests, numbers=False)
    return places(train), places(test)


def test_no_example_is_both_trained_and_tested_on() -> None:
    train, test = chosen(train=20)
    assert (len(train), len(test)) == (20, 40)
    assert sorted(train + test) == list(range(60))


def test_fewer_are_among_more_and_the_test_set_stays() -> None:
    small, large = chosen(train=20, test=15), chosen(train=30, test=15)
    assert large[0][:20] == small[0]
    assert large[1] == small[1]
    assert set(chosen(train=20, test=12)[1]) < set(small[1])


def test_a_seed_makes_the_choice() -> None:
    assert chosen(train=20, seed=1) == chosen(train=20, seed=1)
    assert chosen(train=20, seed=1)[0] != chosen(train=20, seed=2)[0]


def test_every_example_is_as_likely_as_any_other() -> None:
    counts = np.zeros(60)
    for seed in range(400):
        train, _ = Choice(train=20, seed=seed)._split(pool())
        counts[places(train)] += 1
    # A count is binomial(400, 1/3) but for the sum, which is fixed: this is χ² with 59 degrees of freedom, times
    # 1 − 1/3 in mean; its standard deviation is √(2·59) = 11, and 5 of them are allowed.
    statistic = ((counts - 400 / 3) ** 2 / (400 / 3 * 2 / 3)).sum() * 59 / 60
    assert abs(statistic - 59) < 5 * 11


@pytest.mark.parametrize(("asked", "sizes"), [
    ({}, (48, 12)),
    ({"test": 10}, (50, 10)),
    ({"test": "20%"}, (48, 12)),
    ({"test": 0.5}, (30, 30)),
    ({"test": "0.5"}, (30, 30)),
    ({"train": 12, "test": "30"}, (12, 30)),
    ({"train": 12, "test": 0.25}, (12, 15)),
])  # fmt: skip
def test_sizes(asked, sizes) -> None:
    train, test = chosen(**asked)
    assert (len(train), len(test)) == sizes


def test_at_most_800_are_tested_on_where_no_number_is_given() -> None:
    train, test = chosen(pool(3000), train=16)
    assert (len(train), len(test)) == (16, 800)
    assert len(chosen(pool(3000), train=16, test=2000)[1]) == 2000


def test_classes_are_kept_by_name() -> None:
    for classes in ("0,2", (0, 2), ["2", "0"]):
        train, test = chosen(train=20, classes=classes)
        assert len(train + test) == 40
        assert {place % 3 for place in train + test} == {0, 2}


def test_a_balanced_set_has_as_many_of_each_class() -> None:
    train, test = chosen(train=21, balanced=True)
    assert np.bincount(np.array(train) % 3).tolist() == [7, 7, 7]
    assert sorted(train + test) == list(range(60))
    plain = np.bincount(np.array(chosen(train=21)[0]) % 3).tolist()
    assert plain != [7, 7, 7]  # negative control: a plain choice of this seed is not balanced


def test_a_test_set_of_its_own_is_chosen_from_by_itself() -> None:
    train, test = chosen(pool(), pool(90), train=9, test=30, balanced=True)
    assert (len(train), len(test), max(test) > 60) == (9, 30, True)
    everything = chosen(pool(), pool(90), classes="0,1")
    assert [len(each) for each in everything] == [40, 60]


@pytest.mark.parametrize(("asked", "said"), [
    ({"train": 0}, "train is 0; it must be a whole number from 1 to 59: there are 60 examples, some to test on"),
    ({"train": 60}, "train is 60; it must be a whole number from 1 to 59"),
    ({"train": 50, "test": 11}, "test is 11; it must be a whole number from 1 to 10: there are 10 examples to test on"),
    ({"test": 0}, "test is 0"),
    ({"test": -3}, "test is -3"),
    ({"test": 1.5}, "test is 1.5; it must be a whole number at least 1, or a share such as 0.2 or 20%"),
    ({"test": "120%"}, "test is '120%'"),
    ({"test": "x"}, "test is 'x'"),
    ({"test": True}, "test is True"),
    ({"classes": "1"}, "classes is '1', which names one class"),
    ({"classes": "1,1"}, "which names a class twice"),
    ({"classes": "0,12"}, "classes names '12', which is none of 0, 1, 2"),
    ({"train": 20, "balanced": True}, "train is 20; balanced over 3 classes it must be a multiple of 3"),
    ({"train": 2}, "absent from the training set that seed 0 chooses, of size 2; take more of them, balanced ones"),
    ({"test": 2}, "absent from the test set that seed 0 chooses, of size 2; take more of them or another seed"),
    ({"seed": -1}, "seed is -1"),
])  # fmt: skip
def test_what_cannot_be_chosen_is_refused(asked, said) -> None:
    with pytest.raises(InputError) as refused:
        chosen(**asked)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_too_few_of_a_class_to_be_balanced() -> None:
    uneven = Examples(np.arange(12.0)[:, None], np.array([0] * 10 + [1] * 2))
    with pytest.raises(InputError, match="balanced 4 of each class, and class 1 has 2; train must be at most 4"):
        chosen(uneven, train=8, balanced=True)


def test_one_example_cannot_be_split() -> None:
    with pytest.raises(InputError, match="there is 1 example"):
        Choice().applied(Examples(np.ones((1, 2)), np.array([0.5])), None, numbers=True)


@pytest.mark.parametrize("asked", [{"classes": "0,1"}, {"balanced": True}])
def test_numbers_have_no_classes(asked) -> None:
    with pytest.raises(InputError, match="is for labels that are classes; these are numbers"):
        Choice(**asked).applied(pool(), None, numbers=True)
