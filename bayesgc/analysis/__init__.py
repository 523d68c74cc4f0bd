"""Records as labelled data: the DataTree, its file, its summary and schema, the verdict and the plots.

Nothing here but :mod:`bayesgc.analysis.tree.datatree` needs torch, so that looking at a saved result is quick.
"""
