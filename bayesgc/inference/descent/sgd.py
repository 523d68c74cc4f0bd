"""Stochastic gradient descent on labelled examples: a network as it is usually trained, all starts in one batch.

What is looked at while it runs are the training labels alone: it stops by the training loss, and no start, epoch or
rate is chosen by anything else. Starts that do not come to fit are counted.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.inference.control import Control, Progress, one_thread_each
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.descent.optimizers import OPTIMIZERS
from bayesgc.inference.descent.protocols import settings_of
from bayesgc.inference.descent.unconstrained import UnconstrainedNetwork
from bayesgc.inference.records import Descent, Passage
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import Model
from bayesgc.models.networks.trainable import Network, Parameter
from bayesgc.models.program import trainable
from bayesgc.models.whitened_program import program_of_inputs
from bayesgc.task import LabelledTask, labelled_view
from bayesgc.validate import InputError, one_of, positive_integer, real_in

STARTS = {
    "kaiming": "uniform on ±√(6/fan-in), biases zero (He et al. 2015)",
    "prior": "the prior's own draws",
}
SGD_OPTIMIZERS = ("gd", "momentum", "adam")
_EPOCHS, _STEPS = 60, 2000
_EXPLODED = 10.0
"""A start has diverged when its loss ends this many times above that of a network that knows nothing."""
MOST_WEIGHTS = 2**27
"""Weights × restarts held at once; with gradients and the optimizer's state some 2 GiB in float32."""


@dataclass(frozen=True)
class SGD:
    """Gradient descent in small batches from many starts.

    The defaults are those of Peleg and Hein 2024, Kaiming start, batches of 2, learning rate 0.01, 60 epochs; but on
    few examples so many epochs that there are 2000 steps, and a start that fits stops at a tolerance. `preset` gives
    the protocols of others as they are.

    Args:
        optimizer: ``gd`` (plain), ``momentum`` (heavy ball) or ``adam``.
        lr: step size.
        momentum: heavy-ball factor for ``gd`` and ``momentum``; None for the optimizer's own.
        batch: examples in a batch, drawn anew in each epoch without replacement; None for all of them.
        epochs: most passes over the examples; None for 60, and at least 2000 steps.
        init: ``kaiming`` or ``prior``.
        tol: a start that fits stops at this training loss relative to that of a network that knows nothing; 0 turns
            early stopping off.
        restarts: independent starts.
        protocol: the name of the protocol that the others were taken from, for the record.
    """

    optimizer: str = "gd"
    lr: float = 1e-2
    momentum: float | None = None
    batch: int | None = 2
    epochs: int | None = None
    init: str = "kaiming"
    tol: float = 1e-2
    restarts: int = 32
    protocol: str | None = None
    name: ClassVar[str] = "sgd"

    @classmethod
    def preset(cls, protocol: str, **changes: Any) -> SGD:
        """A protocol by its name in `PROTOCOLS`, with ``changes`` to it.

        Raises:
            InputError: for an unknown name, or settings outside of what is allowed.
        """
        return cls(**{**settings_of(protocol), "protocol": protocol, **changes})

    def __post_init__(self) -> None:
        one_of("gd optimizer", self.optimizer, SGD_OPTIMIZERS)
        one_of("gd init", self.init, STARTS)
        real_in("gd learning rate", self.lr, 0, open_low=True)
        real_in("gd tolerance", self.tol, 0)
        positive_integer("restarts", self.restarts)
        if self.epochs is not None:
            positive_integer("gd epochs", self.epochs)
        if self.batch is not None:
            positive_integer("gd batch", self.batch)
        if self.momentum is not None:
            real_in("gd momentum", self.momentum, 0, 0.9999)
            if self.optimizer == "adam" and self.momentum:
                raise InputError("gd momentum does not apply to adam, which has its own; leave it out.")

    def resolved(self, examples: int) -> SGD:
        """The same with every open choice filled in, for so many training examples."""
        batch = min(self.batch or examples, examples)
        epochs = self.epochs or max(_EPOCHS, math.ceil(_STEPS / math.ceil(examples / batch)))
        momentum = OPTIMIZERS[self.optimizer].momentum if self.momentum is None else self.momentum
        return replace(self, batch=batch, epochs=epochs, momentum=momentum)

    def run(self, model: Model, criterion: Criterion, seed: int, control: Control) -> Descent:
        """Train from every start; a start is converged where it ends within the fit.

        Its end is where it fits at its tolerance, or after all epochs; what is known at equal fit is its state at the
        first look at which it fitted. It is looked at after each epoch.

        Raises:
            InputError: where the weights of all starts would not fit into memory.
        """
        task = labelled_view(criterion.task)
        if task is None:
            raise InputError(
                "stochastic gradient descent is for labelled examples; for arrays give GradientDescent(…)."
            )
        network = network_of(model, criterion)
        weights = self.restarts * sum(math.prod(each.shape) for each in network.parameters.values())
        if weights > MOST_WEIGHTS:
            fewer = max(1, MOST_WEIGHTS * self.restarts // weights)
            raise InputError(
                f"{weights:.3g} weights of {self.restarts} restarts would not fit into memory; `restarts={fewer}`."
            )
        with torch.no_grad(), one_thread_each():
            starts = _starts(self, model, network, criterion, seed)
            training = _Training.of(self.resolved(task.inputs.count), network, task, criterion, *starts)
            training.run(control)
            return training.record(control)


@dataclass
class _Training:
    """All starts: their weights, and where each first fitted and where it ended."""

    method: SGD
    network: Network
    task: LabelledTask
    eps: float
    sources: list[torch.Generator]
    flat: Float[Tensor, "start weight"]
    x: Float[Tensor, "example *features"]
    y: Tensor
    first: Float[Tensor, "start weight"]
    reached: Bool[Tensor, " start"]
    passed: Int[Tensor, " start"]
    steps: Int[Tensor, " start"]
    going: Bool[Tensor, " start"]
    loss: Float[Tensor, " start"]
    cut: Bool[Tensor, " start"]
    trace: dict[int, Float[Tensor, " start"]]

    @classmethod
    def of(
        cls,
        method: SGD,
        network: Network,
        task: LabelledTask,
        criterion: Criterion,
        sources: list[torch.Generator],
        flat: Float[Tensor, "start weight"],
    ) -> _Training:
        """At the start."""
        device, dtype, starts = criterion.device, criterion.dtype, method.restarts
        x = torch.as_tensor(task.inputs.train, dtype=dtype, device=device)
        y = torch.as_tensor(task.labels, device=device)
        none = torch.full((starts,), -1, device=device)
        no = torch.zeros(starts, dtype=torch.bool, device=device)
        unknown = torch.full((starts,), torch.nan, dtype=dtype, device=device)
        lost = torch.full_like(flat, torch.nan)
        return cls(
            method, network, task, criterion.eps, sources, flat, x, y, lost, no, none.clone(), none.clone(),
            ~no, unknown, no.clone(), {},
        )  # fmt: skip

    def run(self, control: Control) -> None:
        """Epoch after epoch, until all starts are at their end."""
        method, count, epochs = self.method, len(self.x), int(self.method.epochs or 0)
        rule = OPTIMIZERS[method.optimizer].build(method.lr, float(method.momentum or 0.0), self.flat)
        step = 0
        self._look(step)
        for epoch in range(epochs):
            if not bool(self.going.any()):
                break
            if control.out_of_time():
                self.cut = self.going.clone()
                break
            before = self.flat.clone()
            order = torch.stack([torch.randperm(count, generator=each, device=self.x.device) for each in self.sources])
            for chosen in order.split(int(method.batch or count), dim=1):
                step += 1
                moved = self.flat.clone()
                rule.move(moved, self._gradient(chosen), step)
                self.flat = torch.where(self.going[:, None], moved, self.flat)
            self._look(step)
            self._leave_dead(before, step)
            fitted = int(self.reached.sum())
            control.report(Progress("gradient descent", epoch + 1, epochs, detail=f"{fitted} fitted"))
        self.steps = torch.where(self.going, step, self.steps)

    def _leave_dead(self, before: Float[Tensor, "start weight"], step: int) -> None:
        """End the starts that no example of an epoch has moved, as where all units are dead: none ever will."""
        dead = self.going & (self.flat == before).all(1)
        self.steps = torch.where(dead, step, self.steps)
        self.going &= ~dead

    def _gradient(self, chosen: Int[Tensor, "start batch"]) -> Float[Tensor, "start weight"]:
        with torch.enable_grad():
            flat = self.flat.detach().requires_grad_()
            outputs = self.network.raw(self._weights(flat), self.x[chosen])
            loss = self.task.criterion.surrogate(outputs, self.y[chosen]).sum()
        return torch.autograd.grad(loss, flat)[0]

    def _look(self, step: int) -> None:
        """Note which starts fit for the first time, and which are at their end."""
        outputs = self._outputs(self.flat, self.x)
        score = self.task.score(self._judged_as(self.flat, outputs))
        fits = score < self.eps
        fresh = fits & ~self.reached & self.going
        self.first = torch.where(fresh[:, None], self.flat, self.first)
        self.passed = torch.where(fresh, step, self.passed)
        self.reached |= fresh
        loss = self.task.criterion.surrogate(outputs, self.y.expand(len(outputs), -1))
        self.loss = torch.where(self.going, loss, self.loss)
        self.trace[step] = self.loss.clone()
        goal = self.method.tol * self._clueless
        ended = self.going & ((fits & (loss <= goal) & (goal > 0)) | ~loss.isfinite())
        self.steps = torch.where(ended, step, self.steps)
        self.going &= ~ended

    @property
    def _clueless(self) -> float:
        """The training loss of a network that gives zero."""
        zero = torch.zeros(1, *self.task.shape, dtype=self.flat.dtype, device=self.flat.device)
        return float(self.task.criterion.surrogate(zero, self.y[None])[0])

    def record(self, control: Control) -> Descent:
        """What the starts came to."""
        vectors, found = self._judged(self.flat)
        first, found_first = self._judged(self.first)
        fitted = self.task.score(vectors.T) < self.eps
        passage = Passage(
            end_to_end=first.unflatten(1, self.task.shape).cpu(),
            quantities=found_first,
            reached=self.reached.cpu(),
            steps=self.passed.cpu(),
        )
        return Descent(
            configuration={key: value for key, value in asdict(self.method).items() if value is not None},
            end_to_end=vectors.unflatten(1, self.task.shape).cpu(),
            quantities=found,
            converged=fitted.cpu(),
            steps=self.steps.cpu(),
            seconds=control.seconds,
            trace={step: losses.cpu().numpy() for step, losses in self.trace.items()},
            at_eps=passage,
            diverged=(~self.loss.isfinite() | (self.loss > _EXPLODED * self._clueless)).cpu(),
            cut=self.cut.cpu(),
        )

    def _judged(self, flat: Float[Tensor, "start weight"]) -> tuple[Float[Tensor, "start entry"], dict[str, Tensor]]:
        """Outputs at the training inputs, and all that is reported of these weights; NaN where they are."""
        vectors = self._judged_as(flat, self._outputs(flat, self.x)).T
        tested, held_out = self.task.inputs.test, None
        if tested is not None:
            inputs = torch.as_tensor(tested, dtype=flat.dtype, device=flat.device)
            held_out = self._judged_as(flat, self._outputs(flat, inputs))
        known = self.task.measures(vectors.T, held_out)
        sound = vectors.isfinite().all(1)
        masked = {name: torch.where(_beside(sound, values), values, torch.nan).cpu() for name, values in known.items()}
        return vectors, masked

    def _outputs(
        self, flat: Float[Tensor, "start weight"], inputs: Float[Tensor, "example *features"]
    ) -> Float[Tensor, "start example output"]:
        return self.network.raw(self._weights(flat), inputs.expand(len(flat), *inputs.shape))

    def _judged_as(
        self, flat: Float[Tensor, "start weight"], outputs: Float[Tensor, "start example output"]
    ) -> Float[Tensor, "entry start"]:
        """The outputs as the fit sees them: divided by the size of the weights where the network is normalised."""
        scale = self.network.scale(self._weights(flat))
        return outputs.flatten(1).T if scale is None else outputs.flatten(1).T / scale

    def _weights(self, flat: Float[Tensor, "start weight"]) -> dict[str, Float[Tensor, "start ..."]]:
        shapes = {name: each.shape for name, each in self.network.parameters.items()}
        parts = flat.split([math.prod(shape) for shape in shapes.values()], dim=1)
        return {name: part.reshape(-1, *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _beside(mask: Bool[Tensor, " start"], values: Float[Tensor, "start *rest"]) -> Bool[Tensor, "start *one"]:
    return mask.reshape(-1, *(1,) * (values.ndim - 1))


def network_of(model: Model, criterion: Criterion) -> Network:
    """What is trained of a model: the network that it has, or a program of inputs in unconstrained coordinates."""
    network, program = trainable(model), program_of_inputs(criterion.whitened)
    if network is not None:
        return network.network(criterion.task.domain)
    if program is None:
        raise InputError("stochastic gradient descent needs a network; this model has no weights to train.")
    return UnconstrainedNetwork.of(program)


def _starts(
    method: SGD, model: Model, network: Network, criterion: Criterion, seed: int
) -> tuple[list[torch.Generator], Float[Tensor, "start weight"]]:
    """The generator of each start, and the weights that it begins with."""
    device, dtype = criterion.device, criterion.dtype
    if isinstance(network, UnconstrainedNetwork) and method.init != "prior":
        raise InputError(f"gd init is {method.init!r}; a program knows no fan-in, so it starts at draws of its prior.")
    sources = [generator(seed, Stream.DESCENT, start, device) for start in range(method.restarts)]
    whitened = model.whiten(criterion.task.domain, weights=True) if method.init == "prior" else None

    def begin(source: torch.Generator) -> Float[Tensor, " weight"]:
        if whitened is not None:
            drawn = whitened.weights(whitened.draw(source, 1, device=device, dtype=dtype))
            if isinstance(network, UnconstrainedNetwork):
                return network.coordinates.inverse({name: value[0] for name, value in drawn.items()})
            return torch.cat([drawn[name][0].flatten() for name in network.parameters])
        return torch.cat([_kaiming(each, source, device, dtype) for each in network.parameters.values()])

    return sources, torch.stack([begin(each) for each in sources])


def _kaiming(
    parameter: Parameter, source: torch.Generator, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, " weight"]:
    start = torch.zeros(parameter.shape, device=device, dtype=dtype)
    if parameter.start is not None:
        start += parameter.start.to(start)
    if parameter.fan_in is not None:
        bound = math.sqrt(6 / parameter.fan_in)
        start.uniform_(-bound, bound, generator=source)
    if parameter.biased:
        start[..., -1] = 0
    return start.flatten()
