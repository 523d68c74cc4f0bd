"""Protocols of others by name: what they set, what may be changed, and what a result records of them."""

from __future__ import annotations

import pytest

from bayesgc.inference import SGD
from bayesgc.inference.descent.protocols import PROTOCOLS
from bayesgc.options import Options
from bayesgc.validate import InputError


def test_the_protocols_are_those_of_the_papers():
    peleg, chiang = SGD.preset("peleg-hein"), SGD.preset("chiang")
    assert (peleg.lr, peleg.batch, peleg.epochs, peleg.init) == (0.01, 2, 60, "kaiming")
    assert (chiang.lr, chiang.batch, chiang.epochs, chiang.init) == (0.001, 2, 30, "prior")
    for each in (peleg, chiang):
        # Neither stops by a loss, and neither has momentum.
        assert (each.tol, each.resolved(16).momentum, each.optimizer) == (0.0, 0.0, "gd")
        assert each.protocol in PROTOCOLS


def test_what_is_given_changes_a_protocol_and_its_name_is_kept():
    changed = SGD.preset("chiang", lr=0.1, restarts=3)
    assert (changed.lr, changed.restarts, changed.epochs, changed.protocol) == (0.1, 3, 30, "chiang")
    assert SGD().protocol is None


def test_the_command_line_has_them():
    options = Options.checked({"task": "digits", "gd_protocol": "chiang", "gd_epochs": 5, "restarts": 4})
    assert options.make_training() == SGD.preset("chiang", epochs=5, restarts=4)
    assert Options.checked({"task": "digits"}).make_training() == SGD()


def test_an_unknown_one_is_refused():
    with pytest.raises(InputError, match="gd protocol is 'adam'; choose one of peleg-hein, chiang"):
        SGD.preset("adam")
    with pytest.raises(InputError, match="--gd-protocol is for labelled examples; --task is 'sensing'"):
        Options.checked({"gd_protocol": "chiang"})
