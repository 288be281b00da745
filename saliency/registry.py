"""Which methods there are: a class per method, registered under its id by a decorator."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from enum import Enum
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from saliency.capture import Inputs, Pass
from saliency.choice import resolve, stages
from saliency.layers import Layer, LayersLike
from saliency.progress import Watcher
from saliency.targets import Targets


class UnknownMethodError(ValueError):
    """A method that is not registered."""


class UnsuitableError(ValueError):
    """A method that does not work on the model."""


class OptionError(ValueError):
    """An option that the method does not know or allow."""


class Cost(Enum):
    """What a method costs, beside one forward of the model."""

    FORWARD = "forward"
    """About one forward in all."""
    FEW = "few"
    """A few forwards or backwards."""
    MANY = "many"
    """Tens to thousands of forwards or backwards."""


class Reads(Enum):
    """What a method reads where the caller names no layer."""

    LAST = "last"
    """The last layer before pooling."""
    STAGES = "stages"
    """The last layer of each resolution."""
    MODEL = "model"
    """No layer but the whole model, whatever the caller names."""


@dataclass(frozen=True)
class Option:
    """A knob of a method.

    Attributes:
        name: the keyword.
        description: what it does, with its unit.
        default: the value if it is not given.
        minimum: smallest value allowed, of a number.
        maximum: largest value allowed, of a number.
        choices: values allowed, of a name.
    """

    name: str
    description: str
    default: int | float | str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> None:
        """Raises OptionError if a value is not allowed."""
        if self.choices:
            if value not in self.choices:
                raise OptionError(f"option {self.name} must be one of {', '.join(self.choices)}, not {value!r}")
            return
        kinds = (int,) if isinstance(self.default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise OptionError(f"option {self.name} must be of type {kinds[-1].__name__}, not {value!r}")
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise OptionError(f"option {self.name} must lie in {low} to {high}, not {value}")


def option(
    default: int | float | str,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declares a field of a method's dataclass as one of its options."""
    facts = {"description": description, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata=facts)


def fusion(default: str = "mean") -> Any:
    """Declares the option of all methods that read several layers; see :func:`saliency.maps.fuse`."""
    return option(default, "how maps of several layers become one", choices=("mean", "max", "product"))


def budget() -> Any:
    """Declares the option of all methods that can be cut short; see :class:`saliency.progress.Steps`."""
    return option(0.0, "wall-clock seconds, after which the best map so far is returned; 0 is no limit", minimum=0.0)


@dataclass(frozen=True)
class Problem:
    """What a method is asked to explain.

    Attributes:
        model: in evaluation mode.
        inputs: the batch of B images.
        targets: K for each image, not yet resolved.
        layers: where to read.
        black: ``[C, 1, 1]``, a black pixel as the model takes it; None if that is not known.
        watcher: is told how far a method is.
    """

    model: nn.Module
    inputs: Inputs
    targets: Targets
    layers: tuple[Layer, ...]
    black: Tensor | None = None
    watcher: Watcher | None = None


@dataclass(frozen=True)
class Evidence:
    """What a method found.

    Attributes:
        maps: ``[B, K, h, w]``, raw and signed.
        outputs: ``[B, N]``, the model's output for the undisturbed images.
        targets: the resolved targets.
        steps_done: ``[B, K]`` int64, of an iterative method.
        cut_short: ``[B, K]`` bool, whether the budget ended it; None if that cannot be.
        run: the forward of the undisturbed images with the head's graph, if there was one.
    """

    maps: Tensor
    outputs: Tensor
    targets: Targets
    steps_done: Tensor | None = None
    cut_short: Tensor | None = None
    run: Pass | None = None


@dataclass(frozen=True)
class Method(ABC):
    """A way to explain. Subclasses are frozen dataclasses whose fields are their options.

    Class attributes, which ``register`` sets or the class declares:
        id: kebab-case name.
        aliases: other names.
        paper: source.
        cost: cost class.
        passes: the cost per image in forwards and backwards, in words.
        needs: what a model must have, in words.
        clip: whether negative evidence is set to zero.
        class_agnostic: whether the map ignores the target.
        reads: what it reads where the caller names no layer.
        told_by_running: whether only a run tells if a model suits it.
        sanity_failing: whether maps are known to depend little on the model (Adebayo et al., Sanity checks, 2018).
    """

    id: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]]
    paper: ClassVar[str]
    cost: ClassVar[Cost]
    passes: ClassVar[str]
    needs: ClassVar[str] = "a layer with rows and columns"
    clip: ClassVar[bool] = True
    class_agnostic: ClassVar[bool] = False
    reads: ClassVar[Reads] = Reads.LAST
    told_by_running: ClassVar[bool] = False
    sanity_failing: ClassVar[bool] = False

    @abstractmethod
    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""

    def layers(self, model: nn.Module, given: LayersLike, inputs: Inputs) -> tuple[Layer, ...]:
        """Where to read: what the caller gave, or the method's own choice; none if it reads the whole model.

        Raises:
            LayerError: a layer does not exist or cannot be explained.
        """
        if self.reads is Reads.MODEL:
            return ()
        if self.reads is Reads.STAGES and given is None:
            return stages(model, inputs)
        return resolve(model, given, inputs)

    @classmethod
    def unsuitable(cls, model: nn.Module) -> str | None:
        """Why the method does not work on a model, as the end of a sentence; None if it does."""
        return None

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """The knobs, with defaults and bounds."""
        return tuple(Option(f.name, default=f.default, **f.metadata) for f in fields(cls) if f.default is not MISSING)


_M = TypeVar("_M", bound=type[Method])
_methods: dict[str, type[Method]] = {}
_aliases: dict[str, str] = {}


def register(
    id: str,  # noqa: A002
    *,
    paper: str,
    cost: Cost,
    passes: str,
    aliases: tuple[str, ...] = (),
) -> Callable[[_M], _M]:
    """Adds a method to the registry under its id and aliases; spellings without hyphens come by themselves."""

    def add(cls: _M) -> _M:
        cls.id, cls.paper, cls.cost, cls.passes = id, paper, cost, passes
        cls.aliases = tuple(dict.fromkeys((id.replace("-", ""), id.replace("-", "_"), *aliases)))
        for name in (id, *cls.aliases):
            if _aliases.setdefault(name, id) != id:
                raise ValueError(f"'{name}' names both {_aliases[name]} and {id}")
        _methods[id] = cls
        return cls

    return add


def methods() -> tuple[type[Method], ...]:
    """All methods, by id."""
    return tuple(_methods[name] for name in sorted(_methods))


def method(name: str) -> type[Method]:
    """The method with this id or alias; case does not matter.

    Raises:
        UnknownMethodError: there is none; the message names near ones.
    """
    known = _aliases.get(name.lower())
    if known is None:
        near = get_close_matches(name.lower(), _aliases, n=3)
        hint = f"; near: {', '.join(dict.fromkeys(_aliases[n] for n in near))}" if near else ""
        raise UnknownMethodError(f"there is no method '{name}'{hint}")
    return _methods[known]


def build(name: str, options: dict[str, Any]) -> Method:
    """A method with its options set.

    Raises:
        UnknownMethodError: the method is not known.
        OptionError: an option is unknown or out of its bounds.
    """
    cls = method(name)
    known = {knob.name: knob for knob in cls.options()}
    for key, value in options.items():
        if key not in known:
            raise OptionError(f"{cls.id} has no option '{key}'; it has {', '.join(known) or 'none'}")
        known[key].check(value)
    return cls(**options)
