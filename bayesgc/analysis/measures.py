"""The measures of generalisation and of fit: what results call them, and how tables, sentences and axes do.

A result names its two measures, and everything that is told of it asks here for their facts: no other module of this
room knows one measure from another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from bayesgc.analysis.words.numerals import rounded, with_error

Json = dict[str, Any]

OF_ARRAYS = {"fit": "train_loss", "generalisation": "gen_loss"}
"""The measures of results that name none: those of versions that knew arrays alone."""


@dataclass(frozen=True)
class Measure:
    """One measure by its ``name`` in results.

    ``symbol`` is what tables call it, ``words`` what sentences do, ``axis`` and ``plain_axis`` what axes do, with and
    without formulas, and ``average`` its mean. Of a ``percent`` people read hundredths.
    """

    name: str
    symbol: str
    words: str
    axis: str
    average: str
    percent: bool = False

    @property
    def plain_axis(self) -> str:
        """The axis where nothing sets formulas."""
        return self.axis.replace("$L_{gen}$", "L_gen").replace("$L_{train}$", "L_train")

    @property
    def mean(self) -> str:
        """What the mean is called where a sentence begins."""
        return f"Mean {self.symbol}" if self.percent else self.average

    @property
    def mean_heading(self) -> str:
        """What the mean is called within headings and captions."""
        return self.heading if self.percent else self.average

    @property
    def tip(self) -> str:
        """Beside a number where one points at it."""
        return self.heading if self.percent else self.name.replace("_", " ")

    @property
    def heading(self) -> str:
        """At the top of a column, with the unit that its cells leave out."""
        return f"{self.symbol} (%)" if self.percent else self.symbol

    @property
    def counts(self) -> bool:
        """Whether it is a whole number."""
        return self.name == _COUNTED

    @property
    def whole(self) -> bool:
        """Whether it is, or is a share of, a whole number, which may be zero and asks for no logarithm."""
        return self.percent or self.counts

    def scaled(self, value: Any) -> Any:
        """A number, None or an array in the unit that people read."""
        return value if value is None or not self.percent else 100 * value

    def number(self, value: float | None, digits: int = 3, *, bare: bool = False) -> str:
        """A value, ``bare`` where a heading has the unit."""
        return self._with_unit(self._rounded(value, digits), bare=bare)

    def estimate(self, value: float | None, error: float | None, digits: int = 2, *, bare: bool = False) -> str:
        """A value with its standard error; of a per cent more than one digit of it only distracts."""
        if self.percent and error == 0:
            return self.number(value, bare=bare)
        shown = with_error(self.scaled(value), self.scaled(error), 1 if self.percent else digits)
        return self._with_unit(shown, bare=bare)

    def quartiles(self, low: float | None, high: float | None, *, bare: bool = False) -> str:
        """The quartiles of a spread."""
        return self._with_unit(f"[{self._rounded(low, 2)}, {self._rounded(high, 2)}]", bare=bare)

    def spread(self, spread: Json) -> str:
        """Median and quartiles of restarts, in a sentence: ``0.02 [0.01, 0.03]``, ``2.0 [0.5, 2.5] %``."""
        middle, ends = self.number(spread["median"], bare=True), self.quartiles(spread["q25"], spread["q75"], bare=True)
        return self._with_unit(f"{middle} {ends}", bare=False)

    def _rounded(self, value: float | None, digits: int) -> str:
        """To so many digits; per cent to a tenth, so that shares of a test set look alike, and whole numbers whole."""
        value = self.scaled(value)
        if value is not None and self.percent and (value == 0 or value >= _TENTH):
            return f"{value:.1f}"
        if value is not None and self.counts and value.is_integer():
            return f"{value:.0f}"
        return rounded(value, digits)

    def _with_unit(self, shown: str, *, bare: bool) -> str:
        return f"{shown} %" if self.percent and not bare and shown != "-" else shown


_ALL = (
    Measure("gen_loss", "L_gen", "generalisation loss", "generalisation loss $L_{gen}$", "E[L_gen]"),
    Measure("test_error", "test error", "test error", "test error (%)", "the mean test error", percent=True),
    Measure("train_loss", "L_train", "training loss", "training loss $L_{train}$", "E[L_train]"),
    Measure("train_errors", "training errors", "training errors", "training errors", "the mean of the training errors"),
)
MEASURES = {each.name: each for each in _ALL}
_TENTH = 0.1
_COUNTED = "train_errors"
_OF_CLASSES = "test_error"
SOFT = "errors − 1 + violation"
"""The score of a number of errors, which tells draws apart that have as many of them."""
VIOLATION = "violation: of all margins the share that is on the wrong side"


@dataclass(frozen=True)
class Ignorant:
    """The reference point that knows nothing: its name, also in headings, in a sentence, and what numbers are over.

    ``owner`` is what its loss is that of.
    """

    name: str
    phrase: str
    relative: str
    owner: str


ZERO = Ignorant("zero", "predicting zero", "zero", "the zero matrix")
_MAJORITY = Ignorant("majority", "guessing the most common label", "the most common label", "the most common label")
_MEAN = Ignorant("mean", "predicting the mean label", "the mean label", "the mean label")


@dataclass(frozen=True)
class Measures:
    """How a task is judged and fitted, and the reference point of who knows nothing.

    Where fits are ``counted`` they are at most so many errors, which has volume at none of them too. Losses may have a
    lower end, ``low``, beside ε, and labels may have to be ``right`` too.
    """

    generalisation: Measure
    fit: Measure
    ignorant: Ignorant
    labelled: bool
    low: float | None = None
    right: bool = False

    @property
    def more_than_loss(self) -> bool:
        """Whether a fit is more than a loss below ε, so that descent fits at a look and not on passing a threshold."""
        return self.counted or self.low is not None or self.right

    @property
    def counted(self) -> bool:
        """Whether a fit is a number of errors."""
        return self.fit.name == _COUNTED

    @property
    def classes(self) -> bool:
        """Whether test examples are right or wrong."""
        return self.generalisation.name == _OF_CLASSES

    @property
    def columns(self) -> tuple[Measure, ...]:
        """The measures of fit that a table shows: for classes the errors too where a fit is something else."""
        return (self.fit, MEASURES[_COUNTED]) if self.classes and not self.counted else (self.fit,)

    @property
    def first_fit(self) -> str:
        """What the place is called where gradient descent is at equal fit."""
        return "at its first fit" if self.more_than_loss else "at ε"

    def exact(self, eps: float) -> bool:
        """Whether the fit at ``eps`` is exact and so has no volume, as that of an array at ε = 0."""
        return eps == 0 and not self.counted

    def fits(self, value: float, eps: float) -> bool:
        """Whether what has this measure of fit fits; whether its labels are right too is not asked."""
        return value <= eps if self.counted else (self.low or 0.0) <= value < eps

    def passes(self, eps: float) -> str:
        """That something fits: ``passes ε = 0.0035``, ``has at most 2 errors``."""
        return f"{'passes' if self.low is None and not self.counted else 'has'} {self.event(eps)}"

    def missed(self, eps: float) -> str:
        """That no draw fitted: ``No draw reached ε = 0.0035``, ``No draw had at most 2 errors``."""
        return f"No draw {'had' if self.counted else 'reached'} {self.event(eps)}"

    def event(self, eps: float) -> str:
        """What a draw must be to fit: ``ε = 0.01``, ``at most 3 errors``, ``L_train in [0.4, 0.5)``.

        Between two numbers of errors a threshold is one on the score that leads to them.
        """
        if self.counted:
            return f"at most {errors_in_words(eps)}" if float(eps).is_integer() else f"{SOFT} < {rounded(eps, 4)}"
        loss = f"ε = {eps:g}" if self.low is None else f"{self.fit.symbol} in [{self.low:g}, {eps:g})"
        return f"{loss}, all labels right" if self.right else loss

    def formula(self, eps: float) -> str:
        """The same as an event: ``L_train < 0.01``, ``at most 3 errors``."""
        return self.event(eps) if self.more_than_loss else f"{self.fit.symbol} < {eps:.3g}"

    def known_nothing(self, result: Json) -> float | None:
        """The generalisation of the reference point that knows nothing."""
        point = result["baselines"].get(self.ignorant.name)
        return None if point is None else point[self.generalisation.name]


def errors_in_words(count: float) -> str:
    """``0 errors``, ``1 error``."""
    return f"{count:g} error{'' if count == 1 else 's'}"


def measure_named(name: str) -> Measure:
    """The measure of a name; one that a plug-in has made is called as it is named."""
    words = name.replace("_", " ")
    return MEASURES.get(name, Measure(name, words, words, words, f"the mean {words}"))


def measures_of(result: Mapping[str, Any]) -> Measures:
    """Those of a result object, or of an entry of a comparison."""
    task = result.get("task", {})
    return _measures(result.get("measures", OF_ARRAYS), labelled="examples" in task, task=task)


def measures_in(tree: xr.DataTree) -> Measures:
    """Those of a tree."""
    names = json.loads(tree.attrs.get("measures", json.dumps(OF_ARRAYS)))
    task = json.loads(tree.attrs.get("configuration", "{}")).get("task", {})
    return _measures(names, labelled="prior" in tree.children and "train_output" in tree["prior"].data_vars, task=task)


def measures_over(cells: xr.Dataset) -> Measures:
    """Those of the cells of a sweep, which are all judged alike."""
    names = json.loads(cells.attrs.get("measures", json.dumps(OF_ARRAYS)))
    return _measures(names, labelled="measures" in cells.attrs)


def _measures(names: dict[str, str], *, labelled: bool, task: Json | None = None) -> Measures:
    generalisation, fit = measure_named(names["generalisation"]), measure_named(names["fit"])
    ignorant = ZERO if not labelled else _MAJORITY if generalisation.name == _OF_CLASSES else _MEAN
    task = task or {}
    return Measures(generalisation, fit, ignorant, labelled, task.get("eps_low"), task.get("right", False))


def judged_by(result: Json, law: str) -> Json | None:
    """The measure of generalisation of a law of a result; None where there is no such law or it is not known."""
    found: Json | None = None if result[law] is None else result[law][measures_of(result).generalisation.name]
    return found


def fitted_by(result: Json, law: str) -> Json | None:
    """The measure of fit of a law of a result."""
    found: Json | None = None if result[law] is None else result[law][measures_of(result).fit.name]
    return found


def exact(result: Json) -> bool:
    """Whether the fit of a result is exact."""
    return measures_of(result).exact(result["eps"])
