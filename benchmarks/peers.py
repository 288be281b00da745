"""The peers, as their own documentation calls them, each on a copy of its own: hooks that it leaves burden no other."""

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
import pytorch_grad_cam
import torchcam.methods
from captum.attr import LayerGradCam
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from benchmarks.networks import explained_layer
from benchmarks.timing import Call

PYTORCH_GRAD_CAM = "pytorch-grad-cam"
TORCH_CAM = "torch-cam"
CAPTUM = "captum"


def grad_cam_peers(model: nn.Module, images: Tensor, targets: Sequence[int]) -> Mapping[str, Call]:
    """Grad-CAM of each peer that can explain the network; of one that gives tokens, that is pytorch-grad-cam alone."""
    calls = {PYTORCH_GRAD_CAM: pytorch_grad_cam_call("GradCAM", model, images, targets)}
    if not _gives_tokens(model):
        calls[TORCH_CAM] = _torch_cam(model, images, targets)
        calls[CAPTUM] = _captum(model, images, targets)
    return calls


def pytorch_grad_cam_call(method: str, model: nn.Module, images: Tensor, targets: Sequence[int]) -> Call:
    """A class of pytorch-grad-cam, made once and then called, without the progress bars that some draw."""
    model = deepcopy(model)
    wanted = [ClassifierOutputTarget(target) for target in targets]
    layers = [] if method == "FullGrad" else [explained_layer(model)]
    with contextlib.redirect_stdout(io.StringIO()):  # FullGrad prints a warning
        cam = getattr(pytorch_grad_cam, method)(model, layers, _as_grid if _gives_tokens(model) else None)

    def call() -> np.ndarray:
        with contextlib.redirect_stderr(io.StringIO()):
            maps: np.ndarray = cam(images, wanted)
        return maps

    return call


def _torch_cam(model: nn.Module, images: Tensor, targets: Sequence[int]) -> Call:
    model = deepcopy(model)
    cam = torchcam.methods.GradCAM(model, explained_layer(model))

    def call() -> list[Tensor]:
        maps: list[Tensor] = cam(list(targets), model(images))
        return maps

    return call


def _captum(model: nn.Module, images: Tensor, targets: Sequence[int]) -> Call:
    model = deepcopy(model)
    cam = LayerGradCam(model, explained_layer(model))

    def call() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            maps: Tensor = cam.attribute(images, list(targets))
        return maps

    return call


def _gives_tokens(model: nn.Module) -> bool:
    return any(isinstance(module, nn.MultiheadAttention) for module in model.modules())


def _as_grid(tokens: Tensor) -> Tensor:
    """``[B, 1 + 14 * 14, C]`` as ``[B, C, 14, 14]``, as pytorch-grad-cam's documentation has it for ViT."""
    return tokens[:, 1:].reshape(len(tokens), 14, 14, -1).permute(0, 3, 1, 2)
