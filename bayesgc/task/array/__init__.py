"""Linear measurements of an array: matrix and tensor sensing and completion."""
