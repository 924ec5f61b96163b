"""The estimator of the paper's authors: its networks and its departures from the model."""
