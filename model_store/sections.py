"""The sections of a recipe and what their keys may hold."""

from collections import Counter
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

TORCH_SUFFIXES = (".pt", ".pth")
"""Suffixes of weights that ``torch.load(weights_only=True)`` reads."""


def _inside(path: str) -> str:
    plain = PurePosixPath(path)
    if not plain.parts or "\\" in path or plain.is_absolute() or ".." in plain.parts:
        raise ValueError("must be a file inside the model's folder, relative to it and without '..'")
    return str(plain)


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    doubles = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubles:
        raise ValueError(f"must not repeat; given more than once: {', '.join(doubles)}")
    return names


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
# Neither - nor _ in a version: <name>-<version>.mar and TorchServe's <name>_<version> each mean one model only.
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.]*$", max_length=32)]
_MethodId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(\+\+)?$")]
Line = Annotated[str, StringConstraints(pattern=r"^\S.*$", max_length=200)]
Labels = Annotated[tuple[Line, ...], Field(min_length=1), AfterValidator(_unique)]
FilePath = Annotated[str, AfterValidator(_inside)]
_Side = Annotated[int, Field(ge=16, le=4096)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """A part of a recipe: fixed once read, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PythonSource(Section):
    """A network written in a Python file of the model's folder.

    Attributes:
        file: the file, relative to the folder.
        factory: name of its function that takes nothing and returns the network.
    """

    file: Annotated[FilePath, StringConstraints(pattern=r"\.py$")]
    factory: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class NamedSource(Section):
    """A network that a library knows by name.

    Attributes:
        name: the library's name of it, such as ``resnet50``.
    """

    name: Line


class TransformersSource(Section):
    """A model of transformers; exactly one of ``name`` and ``config`` is set.

    Attributes:
        name: its id on the hub, such as ``google/vit-base-patch16-224``.
        config: its ``config.json`` in the model's folder, as ``save_pretrained`` writes it.
        files: what else of the folder goes with a config: the tokenizer's files of a captioner or answerer, and
            ``generation_config.json``.
    """

    name: Line | None = None
    config: Annotated[FilePath, StringConstraints(pattern=r"\.json$")] | None = None
    files: Annotated[tuple[FilePath, ...], AfterValidator(_unique)] = ()

    @model_validator(mode="after")
    def _check(self) -> "TransformersSource":
        if (self.name is None) == (self.config is None):
            raise ValueError("give exactly one of name: HUB_ID, config: config.json")
        if self.files and self.name:
            raise ValueError("files goes with config only; the hub's own come with a name")
        return self


class Source(Section):
    """Where the network comes from; exactly one is set."""

    python: PythonSource | None = None
    torchvision: NamedSource | None = None
    timm: NamedSource | None = None
    transformers: TransformersSource | None = None

    @model_validator(mode="after")
    def _check(self) -> "Source":
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of python, torchvision, timm, transformers")
        return self


class Weights(Section):
    """Where the weights come from; exactly one of ``file``, ``pretrained`` and ``random`` is set.

    Attributes:
        file: a safetensors file, or a state dict that ``torch.load(weights_only=True)`` reads, in the folder.
        pretrained: the library's own weights, which it may have to download.
        random: untrained, for trials of speed and form only.
        seed: of random weights.
    """

    file: FilePath | None = None
    pretrained: bool = False
    random: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _check(self) -> "Weights":
        if (self.file is not None) + self.pretrained + self.random != 1:
            raise ValueError("give exactly one of file: NAME, pretrained: true, random: true")
        if "seed" in self.model_fields_set and not self.random:
            raise ValueError("seed goes with random: true only; remove it")
        if self.file is not None and PurePosixPath(self.file).suffix not in (".safetensors", *TORCH_SUFFIXES):
            raise ValueError(f"file must end in .safetensors, {' or '.join(TORCH_SUFFIXES)}")
        return self


class Preprocessing(Section):
    """How an image becomes the network's input: ``(pixel / 255 - mean) / std`` in RGB order, after resizing.

    Attributes:
        size: height and width of the input, in pixels.
        fit: ``stretch`` scales each side on its own; ``crop`` covers the input and cuts out the middle; ``pad`` fits
            the image inside the input and fills the rest.
        mean: per channel, of pixels in [0, 1].
        std: per channel, above 0.
        crop_share: share of the largest possible cut that ``crop`` takes, along each side; 0.875 is the custom of
            resizing to 256 and cutting out 224.
    """

    size: tuple[_Side, _Side]
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    mean: tuple[_Finite, _Finite, _Finite]
    std: tuple[_Positive, _Positive, _Positive]
    crop_share: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _check(self) -> "Preprocessing":
        if "crop_share" in self.model_fields_set and self.fit != "crop":
            raise ValueError("crop_share goes with fit: crop only; remove it")
        return self


class Explanation(Section):
    """What an explanation is by default.

    Attributes:
        method: id of the method.
        layers: dotted module names; none: chosen when the model loads.
    """

    method: _MethodId = "grad-cam"
    layers: Annotated[tuple[Line, ...], AfterValidator(_unique)] = ()


class Optimize(Section):
    """How a network is made faster: its trunk, up to the explained layer, is compiled into the archive.

    Attributes:
        precision: that the trunk computes in; what comes after it stays in float32.
    """

    precision: Literal["float32", "bfloat16"] = "float32"


def _switched(value: object) -> object:
    """``optimize: true`` is all defaults, ``optimize: false`` is none."""
    return ({} if value else None) if isinstance(value, bool) else value


Optimization = Annotated[Optimize | None, BeforeValidator(_switched)]


class Unit(Section):
    """A channel of a layer that looks for something.

    Attributes:
        name: of what it looks for, such as ``red``.
        iou: how well it finds it: intersection over union of where the unit is on and where the thing is, 0 to 1.
    """

    name: Line
    iou: Annotated[float, Field(ge=0, le=1)]


class Units(Section):
    """Channels that have names, as ``python -m evaluation.dissection`` finds them.

    Attributes:
        weights: SHA-256 of the file of weights that they were found in; None: of a model without such a file.
        layers: by dotted name of the layer, and index of the channel in it.
    """

    weights: _Digest | None = None
    layers: dict[Line, dict[Annotated[int, Field(ge=0)], Unit]]


class Limits(Section):
    """Bounds on the requests for this model.

    Attributes:
        max_image_pixels: of a decoded image.
        min_image_side: shortest side allowed, in pixels.
        max_image_side: longest side allowed, in pixels.
        max_aspect_ratio: of the longer side to the shorter.
        max_targets: of one request.
        max_layers: of one request.
        max_text_length: of a caption, a question or an answer, in characters.
    """

    max_image_pixels: Annotated[int, Field(ge=1, le=100_000_000)] = 50_000_000
    min_image_side: Annotated[int, Field(ge=1, le=1024)] = 16
    max_image_side: Annotated[int, Field(ge=1, le=65_535)] = 16_384
    max_aspect_ratio: Annotated[float, Field(ge=1, le=1000)] = 50.0
    max_targets: Annotated[int, Field(ge=1, le=1024)] = 16
    max_layers: Annotated[int, Field(ge=1, le=64)] = 4
    max_text_length: Annotated[int, Field(ge=1, le=10_000)] = 500

    @model_validator(mode="after")
    def _check(self) -> "Limits":
        if self.min_image_side > self.max_image_side:
            raise ValueError("min_image_side must not be above max_image_side")
        return self


class Worker(Section):
    """The processes that run the model.

    Attributes:
        count: how many, each with its own copy of the model.
        threads: of each process; None: the cores shared out among all workers of the server, or of this model if it is
            optimised, since its weights are packed for a number of threads.
        response_timeout_s: a pack that takes longer is taken for hung, and its worker is restarted; in seconds.
        startup_timeout_s: for loading the model, in seconds.
    """

    count: Annotated[int, Field(ge=1, le=64)] = 1
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    response_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 120
    startup_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 600
