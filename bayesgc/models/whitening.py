"""Whitening: run a Pyro program from standard normals, so that every draw of a model is one column of numbers.

All conditioning methods work on columns alone; whatever the prior, they see a standard normal reference measure, and
beside it the values of those sites that are no function of normals.
"""

from __future__ import annotations

import contextlib
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyro
import torch
from jaxtyping import Bool, Float, Shaped
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.layout import Layout, Program, Site, layout_of
from bayesgc.models.placement import making_on, push_beside, sample_for
from bayesgc.models.promotion import promoting
from bayesgc.models.transports.registry import transport_of
from bayesgc.plugins import blame
from bayesgc.validate import InputError

_ONE_AT_A_TIME = threading.Lock()
_TRIED = 3
"""Draws of the trial run."""
_MANY = 1000
"""Draws among which one must be finite."""


class Whitened(ABC):
    """A model for one task as a function of columns, the draw axis last: of standard normals, unless it says more."""

    size: int
    """The numbers that make one draw."""

    @property
    def working(self) -> int:
        """The numbers of one draw that are in use at the same time."""
        return self.size

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The rows that moves change one group at a time: the layers of a network; all rows at once unless said."""
        return (slice(0, self.size),)

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> OutputSweep:
        """A pass over the blocks of these columns, for models that have several.

        Raises:
            TypeError: for others.
        """
        raise TypeError(f"{type(self).__name__} has one block")

    @abstractmethod
    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs, vectorised row by row."""

    @abstractmethod
    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Shaped[Tensor, "draw *site"]]:
        """The value of every latent site."""

    tests_apart: bool = False
    """Whether the task tests other outputs than `vectors`, which `held_out` gives."""

    @property
    def working_held_out(self) -> int:
        """The numbers of one draw that are in use at the same time for these."""
        return self.working

    @property
    def work_held_out(self) -> int:
        """Multiplications that these take of one draw."""
        return 0

    def held_out(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "held_out draw"] | None:
        """The outputs where the task tests; ``generator`` serves what the training inputs do not see of a draw."""
        return None

    def draw(
        self, generator: torch.Generator, count: int, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "latent draw"]:
        """Columns of the prior."""
        return torch.randn(self.size, count, generator=generator, device=device, dtype=dtype)


class OutputSweep(ABC):
    """One pass over the blocks of columns, in order, that knows what lies below the block at hand.

    The columns are changed in place by whoever holds them.
    """

    @abstractmethod
    def vectors(self, proposal: Float[Tensor, "row draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs with other rows in the block at hand."""

    @abstractmethod
    def advance(self) -> None:
        """Go on to the next block: the one at hand has the rows that it is to have."""


class WhiteningMessenger(Messenger):
    """Effect handler that feeds the latent sites of a program from a column instead of a generator.

    ``column`` is (latent) for one run, or (draw, latent) for a program that carries a leading batch dimension.
    Observed sites pass through, and subsamples are those of the plain run. With ``redraw``, a mask over the column, the
    carried sites that depend on others are drawn anew from Pyro's generator where it says so.
    """

    def __init__(
        self, column: Float[Tensor, "*draw latent"], layout: Layout, redraw: Bool[Tensor, "*draw latent"] | None = None
    ) -> None:
        super().__init__()
        self.column, self.layout, self.redraw = column, layout, redraw

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if name in self.layout.subsamples:
            msg["value"] = self.layout.subsamples[name].to(self.column.device)
        elif name in self.layout.sites:
            msg["value"] = self._value(name, self.layout.sites[name], msg["fn"])
        elif not (msg["is_observed"] or site_is_subsample(msg) or "_do_not_trace" in msg["infer"]):
            raise InputError(f"site {name!r} is there in some runs of the program and not in others; draw it in all.")

    def _value(self, name: str, site: Site, law: Any) -> Tensor:
        piece = self._shaped(self.column, site)
        if not site.carried:
            value = push_beside(transport_of(law, name).push, law, piece)
            # Parameters that are single numbers do not lift it to their own precision, as sampling does.
            both_float = site.dtype.is_floating_point and value.is_floating_point()
            return value.to(torch.promote_types(site.dtype, value.dtype)) if both_float else value
        value = piece if site.dtype.is_floating_point else piece.round().to(site.dtype)
        if self.redraw is None or not site.depends:
            return value
        draws = self.column.shape[:-1] if len(law.shape()) == len(site.shape) else ()
        fresh = sample_for(law, draws, piece.device)
        return torch.where(self._shaped(self.redraw, site), fresh, value)

    @staticmethod
    def _shaped(column: Tensor, site: Site) -> Tensor:
        return column[..., site.rows].reshape((*column.shape[:-1], *site.shape))


class WhitenedProgram(Whitened):
    """Any Pyro program without arguments, whitened.

    Args:
        program: returns one array of ``shape``.
        shape: the task's shape.
        batched: the program's operations carry a leading batch dimension through (faster); else it is mapped over
            draws by ``torch.func.vmap``, or where that fails, as for a program that branches on drawn values, one draw
            after the other.
        who: what messages call it.

    Raises:
        InputError: where a plain run or a few draws show that it breaks the contract.
    """

    def __init__(self, program: Program, shape: tuple[int, ...], *, batched: bool, who: str = "the model") -> None:
        self.shape, self.batched, self.who = shape, batched, who
        try:
            self._prepare(program)
        except InputError:
            # Numbers of several precisions may be all that is wrong; to allow for them slows a branching program down.
            self._prepare(promoting(program))

    def _prepare(self, program: Program) -> None:
        self.program = program
        self.layout = layout_of(program, self.shape, self.who)
        self.size = self.layout.size
        self._units, self._unit_of_row = _units(self.layout)
        self.one_by_one = self._tried = False
        self._try(self.who)
        self._tried = True

    @property
    def carries(self) -> bool:
        """Whether some sites have no transport, so that their values are part of the column."""
        return self.size > self.layout.normals

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The end-to-end arrays, vectorised row-major."""
        value, _ = self._run(normals)
        return value.reshape(normals.shape[1], -1).T.to(normals.dtype)

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Shaped[Tensor, "draw *site"]]:
        """The value of every latent site."""
        return self._run(normals)[1]

    def draw(
        self, generator: torch.Generator, count: int, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "latent draw"]:
        """Columns of the prior: standard normals and, below them, values of the carried sites."""
        columns = self._independent(generator, count, device, dtype)
        return self._redrawn(columns, torch.ones_like(columns, dtype=torch.bool), generator)

    def propose(
        self, columns: Float[Tensor, "latent draw"], angle: float, generator: torch.Generator
    ) -> Float[Tensor, "latent draw"]:
        """A move that leaves the prior as it is and is reversible under it.

        Normals make a preconditioned Crank–Nicolson step by the angle; of the carried entries a share of sin² of it is
        redrawn. What depends on something that moved cannot stay: so in every other column, by chance, those carried
        sites that depend on others are redrawn whole, and in the rest they are all that moves, in part.
        """
        count, normals = columns.shape[1], self.layout.normals
        fresh = self._independent(generator, count, columns.device, columns.dtype)
        share = max(math.sin(angle) ** 2, 1 / max(self._units, 1))
        uniforms = torch.rand(self._units, count, generator=generator, device=columns.device)
        redraw = torch.zeros_like(columns, dtype=torch.bool)
        redraw[normals:] = (uniforms < share)[self._unit_of_row.like(columns)]
        moved = torch.where(redraw, fresh, columns)
        moved[:normals] = math.sin(angle) * fresh[:normals] + math.cos(angle) * columns[:normals]
        if not any(site.depends for site in self.layout.carried):
            return moved
        below = torch.rand(count, generator=generator, device=columns.device) < 0.5
        for site in self.layout.carried:
            if site.depends:
                moved[site.rows] = columns[site.rows]
                redraw[site.rows] |= ~below | site.follows
        return self._redrawn(torch.where(below & ~self._dependent(columns), columns, moved), redraw, generator)

    def _dependent(self, columns: Float[Tensor, "latent draw"]) -> Bool[Tensor, "latent one"]:
        rows = torch.zeros(self.size, 1, dtype=torch.bool, device=columns.device)
        for site in self.layout.carried:
            rows[site.rows] = site.depends
        return rows

    def _independent(
        self, generator: torch.Generator, count: int, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "latent draw"]:
        """Normals and fresh values of the carried sites that depend on no other; zeros for those that do."""
        normals = torch.randn(self.layout.normals, count, generator=generator, device=device, dtype=dtype)
        if not self.carries:
            return normals
        columns = torch.cat([normals, normals.new_zeros(self.size - len(normals), count)])
        with _as_global(generator):
            for site in self.layout.carried:
                if not site.depends:
                    columns[site.rows] = site.law.sample((count,)).reshape(count, -1).T.to(columns)
        return columns

    def _redrawn(
        self, columns: Float[Tensor, "latent draw"], redraw: Bool[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "latent draw"]:
        """The columns with those carried sites that depend on others drawn anew, where the mask says so."""
        dependent = {name: site for name, site in self.layout.sites.items() if site.depends}
        if not dependent:
            return columns
        with _as_global(generator):
            _, values = self._run(columns, redraw)
        result = columns.clone()
        for name, site in dependent.items():
            result[site.rows] = values[name].reshape(columns.shape[1], -1).T.to(columns)
        return result

    def _run(
        self, columns: Float[Tensor, "latent draw"], redraw: Bool[Tensor, "latent draw"] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rows = (columns.T,) if redraw is None else (columns.T, redraw.T)
        # Pyro's validation reads values on the host, which neither vmap nor a hot loop allows.
        # Its handlers stand on one stack for all threads.
        with (
            _ONE_AT_A_TIME if redraw is None else contextlib.nullcontext(),
            pyro.validation_enabled(False),
            # What the trial raises decides how the program is run.
            blame(self.who) if self._tried else contextlib.nullcontext(),
        ):
            if self.batched:
                return self._once(*rows)
            if not self.one_by_one:
                return torch.func.vmap(self._once, randomness="different")(*rows)
            runs = [self._once(*each) for each in zip(*rows, strict=True)]
        values = {name: torch.stack([sites[name] for _, sites in runs]) for name in self.layout.sites}
        return torch.stack([value for value, _ in runs]), values

    def _once(
        self, column: Float[Tensor, "*draw latent"], redraw: Bool[Tensor, "*draw latent"] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        with making_on(column.device), pyro.poutine.trace() as tracer, WhiteningMessenger(column, self.layout, redraw):
            value = self._returned(column)
        if missing := [name for name in self.layout.sites if name not in tracer.trace.nodes]:
            raise InputError(f"site {missing[0]!r} is there in some runs of the program and not in others.")
        return value, {name: tracer.trace.nodes[name]["value"] for name in self.layout.sites}

    def _returned(self, column: Float[Tensor, "*draw latent"]) -> Tensor:
        """What the program gives within the handlers."""
        return self.program()

    def _try(self, who: str) -> None:
        """A few draws together and alone, to see how the program can be run and whether it gives the same then."""
        generator = torch.Generator().manual_seed(0)
        if not self.batched:
            try:
                self.vectors(self.draw(generator, _TRIED, **_PLAIN))
            except InputError:
                raise
            except Exception:  # noqa: BLE001 - whatever vmap refuses may still run alone, and else it says why
                self.one_by_one = True
                # A Python branch, or a number taken out of a tensor, hides what the sites below depend on.
                self.layout = layout_of(self.program, self.shape, who, branches=True)
        with blame(who):
            columns = self.draw(generator, _TRIED, **_PLAIN)
            together = self._run(columns)[0]
            self._run(columns.double())
            with _ONE_AT_A_TIME, pyro.validation_enabled(False):
                alone = torch.stack([self._once(column)[0] for column in columns.T])
        if together.shape != (_TRIED, *self.shape):
            got = tuple(together.shape)
            raise InputError(
                f"{who} is batched=True, but {_TRIED} draws at once gave {got}, not {(_TRIED, *self.shape)}."
            )
        if not torch.allclose(together, alone, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise InputError(f"{who} gives other draws in a batch than one by one; its operations mix draws.")
        with blame(who):
            if not _some_finite(together) and not _some_finite(self._run(self.draw(generator, _MANY, **_PLAIN))[0]):
                raise InputError(f"{who} returned entries that are not finite in each of {_MANY} draws.")


_PLAIN: Any = {"device": torch.device("cpu"), "dtype": torch.float32}


def _some_finite(draws: Float[Tensor, "draw *shape"]) -> bool:
    return bool(draws.flatten(1).isfinite().all(1).any())


def _units(layout: Layout) -> tuple[int, DeviceCopies]:
    """The number of carried draws that are redrawn one by one, and which of them each carried row belongs to."""
    owners: list[np.ndarray] = []
    total = 0
    for site in layout.carried:
        entries = math.prod(site.shape)
        owners.append(total + np.arange(entries) // site.unit)
        total += entries // site.unit
    return total, DeviceCopies(np.concatenate(owners) if owners else np.zeros(0, dtype=np.int64))


@contextlib.contextmanager
def _as_global(generator: torch.Generator) -> Iterator[None]:
    """Let the CPU's global generator, which Pyro draws from, go on where ``generator`` is, and then put both in place.

    From one of an accelerator it takes 32 bits instead; the global generators of accelerators are left alone.
    """
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        if generator.device.type == "cpu":
            torch.set_rng_state(generator.get_state())
            yield
            generator.set_state(torch.get_rng_state())
        else:
            key = torch.randint(2**32, (1,), generator=generator, device=generator.device)
            torch.default_generator.manual_seed(int(key))
            yield


def as_sites(whitened: Whitened) -> WhitenedProgram | None:
    """A whitened model as the sites of a Pyro program, where it is that, else None."""
    return whitened if isinstance(whitened, WhitenedProgram) else None
