"""The prior passes the suite for plug-ins, by the name that the entry point gives it."""

from __future__ import annotations

from bayesgc.testing import check_prior


def test_the_prior():
    check_prior("ternary:zeros=0.4", truths=0)
