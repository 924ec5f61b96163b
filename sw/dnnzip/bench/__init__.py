"""``make bench``: dnnzip beside other compressors, on the same tensors and the same bound, in one run.

Nothing else in dnnzip imports this package. The other compressors come with the extra ``bench``; one that is not
installed is left out and named.
"""
