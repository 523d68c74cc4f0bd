"""The version of the algorithms, which is not that of the package."""

ALGORITHM = 9
"""Raise it with every change that alters a bit of what a method, the prior's draws or gradient descent gives for a
seed: stored sweeps tell by it which of their cells could not be made again."""
