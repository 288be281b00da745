"""The search for the best mask as the authors of Opti-CAM run it, to hold ours against.

Zhang et al., Opti-CAM (CVIU 2024), and what their published code does beyond it: every weight starts alike, Adam goes
down the sum over the batch, the last weights count, and ten times a run the whole batch stops if its sum got worse.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from evaluation.classifier import Classifier
from saliency.capture import forward
from saliency.choice import resolve

RATE = 0.1
"""Step size of Adam."""


class AuthorsSearch:
    """Masks made of one layer's channels, for images ``[N, 3, H, W]`` in [0, 1] and a class each, int64 ``[N]``."""

    def __init__(self, classifier: Classifier, images: Tensor, classes: Tensor) -> None:
        """Looks at the images."""
        self._classifier, self._images, self._classes = classifier, images, classes
        layers = resolve(classifier.network, classifier.layers or None, classifier.normalised(images))
        run = forward(classifier.network, classifier.normalised(images), layers, graph=False)
        self.channels = run.activations[0].relu()

    def run(self, steps: int) -> Tensor:
        """Logits ``[N]`` of the images behind the last masks."""
        u = torch.full(self.channels.shape[:2], 0.5, dtype=self.channels.dtype, requires_grad=True)
        adam = torch.optim.Adam([u], lr=RATE)
        before = torch.inf
        for step in range(steps):
            loss = -self.logits(u.softmax(1)).sum()
            if step % max(steps // 10, 1) == 0:
                if loss.item() > before:
                    break
                before = loss.item()
            (u.grad,) = torch.autograd.grad(loss, u)
            adam.step()
        with torch.no_grad():
            return self.logits(u.softmax(1))

    def logits(self, weights: Tensor) -> Tensor:
        """Logits ``[N]`` of the images behind the masks of weights ``[N, C]``."""
        maps = torch.einsum("nc,nchw->nhw", weights, self.channels)
        large = F.interpolate(maps[:, None], self._images.shape[-2:], mode="bilinear", align_corners=False)
        low, high = large.amin((2, 3), keepdim=True), large.amax((2, 3), keepdim=True)
        masks = (large - low) / (high - low).clamp_min(1e-12)  # theirs divides by 0 where a map is flat
        return self._classifier.logits(masks * self._images).gather(1, self._classes[:, None])[:, 0]

    @torch.no_grad()
    def best_single_channel(self) -> Tensor:
        """The largest logits ``[N]`` behind the mask of any one channel."""
        count = self.channels.shape[1]
        one_hot = torch.eye(count, dtype=self.channels.dtype).unbind(0)
        return torch.stack([self.logits(row.expand(len(self._images), count)) for row in one_hot]).amax(0)
