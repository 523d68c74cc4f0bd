"""Whitening: run a Pyro program from standard normals, so that every draw of a model is one normal vector z.

All conditioning methods work on z alone; whatever the prior, they see a standard normal reference measure.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import pyro
import torch
from jaxtyping import Float
from pyro.poutine.messenger import Messenger
from torch import Tensor

from bayesgc.models.transports import transport_of
from bayesgc.validate import InputError

Program = Callable[[], Float[Tensor, "*shape"]]
_ONE_AT_A_TIME = threading.Lock()


@runtime_checkable
class Whitened(Protocol):
    """A generative program as a function of standard normals, the draw axis last."""

    @property
    def size(self) -> int:
        """The number of standard normals that make one draw."""
        ...

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The end-to-end matrices, vectorised row by row."""
        ...

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw *site"]]:
        """The value of every latent site."""
        ...


class WhiteningMessenger(Messenger):
    """Effect handler that feeds the latent sites of a program from standard normals instead of a generator.

    ``normals`` is (latent) for one run, or (draw, latent) for a program that carries a leading batch dimension.
    Sites take their normals in the order in which they are first met; observed and subsample sites pass through.
    """

    def __init__(self, normals: Float[Tensor, "*draw latent"], layout: dict[str, tuple[int, tuple[int, ...]]]) -> None:
        super().__init__()
        self.normals = normals
        self.layout = layout

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] not in self.layout:
            return
        start, shape = self.layout[msg["name"]]
        piece = self.normals[..., start : start + math.prod(shape)]
        piece = piece.reshape((*self.normals.shape[:-1], *shape))
        msg["value"] = transport_of(msg["fn"], msg["name"]).push(msg["fn"], piece)


class WhitenedProgram:
    """Any Pyro program without arguments, whitened.

    Args:
        program: returns one matrix of ``shape``.
        shape: the task's shape.
        batched: the program's operations carry a leading batch dimension through (faster); else it is mapped over
            draws by ``torch.func.vmap``.
    """

    def __init__(self, program: Program, shape: tuple[int, ...], *, batched: bool) -> None:
        self.program, self.shape, self.batched = program, shape, batched
        self.layout = _layout(program, shape)
        self.size = sum(math.prod(site) for _, site in self.layout.values())

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The end-to-end matrices, vectorised row by row."""
        value, _ = self._run(normals)
        return value.reshape(normals.shape[1], -1).T

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw *site"]]:
        """The value of every latent site."""
        return self._run(normals)[1]

    def _run(self, normals: Float[Tensor, "latent draw"]) -> tuple[Tensor, dict[str, Tensor]]:
        # Pyro's validation reads values on the host, which neither vmap nor a hot loop allows.
        # Its handlers stand on one stack for all threads.
        with _ONE_AT_A_TIME, pyro.validation_enabled(False):
            if self.batched:
                return self._once(normals.T)
            return torch.func.vmap(self._once)(normals.T)

    def _once(self, normals: Float[Tensor, "*draw latent"]) -> tuple[Tensor, dict[str, Tensor]]:
        with pyro.poutine.trace() as tracer, WhiteningMessenger(normals, self.layout):
            value = self.program()
        return value, {name: tracer.trace.nodes[name]["value"] for name in self.layout}


def _layout(program: Program, shape: tuple[int, ...]) -> dict[str, tuple[int, tuple[int, ...]]]:
    """One plain run of the program: checks its contract and gives each latent site its place in z."""
    with torch.random.fork_rng():
        trace = pyro.poutine.trace(program).get_trace()
    value = trace.nodes["_RETURN"]["value"]
    if not isinstance(value, Tensor) or tuple(value.shape) != shape:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"the model returned {got}; it must return one tensor of the task's shape {shape}.")
    layout, start = {}, 0
    for name, site in trace.nodes.items():
        if site["type"] != "sample" or site["is_observed"] or site["infer"].get("_do_not_trace"):
            continue
        if type(site["fn"]).__name__ == "_Subsample":
            continue
        own = (*site["fn"].batch_shape, *transport_of(site["fn"], name).normals(site["fn"]))
        layout[name] = (start, own)
        start += math.prod(own)
    if not layout:
        raise InputError("the model has no latent sample site; there is nothing to condition.")
    return layout
