"""The model that options stand for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bayesgc.options.texts import share_in, widths_in
from bayesgc.options.together import Consistent
from bayesgc.validate import InputError, one_of

if TYPE_CHECKING:  # torch is imported when the objects are made, so that help need not wait for it
    from bayesgc.models import MLP, LeNet, Model
    from bayesgc.task import Task

_OF_PRIORS = ("prior", "scaling", "normalize_weights")


class OfModel(Consistent):
    """The options with the model that they describe."""

    def make_model(self, task: Task) -> Model:
        """The user's program, or the model that the options describe, with defaults that fit the task."""
        from bayesgc.models import FAMILIES, model_named
        from bayesgc.models.priors import is_scaled
        from bayesgc.task import network_inputs

        if self.model is not None:
            return self._named(model_named(self.model))
        if network_inputs(task.domain) is not None:
            return self._make_network()
        if "scaling" in self.given and not is_scaled(self.prior):
            self._refuse(("scaling",), f"is for priors that take a scale; --prior {self.prior} takes none")
        order = len(task.shape)
        family = ("matrix" if order == 2 else "cp") if self.family is None else one_of("family", self.family, FAMILIES)
        if family == "matrix" and order > 2:
            raise InputError(
                f"--family matrix is for matrices; the task has the shape {task.shape}: choose cp or tensor-train."
            )
        enough = math.prod(task.shape) // max(task.shape)  # for any array of this shape
        return FAMILIES[family](
            depth=self.depth,
            width=max(5, enough) if self.width is None else self._one_width(),
            activation=self.activation,
            prior=self.prior,
            scaling=self.scaling,
            normalize=self.data is None if self.normalize is None else self.normalize,
        )

    def _named(self, model: Model) -> Model:
        """The user's model; a module with the prior that the options give it."""
        from bayesgc.models import as_module, factorised

        if (module := as_module(model)) is not None:
            return replace(module, prior=self.prior, scaling=self._scaling, normalize_weights=self.normalize_weights)
        self._refuse(_OF_PRIORS, f"is for a family or a torch module; --model {self.model} brings its own")
        if factorised(model) is None:
            self._check_start()
        return model

    def _make_teacher(self) -> Model:
        """The network that a teacher is drawn from: the model's own, unless it has widths of its own."""
        network = self._make_network()
        return (
            network
            if self.teacher_width is None
            else replace(network, width=widths_in(self.teacher_width, "--teacher-width"))
        )

    @property
    def _scaling(self) -> str:
        """That of a network."""
        return self.scaling if "scaling" in self.given else "fan-in"

    def _make_network(self) -> MLP | LeNet:
        """The network that the options describe."""
        from bayesgc.models import NETWORKS

        described: dict[str, Any] = {
            "activation": self.activation if "activation" in self.given else "relu",
            "bias": self.bias,
        }
        described |= {"prior": self.prior, "scaling": self._scaling, "normalize_weights": self.normalize_weights}
        if self.width is not None:
            described["width"] = share_in(self.width) if self.family == "lenet" else widths_in(self.width)
        return NETWORKS[self.family or "mlp"](**described)

    def _one_width(self) -> int:
        """The width of a factorisation, which is the same for all hidden layers."""
        widths = widths_in(self.width)
        if len(widths) != 1:
            raise InputError(f"--width is {self.width!r}; a factorisation has one width; an mlp one for each layer.")
        return widths[0]
