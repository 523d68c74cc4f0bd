"""Search on the same model: gradient descent, stochastic gradient descent, the mode."""
