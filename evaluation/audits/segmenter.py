"""A small segmentation network on top of a classifier's features, and its training."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.classifier import Classifier
from evaluation.measures.segmentation import BACKGROUND
from saliency import choice
from saliency.hooks import watch

BATCH: Final = 16
PEAK_LEARNING_RATE: Final = 1e-2
BACKGROUND_WEIGHT: Final = 0.3
"""Of its pixels in the loss, those of classes weigh 1: most pixels are background, but it is one label among many."""
_REDUCED, _EDGES = 32, 16  # channels of the classifier's features, and of what is seen of edges, where they meet


@dataclass(frozen=True, eq=False)
class Seen:
    """Pictures with what the classifier makes of them, which is the same in every epoch.

    Attributes:
        images: ``[N, 3, H, W]`` in [0, 1].
        features: output of the layer that is explained, ``[N, C, h, w]``.
    """

    images: Tensor
    features: Tensor

    @classmethod
    def by(cls, classifier: Classifier, images: Tensor) -> "Seen":
        """Runs the classifier.

        Raises:
            LayerError: its layer has no rows and columns.
        """
        layer = choice.resolve(classifier.network, classifier.layers or None, images[:1])[-1]
        found: list[Tensor] = []
        with torch.no_grad(), watch({layer.module: found.append}):
            for chunk in torch.split(images, BATCH):
                classifier.logits(chunk)
        return cls(images, torch.cat([layer.spatial(output) for output in found]))

    def __getitem__(self, rows: Tensor | slice) -> "Seen":
        """Some of the pictures."""
        return Seen(self.images[rows], self.features[rows])


class Segmenter(nn.Module):
    """Labels pixels by the features of the classifier, and by edges at a quarter of the picture's resolution.

    Args:
        seen: pictures to be trained on; the features' mean and deviation are taken from them.
        labels: how many, with the background.
    """

    def __init__(self, seen: Seen, labels: int) -> None:
        super().__init__()
        self.deviation, self.mean = torch.std_mean(seen.features, (0, 2, 3), keepdim=True)
        self.reduce = nn.Conv2d(seen.features.shape[1], _REDUCED, 1)
        self.edges = nn.Sequential(
            nn.Conv2d(3, _EDGES, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(_EDGES, _EDGES, 4, stride=2, padding=1),
            nn.ReLU(),
        )
        self.label = nn.Sequential(
            nn.Conv2d(_REDUCED + _EDGES, _REDUCED, 3, padding=1), nn.ReLU(), nn.Conv2d(_REDUCED, labels, 1)
        )

    def forward(self, seen: Seen) -> Tensor:
        """Logits ``[N, labels, H, W]``, background first."""
        edges = self.edges(seen.images - 0.5)
        features = (seen.features - self.mean) / self.deviation.where(self.deviation > 0, 1.0)
        coarse = F.interpolate(self.reduce(features).relu(), size=edges.shape[2:], mode="bilinear")
        logits = self.label(torch.cat([coarse, edges], 1))
        return F.interpolate(logits, size=seen.images.shape[2:], mode="bilinear")

    def segment(self, seen: Seen) -> Tensor:
        """The label of each pixel, int64 ``[N, H, W]``: ``BACKGROUND`` or a class."""
        starts = range(0, len(seen.images), BATCH)
        with torch.inference_mode():
            found = [self(seen[start : start + BATCH]).argmax(1) for start in starts]
        return torch.cat(found) + BACKGROUND


def fit(seen: Seen, truth: Tensor, classes: int, *, epochs: int, seed: int) -> Segmenter:
    """Trains a segmenter.

    Args:
        seen: what to train on.
        truth: label of each pixel, int64 ``[N, H, W]``: ``BACKGROUND`` or a class.
        classes: how many there are.
        epochs: passes over the pictures.
        seed: of the weights and of the order of the pictures; PyTorch's own generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Segmenter(seen, 1 + classes)
        batches = [batch for _ in range(epochs) for batch in torch.split(torch.randperm(len(truth)), BATCH)]
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=len(batches))
    weight = torch.ones(1 + classes)
    weight[0] = BACKGROUND_WEIGHT
    for batch in batches:
        loss = F.cross_entropy(model(seen[batch]), truth[batch] - BACKGROUND, weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return model
