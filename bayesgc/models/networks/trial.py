"""What a torch module must be to serve as a network, seen by running it: a function of its weights and of one input."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from bayesgc.plugins import blame
from bayesgc.validate import InputError

MOST_WEIGHTS = 2**20
"""Of a network: a thousand draws of them are some 4 GiB in float32, and several such blocks are held at once."""
_BLOCK = 1024
_RANDOM = (nn.modules.dropout._DropoutNd,)
_BATCHED = (nn.modules.batchnorm._NormBase,)
_WHY = "a network must be a function of its weights and of one input alone"

Source = nn.Module | Callable[..., nn.Module]


def make_module(source: Source, sizes: dict[str, Any], who: str) -> nn.Module:
    """The module itself, or the one that a class or a function makes, given those ``sizes`` that it has arguments for.

    Raises:
        InputError: where it fails, asks for more, makes something else, or has too many weights to draw.
    """
    if isinstance(source, nn.Module):
        _check_size(source, who)
        return source
    given = _asked(source, sizes, who)
    with torch.random.fork_rng(devices=[]), blame(who):
        torch.default_generator.manual_seed(0)
        module = _made(source, given, who)
    if not isinstance(module, nn.Module):
        raise InputError(f"{who} made {type(module).__name__}; it must be or make a torch.nn.Module.")
    _check_size(module, who)
    return module


def _asked(source: Callable[..., nn.Module], sizes: dict[str, Any], who: str) -> dict[str, Any]:
    try:
        asked = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):
        return {}
    for each in asked:
        optional = each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        if each.name not in sizes and not optional:
            raise InputError(
                f"{who} asks for {each.name!r}; it is called with no arguments but those of {', '.join(sizes)} that "
                "it has: give the other a default."
            )
    return {each.name: sizes[each.name] for each in asked if each.name in sizes}


def _made(source: Callable[..., nn.Module], given: dict[str, Any], who: str) -> Any:
    """First without memory for its weights, where it can be made so, to count them."""
    try:
        with torch.device("meta"):
            counted = source(**given)
    except Exception:  # noqa: BLE001 - whatever it needs real numbers for, it is made with them below
        counted = None
    if isinstance(counted, nn.Module):
        _check_size(counted, who)
    return source(**given)


def _check_size(module: nn.Module, who: str) -> None:
    weights = sum(each.numel() for each in module.parameters() if each.requires_grad)
    if weights > MOST_WEIGHTS:
        taken = weights * _BLOCK * 4 / 1e9
        raise InputError(
            f"{who} has {weights} weights, and a block of {_BLOCK} draws of them takes {taken:.3g} GB; there may be at "
            f"most {MOST_WEIGHTS}."
        )
    if not weights:
        raise InputError(f"{who} has no parameters that require gradients; there is nothing to draw.")


def check_kind(module: nn.Module, who: str) -> None:
    """Refuse layers that are known to depend on chance, or on the other examples.

    Raises:
        InputError: naming the layer, and why.
    """
    for name, each in module.named_modules():
        if isinstance(each, _RANDOM):
            raise InputError(f"{who} has dropout ({_called(name, each)}): {_WHY}, and not of chance; leave it out.")
        if isinstance(each, _BATCHED):
            raise InputError(
                f"{who} has batch statistics ({_called(name, each)}): {_WHY}, and not of other examples or of what was "
                "seen before; leave it out, or take LayerNorm or GroupNorm."
            )


def _called(name: str, module: nn.Module) -> str:
    return f"{name}, {type(module).__name__}" if name else type(module).__name__


def presented(module: nn.Module, examples: Float[Tensor, "example *features"]) -> Iterator[Tensor]:
    """The examples as the first layer takes them: a convolution's with an axis of channels, a linear one's in a row.

    Then, where that is something else, as they are.
    """
    first = next((each for each in module.modules() if list(each.parameters(recurse=False))), module)
    kinds: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
    axes = kinds.get(type(first))
    if axes is not None and examples.ndim == 1 + axes:
        yield examples[:, None]
    elif isinstance(first, nn.Linear) and first.in_features == math.prod(examples.shape[1:]) and examples.ndim != 2:
        yield examples.flatten(1)
    yield examples


def try_module(module: nn.Module, examples: Float[Tensor, "example *features"], outputs: int, who: str) -> int:
    """Run it on some examples, of which there are at least two; which of `presented` it takes.

    Raises:
        InputError: where it fails on all of them, or breaks the contract.
    """
    faults: list[InputError] = []
    for place, given in enumerate(presented(module, examples)):
        try:
            with blame(who), torch.no_grad():
                found = module(given)
            _check_outputs(found, len(given), outputs, who)
            _check_function(module, given, found, who)
        except InputError as error:
            faults.append(error)
            continue
        return place
    raise faults[0]  # of the form that suits the first layer


def _check_outputs(found: Any, examples: int, outputs: int, who: str) -> None:
    shape = tuple(found.shape) if isinstance(found, Tensor) else None
    if shape != (examples, outputs):
        got = type(found).__name__ if shape is None else f"the shape {shape}"
        raise InputError(
            f"{who} gave {got} for a trial of {examples} examples; it must give {(examples, outputs)}, "
            f"{'one output for each class' if outputs > 1 else 'one output for the number'}."
        )
    if not found.is_floating_point():
        raise InputError(f"{who} gave outputs of {found.dtype}; they must be of a floating-point type.")


def _check_function(module: nn.Module, given: Tensor, found: Tensor, who: str) -> None:
    """Refuse what gives other outputs the second time, to each example alone, or changes what it holds."""
    before = {name: each.clone() for name, each in module.named_buffers()}
    with blame(who), torch.no_grad():
        again = module(given)
        alone = torch.cat([module(given[i : i + 1]) for i in range(len(given))])
    if not torch.equal(again.nan_to_num(), found.nan_to_num()):
        raise InputError(f"{who} gave other outputs when it ran again with the same weights: {_WHY}.")
    changed = [
        name for name, each in module.named_buffers() if name not in before or not torch.equal(each, before[name])
    ]
    if changed:
        raise InputError(f"{who} changes its buffer {changed[0]!r} when it runs: {_WHY}.")
    if not torch.allclose(alone.nan_to_num(), found.nan_to_num(), rtol=1e-3, atol=1e-5):
        raise InputError(f"{who} gives an example other outputs in a batch than alone: {_WHY}.")


def work_of(module: Callable[[Tensor], Any], examples: Float[Tensor, "example *features"]) -> tuple[int, int]:
    """Of one example: the numbers of the largest result on the way, and multiplications."""
    with torch.no_grad(), _Largest() as largest, FlopCounterMode(display=False) as counter:
        module(examples)
    return max(1, math.ceil(largest.numbers / len(examples))), counter.get_total_flops() // (2 * len(examples))


class _Largest(TorchFunctionMode):
    """Notes the numbers of the largest result while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **kwargs or {})
        sizes = [each.numel() for each in tree_leaves(found) if isinstance(each, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return found
