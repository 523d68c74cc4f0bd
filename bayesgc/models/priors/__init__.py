"""Priors over one weight matrix, those that are shipped, and the laws that Pyro lacks."""
