"""The model that options stand for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bayesgc.options.texts import infinite_layers_in, share_in, widths_in
from bayesgc.options.together import Consistent
from bayesgc.validate import InputError, one_of

if TYPE_CHECKING:  # torch is imported when the objects are made, so that help need not wait for it
    from bayesgc.models import MLP, InfiniteMLP, LeNet, Model
    from bayesgc.task import Task

_OF_PRIORS = ("prior", "scaling", "normalize_weights")


class OfModel(Consistent):
    """The options with the model that they describe."""

    def make_model(self, task: Task) -> Model:
        """The user's program, or the model that the options describe, with defaults that fit the task."""
        from bayesgc.models import FAMILIES, model_named
        from bayesgc.models.priors.prior import is_scaled
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
            width=self._usual_width(enough, task) if self.width is None else self._one_width(),
            activation=self.activation,
            prior=self.prior,
            scaling=self.scaling,
            normalize=self.data is None if self.normalize is None else self.normalize,
        )

    @staticmethod
    def _usual_width(enough: int, task: Task) -> int:
        """Enough for any array; of data with noise far less, as the rest would be a model of the noise."""
        return max(2, math.isqrt(enough)) if task.noisy else max(5, enough)

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
        own = self.teacher_width
        return self._make_network() if own is None else self._network_of(own, "--teacher-width")

    @property
    def _scaling(self) -> str:
        """That of a network."""
        return self.scaling if "scaling" in self.given else "fan-in"

    def _make_network(self) -> MLP | LeNet | InfiniteMLP:
        """The network that the options describe."""
        return self._network_of(self.width, "--width")

    def _network_of(self, width: int | str | None, name: str) -> MLP | LeNet | InfiniteMLP:
        """The network that the options describe, of this width, which ``name`` gives."""
        from bayesgc.models import NETWORKS, InfiniteMLP

        described: dict[str, Any] = {
            "activation": self.activation if "activation" in self.given else "relu",
            "bias": self.bias,
        }
        described |= {"prior": self.prior, "scaling": self._scaling}
        layers, family = infinite_layers_in(width, name), self.family or "mlp"
        if layers is not None:
            self._refuse(("normalize_weights",), f"divides by the size of weights; with {name} {width} there are none")
            if family != "mlp":
                raise InputError(f"{name} is {width!r}; infinitely wide is an mlp, and --family is {family!r}.")
            return InfiniteMLP(layers, **described)
        described["normalize_weights"] = self.normalize_weights
        if width is not None:
            share = family == "lenet" and name == "--width"
            described["width"] = share_in(width) if share else widths_in(width, name)
        return NETWORKS[family](**described)

    def _one_width(self) -> int:
        """The width of a factorisation, which is the same for all hidden layers."""
        if infinite_layers_in(self.width) is not None:
            raise InputError(f"--width is {self.width!r}; infinitely wide is an mlp for labelled examples.")
        widths = widths_in(self.width)
        if len(widths) != 1:
            raise InputError(f"--width is {self.width!r}; a factorisation has one width; an mlp one for each layer.")
        return widths[0]
