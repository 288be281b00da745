"""What a request costs, before it is run: about how many forwards of the model."""

from math import prod

from camserve.v1 import explanation_pb2 as pb

_FEW = 4
_CHANNELS = 64  # forwards of a method that scores channels, or does not say how often it runs
_MEASURING = 38  # forwards and backwards that measuring one map takes


def explaining(request: pb.ExplainRequest, method: pb.Method) -> int:
    """The cost of an explanation.

    Methods of about one forward explain further targets for next to nothing; those of many run again for each.
    """
    targets = max(len(request.targets), 1)
    measuring = _MEASURING * targets if request.faithfulness else 0
    if method.cost == pb.COST_CLASS_MANY:
        return targets * _passes(request.options, method) + measuring
    return (_FEW if method.cost == pb.COST_CLASS_FEW else 1) + measuring


def _passes(options: pb.MethodOptions, method: pb.Method) -> int:
    given = {descriptor.name: value for descriptor, value in options.ListFields()}
    known = {option.name: option.default_value for option in method.options}

    def value(name: str) -> int:
        return int(given.get(name, known[name]) or 0)

    times = [value(name) for name in ("steps", "samples") if name in known]
    if "max_channels" in known or not times:
        channels = value("max_channels") if "max_channels" in known else 0
        times.append(channels or _CHANNELS)  # 0 are all of them
    return max(prod(times), 1)
