"""The models that a server has."""

from dataclasses import dataclass, field

from camserve.enums import enum_name
from camserve.v1 import explanation_pb2 as pb


@dataclass(frozen=True)
class MethodOption:
    """A knob of a method: its bounds if it is a number, its choices if it is a name."""

    name: str
    description: str
    default_value: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]

    @classmethod
    def from_proto(cls, proto: pb.MethodOption) -> "MethodOption":
        """Takes the knob from a response."""
        return cls(
            name=proto.name,
            description=proto.description,
            default_value=proto.default_value,
            minimum=proto.minimum if proto.HasField("minimum") else None,
            maximum=proto.maximum if proto.HasField("maximum") else None,
            choices=tuple(proto.choices),
        )


@dataclass(frozen=True)
class Method:
    """A method of explanation; ``cost`` is ``forward``, ``few`` or ``many``."""

    id: str
    aliases: tuple[str, ...]
    paper: str
    cost: str
    options: tuple[MethodOption, ...]
    class_agnostic: bool

    @classmethod
    def from_proto(cls, proto: pb.Method) -> "Method":
        """Takes the method from a response."""
        return cls(
            id=proto.id,
            aliases=tuple(proto.aliases),
            paper=proto.paper,
            cost=enum_name(pb.CostClass, proto.cost),
            options=tuple(map(MethodOption.from_proto, proto.options)),
            class_agnostic=proto.class_agnostic,
        )


@dataclass(frozen=True)
class Limits:
    """Bounds on requests; see ``camserve.v1.Limits`` for units."""

    max_image_bytes: int
    max_image_pixels: int
    min_image_side: int
    max_image_side: int
    max_aspect_ratio: float
    max_targets: int
    max_layers: int
    max_text_length: int

    @classmethod
    def from_proto(cls, proto: pb.Limits) -> "Limits":
        """Takes the bounds from a response."""
        return cls(**{name: getattr(proto, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Model:
    """A served model.

    Attributes:
        name: its name.
        version: this version.
        default_version: whether requests that name no version get this one.
        description: one line on what it is.
        task: ``classify``, ``caption`` or ``answer``.
        labels: of a classifier's classes or an answerer's answers, in index order.
        input_size: height and width of its input, in pixels.
        fit: how an image is brought to that size: ``stretch``, ``crop`` or ``pad``.
        layers: dotted names of the layers that may be explained, in the order of the forward.
        default_layers: those explained if a request names none.
        methods: methods that work on it.
        default_method: id of the method used if a request names none.
        limits: bounds on requests.
        ready: whether it can answer now.
        weights: ``trained`` or ``random``.
    """

    name: str
    version: str
    default_version: bool
    description: str
    task: str
    labels: tuple[str, ...]
    input_size: tuple[int, int]
    fit: str
    layers: tuple[str, ...]
    default_layers: tuple[str, ...]
    methods: tuple[Method, ...]
    default_method: str
    limits: Limits
    ready: bool
    weights: str
    proto: pb.Model = field(repr=False, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.Model) -> "Model":
        """Takes the model from a response."""
        return cls(
            name=proto.name,
            version=proto.version,
            default_version=proto.default_version,
            description=proto.description,
            task=enum_name(pb.Task, proto.task),
            labels=tuple(proto.labels),
            input_size=(proto.input_size.height, proto.input_size.width),
            fit=enum_name(pb.Fit, proto.fit),
            layers=tuple(proto.layers),
            default_layers=tuple(proto.default_layers),
            methods=tuple(map(Method.from_proto, proto.methods)),
            default_method=proto.default_method,
            limits=Limits.from_proto(proto.limits),
            ready=proto.ready,
            weights=enum_name(pb.Weights, proto.weights),
            proto=proto,
        )
