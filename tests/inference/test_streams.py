"""Random streams: what their key decides, and that they are random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from bayesgc.inference.streams import Stream, generator

CPU = torch.device("cpu")


def numbers(seed=0, stream=Stream.PRIOR, block=0, count=200):
    return torch.randn(count, generator=generator(seed, stream, block, CPU), dtype=torch.float64)


def test_the_state_is_a_mersenne_twister_filled_from_the_key():
    # numpy's own Mersenne Twister, given the same 624 words, is the twin.
    words = np.random.SeedSequence(entropy=5, spawn_key=(int(Stream.ISLAND), 3)).generate_state(624)
    words[0] |= 0x80000000
    twin = np.random.MT19937()
    twin.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    # More than one period of the state, so that regeneration is compared too.
    ours = torch.empty(2000, dtype=torch.int64).random_(0, 2**20, generator=generator(5, Stream.ISLAND, 3, CPU))
    np.testing.assert_array_equal(ours.numpy(), (twin.random_raw(2000) % 2**20).astype(np.int64))


def test_the_same_key_repeats():
    assert torch.equal(numbers(7, Stream.DESCENT, 2), numbers(7, Stream.DESCENT, 2))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"seed": 2**32},
        {"seed": 2**64},
        {"stream": Stream.PILOT},
        {"block": 1},
        {"block": 2**32},
        {"seed": 2**32, "block": 1},
    ],
    ids=str,
)
def test_another_key_gives_another_stream(other):
    first, second = numbers(), numbers(**other)
    assert not torch.isin(first, second).any()
    # The correlation of 200 independent pairs has a standard error of 0.07.
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 5 * 0.07


def test_streams_and_seeds_do_not_collide():
    keys = [(seed, stream, block) for seed in range(40) for stream in Stream for block in range(20)]
    heads = {numbers(*key, count=2)[0].item() for key in keys}
    assert len(heads) == len(keys)


def test_first_numbers_of_the_blocks_are_normal():
    # Fixed keys; under the right law p < 1e-3 has a chance of 1e-3.
    heads = np.array([numbers(3, Stream.REJECTION, block, count=1).item() for block in range(3000)])
    assert stats.kstest(heads, stats.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(heads[:-1], heads[1:])[0, 1]) < 5 / np.sqrt(3000)
    # Negative control: a shift of a tenth of a standard deviation is seen.
    assert stats.kstest(heads + 0.1, stats.norm.cdf).pvalue < 1e-3


def test_numbering_of_the_streams_is_kept():
    # A stored result names its seed alone, so renumbering would change what the seed means.
    names = ["PRIOR", "PILOT", "ISLAND", "REJECTION", "DESCENT", "RESAMPLE"]
    assert [int(Stream[name]) for name in names] == list(range(6))
