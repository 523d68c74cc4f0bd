"""The presets against the paper's table of experiments."""

from __future__ import annotations

import pytest

import bayesgc as gc
from bayesgc.experiments.checks import check_cells
from bayesgc.experiments.figures import FIGURES, figure
from bayesgc.experiments.studies import STUDIES, study_named

WIDTHS, DEPTHS = [5, 10, 20, 40, 80, 160, 320, 640], [2, 3, 4, 5, 6, 7, 8, 9, 10]
# Figure: axis, rank, measurements, task, prior, normalised, ε, momentum.
TABLE = {
    "fig1": ("width", 1, 15, "sensing", "gaussian", False, 0.02, None),
    "fig2": ("depth", 1, 15, "sensing", "gaussian", True, 0.0035, None),
    "fig3": ("width", 1, 15, "sensing", "gaussian", False, 0.02, 0.9),
    "fig4": ("depth", 1, 15, "sensing", "gaussian", True, 0.0035, 0.9),
    "fig5": ("width", 2, 22, "sensing", "gaussian", False, 0.02, None),
    "fig6": ("depth", 2, 22, "sensing", "gaussian", True, 0.01, None),
    "fig7": ("width", 1, 15, "sensing", "uniform", False, 0.02, None),
    "fig8": ("depth", 1, 15, "sensing", "uniform", True, 0.0035, None),
    "fig9": ("width", 1, 15, "completion", "gaussian", False, 0.02, None),
    "fig10": ("depth", 1, 15, "completion", "gaussian", True, 0.0035, None),
    "fig11": ("depth", 1, 15, "sensing", "gaussian", False, 0.01, None),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_that_of_the_paper(name):
    axis, rank, count, task, prior, normalize, eps, momentum = TABLE[name]
    sweep = figure(name)
    assert sweep.dimensions == {
        "panel": ["linear", "tanh", "leaky-relu"],
        axis: WIDTHS if axis == "width" else DEPTHS,
        "task_seed": list(range(8)),
    }
    for cell in sweep.cells():
        options = cell.options
        assert (options.activation, getattr(options, axis)) == (cell.place["panel"], cell.place[axis])
        assert (options.depth if axis == "width" else options.width) == (2 if axis == "width" else 5)
        made = options.make_task()
        assert (made.kind, made.shape, made.measurements.count, made.description["rank"]) == (task, (5, 5), count, rank)
        model = options.make_model(made)
        assert (model.prior, model.scaling, model.normalize) == (prior, "fan-out", normalize)
        assert options.eps == eps
        method = options.make_descent().resolved(model, made.shape)
        steps, scale, rate = expected_descent(name, axis, options)
        assert (method.optimizer, method.init, method.momentum) == ("group-rmsprop", "small", momentum or 0.0)
        assert (method.steps, method.init_scale, method.lr) == (steps, scale, rate)


def expected_descent(name, axis, options):
    """Steps, initial scale and learning rate, as the paper has them."""
    if axis == "width":
        return 100_000, 1e-3, 1e-4
    steps = 50_000 if options.activation == "leaky-relu" or name == "fig6" else 20_000
    deepest = 0.1 if options.activation == "leaky-relu" else 0.2
    scale = 1e-3 if options.depth <= 4 else 0.1 if options.depth <= 8 else deepest
    return steps, scale, 1e-2


def test_all_the_panels_of_the_paper():
    assert sum(len(figure(name).panels) for name in FIGURES) == 33


@pytest.mark.parametrize("name", ["fig1", "fig2", "fig8"])
def test_a_quick_look_is_small_and_says_so(name):
    quick = figure(name, quick=True)
    assert len(quick.cells()) == 18
    assert "--quick" in quick.notes[0]
    check_cells(quick.cells())


def test_figures_share_what_they_have_in_common():
    first, third = (figure(name).cells() for name in ("fig1", "fig3"))
    assert [cell.key for cell in first] == [cell.key for cell in third]
    assert not {cell.descent_key for cell in first} & {cell.descent_key for cell in third}
    # Depth sweeps descend alike, whatever the prior, ε and normalisation.
    second, *others = ({cell.descent_key for cell in figure(name).cells()} for name in ("fig2", "fig8", "fig11"))
    assert len(second) == 27
    assert all(other == second for other in others)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_several_tasks_and_cells_that_run(name):
    study = study_named(name)
    whole, quick = study.sweeps(), study.sweeps(quick=True)
    assert list(quick) == list(whole)
    for part, sweep in whole.items():
        assert len(sweep.dimensions["task_seed"]) >= 4
        check_cells(sweep.cells())
        assert {cell.key for cell in quick[part].cells()} < {cell.key for cell in sweep.cells()}


def test_a_figure_that_is_not_there():
    with pytest.raises(gc.InputError, match="figure is 'fig12'; choose one of fig1"):
        figure("fig12")
    with pytest.raises(gc.InputError, match="study is 'gravity'; choose one of relu"):
        study_named("gravity")
