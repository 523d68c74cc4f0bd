"""Questions about arrays that the paper leaves open."""

from __future__ import annotations

from typing import Any

from bayesgc.experiments.study import Part, Study

_DEPTH: dict[str, Any] = {"width": 5, "normalize": True, "eps": 0.0035}
_WIDTH: dict[str, Any] = {"depth": 2, "normalize": False, "eps": 0.02}
_TENSOR: dict[str, Any] = {"family": "cp", "shape": "3x3x3", "eps": "10%"}

ARRAY_STUDIES: dict[str, Study] = {
    "relu": Study(
        "Width with ReLU",
        "Does width hurt Guess & Check where the activation is not odd?",
        _WIDTH | {"gd_lr": 1e-3},
        {"width": [5, 20, 80, 320]},
        {name: {"activation": name} for name in ("relu", "leaky-relu")},
    ),
    "ranks": Study(
        "Ranks of the truth",
        "Does depth help Guess & Check where the truth is not of rank one?",
        _DEPTH | {"measurements": 22},
        {"depth": [2, 4, 6, 8, 10]},
        {f"rank {rank}": {"rank": rank} for rank in (1, 2, 3)},
    ),
    "raw-priors": Study(
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
    "depth-over-width": Study(
        "Depth over width",
        "Is depth over width what matters for depth's help?",
        {"normalize": True, "eps": 0.01, "gd": False, "precision": 0.15},
        parts={
            "width-20": Part({"width": 20}, {"depth": [20, 80]}),
            "width-5": Part({"width": 5}, {"depth": [5, 20, 80, 1000]}),
        },
        one_axis=True,
    ),
    "equal-fit": Study(
        "Equal fit",
        "How much better than Guess & Check is gradient descent where it fits no better?",
        {},
        panels={"small start": {"gd_init": "small"}, "start at the prior": {"gd_init": "prior"}},
        parts={
            "depth": Part(_DEPTH, {"depth": [2, 8]}),
            "width": Part(_WIDTH | {"gd_lr": 1e-3}, {"width": [5, 80]}),
        },
    ),
    "thresholds": Study(
        "The threshold against depth",
        "Does depth still help Guess & Check as ε goes to zero?",
        {"width": 5, "normalize": True, "gd": False},
        {"depth": [2, 4, 8, 16], "eps": [0.01, 0.0035, 0.001, 0.0003]},
    ),
    "measurements": Study(
        "The number of measurements",
        "From how many measurements on does Guess & Check find the truth, and gradient descent?",
        _DEPTH | {"eps": 0.001},
        {"measurements": [6, 9, 12, 15, 18, 21]},
        {f"depth {depth}": {"depth": depth} for depth in (2, 8)},
    ),
    "tensor-width": Study(
        "Width of a tensor factorisation",
        "Does width hurt Guess & Check on tensors?",
        _TENSOR | {"depth": 2, "normalize": False},
        {"width": [3, 9, 27]},
    ),
    "tensor-depth": Study(
        "Depth of a tensor factorisation",
        "Does depth help Guess & Check on tensors?",
        _TENSOR | {"width": 9, "normalize": True},
        {"depth": [2, 3, 4, 6]},
    ),
}
