"""The figures of the paper as sweeps, with the paper's sizes, thresholds and descent.

Source: Alexander, Slutzky, Ran-Milo and Cohen 2025, section 5 and appendix.
"""

from __future__ import annotations

from typing import Any

from bayesgc.experiments.sweep import Sweep
from bayesgc.validate import one_of

WIDTHS, QUICK_WIDTHS = [5, 10, 20, 40, 80, 160, 320, 640], [5, 80]
DEPTHS, QUICK_DEPTHS = list(range(2, 11)), [2, 6]
TASK_SEEDS, QUICK_TASK_SEEDS = list(range(8)), [0, 1, 2]
PANELS = {name: {"activation": name} for name in ("linear", "tanh", "leaky-relu")}

_WIDTH: dict[str, Any] = {
    "depth": 2,
    "normalize": False,
    "eps": 0.02,
    "gd_lr": 1e-4,
    "gd_steps": 100_000,
    "gd_init_scale": 1e-3,
}
# Steps and initial scale of the depth sweeps depend on depth and activation; left open, they are the paper's.
_DEPTH: dict[str, Any] = {"width": 5, "normalize": True, "eps": 0.0035, "gd_lr": 1e-2}
_RANK_TWO: dict[str, Any] = {"rank": 2, "measurements": 22}
_MOMENTUM: dict[str, Any] = {"gd_momentum": 0.9}

ALL = "all"
"""What stands for every figure."""
FIGURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "fig1": ("width", "", {}),
    "fig2": ("depth", "", {}),
    "fig3": ("width", "gradient descent with momentum", _MOMENTUM),
    "fig4": ("depth", "gradient descent with momentum", _MOMENTUM),
    "fig5": ("width", "rank two", _RANK_TWO),
    "fig6": ("depth", "rank two", _RANK_TWO | {"eps": 0.01, "gd_steps": 50_000}),
    "fig7": ("width", "uniform prior", {"prior": "uniform"}),
    "fig8": ("depth", "uniform prior", {"prior": "uniform"}),
    "fig9": ("width", "matrix completion", {"task": "completion"}),
    "fig10": ("depth", "matrix completion", {"task": "completion"}),
    "fig11": ("depth", "no normalisation", {"normalize": False, "eps": 0.01}),
}
"""By name: the axis, what the figure changes, and the options that do it."""

QUESTIONS = {
    "width": "Does a wider net make weights that merely fit generalise worse?",
    "depth": "Does a deeper net make weights that merely fit generalise better?",
}
NOTES = [
    (
        "The law is that of the paper's Guess & Check; the draws come from the method that samples it best, which each "
        "cell names. --method rejection draws as the paper does."
    ),
    "Tasks come from their seeds; the published ones were drawn before seeding and cannot be drawn again.",
    "A cell where nothing was found has no number; the published code counts it as a loss of 1.",
    (
        "Gradient descent starts several times on each task, stops at a training loss of 1e-6 of the zero matrix's, "
        "and counts where it ends below ε."
    ),
]
_NOTES_OF = {
    "fig3": "The momentum of 0.9 is used; the published code computes it and leaves it out.",
    "fig4": "The momentum of 0.9 is used; the published code computes it and leaves it out.",
    "fig11": "The published files of this figure overwrite those of figure 2.",
}


def figure(name: str, *, quick: bool = False) -> Sweep:
    """The sweep that reproduces one figure: three panels, eight tasks; with ``quick`` fewer sizes and tasks.

    Raises:
        InputError: for a figure that the paper does not have.
    """
    axis, change, options = FIGURES[one_of("figure", name, FIGURES)]
    sizes = {"width": (WIDTHS, QUICK_WIDTHS), "depth": (DEPTHS, QUICK_DEPTHS)}[axis][quick]
    base = {"measurements": 15} | (_WIDTH if axis == "width" else _DEPTH)
    notes = [*NOTES, *([_NOTES_OF[name]] if name in _NOTES_OF else [])]
    quickly = ["Few sizes and tasks (--quick): a look at the figure, not the figure."] if quick else []
    return Sweep(
        title=f"Figure {name.removeprefix('fig')}: {axis}{', ' if change else ''}{change}",
        question=QUESTIONS[axis],
        options=base | options,
        axes={axis: sizes, "task_seed": QUICK_TASK_SEEDS if quick else TASK_SEEDS},
        panels=PANELS,
        notes=[*quickly, *notes],
    )
