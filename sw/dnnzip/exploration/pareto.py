"""Pareto fronts: the points that no other point beats."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(objectives: ArrayLike) -> NDArray[np.bool_]:
    """Return True for the points that are Pareto-optimal.

    A point is beaten by one that is nowhere worse and somewhere better. Equal points are all on the front, or none is.

    Parameters
    ----------
    objectives
        [points, objectives]; smaller is better in each. Any number of either.

    Returns
    -------
    bool [points].

    Raises
    ------
    ValueError
        An objective is not a number.
    """
    values = np.asarray(objectives, np.float64)
    if values.ndim != 2:
        raise ValueError(f"objectives must be [points, objectives], not of shape {values.shape}")
    if np.isnan(values).any():
        raise ValueError("objectives must be numbers, not NaN")
    rows, inverse = np.unique(values, axis=0, return_inverse=True)
    front = np.ones(len(rows), np.bool_)
    # Unique rows are sorted by their first objective, then the next: who beats a row stands before it.
    for number in range(1, len(rows)):
        earlier = rows[:number][front[:number]]
        front[number] = not (earlier <= rows[number]).all(axis=1).any()
    return np.asarray(front[inverse.reshape(-1)])


def objectives_of(
    rows: Sequence[dict[str, float]], smaller: Sequence[str], larger: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Return the objectives of rows as `pareto_front` takes them.

    Parameters
    ----------
    rows
        Points.
    smaller, larger
        Columns of which smaller or larger values are better.
    """
    columns = [[row[name] for row in rows] for name in smaller] + [[-row[name] for row in rows] for name in larger]
    return np.array(columns, np.float64).reshape(len(columns), len(rows)).T
