"""`infer` from end to end: what it refuses, what it returns."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import jaxtyping
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import bayesgc as gc
from bayesgc.api import check_inference
from bayesgc.task.array.standard import completion_of

TASK = gc.sensing(3, 3, 1, 4, seed=1)
MODEL = gc.MatrixFactorization(depth=2, width=4, normalize=False)
FAST = {"eps": 0.02, "method": gc.Splitting(particles=100, moves=5), "chains": 4, "draws": 100}
QUICK_GD = gc.GradientDescent(restarts=3, steps=20)


def infer(model=MODEL, task=TASK, **options):
    return gc.infer(model, task, **{"gd": False, "map": False} | FAST | options)


@pytest.fixture
def unchecked():
    """Without the run-time types of the tests, as users run it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": -0.1}, "eps is -0.1; it must be a"),
        ({"eps": math.nan}, "eps is nan; it must be a"),
        ({"eps": "small"}, "eps is 'small'; it must be a"),
        ({"eps": "-5%"}, "eps.* is '-5%?'; it must be a"),
        ({"eps": "five%"}, "eps.* is 'five%?'; it must be a"),
        ({"eps": 0.0}, "eps is 0.*exact fits, and splitting needs draws.*take auto or importance.*'0.01%'"),
        ({"method": "mcmc"}, "method is 'mcmc'; choose one of auto, importance, nuts, orthants, rejection, splitting"),
        ({"seed": -1}, "seed is -1; it must be a whole number at least 0"),
        ({"precision": 0.0}, "precision is 0.0; it must be a finite number greater than 0 and at most 1"),
        ({"precision": 2.0}, "precision is 2.0; it must be"),
        ({"chains": 0}, "chains is 0; it must be a whole number at least 1"),
        ({"chains": 1}, "chains is 1; it must be a whole number at least 2"),
        ({"draws": 0}, "draws is 0; it must be a whole number at least 1"),
        ({"max_seconds": 0.0}, "max_seconds is 0.0; it must be a finite number greater than 0"),
        ({"max_evaluations": 0}, "max_evaluations is 0; it must be a whole number at least 1"),
        ({"device": "cuda:99"}, "device is 'cuda:99'; this machine has auto, cpu"),
        ({"device": "tpu"}, "device is 'tpu'; this machine has auto, cpu"),
        ({"dtype": "float16"}, "dtype is 'float16'; choose one of float32, float64"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(gc.InputError, match=message):
        infer(**options)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("call", [check_inference, gc.infer])
def test_model_and_task_in_the_wrong_order_are_told(call):
    with pytest.raises(gc.InputError, match=r"the model comes first, then the task: infer\(model, task\)"):
        call(TASK, MODEL)


def test_an_exact_fit_of_a_normalised_model_has_a_way_out():
    model = gc.MatrixFactorization(depth=2, width=4)
    words = r"eps is 0, which asks for exact fits, and of a normalised model none can be drawn; take `normalize=False`"
    with pytest.raises(gc.InputError, match=words):
        infer(model, eps=0, method="auto")


@pytest.mark.parametrize(("axis", "only"), [(1, "one column"), (0, "one row")])
def test_a_table_in_which_nothing_is_shared_is_refused(axis, only):
    """Control: with one more it is taken."""
    cells = np.array([1.0, 2.0, np.nan, 4.0])
    task, wider = (
        completion_of(values, {}, standardize=False)
        for values in (np.expand_dims(cells, axis), np.stack([cells, cells[::-1]], axis))
    )
    with pytest.raises(gc.InputError, match=f"The table has {only} of numbers, so its .* share nothing"):
        infer(task=task)
    check_inference(MODEL, wider, eps=0.5, method="rejection")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_failure": "ignore"}, "on_failure is 'ignore'; choose one of return, raise"),
        ({"gd": "adam"}, "gd is 'adam'"),
        ({"map": "yes"}, "map is 'yes'"),
        ({"task": "table.csv"}, "task is 'table.csv'"),
        ({"model": "linear"}, "model is 'linear'; give a bayesgc model, a Pyro program or a torch.nn.Module"),
        ({"model": gc.MatrixFactorization}, "model is <class"),
        (
            {"method": gc.Splitting},
            "method is <class .*; give one of auto, importance, nuts, orthants, rejection, splitting, or",
        ),
        ({"method": None}, "method is None; give one of"),
        ({"seed": 1.5}, "seed is 1.5; it must be a whole number"),
        ({"eps": ()}, r"eps is \(\); it must be a"),
        ({"eps": True}, "eps is True; it must be a"),
    ],
    ids=str,
)
def test_arguments_of_a_wrong_type_are_named(options, message):
    with pytest.raises(gc.InputError, match=message):
        infer(**options)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (lambda rows, cols: 3, "W1"),
        (lambda rows, cols: dist.Normal(0.0, 1.0), r"W1 the shape \(\); the layer is \(4, 3\)"),
        (lambda rows, cols: dist.Normal(0.0, 1.0).expand([rows, rows]).to_event(2), r"the layer is \(4, 3\)"),
    ],
    ids=["no distribution", "scalar", "wrong shape"],
)
def test_a_wrong_prior_function_is_named(prior, message):
    with pytest.raises(gc.InputError, match=message):
        infer(gc.MatrixFactorization(prior=prior, width=4, normalize=False))


@pytest.fixture(scope="module")
def result():
    return infer(gd=QUICK_GD, weights=True)


def test_what_a_result_holds(result):
    assert result.attrs["outcome"] == "converged"
    assert set(result.children) >= {"posterior", "prior", "gd", "sample_stats", "levels", "observed_data"}
    posterior = result["posterior"]
    assert posterior["end_to_end"].dims == ("chain", "draw", "row", "col")
    assert posterior.sizes["draw"] == 100
    assert (posterior["train_loss"] < 0.02).all()
    product = posterior["W2"].values @ posterior["W1"].values
    np.testing.assert_allclose(product, posterior["end_to_end"].values, rtol=1e-4, atol=1e-6)
    assert result["gd"].sizes["restart"] == 3


def test_the_configuration_says_how_it_was_found(result):
    configuration = json.loads(result.attrs["configuration"])
    assert configuration["model"]["family"] == "matrix-factorization"
    assert configuration["model"]["depth"] == 2
    assert configuration["method"]["particles"] == 100
    assert configuration["gd"]["init_scale"] == 1e-3
    assert configuration["eps"] == 0.02
    assert configuration["task"]["measurements"] == 4


def test_one_seed_repeats():
    first, same, other = (infer(seed=seed)["posterior"]["end_to_end"].values for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.isclose(first[0], other[0]).all(axis=(-2, -1)).any()


def test_threshold_in_per_cent():
    percent = infer(eps="25%", max_evaluations=1)
    assert percent.attrs["eps"] == pytest.approx(0.25 * TASK.zero_train_loss)


def test_an_infeasible_threshold_is_proved_so():
    # Twice the measurements of a matrix of norm 1: on the sphere they leave a residual.
    task = gc.ArrayTask("sensing", TASK.shape, TASK.measurements, 8 * TASK.targets)
    found = infer(gc.MatrixFactorization(depth=2, width=4), task, eps=1e-3, gd=True)
    assert found.attrs["outcome"] == "infeasible"
    assert "No matrix of Frobenius norm 1 has a training loss below 0.001; the least is" in found.attrs["message"]
    assert "posterior" not in found.children
    assert json.loads(found.attrs["reasons"])["gd"] == "the run was infeasible"


def test_a_failure_is_raised_on_request():
    with pytest.raises(gc.InferenceFailed, match="exhausted: The budget ended") as caught:
        infer(eps=1e-5, max_evaluations=2000, on_failure="raise")
    assert caught.value.result.attrs["outcome"] == "exhausted"
    assert "posterior" not in caught.value.result.children


def hierarchical():
    scale = pyro.sample("scale", dist.LogNormal(-1.0, 0.3))
    return scale * pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 3]).to_event(2))


def test_a_program_of_ones_own():
    found = infer(hierarchical, gd=True, weights=True)
    assert found.attrs["outcome"] == "converged"
    assert found["gd"].sizes["restart"] > 1
    assert "gd" not in json.loads(found.attrs["reasons"])
    posterior = found["posterior"]
    product = posterior["scale"].values[..., None, None] * posterior["w"].values
    np.testing.assert_allclose(product, posterior["end_to_end"].values, rtol=1e-5)
    assert json.loads(found.attrs["configuration"])["model"]["name"] == "hierarchical"


def test_a_batched_program_gives_the_same_as_a_mapped_one():
    def program():
        return pyro.sample("w", dist.Normal(0.0, 0.6).expand([3, 3]).to_event(2))

    mapped = infer(program)["posterior"]["end_to_end"].values
    batched = infer(gc.ProgramModel(program, batched=True))["posterior"]["end_to_end"].values
    np.testing.assert_allclose(mapped, batched, rtol=1e-5, atol=1e-7)


def laplace(rows, cols):
    return dist.Laplace(0.0, rows**-0.5).expand([rows, cols]).to_event(2)


def test_a_prior_of_ones_own():
    found = infer(gc.MatrixFactorization(depth=2, width=4, prior=laplace, normalize=False), gd=QUICK_GD)
    assert found.attrs["outcome"] == "converged"
    assert json.loads(found.attrs["configuration"])["model"]["prior"] == "laplace"


def test_truth_unknown():
    task = gc.ArrayTask("sensing", TASK.shape, TASK.measurements, TASK.targets)
    found = infer(task=task)
    assert found.attrs["outcome"] == "converged"
    assert "gen_loss" not in found["posterior"]
    assert np.isnan(found["levels"]["gen_loss"]).all()


def test_nothing_held_out():
    task = gc.completion(2, 2, 1, 4)
    found = infer(task=task, eps=0.1)
    assert found.attrs["outcome"] == "converged"
    assert "gen_loss" not in found["posterior"]


@pytest.mark.usefixtures("unchecked")
def test_depth_eight():
    found = gc.infer(
        gc.MatrixFactorization(depth=8),
        gc.sensing(),
        method=gc.Splitting(particles=100, moves=5),
        chains=4,
        draws=100,
        precision=1.0,
        gd=gc.GradientDescent(restarts=2, steps=10),
    )
    assert found.attrs["outcome"] == "converged"
    # The default problem: a log volume near −13.7, known here to within 0.15.
    assert -15 < found.attrs["log_volume"] < -12.5
    assert found["gd"]["converged"].dtype == bool or set(np.unique(found["gd"]["converged"])) <= {0, 1}


def test_progress_is_told():
    stages = []
    infer(report=lambda progress: stages.append(progress.stage), gd=gc.GradientDescent(restarts=2, steps=200))
    assert {"pilot", "islands", "gradient descent"} <= set(stages)


def test_the_mode_stands_beside_or_the_reason_why_not():
    few = gc.MaximumAPosteriori(restarts=2)
    found = infer(gc.MatrixFactorization(depth=2, width=4, normalize=False), map=few)
    assert found["map"].sizes["restart"] == 2
    assert found["map"]["converged"].all()
    assert json.loads(found.attrs["configuration"])["map"] == {"restarts": 2, "chill": 20.0}
    assert json.loads(found.attrs["seconds"])["map"] > 0
    reasons = {
        "shrink for free": {"model": gc.MatrixFactorization(depth=2, width=4), "map": few},
        "flat": {"model": gc.MatrixFactorization(depth=2, width=4, prior="uniform", normalize=False), "map": few},
        "`map=True`": {"model": gc.MatrixFactorization(depth=5, width=4, normalize=False), "map": None},
        "turned off": {"model": gc.MatrixFactorization(depth=2, width=4, normalize=False), "map": False},
    }
    for reason, options in reasons.items():
        without = infer(max_seconds=0.1, **options)
        assert "map" not in without.children
        assert reason in json.loads(without.attrs["reasons"])["map"]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("family", [gc.CPFactorization, gc.TensorTrain])
def test_results_of_tensors_carry_their_dimensions(family, tmp_path):
    task = gc.sensing(shape=(2, 3, 4), rank=1, measurements=5, seed=1)
    model = family(depth=3, width=4, normalize=False)
    options = {"method": "rejection", "eps": 0.2, "gd": QUICK_GD, "map": gc.MaximumAPosteriori(restarts=1)}
    found = infer(model, task, weights=True, **options)
    gc.save_result(found, tmp_path / "tensor.nc")
    loaded = gc.load_result(tmp_path / "tensor.nc")
    modes = ("mode1", "mode2", "mode3")
    for law in ("prior", "posterior", "gd", "map"):
        sample = ("restart",) if law in ("gd", "map") else ("chain", "draw")
        variables = loaded[law].to_dataset()
        assert variables["end_to_end"].dims == (*sample, *modes)
        assert variables["mode_singular_value"].dims == (*sample, "mode", "component")
        assert variables["mode"].values.tolist() == list(modes)
        assert variables["effective_rank"].dims == sample
    assert loaded["posterior"]["A3_2"].dims[-2:] == ("A3_2_row", "A3_2_col")
    assert loaded["ground_truth"]["end_to_end"].dims == modes
    assert loaded["constant_data"]["A"].dims == ("measurement", *modes)
    assert loaded["constant_data"]["reference"].values.tolist() == ["zero", "least_squares", "nuclear_norm"]
    described = json.loads(loaded.attrs["configuration"])
    assert (described["model"]["family"], described["task"]["shape"]) == (family.family, [2, 3, 4])
    # The weights that were kept make the tensors that were kept.
    posterior = loaded["posterior"].to_dataset().isel(chain=0, draw=0)
    layers = [torch.from_numpy(posterior[name].values)[..., None] for name in model.layer_names(task.shape)]
    made = model.network(task.shape).forward(layers, normalize=False)[..., 0].reshape(task.shape)
    np.testing.assert_allclose(made, posterior["end_to_end"], rtol=1e-3, atol=1e-5)


def test_a_tensor_in_a_file_is_a_task(tmp_path):
    task = gc.completion(shape=(2, 3, 2), rank=1, measurements=5, seed=1)
    stack = task.measurements.dense().reshape(-1, *task.shape)
    np.savez(tmp_path / "mine.npz", A=stack, y=task.targets)
    loaded = gc.load(tmp_path / "mine.npz")
    assert (loaded.shape, loaded.dims, loaded.observed_cells) == ((2, 3, 2), ("mode1", "mode2", "mode3"), True)
    found = gc.result_object(infer(gc.CPFactorization(width=3, normalize=False), loaded))
    assert len(found["unobserved"]) == 7
    assert set(found["unobserved"][0]) >= {"mode1", "mode2", "mode3", "mean", "q05", "q95"}


@pytest.mark.parametrize("method", ["auto", "splitting", gc.Splitting(particles=100)])
@pytest.mark.parametrize("call", [check_inference, gc.infer])
def test_one_island_is_refused_before_anything_is_drawn(call, method, monkeypatch):
    monkeypatch.setattr("bayesgc.api.draw_prior", None)
    with pytest.raises(gc.InputError, match="chains is 1; it must be a whole number at least 2"):
        call(gc.MatrixFactorization(), gc.sensing(), eps=0.1, method=method, chains=1)


def test_one_chain_of_importance_may_end_in_tempering():
    """Whose errors take two islands at least."""
    method = gc.Importance(most_draws=1, tempering=gc.Tempering(particles=50, moves=2))
    found = infer(eps=0.0, method=method, chains=1, precision=0.5, gd=False)
    assert json.loads(found.attrs["diagnostics"])["path"] == "tempering"
    assert found.attrs["outcome"] == "converged"


@pytest.mark.parametrize("method", ["importance", "nuts"])
def test_a_check_refuses_a_model_without_a_collapsed_form_in_the_words_of_its_run(method):
    said = []
    for call in (check_inference, gc.infer):
        with pytest.raises(gc.InputError, match=f"{method} needs .* Gaussians or a scale mixture") as raised:
            call(gc.MatrixFactorization(), gc.sensing(), eps=0.1, method=method)
        said.append(str(raised.value))
    assert said[0] == said[1]


WITHOUT_METADATA = """
import importlib.metadata

def version(name, plain=importlib.metadata.version):
    if name == "bayesgc":
        raise importlib.metadata.PackageNotFoundError(name)
    return plain(name)

importlib.metadata.version = version
import bayesgc as gc

task = gc.sensing(3, 3, measurements=2)
result = gc.infer(gc.MatrixFactorization(), task, eps="90%", gd=False, max_evaluations=3000, progress=False)
print(gc.__version__, gc.result_object(result)["version"])
"""


def test_a_source_tree_without_an_installed_distribution_works():
    ended = subprocess.run([sys.executable, "-c", WITHOUT_METADATA], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("unknown unknown\n", "")
