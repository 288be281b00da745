"""What options a request may give to its method."""

from google.protobuf.duration_pb2 import Duration

from camserve.v1 import explanation_pb2 as pb
from gateway.admission.fault import Faults, fault
from gateway.admission.nearest import hint, shown

_BUDGET = (0.01, 300.0)  # seconds


def options(given: pb.MethodOptions, method: pb.Method) -> Faults:
    """The method knows each option, and its value is within the method's bounds."""
    known = {option.name: option for option in method.options}
    for descriptor, value in given.ListFields():
        name, field = descriptor.name, f"options.{descriptor.name}"
        if name not in known:
            text = f"is not an option of {method.id}" + (hint(name, known) if known else ", which has none")
            yield fault(field, "OPTION_UNKNOWN", text)
        elif isinstance(value, str):
            yield from _choice(value, field, known[name])
        elif isinstance(value, Duration):
            seconds = value.seconds + value.nanos / 1e9
            yield from _number(seconds, field, *_BUDGET, unit=" s")
        else:
            option = known[name]
            low = option.minimum if option.HasField("minimum") else float("-inf")
            high = option.maximum if option.HasField("maximum") else float("inf")
            yield from _number(value, field, low, high)


def _choice(value: str, field: str, option: pb.MethodOption) -> Faults:
    if value not in option.choices:
        text = f"is {shown(value)}; choose one of {', '.join(option.choices)}"
        yield fault(field, "OPTION_OUT_OF_BOUNDS", text)


def _number(value: float, field: str, low: float, high: float, unit: str = "") -> Faults:
    if not low <= value <= high or value in (float("inf"), float("-inf")):
        yield fault(field, "OPTION_OUT_OF_BOUNDS", f"is {value:g}{unit}; choose {low:g} to {high:g}{unit}")
