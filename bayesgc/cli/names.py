"""The name of a result's file where none is given: what was run, so that files of other questions are told apart."""

from __future__ import annotations

import re
from typing import Any

from bayesgc.options import Options
from bayesgc.options.declared import MODEL, TASK
from bayesgc.plugins import called
from bayesgc.task import Task

_IN_THE_BASE = frozenset({"model", "family", "depth", "task", "rows", "cols", "shape", "data", "train"})
_NOT_OF_FILES = frozenset({"rows", "cols", "train"})
"""Of these, what the name of a file does not hold: columns of a long table, and how many examples are taken."""
_OF_READING = frozenset({"index", "header"})
"""Options that say how a file is to be read, which is the same question."""
_ALONE = frozenset({"activation", "prior", "scaling", "method", "fit"})
"""Options whose values say what they are."""
_ODD = re.compile(r"[^\w.+=-]+")
_LONGEST = 120


def default_stem(options: Options, task: Task) -> str:
    """``sensing-5x5-depth8-tanh-eps0.01-seed0``: task and model, what else was chosen of the question, and the seed."""
    layered = isinstance(task.domain, tuple)
    size = "x".join(map(str, task.shape)) if layered else task.shape[0]
    source = options.data.stem if options.data else f"{called(options.task)}-{size}"
    own = f"depth{options.depth}" if layered else options.family or "mlp"
    family = [options.family] if layered and options.family not in (None, "matrix") else []
    parts = [source, *family, own if options.model is None else called(options.model), *_chosen(options)]
    return "-".join(["-".join(map(str, parts))[:_LONGEST], *_draw(options), f"seed{options.seed}"])


def _draw(options: Options) -> list[str]:
    """Which draw of the task it is; of a file, where it was asked for, 0 is a draw too."""
    default = None if options.data else Options.model_fields["task_seed"].default
    drawn = "task_seed" in options.given and options.task_seed != default
    return [_part("task_seed", options.task_seed)] if drawn else []


def _chosen(options: Options) -> list[str]:
    """The options of the question that differ from their defaults, in the order of their declaration."""
    asked = Options.names(MODEL) | Options.names(TASK) | {"eps", "method", "dtype"}
    asked -= (_IN_THE_BASE - _NOT_OF_FILES if options.data else _IN_THE_BASE) | _OF_READING | {"task_seed"}
    chosen = [name for name in Options.model_fields if name in asked & options.given]
    values = {name: getattr(options, name) for name in chosen}
    return [_part(name, value) for name, value in values.items() if value != Options.model_fields[name].default]


def _part(name: str, value: Any) -> str:
    """``tanh``, ``width10``, ``no-normalize``; an option with a text of its own as ``target-price``."""
    label = name.replace("_", "-")
    if isinstance(value, bool):
        return label if value else f"no-{label}"
    text = _ODD.sub("_", str(value).replace("%", "pct")).strip("._")
    if name in _ALONE:
        return text
    return f"{label}{'' if text[:1].isdigit() else '-'}{text}"
