"""Examples and labels: classification and regression."""
