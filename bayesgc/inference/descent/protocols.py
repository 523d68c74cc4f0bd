"""Protocols of stochastic gradient descent that others' results stand on, by name.

None of them stops by a loss: a start runs to its last epoch, and fits or does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayesgc.validate import one_of


@dataclass(frozen=True)
class Protocol:
    """What a protocol sets, and one line that says so."""

    summary: str
    settings: Mapping[str, Any]


PROTOCOLS = {
    # Start, rate, batch and epochs as the paper says; no momentum. Starts that do not fit at their end are left out.
    "peleg-hein": Protocol(
        "Kaiming start, batches of 2, rate 0.01, 60 epochs (Peleg and Hein 2024)",
        {"optimizer": "gd", "lr": 1e-2, "batch": 2, "epochs": 60, "init": "kaiming", "tol": 0.0},
    ),
    # configs/table2/mnist_sgd.yaml and train_distributed.py in github.com/Ping-C/optimizer: every parameter starts
    # uniform on ±1, which is the prior that is guessed from; a start is kept whose loss ends in the bin.
    "chiang": Protocol(
        "start at the prior, theirs U(−1, 1), batches of 2, rate 0.001, 30 epochs (Chiang et al. 2023)",
        {"optimizer": "gd", "lr": 1e-3, "batch": 2, "epochs": 30, "init": "prior", "tol": 0.0},
    ),
}


def settings_of(name: str) -> dict[str, Any]:
    """What the protocol of that name sets.

    Raises:
        InputError: for an unknown name.
    """
    return dict(PROTOCOLS[one_of("gd protocol", name, PROTOCOLS)].settings)
