"""Options of tuning, checked."""

import os
from dataclasses import dataclass

from dnnzip.accelerator import Accelerator, load_accelerator
from dnnzip.errors import InputError, field_name
from dnnzip.inputs.json_text import check_seed
from dnnzip.tuning.prices import Objective

#: Whose latency or energy is taken where nothing else is said.
DEFAULT_ACCELERATOR = "edge-lpddr4"


@dataclass(frozen=True)
class TuningOptions:
    """Options of tuning.

    Raises
    ------
    InputError
        The drop or the seed is out of its range.
    """

    max_drop: float  # drop in top-1 accuracy that is allowed, a share of all samples, above 0 and below 1
    objective: Objective = Objective.BYTES  # the quantity to minimise
    accelerator: Accelerator | None = None  # on which, for latency and energy; see `accelerator_for`
    seed: int = 0  # of everything random
    compare: bool = False  # also find the best single bound for all layers
    # Name of the output that holds the scores; None takes the only one of such a type and shape.
    output: str | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not 0 < self.max_drop < 1:
            where = f"{field_name('max_drop')} '{100 * self.max_drop:g}%'"
            raise InputError(where, "is not above 0% and below 100%", "give points of accuracy such as 1%")


def accelerator_for(
    objective: Objective, accelerator: Accelerator | str | os.PathLike[str] | None
) -> Accelerator | None:
    """Return the accelerator whose latency or energy is minimised, loaded; None for bytes.

    Raises
    ------
    InputError
        The configuration cannot be read, or an accelerator is named for bytes.
    """
    if objective is not Objective.BYTES:
        given = accelerator or DEFAULT_ACCELERATOR
        return given if isinstance(given, Accelerator) else load_accelerator(os.fspath(given))
    if accelerator is not None:
        wrong = f"has no meaning for {field_name('objective')} {objective}"
        raise InputError(field_name("accelerator"), wrong, "give latency or energy")
    return None
