"""Names of the contract's enums as Python people write them: ``POLARITY_COUNTER`` is ``"counter"``."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from google.protobuf.descriptor import EnumDescriptor

_Value_co = TypeVar("_Value_co", bound=int, covariant=True)


class ProtoEnum(Protocol[_Value_co]):
    """What is used here of a generated enum."""

    @property
    def DESCRIPTOR(self) -> EnumDescriptor: ...  # noqa: D102, N802

    def items(self) -> Iterable[tuple[str, _Value_co]]: ...  # noqa: D102


def enum_name(enum: ProtoEnum[int], value: int) -> str:
    """The short name of a value; its number if a newer server sent one that is not known here."""
    known = enum.DESCRIPTOR.values_by_number.get(value)
    return known.name.removeprefix(_prefix(enum)).lower() if known else str(value)


def enum_value(enum: ProtoEnum[_Value_co], name: str, field: str) -> _Value_co:
    """The value of a short name.

    Raises:
        ValueError: there is no such name; it tells the field and the names that there are.
    """
    prefix = _prefix(enum)
    known = {full.removeprefix(prefix).lower(): value for full, value in enum.items() if value != 0}
    if name not in known:
        raise ValueError(f"{field}: {name!r} is not one of {', '.join(known)}")
    return known[name]


def _prefix(enum: ProtoEnum[int]) -> str:
    return enum.DESCRIPTOR.values_by_number[0].name.removesuffix("UNSPECIFIED")
