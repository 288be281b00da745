"""The held-out report: how often the classifier is right, how sure it is, and whether its maps lie on the objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from model_store.scenes.dataset import collect, draw_examples
from model_store.scenes.drawing import draw, masks
from model_store.scenes.scene import two_class_scene
from model_store.scenes.training.fit import SIDE, normalise
from model_store.scenes.vocabulary import SHAPES

TOLERANCE = 0.03 * SIDE
"""How far beside an object, in pixels, the pointing game still counts: 15 pixels of a 500 pixel picture (Zhang et al.,
"Top-down neural attention by excitation backprop", 2016)."""


@dataclass(frozen=True, slots=True)
class Report:
    """Held-out figures; all of them are shares or probabilities in [0, 1].

    Attributes:
        one_class_top1: One-class scenes whose class is the top prediction.
        two_class_top2: Two-class scenes whose two classes are the top two predictions.
        median_top_probability: Median probability of the top prediction on one-class scenes.
        pointing_game: Grad-CAM maps (one per class of a two-class scene) whose maximum is within `TOLERANCE` of the
            class's objects.
        pointing_game_strict: Those whose maximum is on a visible pixel of them. The middle of a ring is not.
        energy_inside: Mean share of a map's mass that lies on the class's objects.
        energy_on_other: Mean share that lies on the objects of the scene's other class.
        area_inside: Mean share of the picture that the class's objects take: what a uniform map would score.
    """

    one_class_top1: float
    two_class_top2: float
    median_top_probability: float
    pointing_game: float
    pointing_game_strict: float
    energy_inside: float
    energy_on_other: float
    area_inside: float

    def __str__(self) -> str:
        """A table with one figure per line."""
        rows = (
            ("one-class scenes: top-1", self.one_class_top1),
            ("one-class scenes: median top probability", self.median_top_probability),
            ("two-class scenes: both in the top 2", self.two_class_top2),
            ("Grad-CAM: pointing game", self.pointing_game),
            ("Grad-CAM: pointing game, strict", self.pointing_game_strict),
            ("Grad-CAM: energy on the named class", self.energy_inside),
            ("Grad-CAM: energy on the other class", self.energy_on_other),
            ("(area of the named class)", self.area_inside),
        )
        return "\n".join(f"{name:<42} {value:7.4f}" for name, value in rows)


@torch.no_grad()
def probabilities(model: nn.Module, images: NDArray[np.uint8]) -> Tensor:
    """Softmax output, float32 `[n, classes]`, of a model in evaluation mode."""
    parts = [model(normalise(images[start : start + 64])).softmax(1) for start in range(0, len(images), 64)]
    return torch.cat(parts)


def grad_cam(model: nn.Module, image: NDArray[np.uint8], label: int) -> NDArray[np.float32]:
    """Grad-CAM of a class at `stage4`, float32 `[h, w]` at the size of the image `[h, w, 3]`.

    The head is average pooling and one linear layer, so the gradient's spatial mean is the class's row of weights.
    """
    captured: list[Tensor] = []
    hook = model.get_submodule("stage4").register_forward_hook(lambda *call: captured.append(call[2]))
    with torch.no_grad():
        model(normalise(image[None]))
    hook.remove()
    weights = model.get_parameter("head.weight")[label].detach()
    native = torch.einsum("c,chw->hw", weights, captured[0][0]).relu()
    resized = interpolate(native[None, None], image.shape[:2], mode="bilinear", align_corners=False)
    cam: NDArray[np.float32] = resized[0, 0].numpy()
    return cam


def measure(model: nn.Module, seeds: Sequence[int], map_seeds: Sequence[int], workers: int) -> Report:
    """Measure a model on held-out scenes.

    Args:
        model: In evaluation mode.
        seeds: One one-class and one two-class scene each.
        map_seeds: Two-class scenes for the maps.
        workers: Processes that draw.
    """
    images, targets = collect(draw_examples(["one-class"], seeds, SIDE, workers))
    top, predicted = probabilities(model, images).max(1)
    one_class = float((predicted.numpy() == targets.argmax(1)).mean())
    images, targets = collect(draw_examples(["two-class"], seeds, SIDE, workers))
    top2 = probabilities(model, images).topk(2).indices.numpy()
    two_class = float((np.take_along_axis(targets, top2, 1) > 0).all(1).mean())
    maps = np.mean([row for seed in map_seeds for row in _map_scores(model, seed)], axis=0)
    return Report(one_class, two_class, float(top.median()), *maps.tolist())


def _map_scores(model: nn.Module, seed: int) -> list[tuple[float, float, float, float, float]]:
    """Per class of a two-class scene: hit within the tolerance, strict hit, energy inside, energy on other, area."""
    scene = two_class_scene(seed)
    image, visible = draw(scene, SIDE, SIDE), masks(scene, SIDE, SIDE)
    scores = []
    for shape in scene.shapes:
        own = np.array([item.shape == shape for item in scene.objects])
        inside, other = visible[own].any(0), visible[~own].any(0)
        cam = grad_cam(model, image, SHAPES.index(shape))
        mass = max(float(cam.sum()), 1e-12)  # a map without any support scores nothing
        peak = np.unravel_index(cam.argmax(), cam.shape)
        miss = np.hypot(*(np.argwhere(inside) - peak).T).min() if cam.max() > 0 else np.inf
        energy, energy_on_other = cam[inside].sum() / mass, cam[other].sum() / mass
        scores.append((float(miss <= TOLERANCE), float(miss == 0), energy, energy_on_other, float(inside.mean())))
    return scores
