"""The choice of a bound for every layer, from labelled samples: what may be lost, given a drop in accuracy."""
