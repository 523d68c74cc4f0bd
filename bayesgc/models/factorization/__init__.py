"""Factorised matrices and tensors, and what is known of them in closed form."""
