"""Cycles of the processing elements for a layer, each kind of array by its own formula."""

import math
from dataclasses import dataclass

from dnnzip.accelerator.configuration import Accelerator, LaneArray, SystolicArray, VectorArray
from dnnzip.accelerator.lanes import chunks, vectors_of
from dnnzip.accelerator.layers import Kind, Layer


@dataclass(frozen=True)
class Work:
    """Work of the processing elements for a layer."""

    cores: int  # elements at work
    cycles: float  # of the busiest one
    operations: float  # multiplications, or values into a pooling, of all of them
    fetches: int = 1  # number of times that the layer's weights come from the main memory


def systolic_cycles(reduction: int, filters: int, positions: int, rows: int, columns: int) -> int:
    """Return the cycles of a matrix product on a weight-stationary systolic array.

    Each tile of weights is shifted in row by row, the inputs enter skewed and the sums leave skewed; the closed form of
    SCALE-Sim's weight-stationary dataflow.

    Parameters
    ----------
    reduction, filters, positions
        Length of the sums, columns of the result, rows of the result.
    rows, columns
        Of the array.
    """
    tiles = math.ceil(reduction / rows) * math.ceil(filters / columns)
    return tiles * (positions + 2 * rows + columns - 2) - 1


def work_of(layer: Layer, accelerator: Accelerator, batch: int) -> Work:
    """Return the work of the processing elements for a layer.

    Units are shared among as many cores as there are, whole ones.

    Parameters
    ----------
    layer
        The layer.
    accelerator
        Its array and its number of cores.
    batch
        Samples at once.
    """
    if layer.kind is Kind.LOOKUP or not layer.is_sized:
        return Work(min(layer.units, accelerator.cores) if layer.is_sized else accelerator.cores, 0.0, 0)
    cores = min(layer.units, accelerator.cores)
    positions, operations = layer.positions * batch, layer.operations * batch
    each = math.ceil(layer.units / cores) * layer.reduction * positions
    if layer.kind is Kind.POOLING:
        return Work(cores, each / accelerator.array.pool_per_cycle.value, operations)
    match accelerator.array:
        case VectorArray() as array:
            return Work(cores, each / array.macs_per_cycle.value, operations)
        case SystolicArray() as array:
            return Work(cores, _grouped(layer, cores, positions, array), operations)
        case LaneArray() as array:
            fetches = len(chunks(layer, array, batch)) if layer.weights else 1
            return Work(cores, vectors_of(layer, array, batch), operations, fetches)


def _grouped(layer: Layer, cores: int, positions: int, array: SystolicArray) -> int:
    """Return the cycles of the busiest systolic array: one matrix product after the other for each of its groups."""
    groups = math.ceil(layer.groups / cores)
    # Cores beyond the groups share the filters of a group.
    sharing = max(1, cores // layer.groups)
    filters = math.ceil(layer.units / layer.groups / sharing)
    return groups * systolic_cycles(layer.reduction, filters, positions, array.rows, array.columns)
