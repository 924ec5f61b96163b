"""A constant of a configuration: its value, its unit and where it is from; the unit is part of the key's contract."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

SMALLEST, LARGEST = 1e-30, 1e30


def _usable(value: float) -> float:
    if value and not SMALLEST <= value <= LARGEST:
        raise ValueError(f"value must be 0, or from {SMALLEST:g} to {LARGEST:g}, not {value:g}")
    return value


class Constant(BaseModel):
    """A number with its unit and its source."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    # 0, or from `SMALLEST` to `LARGEST`: products of a few of them stay numbers.
    value: Annotated[float, Field(ge=0), AfterValidator(_usable)]
    unit: str  # as the key prescribes it
    # Where the value is from: a publication, a tool with its configuration, a measurement, a choice.
    source: str = Field(min_length=1)


def _of_unit(unit: str, positive: bool = False) -> AfterValidator:
    def check(constant: Constant) -> Constant:
        if constant.unit != unit:
            raise ValueError(f"unit must be '{unit}', not '{constant.unit}'")
        if positive and constant.value == 0:
            raise ValueError("value must be above 0")
        return constant

    return AfterValidator(check)


def _fraction(constant: Constant) -> Constant:
    if not 0 < constant.value <= 1:
        raise ValueError(f"value must be above 0 and at most 1, not {constant.value:g}")
    return constant


Frequency = Annotated[Constant, _of_unit("Hz", positive=True)]
Bandwidth = Annotated[Constant, _of_unit("B/s", positive=True)]
Bytes = Annotated[Constant, _of_unit("B", positive=True)]
Bits = Annotated[Constant, _of_unit("bit", positive=True)]
Cycles = Annotated[Constant, _of_unit("cycles")]
EnergyPerBit = Annotated[Constant, _of_unit("J/bit")]
Energy = Annotated[Constant, _of_unit("J")]
Power = Annotated[Constant, _of_unit("W")]
PerCycle = Annotated[Constant, _of_unit("1/cycle", positive=True)]
Count = Annotated[Constant, _of_unit("1")]
Share = Annotated[Constant, _of_unit("1"), AfterValidator(_fraction)]
