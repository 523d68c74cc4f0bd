"""Saved results side by side: what each says, and how much they differ, all with standard errors."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.compare.contrast import difference, paired_differences
from bayesgc.analysis.compare.dependence import loss_dependence
from bayesgc.analysis.compare.distance import distances
from bayesgc.analysis.equal_fit import compared, compared_group
from bayesgc.analysis.measures import OF_ARRAYS, judged_by, measures_in, measures_of
from bayesgc.analysis.spectra import spectrum
from bayesgc.analysis.standing import standing
from bayesgc.analysis.tree.groups import fitted, values
from bayesgc.analysis.tree.storage import load
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.uncertainty import mean_and_error
from bayesgc.analysis.words.wording import whether
from bayesgc.validate import InputError, real_or_share

Json = dict[str, Any]

SCHEMA = 1
_DELTA = "10%"
_EVENT = "fit event"
_SIGNS = ("separator", "decimal", "signs_found")
"""Signs in the text of a table, and which of them were found there: another way to write the same."""
_SPEAK_FOR_THEMSELVES = ("kind", "shape", "method", "activation", "prior", "scaling", "family", "file", "name")


_COUNTED = {"examples": "examples", "outputs": "outputs", "test examples": "test examples"}
"""Settings that are numbers of something, and of what."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """What :func:`compare` found, as plain values; ``table()`` prints well, ``to_dict()`` is JSON.

    ``results`` has one entry for each result; ``differences`` one for each after the first, against the first;
    ``paired`` one for each configuration after the first that shares at least two tasks with it, over those tasks.
    """

    results: list[Json]
    differences: list[Json]
    paired: list[Json]

    def to_dict(self) -> Json:
        """One JSON object, described by the schema ``comparison``."""
        return {"schema": SCHEMA, "results": self.results, "differences": self.differences, "paired": self.paired}

    def to_dataset(self) -> xr.Dataset:
        """The numbers of each result along the dimension ``result``, NaN where there is none."""
        labels = [each["label"] for each in self.results]
        paths = {name: path for each in self.results for name, path in _columns(each).items()}
        columns = {name: [_reach(each, path) for each in self.results] for name, path in paths.items()}
        return xr.Dataset({name: ("result", values) for name, values in columns.items()}, coords={"result": labels})

    def __rich__(self) -> Any:
        """What ``rich.print`` and the command line show."""
        from bayesgc.analysis.words.tables import comparison_tables

        return comparison_tables(self)

    def __str__(self) -> str:
        from bayesgc.analysis.words.tables import as_text

        return as_text(self.__rich__())

    __repr__ = __str__


def _columns(entry: Json) -> dict[str, tuple[str, ...]]:
    """Where the numbers of a result are, by the names of its measures."""
    measures = measures_of(entry)
    gen, train = measures.generalisation.name, measures.fit.name
    return {
        f"prior_{gen}": ("prior", gen, "mean"),
        f"prior_{gen}_mcse": ("prior", gen, "mcse"),
        f"posterior_{gen}": ("posterior", gen, "mean"),
        f"posterior_{gen}_mcse": ("posterior", gen, "mcse"),
        f"gd_{gen}": ("gd", gen, "median"),
        f"gd_{train}": ("gd", train, "median"),
        f"gd_at_eps_{gen}": ("gd", "at_eps", gen, "median"),
        f"gd_at_eps_{train}": ("gd", "at_eps", train, "median"),
        "gd_quantile": ("standing", "gd", gen, "quantile"),
        "gd_quantile_mcse": ("standing", "gd", gen, "mcse"),
        "prior_below": ("below", "prior", "estimate"),
        "posterior_below": ("below", "posterior", "estimate"),
        "posterior_below_mcse": ("below", "posterior", "mcse"),
        "bits": ("rarity", "bits"),
        "bits_mcse": ("rarity", "mcse"),
    }


Result = xr.DataTree | str | os.PathLike[str]


def compare(
    *results: Result | Mapping[str, Result] | Iterable[Result],
    labels: Sequence[str] | None = None,
    delta: float | str | None = None,
) -> Comparison:
    """Compare saved or fresh results: each by itself, each with the first, and configurations over shared tasks.

    Args:
        results: DataTrees of ``infer``, or their files; or one list of them, or a dict by their names.
        labels: a name for each; by default that in the dict, or what its configuration has that the others' have not.
        delta: for P(L_gen < delta): a loss, or a share of the zero matrix's such as ``"5%"``; by default 10 % of it.

    Raises:
        InputError: without results, for a file given twice, for a number of labels that is not theirs, for a delta that
            is no loss.
    """
    given, own = _listed(results)
    if not given:
        raise InputError("compare got no result; give at least one DataTree or file.")
    if delta is not None:
        real_or_share("delta", delta, open_low=True)  # refused even where no result has a truth to use it
    _check_once(given)
    trees = [each if isinstance(each, xr.DataTree) else load(each) for each in given]
    names = list(labels) if labels is not None else own or distinguishing_labels(trees)
    if len(names) != len(trees):
        raise InputError(f"labels has {len(names)} names; it must have one for each of the {len(trees)} results.")
    entries = [_entry(name, tree, delta) for name, tree in zip(names, trees, strict=True)]
    first = entries[0], trees[0]
    pairs = zip(entries[1:], trees[1:], strict=True)
    return Comparison(
        entries, [difference((entry, tree), first) for entry, tree in pairs], paired_differences(entries, trees)
    )


def _listed(results: Sequence[Any]) -> tuple[list[Any], list[str] | None]:
    """The results one by one, and their names where they came in a dict."""
    [only, *others] = results or [[]]
    if others or isinstance(only, xr.DataTree | str | os.PathLike):
        return list(results), None
    if isinstance(only, Mapping):
        return list(only.values()), [str(name) for name in only]
    if not isinstance(only, Iterable):
        raise InputError(f"compare got {only!r}; give DataTrees or files, one by one, in a list, or in a dict by name.")
    return list(only), None


def _check_once(given: Sequence[Any]) -> None:
    """Refuse a file that is given twice: it is no other result than itself."""
    seen = set[str]()
    for file in (each for each in given if isinstance(each, str | os.PathLike)):
        place = os.path.realpath(file)
        if place in seen:
            raise InputError(f"compare got {os.fspath(file)} twice; give different results.")
        seen.add(place)


def distinguishing_labels(trees: Sequence[xr.DataTree]) -> list[str]:
    """For each result the parts of its configuration in which the results differ: ``depth 8, seed 1``.

    How the text of a table is written is a part only where nothing else tells the results apart.
    """
    settings = [_settings(tree) for tree in trees]
    names = list(dict.fromkeys(name for each in settings for name in each))
    varying = [name for name in names if len({each.get(name, "") for each in settings}) > 1]
    for chosen in ([name for name in varying if name not in _SIGNS], varying):
        labels = [", ".join(_phrase(name, each[name]) for name in chosen if name in each) for each in settings]
        if len(set(labels)) == len(labels) and all(labels):
            return labels
    numbers = count(1)
    return [f"{label} #{next(numbers)}" if label else f"result {next(numbers)}" for label in labels]


def _phrase(name: str, value: str) -> str:
    if name == _EVENT:
        return value
    if name == "bias":
        return "biases" if value == "True" else "no biases"
    if value in ("True", "False"):
        return whether(name, value == "True")
    if name in _COUNTED:
        return f"{value} {_COUNTED[name] if value != '1' else _COUNTED[name].removesuffix('s')}"
    return value if name in _SPEAK_FOR_THEMSELVES else f"{name} {value}"


def _settings(tree: xr.DataTree) -> dict[str, str]:
    """The settings that tell one result from another, by the names of the command's options."""
    configuration = json.loads(tree.attrs["configuration"])
    task = {f"task {name}" if name == "seed" else name: value for name, value in configuration["task"].items()}
    if "features" in task:  # of labelled examples the shape is that of the outputs
        examples, outputs = task.pop("shape")
        task |= {"examples": examples, "outputs": outputs}
    # The event says what a fit is, and what heads the labels of the rows is no setting.
    task = {name: value for name, value in task.items() if name not in ("eps_low", "right", "heading")}
    event = {_EVENT: measures_in(tree).event(float(tree.attrs["eps"]))}
    chosen = {**configuration["model"], **task, **event, "method": tree.attrs["method"]}
    chosen["seed"] = json.loads(tree.attrs["seeds"])["seed"]
    return {name.replace("_", " "): _short(name, value) for name, value in chosen.items() if value is not None}


def _short(name: str, value: Any) -> str:
    """A setting in few signs: sides as 8×8, the widths of layers as 20-10, classes as 0/7."""
    between = {"width": "-", "classes": "/"}.get(name, "×")
    return between.join(map(str, value)) if isinstance(value, list) else str(value)


_KEPT = (
    "task", "model", "method", "eps", "seed", "dtype", "outcome", "prior", "not_finite", "posterior",
    "better_than_prior", "gd",
    "map", "baselines", "diagnostics", "hidden",
)  # fmt: skip


def _entry(label: str, tree: xr.DataTree, delta: float | str | None) -> Json:
    """All that one result says by itself."""
    result = result_object(tree)
    return {
        "label": label,
        **{name: result[name] for name in _KEPT},
        # Without it they are those of an array.
        **({} if result["measures"] == OF_ARRAYS else {"measures": result["measures"]}),
        "log_volume": result["log_volume"],
        "log_evidence": result["log_evidence"],
        "rarity": _rarity(result),
        "below": _below(tree, result, delta),
        "distance_from_prior": distances(tree, "posterior", tree, "prior"),
        "standing": {"gd": standing(tree, compared_group(tree)), "map": standing(tree, "map")},
        "dependence": loss_dependence(tree),
        "spectrum": spectrum(tree),
    }


def _rarity(result: Json) -> Json | None:
    """How many bits of luck a fit takes: −log₂ P(L_train < ε)."""
    volume = result["log_volume"]
    if volume is None or volume["estimate"] is None:
        return None
    error = volume["mcse"]
    return {"bits": -volume["estimate"] / math.log(2), "mcse": None if error is None else error / math.log(2)}


def _below(tree: xr.DataTree, result: Json, delta: float | str | None) -> Json | None:
    """P(L_gen < δ) under prior and posterior, and the share of the fitted restarts below δ, at equal fit."""
    measures = measures_of(result)
    zero, primary = measures.known_nothing(result), measures.generalisation.name
    if judged_by(result, "prior") is None or (delta is None and not zero):
        return None
    bound = _bound(_DELTA if delta is None else delta, zero)
    laws = {law: _share(tree, law, primary, bound) for law in ("prior", "posterior") if law in tree.children}
    gd = None
    if compared(result) is not None:
        group = compared_group(tree)
        gd = float((values(tree, group, primary)[fitted(tree, group)] < bound).mean())
    return {"delta": bound, "prior": laws["prior"], "posterior": laws.get("posterior"), "gd": gd}


def _share(tree: xr.DataTree, law: str, primary: str, bound: float) -> Json:
    estimate, error = mean_and_error(tree, law, values(tree, law, primary) < bound)
    return {"estimate": estimate, "mcse": error}


def _bound(delta: float | str, zero: float | None) -> float:
    """δ as a loss; a percentage is of the zero matrix's."""
    value, relative = real_or_share("delta", delta, open_low=True)
    if relative and not zero:
        raise InputError(f"delta is {delta!r}; the zero matrix has no loss to take a share of, give a number.")
    return value * (zero or 0.0) if relative else value


def _reach(entry: Mapping[str, Any], path: Sequence[str]) -> float:
    value: Any = entry
    for step in path:
        value = None if value is None else value.get(step)
    return math.nan if value is None else float(np.float64(value))
