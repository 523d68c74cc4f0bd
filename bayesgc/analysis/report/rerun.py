"""How to run a saved result again: the command line that its configuration came from, where there is one."""

from __future__ import annotations

import json
import shlex
from typing import Any

import xarray as xr

Json = dict[str, Any]

_FAMILIES = {"matrix-factorization": "matrix", "cp-factorization": "cp", "tensor-train": "tensor-train"}
_DESCENT = {
    "optimizer": "gd-optimizer",
    "lr": "gd-lr",
    "momentum": "gd-momentum",
    "steps": "gd-steps",
    "init": "gd-init",
    "init_scale": "gd-init-scale",
    "tol": "gd-tol",
    "restarts": "restarts",
}


def rerun_command(tree: xr.DataTree) -> str | None:
    """``bayesgc infer …`` with every option that this result depends on; None where options cannot say it."""
    configuration = json.loads(tree.attrs["configuration"])
    task, model = configuration["task"], configuration["model"]
    named = model.get("family") in _FAMILIES and _is_named(model["prior"]) and isinstance(model["width"], int)
    if not named or not (task["kind"] in ("sensing", "completion") or "file" in task):
        return None
    options = {**_task(task), **_model(model), **_run(configuration)}
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    normalize = "--normalize" if model["normalize"] else "--no-normalize"
    lines = [*words, normalize, *_descent(configuration.get("gd")), *_mode(configuration.get("map"))]
    return "bayesgc infer " + " ".join(lines)


def _is_named(prior: Any) -> bool:
    """Whether a prior is one that options can name, with or without options of its own."""
    from bayesgc.models import PRIORS

    return isinstance(prior, str) and prior.partition(":")[0] in PRIORS


def _task(task: Json) -> Json:
    if "file" in task:
        return {"data": task["file"]}
    sides = task["shape"]
    shape = dict(zip(("rows", "cols"), sides, strict=True)) if len(sides) == 2 else {"shape": "x".join(map(str, sides))}
    return {"task": task["kind"], **shape, "rank": task.get("rank")} | {
        "measurements": task["measurements"],
        "task-seed": task.get("seed"),
    }


def _model(model: Json) -> Json:
    return {"family": _FAMILIES[model["family"]]} | {
        name: model[name] for name in ("depth", "width", "activation", "prior", "scaling")
    }


def _run(configuration: Json) -> Json:
    names = ("eps", "seed", "precision", "chains", "draws", "dtype")
    return {name: configuration.get(name) for name in names} | {"method": configuration["method"]["name"]}


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
