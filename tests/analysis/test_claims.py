"""The claims: decided by the numbers and by the rule, on made-up sweeps whose answer is known."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayesgc as gc
from bayesgc.analysis.claims.claims import judge
from bayesgc.analysis.claims.decisions import MEANS
from bayesgc.analysis.words.tables import as_text

TASKS = 8


def write(folder: Path, axis: str, options: dict | None = None, panels=("linear",), **losses) -> Path:
    """A store with these E[L_gen]: (panel, point, task), or what broadcasts to it."""
    points = {"width": [5, 40, 640], "depth": [2, 6, 10]}[axis]
    shape = (len(panels), 3, TASKS)
    dims = ("panel", axis, "task_seed")
    known = {"prior_gen_loss": 0.3, "zero_gen_loss": 0.05, "gd_gen_loss": 0.001, "posterior_gen_loss": 0.1} | losses
    values = {
        name: (dims, np.broadcast_to(np.asarray(each, dtype=float), shape).copy()) for name, each in known.items()
    }
    values["outcome"] = (dims, np.full(shape, "converged", dtype=object))
    for law in ("prior", "posterior"):
        values[f"{law}_gen_loss_mcse"] = (dims, 0.01 * values[f"{law}_gen_loss"][1])
    coords = {"panel": list(panels), axis: points, "task_seed": range(TASKS)}
    attributes = {"title": f"{axis}s", "sweep": json.dumps({"options": options or {}})}
    folder.mkdir(parents=True)
    xr.Dataset(values, coords, attributes).to_netcdf(folder / "sweep.nc", engine="h5netcdf")
    return folder


def curve(*factors: float, spread: float = 0.05, seed: int = 0) -> np.ndarray:
    """Losses that change by these factors from point to point, alike but for a spread over tasks."""
    noise = np.random.default_rng(seed).normal(0, spread, (3, TASKS))
    tasks = np.random.default_rng(seed + 1).normal(0, 0.5, TASKS)  # tasks differ a lot, which pairing takes out
    return 0.1 * np.array(factors)[:, None] * np.exp(noise + tasks)


def verdicts(*stores: Path) -> dict[str, str]:
    return {claim.claim: claim.verdict for claim in judge(stores).claims}


@pytest.mark.parametrize(
    ("factors", "spread", "verdict"),
    [
        ((1, 1.5, 2), 0.05, "holds"),
        ((2, 1.5, 1), 0.05, "fails"),
        ((1, 1, 1), 0.02, "fails"),
        ((1, 1, 1.1), 0.2, "undecided"),
    ],
)
def test_width_hurts_where_the_loss_rises_with_it(tmp_path, factors, spread, verdict):
    store = write(tmp_path / "s", "width", posterior_gen_loss=curve(*factors, spread=spread))
    assert verdicts(store)["width hurts"] == verdict


@pytest.mark.parametrize(
    ("factors", "verdict"), [((2, 1.5, 1), "holds"), ((1, 1.5, 2), "fails"), ((1, 1, 0.91), "undecided")]
)
def test_depth_helps_where_the_loss_falls_with_it(tmp_path, factors, verdict):
    store = write(tmp_path / "s", "depth", posterior_gen_loss=curve(*factors, spread=0.1))
    assert verdicts(store)["depth helps"] == verdict


@pytest.mark.parametrize(("share", "verdict"), [(0.97, "holds"), (0.6, "fails")])
def test_wide_nets_reach_the_prior(tmp_path, share, verdict):
    posterior = share * 0.3 * np.exp(np.random.default_rng(0).normal(0, 0.01, (3, TASKS)))
    store = write(tmp_path / "s", "width", posterior_gen_loss=posterior)
    assert verdicts(store)["wide nets are no better than the prior"] == verdict


@pytest.mark.parametrize(
    ("worst", "verdict"),
    [(np.full(TASKS, 0.002), "holds"), (np.full(TASKS, 0.04), "fails"), (np.array([0.09] + [0.01] * 7), "undecided")],
)
def test_descent_generalises_where_it_does_at_every_point(tmp_path, worst, verdict):
    losses = np.full((3, TASKS), 0.001)
    losses[1] = worst
    found = verdicts(write(tmp_path / "s", "width", gd_at_eps_gen_loss=losses))
    assert found["gradient descent generalises"] == verdict
    assert found["gradient descent generalises at its end"] == "holds"


@pytest.mark.parametrize(("tasks", "verdict"), [(TASKS, "holds"), (3, "undecided")])
def test_a_factor_is_not_negative_and_few_tasks_that_say_so_decide_nothing(tmp_path, tasks, verdict):
    """As a share of the zero matrix's loss, all but one task are at nothing: t would reach below zero."""
    losses = np.full((3, TASKS), 1e-6)
    losses[:, 0] = 0.05 * 0.1
    store = write(tmp_path / "s", "width", gd_gen_loss=losses)
    claims = judge([changed(store, lambda cells: cells.isel(task_seed=slice(0, tasks)))]).claims
    [claim] = [claim for claim in claims if claim.claim == "gradient descent generalises at its end"]
    share = losses[0, :tasks] / 0.05
    low, high = stats.t.interval(0.95, tasks - 1, share.mean(), stats.sem(share))
    assert low < 0
    assert claim.verdict == verdict
    np.testing.assert_allclose(claim.ci95, [0.0, high])
    assert ("three tasks cannot decide" in claim.note) is (tasks == 3)


def test_the_claims_are_about_the_axis_that_the_question_names(tmp_path):
    store = write(tmp_path / "s", "depth", panels=("a", "b"), posterior_gen_loss=curve(4, 2, 1))

    def asked(question, axes=("width", "depth")):
        def change(cells):
            renamed = cells.rename({"panel": axes[0]}).assign_coords({axes[0]: [5, 9]})
            renamed.attrs["question"] = question
            return renamed

        copy = tmp_path / question
        copy.mkdir()
        (copy / "sweep.nc").write_bytes((store / "sweep.nc").read_bytes())
        return verdicts(changed(copy, change))

    assert "depth helps" in (found := asked("Does depth help"))
    assert "width hurts" not in found
    assert "width hurts" in (found := asked("Does width hurt"))
    assert "depth helps" not in found


def test_a_note_is_told_once(tmp_path):
    losses = {"gd_at_eps_gen_loss": 0.001, "gd_at_eps_train_loss": 0.003, "gd_train_loss": 4e-8}
    text = as_text(judge([write(tmp_path / "s", "depth", **losses)]))
    assert text.count("depths, linear: L_train") == 1
    assert text.count("depths, linear, depth 10: L_train") == 1


def test_descent_that_did_not_fit_is_no_evidence(tmp_path):
    assert "gradient descent generalises" not in verdicts(write(tmp_path / "s", "width", gd_gen_loss=np.nan))


def test_of_an_old_store_the_end_of_descent_alone_is_judged(tmp_path):
    found = verdicts(write(tmp_path / "s", "width", gd_gen_loss=0.001))
    assert found["gradient descent generalises at its end"] == "holds"
    assert "gradient descent generalises" not in found


@pytest.mark.parametrize(("at_eps", "verdict"), [(0.05, "holds"), (0.1, "fails"), (0.2, "fails")])
def test_what_is_left_of_the_gap_at_equal_fit(tmp_path, at_eps, verdict):
    # The posterior has 0.1: at its end descent is far below it whatever it was at equal fit.
    losses = at_eps * np.linspace(0.99, 1.01, TASKS)
    store = write(tmp_path / "s", "depth", gd_at_eps_gen_loss=losses, gd_at_eps_train_loss=0.003, gd_train_loss=4e-8)
    claims = [claim for claim in judge([store]).claims if "does better" in claim.claim]
    found = {(claim.claim, claim.panel.rpartition(" ")[2]): claim for claim in claims}
    assert {place for _, place in found} == {"2", "10"}
    for place in ("2", "10"):
        equal, end = (found[f"gradient descent does better {when}", place] for when in ("at equal fit", "at its end"))
        assert (equal.verdict, end.verdict) == (verdict, "holds")
        assert equal.effect == pytest.approx(at_eps / 0.1, rel=1e-3)
        assert "descent at ε 0.0030, descent at its end 4.0e-08" in equal.note


@pytest.mark.parametrize(("median", "verdict"), [(0.1, "fails"), (0.2, "holds")])
def test_medians_of_restarts_are_held_against_medians_of_draws(tmp_path, median, verdict):
    """The mean of the draws is 0.2 each time; without medians it has to stand for them, and that is told."""
    losses = 0.1 * np.linspace(0.99, 1.01, TASKS)
    known = {"posterior_gen_loss": 0.2, "gd_at_eps_gen_loss": losses}
    medians = {"posterior_gen_loss_q50": median, "posterior_gen_loss_q50_mcse": 0.001}
    found = [
        judge([write(tmp_path / name, "depth", **known, **more)]).claims for name, more in (("s", medians), ("old", {}))
    ]
    ours, old = (next(each for each in claims if each.claim.endswith("at equal fit")) for claims in found)
    assert (ours.verdict, ours.effect) == (verdict, pytest.approx(0.1 / median, rel=1e-3))
    assert ours.measured.startswith(
        "the median L_gen of gradient descent where it passes ε, over that of Guess & Check"
    )
    assert (old.verdict, MEANS in old.note, MEANS in ours.note) == ("holds", True, False)


def test_effect_and_errors_are_those_of_the_rule(tmp_path):
    losses = curve(1, 1.5, 2)
    [claim, *_] = judge([write(tmp_path / "s", "width", posterior_gen_loss=losses)]).claims
    log = np.log(losses[2] / losses[0])
    low, high = stats.t.interval(0.95, TASKS - 1, log.mean(), log.std(ddof=1) / np.sqrt(TASKS))
    np.testing.assert_allclose([claim.effect, *claim.ci95], np.exp([log.mean(), low, high]))
    # Each task's ratio has a relative Monte Carlo error of √2 · 1 %, and they are independent.
    np.testing.assert_allclose(claim.mc_error, 0.01 * np.sqrt(2 / TASKS))
    np.testing.assert_allclose(claim.task_spread, log.std(ddof=1))


def test_normalisation_matters_where_depth_helps_with_it_and_not_without(tmp_path):
    base = {"width": 5, "gd_lr": 0.01, "measurements": 15}
    both = ("linear", "tanh")
    write(tmp_path / "all" / "fig2", "depth", base | {"normalize": True}, both, posterior_gen_loss=curve(4, 2, 1))
    write(
        tmp_path / "all" / "fig11",
        "depth",
        base | {"normalize": False},
        both,
        posterior_gen_loss=curve(1, 1, 1, seed=5),
    )
    other = base | {"normalize": False, "prior": "uniform"}
    write(tmp_path / "all" / "fig8", "depth", other, both, posterior_gen_loss=curve(9, 3, 1))
    claims = [claim for claim in judge([tmp_path / "all"]).claims if claim.claim == "normalisation matters"]
    assert [(claim.panel, claim.verdict) for claim in claims] == [("linear", "holds"), ("tanh", "holds")]
    assert "normalisation matters" not in verdicts(tmp_path / "all" / "fig2")


def test_the_order_of_the_stores_does_not_decide_which_are_compared(tmp_path):
    base = {"width": 5, "measurements": 15}
    stores = [
        write(tmp_path / "ranks", "depth", base | {"measurements": 22}, ("rank 1", "rank 2")),
        write(tmp_path / "priors", "depth", base | {"normalize": False}, ("mean 0",)),
        write(tmp_path / "with", "depth", base | {"eps": 0.0035}, posterior_gen_loss=curve(4, 2, 1)),
        write(tmp_path / "without", "depth", base | {"normalize": False, "eps": 0.01}),
    ]
    for order in permutations(stores):
        found = [each for each in judge(order).claims if each.claim == "normalisation matters"]
        assert [(each.panel, each.verdict) for each in found] == [("linear", "holds")]


@pytest.mark.parametrize("factors", [(1, 1.5, 2), (2, 1.5, 1)])
def test_a_claim_is_undecided_while_tasks_have_no_number(tmp_path, factors):
    losses = curve(*factors)
    assert verdicts(write(tmp_path / "all", "width", posterior_gen_loss=losses))["width hurts"] != "undecided"
    losses[2, 5:] = np.nan
    [claim, *_] = judge([write(tmp_path / "s", "width", posterior_gen_loss=losses)]).claims
    assert (claim.verdict, claim.tasks, claim.note) == ("undecided", 5, "3 of 8 tasks have no number")
    np.testing.assert_allclose(claim.effect, np.exp(np.log(losses[2, :5] / losses[0, :5]).mean()))
    losses[2, 1:] = np.nan
    [claim, *_] = judge([write(tmp_path / "t", "width", posterior_gen_loss=losses)]).claims
    assert (claim.verdict, claim.effect, claim.note) == ("undecided", None, "7 of 8 tasks have no number")


@pytest.mark.parametrize(
    ("largest", "verdict", "tasks", "note"),
    [
        (0.002, "undecided", 2, "at depth 10: 6 of 8 tasks have no number"),  # though where all fitted it is larger
        (0.04, "fails", TASKS, ""),  # at a point where all fitted, which is enough
    ],
)
def test_descent_that_fits_some_tasks_only_does_not_generalise_at_every_point(tmp_path, largest, verdict, tasks, note):
    losses = np.full((3, TASKS), 0.001)
    losses[0], losses[2, 2:] = largest, np.nan
    claims = judge([write(tmp_path / "s", "depth", gd_at_eps_gen_loss=losses)]).claims
    [claim] = [claim for claim in claims if claim.claim == "gradient descent generalises"]
    assert (claim.verdict, claim.tasks, claim.note) == (verdict, tasks, note)


def test_what_is_no_store(tmp_path):
    with pytest.raises(gc.InputError, match="is not a store"):
        judge([tmp_path])
    store = write(tmp_path / "s", "width")
    one = xr.load_dataset(store / "sweep.nc", engine="h5netcdf").isel(task_seed=[0])
    one.to_netcdf(store / "sweep.nc", engine="h5netcdf")
    with pytest.raises(gc.InputError, match="no claim can be judged"):
        judge([store])


def changed(store: Path, change) -> Path:
    """The store with its dataset changed."""
    file = store / "sweep.nc"
    dataset = change(xr.load_dataset(file, engine="h5netcdf"))
    file.unlink()
    dataset.to_netcdf(file, engine="h5netcdf")
    return store


def test_the_order_of_the_axis_in_the_file_does_not_matter(tmp_path):
    store = write(tmp_path / "s", "width", posterior_gen_loss=curve(1, 1.5, 2))
    before = judge([store]).to_dict()
    assert judge([changed(store, lambda cells: cells.isel(width=[2, 0, 1]))]).to_dict() == before
    assert verdicts(store)["width hurts"] == "holds"


def test_cells_that_did_not_converge_are_named(tmp_path):
    store = write(tmp_path / "s", "width", posterior_gen_loss=curve(1, 1.5, 2))

    def stalled(cells):
        cells["outcome"][:, 2, :3] = "stalled"
        cells["outcome"][:, 1] = "stalled"  # which no claim is about
        return cells

    hurts, wide, *_ = judge([changed(store, stalled)]).claims
    assert hurts.note == "3 of the 16 cells behind it did not converge"
    assert wide.note == "3 of the 8 cells behind it did not converge"


def test_tasks_that_share_their_draws_share_their_error(tmp_path):
    losses = curve(1, 1.1, 1.2, spread=0.01)
    store = write(tmp_path / "s", "width", posterior_gen_loss=losses)
    seeds = np.broadcast_to(np.arange(3.0)[:, None], (1, 3, TASKS))

    def noisy(cells, seed_used):
        cells["posterior_gen_loss_mcse"] = 0.1 * cells["posterior_gen_loss"]
        return cells.assign(seed_used=(cells["outcome"].dims, seed_used))

    [alone, *_] = judge([changed(store, lambda cells: noisy(cells, np.arange(24.0).reshape(1, 3, TASKS)))]).claims
    [shared, *_] = judge([changed(store, lambda cells: noisy(cells, seeds))]).claims
    np.testing.assert_allclose([alone.mc_error, shared.mc_error], 0.1 * np.sqrt([2 / TASKS, 2]))
    assert (alone.verdict, alone.note) == ("holds", "")
    assert (shared.verdict, shared.effect) == ("undecided", alone.effect)
    assert "share their draws" in shared.note
    log = np.log(losses[2] / losses[0])
    half = stats.t.ppf(0.975, TASKS - 1) * np.sqrt(log.var(ddof=1) / TASKS + 0.02)
    np.testing.assert_allclose(shared.ci95, np.exp([log.mean() - half, log.mean() + half]))


def test_panels_of_two_stores_are_matched_by_their_names(tmp_path):
    base = {"width": 5, "gd_lr": 0.01, "measurements": 15}
    steep, flat = curve(4, 2, 1), curve(1, 1, 1, seed=5)
    write(tmp_path / "all/a", "depth", base, ("linear", "tanh"), posterior_gen_loss=np.stack([steep, flat]))
    other = np.stack([flat, steep, flat])
    write(
        tmp_path / "all/b", "depth", base | {"normalize": False}, ("relu", "tanh", "linear"), posterior_gen_loss=other
    )
    found = {each.panel: each.verdict for each in judge([tmp_path / "all"]).claims if each.claim.startswith("normalis")}
    assert found == {"linear": "holds", "tanh": "fails"}


def test_a_damaged_store_is_named(tmp_path):
    store = write(tmp_path / "s", "width")
    whole = (store / "sweep.nc").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no netCDF"):
        (store / "sweep.nc").write_bytes(damaged)
        with pytest.raises(gc.InputError, match=r"sweep\.nc cannot be read: it is damaged"):
            judge([store])
