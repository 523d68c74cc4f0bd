"""With the last layer integrated out: importance sampling, tempering, NUTS, exact limits."""
