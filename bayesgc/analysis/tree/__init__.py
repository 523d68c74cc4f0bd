"""A result as a DataTree: how it is made, saved, read, and summed up as JSON."""
