"""Pyro programs of inputs, whitened: networks written as programs."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.layout import Program, layout_of
from bayesgc.models.networks.trial import work_of
from bayesgc.models.promotion import promoting
from bayesgc.models.whitening import Whitened, WhitenedProgram
from bayesgc.plugins import blame
from bayesgc.task.domain import Inputs
from bayesgc.validate import InputError

_TESTED: ContextVar[bool] = ContextVar("tested", default=False)


class WhitenedNetworkProgram(WhitenedProgram):
    """A Pyro program of inputs, whitened: one draw of its latent sites gives outputs at any inputs.

    Args:
        source: takes inputs (example, *features) and returns (example, output).
        inputs: those of training and of test.
        batched, who: as for `WhitenedProgram`.

    Raises:
        InputError: where it breaks the contract of a program, or its latent sites depend on the inputs.
    """

    tests_apart = True

    def __init__(
        self, source: Callable[[Tensor], Tensor], inputs: Inputs, *, batched: bool, who: str = "the model"
    ) -> None:
        self.source, self.inputs = source, inputs
        self._train = DeviceCopies(inputs.train)
        self._test = None if inputs.test is None else DeviceCopies(inputs.test)
        given = self._train.like(torch.empty(0))
        self._plain = partial(source, given)
        super().__init__(self._plain, (inputs.count, inputs.outputs), batched=batched, who=who)
        with torch.random.fork_rng(devices=[]), blame(who):
            self._largest, self._work = work_of(self.at, given)
        if self._test is not None:
            self._check_sites(self._test.like(given))

    def _prepare(self, program: Program) -> None:
        self._promoted = program is not self._plain
        super()._prepare(program)

    def at(self, inputs: Float[Tensor, "example *features"]) -> Tensor:
        """What the program returns for inputs, within whatever handlers there are."""
        program = partial(self.source, inputs)
        found: Tensor = (promoting(program) if self._promoted else program)()
        return found

    def _returned(self, column: Float[Tensor, "*draw latent"]) -> Tensor:
        return self.at((self._test if self._test and _TESTED.get() else self._train).like(column))

    def _check_sites(self, tested: Float[Tensor, "test *features"]) -> None:
        """Refuse latent sites that are others at other inputs: they would be no weights."""
        there = layout_of(partial(self.at, tested), (len(tested), self.inputs.outputs), f"{self.who}, on test inputs,")
        for name, site in self.layout.sites.items():
            other = there.sites.get(name)
            if other is None or other.shape != site.shape:
                raise InputError(
                    f"site {name!r} of {self.who} is of another shape at the test inputs than at the training inputs; "
                    "latent sites are weights, which must not depend on the inputs."
                )

    @property
    def working(self) -> int:
        """The column, or the largest result at the training inputs."""
        return max(self.size, self._largest * self.inputs.count)

    @property
    def working_held_out(self) -> int:
        """The same at the test inputs."""
        return max(self.working, self._largest * (0 if self.inputs.test is None else len(self.inputs.test)))

    @property
    def work_held_out(self) -> int:
        """Multiplications at the test inputs."""
        return 0 if self.inputs.test is None else self._work * len(self.inputs.test)

    def held_out(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "held_out draw"] | None:
        """The outputs at the test inputs, vectorised example by example."""
        if self._test is None:
            return None
        token = _TESTED.set(True)
        try:
            return self.vectors(normals)
        finally:
            _TESTED.reset(token)


def program_of_inputs(whitened: Whitened) -> WhitenedNetworkProgram | None:
    """A whitened model as a program of inputs, where it is that, else None."""
    return whitened if isinstance(whitened, WhitenedNetworkProgram) else None
