"""How to run a saved result again: the command line that its configuration came from, where there is one."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any

import xarray as xr

from bayesgc.analysis.tree.strict import to_json

Json = dict[str, Any]

_FAMILIES = {"matrix-factorization": "matrix", "cp-factorization": "cp", "tensor-train": "tensor-train"}
_NETWORKS = ("mlp", "lenet")
_DESCENT = {
    "protocol": "gd-protocol",
    "optimizer": "gd-optimizer",
    "lr": "gd-lr",
    "momentum": "gd-momentum",
    "steps": "gd-steps",
    "batch": "gd-batch",
    "epochs": "gd-epochs",
    "init": "gd-init",
    "init_scale": "gd-init-scale",
    "tol": "gd-tol",
    "restarts": "restarts",
}


_UNLIMITED = 1e9
"""Thirty years, in seconds: no option says that there is no limit."""


def rerun_command(tree: xr.DataTree) -> str | None:
    """``bayesgc infer …`` with every option that this result depends on; None where options cannot say it."""
    if why_no_command(tree) is not None:
        return None
    configuration = json.loads(tree.attrs["configuration"])
    options = {**_task(configuration["task"]), **_model(configuration["model"]), **_run(configuration)}
    options |= _as_given(configuration)
    words = [_option(name, value) for name, value in options.items() if value is not None]
    return " ".join(["bayesgc infer", *words, *_descent(configuration.get("gd")), *_mode(configuration.get("map"))])


def why_no_command(tree: xr.DataTree) -> str | None:
    """What of this result no option can say; None where a command line can run it again."""
    from bayesgc.inference import MaximumAPosteriori

    configuration = json.loads(tree.attrs["configuration"])
    task, mode = configuration["task"], configuration.get("map")
    if "set" in task and set(task) - _OF_EXAMPLES:
        return f"the set {task['set']} was given options in Python"
    if task["kind"] not in ("sensing", "completion") and not {"file", "set"} & set(task):
        return "the task was given in Python"
    if reason := _why_no_model(configuration["model"]):
        return reason
    if (gd := configuration.get("gd")) and gd.get("batch", 1) is None:
        return "gradient descent on all examples at once was asked for in Python"
    if _method_spec(configuration["method"]) is None:
        return f"the method {configuration['method']['name']} was given settings of its own in Python"
    if isinstance(mode, dict) and mode != asdict(MaximumAPosteriori()):
        return "the search for the mode was given settings of its own in Python"
    return None


def _why_no_model(model: Json) -> str | None:
    from bayesgc.models import ACTIVATIONS, SCALINGS

    if model.get("family") == "program":
        return None if ":" in model["name"] else "the model was given in Python"
    own = model.get("family") == "module" and ":" in model["name"]
    if not own and model.get("family") not in (*_FAMILIES, *_NETWORKS):
        return "the model was given in Python"
    if "prior_given" in model or not _is_named(model["prior"]):
        return "a prior was given as a function in Python"
    if model["family"] in _FAMILIES and not isinstance(model["width"], int):
        return "the widths differ between layers"
    for name, known in (("activation", ACTIVATIONS), ("scaling", SCALINGS)):
        if name in model and model[name] not in known:
            return f"the {name} was given in Python"
    return None


def _is_named(prior: str) -> bool:
    """Whether options can name a prior, or each in a list: by its name, or by where it lies."""
    from bayesgc.models import available
    from bayesgc.models.priors.prior import given_priors
    from bayesgc.plugins import split

    known = available()
    return all(each.partition(":")[0] in known or split(each)[1] for each in given_priors(prior))


def _method_spec(method: Json) -> str | None:
    """The name that stands for a method, with the hyperparameters that differ from its own; None where none does."""
    from bayesgc.inference import METHODS, method_named
    from bayesgc.inference.methods import hyperparameters, method_options

    name, known = method["name"], METHODS.available().get(method["name"])
    if known is None or isinstance(known, str):
        return None
    own = [f"{k}={method[k]}" for k, default in method_options(known).items() if method.get(k) not in (None, default)]
    spec = f"{name}:{','.join(own)}" if own else name
    return spec if method == json.loads(to_json(hyperparameters(method_named(spec)))) else None


def _option(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {shlex.quote(str(value))}"


def _task(task: Json) -> Json:
    if "features" in task:
        return _examples(task)
    if "file" in task:
        names = ("standardize", "index", "header", "rows", "cols", "values", *_OF_READING)
        return {"data": task["file"]} | {name: task.get(name) for name in names}
    sides = task["shape"]
    shape = dict(zip(("rows", "cols"), sides, strict=True)) if len(sides) == 2 else {"shape": "x".join(map(str, sides))}
    return {"task": task["kind"], **shape, "rank": task.get("rank")} | {
        "measurements": task["measurements"],
        "task-seed": task.get("seed"),
    }


_OF_READING = ("columns", "drop", "missing", "separator", "decimal")
_OF_EXAMPLES = frozenset(
    "set seed balanced kind shape examples features test_examples fit eps_low right classes independent "  # noqa: SIM905
    "preparation".split()
)
"""What is known of examples of a set whose options of its own were left alone."""


def _examples(task: Json) -> Json:
    """Labelled examples: where from, which of them where they were chosen, and what a fit is."""
    chosen: Json = {}
    if "balanced" in task:
        classes = task["classes"] and ",".join(task["classes"])
        chosen = {"train": task["examples"], "test": task["test_examples"] or None, "classes": classes}
        chosen |= {"balanced": task["balanced"] or None, "task-seed": task["seed"]}
    source = {"task": task.get("set"), "data": task.get("file"), "target": task.get("target")}
    fit = {"fit": task["fit"], "eps-low": task.get("eps_low"), "right": task.get("right")}
    source |= {name: task.get(name) for name in _OF_READING}
    return {**source, **chosen, "standardize": "preparation" in task or None, **fit}


def _model(model: Json) -> Json:
    if model["family"] == "program":
        return {"model": model["name"]}
    weights = {name.replace("_", "-"): model.get(name) for name in ("prior", "scaling", "normalize_weights")}
    if model["family"] == "module":
        return {"model": model["name"], **weights}
    if model["family"] in _NETWORKS:
        width = model["width"] if isinstance(model["width"], list) else [model["width"]]
        return (
            {name: model[name] for name in ("family", "activation", "bias")}
            | weights
            | {"width": ",".join(map(str, width))}
        )
    names = ("depth", "width", "activation", "prior", "normalize")
    # Priors that take no scale refuse a scaling that is named.
    scaling = None if model["scaling"] == "fan-out" else model["scaling"]
    return {"family": _FAMILIES[model["family"]], "scaling": scaling} | {name: model[name] for name in names}


def _run(configuration: Json) -> Json:
    names = ("eps", "seed", "precision", "chains", "draws", "dtype")
    limit = configuration.get("max_seconds", 0)  # results of before its record say nothing
    return {name: configuration.get(name) for name in names} | {
        "method": _method_spec(configuration["method"]),
        "max-seconds": _UNLIMITED if limit is None else limit or None,
        "max-evaluations": configuration.get("max_evaluations"),
        "weights": configuration.get("weights") or None,
    }


def _as_given(configuration: Json) -> Json:
    """The options of which the run made something else, as they were given; an ε that was left open is so again."""
    given: Json | None = configuration.get("given")
    if given is None:  # results of earlier versions
        return {}
    files: Json = {name: given[name] for name in ("data", "completed") if name in given}
    # A table from the command line is compared on hidden cells unless that is turned off.
    unasked = "0" if configuration["task"]["kind"] == "data" else None
    return {"eps": given.get("eps"), "hide": given.get("hide", unasked), **files}


def _descent(gd: Json | None) -> list[str]:
    if gd is None:
        return ["--no-gd"]
    given = {name: gd[key] for key, name in _DESCENT.items() if gd.get(key) is not None}
    if gd.get("init") == "prior":
        given.pop("gd-init-scale", None)
    if gd.get("optimizer") == "adam":
        given.pop("gd-momentum", None)
    return [f"--{name} {value}" for name, value in given.items()]


def _mode(mode: Json | bool | None) -> list[str]:
    return [] if mode is None else ["--map"] if mode else ["--no-map"]
