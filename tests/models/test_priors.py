"""How priors are named, scaled and registered."""

from __future__ import annotations

import os

import pyro.distributions as dist
import pytest
import torch

from bayesgc.models import PRIORS, SCALINGS, register_prior
from bayesgc.models.priors.prior import prior_named
from bayesgc.validate import InputError

SCALES = {"fan-out": 3**-0.5, "fan-in": 7**-0.5, "kaiming": (2 / 7) ** 0.5, "unit": 1.0}


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("mean", [0.0, 0.5])
@pytest.mark.parametrize(("name", "spread"), [("gaussian", 1.0), ("uniform", 3**-0.5)])
def test_mean_and_spread_of_the_shipped_priors(name, spread, mean, scaling):
    law = prior_named(f"{name}:mean={mean}", scaling)(3, 7)
    assert law.event_shape == (3, 7)
    expected = torch.full((3, 7), SCALES[scaling])
    torch.testing.assert_close(law.mean, expected * mean)
    torch.testing.assert_close(law.stddev, expected * spread)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cauchy", "prior is 'cauchy'; choose one of gaussian, uniform"),
        ("gaussian:sd=2", "option of prior 'gaussian:sd=2' is 'sd'; choose one of mean"),
        ("gaussian:scale=2", "is 'scale'; choose one of mean"),
        ("gausian", "Did you mean 'gaussian'"),
        ("gaussian:mean", "prior is 'gaussian:mean'; options are written key=value"),
        ("gaussian:mean=big", "prior option mean is 'big'; it must be a finite number"),
        ("uniform:mean=nan", "prior option mean is 'nan'; it must be a finite number"),
        ("uniform:mean=inf", "prior option mean is 'inf'; it must be a finite number"),
        ("", "prior is ''; choose one of"),
    ],
)
def test_a_wrong_specification_is_named(spec, message):
    with pytest.raises(InputError, match=message):
        prior_named(spec, "fan-out")


def test_an_unknown_scaling_is_named():
    with pytest.raises(InputError, match="scaling is 'xavier'; choose one of fan-out, fan-in, kaiming, unit"):
        prior_named("gaussian", "xavier")


@pytest.fixture
def registry(monkeypatch):
    """A copy of the registry, so that what a test registers is gone after it."""
    monkeypatch.setattr("bayesgc.models.priors.prior.PRIORS", PRIORS.copy())


@pytest.mark.usefixtures("registry")
def test_a_registered_prior_has_its_own_scale_and_options():
    @register_prior("wide")
    def wide(rows, cols, *, sd=2.0):
        """Entries of standard deviation sd."""
        return dist.Normal(0.0, sd).expand([rows, cols]).to_event(2)

    assert prior_named("wide", "fan-out")(2, 2).stddev.unique() == 2.0
    assert prior_named("wide:sd=3", "fan-in")(2, 2).stddev.unique() == 3.0


@pytest.mark.usefixtures("registry")
def test_a_registered_prior_that_takes_the_scale_is_scaled():
    @register_prior("double", scaled=True)
    def double(rows, cols, *, scale):
        """Entries of twice the scale."""
        return dist.Normal(0.0, 2 * scale).expand([rows, cols]).to_event(2)

    assert prior_named("double", "fan-out")(4, 9).stddev.unique() == 1.0
    with pytest.raises(InputError, match="is 'double:mean=1'; it takes no options"):
        prior_named("double:mean=1", "fan-out")


@pytest.mark.usefixtures("registry")
def test_a_name_belongs_to_the_module_that_took_it():
    def wide(rows, cols):
        return dist.Normal(0.0, 2.0).expand([rows, cols])

    with pytest.raises(InputError, match="prior 'gaussian' is one of bayesgc.models.priors.shipped; register"):
        register_prior("gaussian")(wide)
    assert prior_named("gaussian", "unit")(2, 2).stddev.unique() == 1.0
    for _ in range(2):  # as a cell of a notebook that runs again
        register_prior("wide")(wide)


@pytest.mark.usefixtures("registry")
def test_an_edited_file_registers_its_prior_anew(tmp_path):
    file = tmp_path / "mine.py"
    for sd in (1.0, 2.0):
        file.write_text(
            "import pyro.distributions as dist\n"
            "from bayesgc import register_prior\n\n"
            "@register_prior('edited')\n"
            f"def edited(rows, cols):\n    return dist.Normal(0.0, {sd}).expand([rows, cols])\n"
        )
        os.utime(file, (sd, sd))
        prior_named(f"{file}:edited", "unit")
        assert prior_named("edited", "unit")(2, 2).stddev.unique() == sd


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_says_what_it_is(name):
    assert PRIORS[name].summary
    assert "scale" not in PRIORS[name].options
