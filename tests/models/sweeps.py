"""A pass over the layers of a network against the outputs of the whole."""

import torch


def assert_a_sweep_gives_the_whole(whitened, column, other):
    """Of every layer in turn the rows of other columns are looked at, and half of the columns take them."""
    accept, sweep = torch.arange(column.shape[1]) % 2 == 0, whitened.sweep(column)
    for place, rows in enumerate(whitened.blocks):
        if place:
            sweep.advance()
        proposal = column.clone()
        proposal[rows] = other[rows]
        torch.testing.assert_close(sweep.vectors(other[rows]), whitened.vectors(proposal))
        column[rows] = torch.where(accept, other[rows], column[rows])


def assert_what_lies_below_is_kept(whitened, column, other):
    """The negative control: what changes below after the sweep has passed is not noticed."""
    first, second = whitened.blocks[:2]
    sweep = whitened.sweep(column)
    sweep.advance()
    column[first] = other[first]
    proposal = column.clone()
    proposal[second] = other[second]
    assert not torch.allclose(sweep.vectors(other[second]), whitened.vectors(proposal))
