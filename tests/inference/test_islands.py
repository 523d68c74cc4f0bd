"""The building blocks of splitting: thresholds, selection, moves, pooling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from problems import MILD_EPS, criterion, errors_apart
from scipy import stats

from bayesgc.inference import Request
from bayesgc.inference.islands.islands import Islands
from bayesgc.inference.islands.ladders import Threshold, next_threshold
from bayesgc.inference.islands.pooling import IslandRecord, LevelRecord, pool_log_volume, pool_posterior, precise_enough
from bayesgc.inference.streams import Stream

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([5.0, 4.0, 3.0, 2.0, 1.0], 2.0),  # one of five, 30 % rounded down, is strictly below
        ([1.0, 2.0, 2.0, 2.0, 2.0], 2.0),  # ties above the lowest
        ([1.0, 1.0, 1.0, 2.0, 3.0], 2.0),  # an atom at the lowest: the next distinct value lets it through
        ([1.0, 1.0, 1.0, 1.0, 0.01], 1.0),
        ([1.0] * 5, None),  # nowhere to go
        ([0.1, 0.05, 3.0, 4.0, 5.0], 0.1),  # the quantile is ε
        ([0.05, 0.01, 0.02, 4.0, 5.0], 0.1),  # and below ε
        ([0.05] * 5, 0.1),  # an atom below ε
        ([NAN, 5.0, INF, 2.0, 1.0], 2.0),  # what is not finite is above every threshold
        ([NAN, NAN, NAN, NAN, 3.0], None),
        ([NAN] * 5, None),
    ],
    ids=str,
)
def test_next_threshold(losses, expected):
    found = next_threshold(torch.tensor(losses), 0.3, 0.1)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_thresholds_fall_until_the_last_atom():
    # However many ties there are, some particle is strictly below and the next threshold is lower.
    losses = torch.randint(3, 9, (50,), generator=torch.Generator().manual_seed(0)).float()
    seen = []
    while (threshold := next_threshold(losses, 0.3, 0.1)) is not None:
        assert not seen or threshold < seen[-1]
        seen.append(threshold)
        losses = losses[losses < threshold]
        assert len(losses)
    assert set(losses.tolist()) == {3.0}


def islands(particles=10, blocks=(0,), seed=0, dtype=torch.float32):
    return Islands.from_prior(criterion(dtype=dtype), particles, seed, Stream.ISLAND, list(blocks))


def test_selection_deals_equal_copies():
    group = islands(blocks=(0, 1, 2))
    group.score = torch.tensor([0.0, 1, 1, 0, 1, 1, 0, 1, 1, 1] + [0.0] * 10 + [1.0] * 10)
    before = group.normals.clone()
    group.select(Threshold(0.5))
    copies = torch.stack([row.bincount(minlength=10) for row in group.root])
    assert sorted(copies[0].tolist()) == [0] * 7 + [3, 3, 4]
    assert copies[0, [0, 3, 6]].sum() == 10
    assert copies[1].tolist() == [1] * 10
    # An island without survivors goes on at volume zero.
    assert group.log_volume.tolist() == pytest.approx([math.log(0.3), 0.0, -INF])
    assert (group.score[:20] < 0.5).all()
    # Every particle is a copy of its ancestor within its own island.
    places = (group.root + torch.arange(3)[:, None] * 10).flatten()
    assert torch.equal(group.normals[:, places.argsort()].sort(1).values, before[:, places].sort(1).values)
    assert group.ancestors().tolist()[:2] == [3, 10]


def test_the_odd_copy_is_dealt_at_random():
    # Three survivors of ten: one of them, each as often, gets the tenth place. 300 trials of probability ⅓.
    odd = []
    for seed in range(300):
        group = islands(seed=seed)
        group.score = torch.tensor([0.0, 1, 1, 0, 1, 1, 0, 1, 1, 1])
        group.select(Threshold(0.5))
        odd.append(int(group.root[0].bincount(minlength=10).argmax()))
    assert stats.chisquare([odd.count(place) for place in (0, 3, 6)]).pvalue > 1e-3


def moved(group: Islands, threshold: float, angle: float) -> float:
    """The share of accepted moves, of every layer by the same angle."""
    return float(group.move(Threshold(threshold), [angle] * len(group.target.blocks)).mean())


def test_moves_stay_below_the_threshold_and_keep_the_losses():
    group = islands(particles=200, dtype=torch.float64)
    threshold = float(group.score.median())
    group.select(Threshold(threshold))
    shares = [moved(group, threshold, 0.5) for _ in range(5)]
    assert (group.score < threshold).all()
    torch.testing.assert_close(group.score, group.target.score(group.normals))
    assert all(0 < share < 1 for share in shares)


def test_who_is_outside_after_all_goes_back():
    """A pass over layers rounds otherwise than the whole does, and could carry a particle over the edge."""
    group = islands(particles=200, dtype=torch.float64)
    threshold = float(group.score.median())
    group.select(Threshold(threshold))
    before = group.normals.clone(), group.score
    group.normals = group.normals.flip(1) * 1.1
    inside = group.target.score(group.normals) < threshold
    moved_to = group.normals.clone()
    group.settle(Threshold(threshold), *before)
    assert 0 < inside.sum() < 200
    assert torch.equal(group.normals, torch.where(inside, moved_to, before[0]))
    torch.testing.assert_close(group.score, group.target.score(group.normals))


def test_moves_without_a_threshold_leave_the_prior_alone():
    group = islands(particles=2000)
    for _ in range(5):
        assert moved(group, INF, 0.7) == 1.0
    flat = group.normals.flatten().double().numpy()
    assert stats.kstest(flat, stats.norm.cdf).pvalue > 1e-3
    # Negative control: a move that forgets the factor cos θ would have widened it to the variance 1 + 5 sin² θ.
    assert stats.kstest(1.05 * flat, stats.norm.cdf).pvalue < 1e-3


def test_moves_leave_the_conditioned_prior_alone():
    # Exact conditioned draws by rejection, moved, have the law that they had.
    group = islands(particles=40_000)
    below = group.score < 4 * MILD_EPS
    normals, loss = group.normals[:, below], group.score[below]
    group.normals, group.score, group.root = normals.clone(), loss.clone(), torch.arange(len(loss))[None]
    for _ in range(3):
        moved(group, 4 * MILD_EPS, 0.6)
    norms = [torch.linalg.vector_norm(each, dim=0).numpy() for each in (normals, group.normals)]
    assert stats.ks_2samp(*norms).pvalue > 1e-3
    assert stats.ks_2samp(loss.numpy(), group.score.numpy()).pvalue > 1e-3
    assert stats.ks_2samp(norms[0], 1.03 * norms[1]).pvalue < 1e-3


def test_islands_do_not_depend_on_their_company():
    together = islands(particles=50, blocks=(0, 1))
    alone = islands(particles=50, blocks=(1,))
    for group in (together, alone):
        group.select(Threshold(0.2))
        for _ in range(3):
            moved(group, 0.2, 0.4)
    torch.testing.assert_close(together.normals[:, 50:], alone.normals)
    assert together.log_volume[1] == alone.log_volume[0]


# --- pooling ----------------------------------------------------------------------------------------------------------


def record(volume, marker, particles=100):
    """An island whose particles all have the given generalisation loss."""
    levels = [LevelRecord(0.0, 9.0, 1.0, particles)]
    levels.append(LevelRecord(math.log(volume) if volume else -INF, marker, 0.25, 10.0))
    values = torch.full((particles,), float(marker))
    return IslandRecord(levels, values.expand(9, -1), {"gen_loss": values, "train_loss": values}, {}, None)


def test_slots_go_to_islands_in_proportion_to_their_volume():
    records = [record(volume, marker) for marker, volume in enumerate([0.5, 0.3, 0.0, 0.2])]
    draws = pool_posterior(criterion().task.shape, records, Request(draws=50))
    assert draws.end_to_end.shape == (4, 50, 3, 3)
    assert draws.sample_stats["island"].flatten().bincount(minlength=4).tolist() == [100, 60, 0, 40]
    assert torch.equal(draws.quantities["gen_loss"], draws.sample_stats["island"].float())
    # An island fills its own chain as far as it goes.
    assert draws.sample_stats["island"][0].unique().tolist() == [0]
    assert draws.summaries["gen_loss"].mean == pytest.approx(0.5 * 0 + 0.3 * 1 + 0.2 * 3)


def test_summaries_are_of_every_particle_and_not_of_the_kept_ones():
    records = [record(volume, marker) for marker, volume in enumerate([0.5, 0.3, 0.0, 0.2])]
    found = pool_posterior(criterion().task.shape, records, Request(draws=1)).summaries["gen_loss"]
    assert found.sd == pytest.approx(math.sqrt(0.3 * 1 + 0.2 * 9 - 0.9**2))
    assert (found.q05, found.q50, found.q95) == (0.0, 0.0, 3.0)
    wide = [record(0.5, 0.0, particles=1000) for _ in range(2)]
    wide[0].quantities["gen_loss"] = torch.arange(1000.0)
    kept = pool_posterior(criterion().task.shape, wide, Request(draws=2)).summaries["gen_loss"]
    assert kept.q95 == pytest.approx(899, abs=1)


def test_the_island_count_is_that_of_diagnose():
    """Equal islands whose errors are nil: eight of them in effect are enough, and nine of which five weigh nothing."""
    equal = [record(0.1, 1.0) for _ in range(9)]
    assert precise_enough(equal, Request(), "gen_loss")
    assert not precise_enough(equal[:7], Request(), "gen_loss")
    assert not precise_enough([*equal[:4], *(record(1e-9, 1.0) for _ in range(5))], Request(), "gen_loss")


def test_no_island_left_is_no_posterior():
    records = [record(0.0, marker) for marker in range(3)]
    assert pool_posterior(criterion().task.shape, records, Request()) is None
    volume = pool_log_volume(records, reached=True)
    assert volume.value is None
    # What is known is the volume of the threshold before, here the prior's own.
    assert volume.ci95 == (None, 0.0)


def test_short_of_the_threshold_the_volume_is_a_bound():
    records = [record(volume, 1.0) for volume in (0.1, 0.2, 0.3)]
    exact = pool_log_volume(records, reached=True)
    assert exact.value == pytest.approx(math.log(0.2))
    bound = pool_log_volume(records, reached=False)
    assert (bound.value, bound.mcse) == (None, None)
    assert bound.ci95 == (None, pytest.approx(min(0.0, exact.ci95[1])))


def test_particles_of_an_island_are_spread_before_they_repeat():
    records = [record(1.0, 0.0, particles=30), record(1.0, 1.0, particles=30)]
    for each in records:
        each.quantities["train_loss"] = torch.arange(30.0)
    draws = pool_posterior(criterion().task.shape, records, Request(draws=30))
    assert all(len(chain.unique()) == 30 for chain in draws.quantities["train_loss"])
    error = np.mean(draws.quantities["gen_loss"].numpy())
    assert errors_apart(error, 0.5, 1.0) == 0
