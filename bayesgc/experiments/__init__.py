"""Sweeps: grids of inferences, the paper's figures among them, run on one machine or many, and kept in a store."""

from bayesgc.experiments.running import run_sweep
from bayesgc.experiments.sweep import Sweep

__all__ = ["Sweep", "run_sweep"]
