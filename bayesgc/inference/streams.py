"""Random streams keyed by (seed, stream, block).

A block is the unit of drawing and of evaluation: its numbers depend on its key alone, so batch sizes, the number of
workers and the order in which they finish change no bit. Bits may differ between kinds of device.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What a block of random numbers is for. The values are part of the format: append, never renumber."""

    PRIOR = 0
    PILOT = 1
    ISLAND = 2
    REJECTION = 3
    DESCENT = 4
    RESAMPLE = 5
    MODE = 6
    IMPORTANCE = 7
    CHAIN = 8
    CURVE = 9
    HELD_OUT = 10
    PLUGIN = 11
    """For methods of other packages, whose blocks are their own to number."""
    REPLICATE = 12
    HIDDEN = 13


def generator(seed: int, stream: Stream, block: int, device: torch.device) -> torch.Generator:
    """A generator for one block.

    On the CPU torch seeds its Mersenne Twister from 32 bits, so that seeds 2³² apart give one stream and hashed seeds
    soon collide: here its whole state comes from the key. Elsewhere the counter-based generators take 64 bits.
    """
    words = np.random.SeedSequence(entropy=seed, spawn_key=(int(stream), block))
    if device.type != "cpu":
        return torch.Generator(device).manual_seed(int(words.generate_state(1, np.uint64)[0]) >> 1)
    result = torch.Generator()
    result.set_state(_mersenne_state(result.get_state(), words.generate_state(_WORDS)))
    return result


_WORDS = 624
_LEFT, _NEXT, _STATE = slice(8, 12), slice(16, 24), slice(24, 24 + 8 * _WORDS)


def _mersenne_state(template: torch.Tensor, words: np.ndarray) -> torch.Tensor:
    """A torch CPU generator state that holds ``words``, with none of them used yet."""
    state = template.numpy().copy()
    state[_LEFT] = np.array([1], np.int32).view(np.uint8)
    state[_NEXT] = np.array([0], np.uint64).view(np.uint8)
    words[0] |= 0x80000000  # an all-zero state would be a fixed point
    state[_STATE] = words.astype(np.uint64).view(np.uint8)
    return torch.from_numpy(state)
