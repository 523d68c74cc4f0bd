"""Questions about ordinary networks, on images of handwritten digits: several draws of the data each.

Sources of the settings: Peleg and Hein 2024 (perceptrons on MNIST 0 v 7, balanced, no biases), Chiang et al. 2023 (bins
of the loss of normalised outputs, uniform weights), Pakman et al. 2026 (weights ±1). Their draws of the data are not
public, so what can be compared is the level and the trend.
"""

from __future__ import annotations

from typing import Any

from bayesgc.experiments.study import Part, Study

_NOTE = "Each task is a draw of the training set; their spread is told apart from the Monte Carlo error."
# Fewer islands than usual: draws of the data differ by far more than islands do.
_ISLANDS: dict[str, Any] = {"chains": 10, "precision": 0.2}
_MNIST = _ISLANDS | {"task": "mnist", "classes": "0,7", "restarts": 32}
_PELEG_HEIN = _MNIST | {"balanced": True, "gd_protocol": "peleg-hein"}
_WIDTHS = ["20,10,5,2", "40,20,10,4", "120,60,30,12"]
_DEPTHS = ["40", "40,20,10", "40,20,10,4"]
_FOUR_TASKS, _SIX_TASKS = {"task_seed": [0, 1, 2, 3]}, {"task_seed": [0, 1, 2, 3, 4, 5]}
_DIGITS = _ISLANDS | {"task": "digits", "gd": False}
_TWO, _THREE = {"classes": "0,7", "train": 16}, {"classes": "0,1,2", "train": 15}
_BIN: dict[str, Any] = {
    "fit": "cross-entropy",
    "right": True,
    "normalize_weights": "frobenius",
    "prior": "uniform",
    "scaling": "unit",
    "bias": True,
}

NETWORK_STUDIES: dict[str, Study] = {
    "network-width": Study(
        "Width of a network",
        "Does width hurt Guess & Check on networks, and help gradient descent?",
        _PELEG_HEIN,
        parts={
            "16-examples": Part({"train": 16}, {"width": [*_WIDTHS, "inf,inf,inf,inf"]} | _SIX_TASKS),
            "100-examples": Part({"train": 100}, {"width": _WIDTHS[:2]} | _FOUR_TASKS),
        },
        note=_NOTE,
    ),
    "network-depth": Study(
        "Depth of a network",
        "Does depth, the number of hidden layers, hurt Guess & Check on networks?",
        _PELEG_HEIN,
        parts={
            "16-examples": Part({"train": 16}, {"width": _DEPTHS} | _SIX_TASKS),
            "100-examples": Part({"train": 100}, {"width": [_DEPTHS[0], _DEPTHS[-1]]} | _FOUR_TASKS),
        },
        note=_NOTE,
    ),
    "network-examples": Study(
        "The number of examples",
        "Does the advantage of gradient descent over Guess & Check close as the training set (train) grows?",
        _MNIST | {"width": "20,10,5,2"},
        parts={
            "gaussian": Part({}, {"train": [8, 16, 32, 64, 128]} | _FOUR_TASKS),
            "binary": Part({"prior": "rademacher"}, {"train": [8, 32]} | _FOUR_TASKS),
        },
        note=_NOTE,
    ),
    "loss-bins": Study(
        "Bins of the loss",
        "Within a bin of the loss of normalised outputs, is gradient descent better than Guess & Check?",
        _MNIST | {"task": "digits", "gd_protocol": "chiang", "gd_epochs": 200} | _BIN,
        {"train": [8, 16]} | _SIX_TASKS,
        {f"{low:.2f} to {high:.2f}": {"eps_low": low, "eps": high} for low, high in ((0.6, 0.65), (0.5, 0.55))},
        note=_NOTE,
    ),
    "depth-conflict": Study(
        "Depth in networks and in matrices",
        "What turns the help of depth for matrices into harm for networks?",
        _DIGITS,
        {"width": ["10", "10,10,10,10"]} | _SIX_TASKS,
        {
            "linear, two classes, squared": _TWO | {"activation": "linear", "fit": "squared", "eps": 0.4},
            "linear, two classes": _TWO | {"activation": "linear"},
            "linear, three classes": _THREE | {"activation": "linear"},
            "tanh, two classes": _TWO | {"activation": "tanh"},
            "ReLU, two classes": _TWO | {"activation": "relu"},
            "ReLU, three classes": _THREE | {"activation": "relu"},
            "ReLU, two classes, centred": _TWO | {"activation": "relu", "standardize": True},
        },
        note=_NOTE,
    ),
    "certificate": Study(
        "The certificate",
        "How far above the test error of Guess & Check is its certificate, as the training set (train) grows?",
        _DIGITS | {"width": "20,10,5"},
        {"train": [8, 32, 128]} | _SIX_TASKS,
        {"0 v 7": {"classes": "0,7"}, "3 v 5": {"classes": "3,5"}},
        note=_NOTE,
    ),
}
