"""Questions that the paper leaves open, as sweeps: eight tasks each, and claims that the data decide."""

from __future__ import annotations

from typing import Any

from bayesgc.experiments.sweep import Sweep
from bayesgc.validate import one_of

TASK_SEEDS, QUICK_TASK_SEEDS = list(range(8)), [0, 1, 2]
_DEPTH: dict[str, Any] = {"width": 5, "normalize": True, "eps": 0.0035}
_WIDTH: dict[str, Any] = {"depth": 2, "normalize": False, "eps": 0.02}
_TENSOR: dict[str, Any] = {"family": "cp", "shape": "4x4x4", "gd": False}
_NOTE = "This is not in the paper; tasks and sizes are those of its experiments where nothing else is said."

STUDIES: dict[str, tuple[str, str, dict[str, Any], dict[str, list[Any]], dict[str, dict[str, Any]]]] = {
    "relu": (
        "Width with ReLU",
        "Does width hurt Guess & Check where the activation is not odd?",
        _WIDTH | {"gd_lr": 1e-3},
        {"width": [5, 20, 80, 320]},
        {name: {"activation": name} for name in ("relu", "leaky-relu")},
    ),
    "ranks": (
        "Ranks of the truth",
        "Does depth help Guess & Check where the truth is not of rank one?",
        _DEPTH | {"measurements": 22},
        {"depth": [2, 4, 6, 8, 10]},
        {f"rank {rank}": {"rank": rank} for rank in (1, 2, 3)},
    ),
    "raw-priors": (
        "Priors without normalisation",
        "Does depth help Guess & Check where the prior is not normalised, or its mean is not zero?",
        {"width": 5, "normalize": False, "eps": 0.01},
        {"depth": [2, 4, 6, 8]},
        {
            "mean 0": {"prior": "gaussian"},
            "mean 0.5": {"prior": "gaussian:mean=0.5"},
            "mean 0.5, normalised": {"prior": "gaussian:mean=0.5", "normalize": True},
        },
    ),
    "depth-over-width": (
        "Depth over width",
        "Is depth over width what matters for depth's help?",
        {"normalize": True, "eps": 0.0035, "gd": False},
        {"depth": [2, 5, 10, 20, 40]},
        {f"width {width}": {"width": width} for width in (5, 10)},
    ),
    "thresholds": (
        "The threshold against depth",
        "Does depth still help Guess & Check as ε goes to zero?",
        {"width": 5, "normalize": True, "gd": False},
        {"depth": [2, 4, 8], "eps": [0.01, 0.0035, 0.001, 0.0003]},
        {},
    ),
    "measurements": (
        "The number of measurements",
        "From how many measurements on does Guess & Check find the truth, and gradient descent?",
        _DEPTH | {"depth": 4},
        {"measurements": [6, 9, 12, 15, 18, 21, 24]},
        {name: {"activation": name} for name in ("linear", "tanh")},
    ),
    "tensor-width": (
        "Width of a tensor factorisation",
        "Does width hurt Guess & Check on tensors?",
        _TENSOR | {"depth": 2, "normalize": False, "eps": "25%"},
        {"width": [4, 16, 64]},
        {},
    ),
    "tensor-depth": (
        "Depth of a tensor factorisation",
        "Does depth help Guess & Check on tensors?",
        _TENSOR | {"width": 4, "normalize": True, "eps": "25%"},
        {"depth": [2, 3, 4]},
        {},
    ),
}
"""By name: title, question, options, axes and panels."""


def study(name: str, *, quick: bool = False) -> Sweep:
    """The sweep of one study; with ``quick`` the ends of its axis and three tasks.

    Raises:
        InputError: for a study that there is not.
    """
    title, question, options, axes, panels = STUDIES[one_of("study", name, STUDIES)]
    sizes = {axis: [values[0], values[-1]] if quick else values for axis, values in axes.items()}
    return Sweep(
        title=title,
        question=question,
        options=options,
        axes=sizes | {"task_seed": QUICK_TASK_SEEDS if quick else TASK_SEEDS},
        panels=panels,
        notes=["Few sizes and tasks (--quick): a look, not the study.", _NOTE] if quick else [_NOTE],
    )
