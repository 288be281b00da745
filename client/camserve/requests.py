"""From the arguments of a Python call to a request of ``camserve.v1``."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, Required, TypedDict

from camserve.enums import enum_value
from camserve.targets import TargetLike, to_target
from camserve.v1 import explanation_pb2 as pb

Polarity = Literal["support", "counter"]
RenderingFormat = Literal["float32", "uint8", "png", "overlay_png", "color_png"]
RenderingSize = Literal["original", "input", "native"]
Task = Literal["classify", "caption", "answer"]
Options = Mapping[str, int | float | str | timedelta]


class ExplainArguments(TypedDict, total=False):
    """Keywords of ``ExplanationClient.explain``, which describes them."""

    model: Required[str]
    version: str
    target: TargetLike | None
    targets: Sequence[TargetLike]
    method: str
    layers: Sequence[str]
    polarity: Polarity
    options: Options | None
    renderings: Sequence[pb.RenderingRequest | RenderingFormat]
    faithfulness: bool
    request_id: str


def rendering_request(
    format: RenderingFormat,  # noqa: A002 - the name in the contract
    *,
    size: RenderingSize = "original",
    colormap: str = "",
    opacity: float | None = None,
) -> pb.RenderingRequest:
    """A further form of each map, made by the server.

    Args:
        format: ``float32`` and ``uint8`` are raw values, ``png`` gray, ``overlay_png`` the coloured map on the image,
            ``color_png`` the coloured map alone.
        size: of the original image, of the model's input, or of the map's own cells.
        colormap: turbo, viridis, jet, gray or coolwarm; empty: by the map.
        opacity: of the map over the image, 0 to 1; None: the server's default.

    Raises:
        ValueError: there is no such format or size.
    """
    return pb.RenderingRequest(
        format=enum_value(pb.RenderingFormat, format, "format"),
        size=enum_value(pb.RenderingSize, size, "size"),
        colormap=colormap,
        opacity=opacity,
    )


def explain_request(
    image: bytes,
    *,
    model: str,
    version: str = "",
    target: TargetLike | None = None,
    targets: Sequence[TargetLike] = (),
    method: str = "",
    layers: Sequence[str] = (),
    polarity: Polarity = "support",
    options: Options | None = None,
    renderings: Sequence[pb.RenderingRequest | RenderingFormat] = (),
    faithfulness: bool = False,
    request_id: str = "",
) -> pb.ExplainRequest:
    """Builds an ``ExplainRequest``; the arguments are those of ``ExplanationClient.explain``.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument has a value that the contract does not know.
    """
    for name, sequence in (("targets", targets), ("layers", layers), ("renderings", renderings)):
        if isinstance(sequence, str):
            raise TypeError(f"{name}: expected a sequence, got a str; write [{sequence!r}]")
    if target is not None and targets:
        raise ValueError("targets: give target for one or targets for several, not both")
    chosen = targets if target is None else [target]
    forms = [rendering_request(form) if isinstance(form, str) else form for form in renderings]
    return pb.ExplainRequest(
        model=model,
        version=version,
        image=image,
        targets=[to_target(each) for each in chosen],
        method=method,
        layers=layers,
        polarity=enum_value(pb.Polarity, polarity, "polarity"),
        options=_method_options(options) if options else None,
        output=pb.Output(renderings=forms) if forms else None,
        faithfulness=faithfulness,
        request_id=request_id,
    )


def list_models_request(task: Task | None) -> pb.ListModelsRequest:
    """Builds a ``ListModelsRequest``.

    Raises:
        ValueError: there is no such task.
    """
    if task is None:
        return pb.ListModelsRequest()
    return pb.ListModelsRequest(task=enum_value(pb.Task, task, "task"))


def _method_options(options: Options) -> pb.MethodOptions:
    message = pb.MethodOptions()
    known = [field.name for field in pb.MethodOptions.DESCRIPTOR.fields]
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"options: {name!r} is not one of {', '.join(known)}")
        if name != "budget":
            setattr(message, name, value)
        elif isinstance(value, timedelta):
            message.budget.FromTimedelta(value)
        else:
            message.budget.FromTimedelta(timedelta(seconds=float(value)))
    return message
