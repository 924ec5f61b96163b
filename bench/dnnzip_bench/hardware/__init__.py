"""Netlists: their tools, copies of placed ones, gates that are watched, and an adder to compare with."""
