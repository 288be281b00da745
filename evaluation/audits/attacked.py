"""Pictures before and after an attack on the network that reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.audits.attack import away_from, fgsm, pgd, towards
from evaluation.classifier import Classifier
from evaluation.pictures.picture import Pictures


@dataclass(frozen=True, eq=False)
class Attacked:
    """N pictures before and after an attack.

    Attributes:
        attack: its name.
        clean: before, ``[N, 3, H, W]`` in [0, 1].
        images: after, likewise.
        truth: class of each pixel, int64 ``[N, H, W]``.
        present: which classes are there, bool ``[N, classes]``.
        before: probabilities ``[N, classes]``.
        after: likewise, of the attacked pictures.
    """

    attack: str
    clean: Tensor
    images: Tensor
    truth: Tensor
    present: Tensor
    before: Tensor
    after: Tensor

    @property
    def flipped(self) -> Tensor:
        """Whether a class that is not there is now predicted, bool ``[N]``."""
        return ~_predicts(self.after, self.present)


@dataclass(frozen=True)
class Threat:
    """What an attacker may do, and wants.

    Attributes:
        radius: largest change of a pixel, in 1/255.
        steps: of PGD, each a quarter of the radius.
        targeted: at the most probable class that is not there; or just away from those that are.
        seed: of PGD's start.
    """

    radius: int
    steps: int
    targeted: bool
    seed: int

    def told(self) -> Mapping[str, str]:
        """All of it in words."""
        return {
            "radius": f"{self.radius}/255, in the maximum norm",
            "goal": "the most probable class that is not there" if self.targeted else "any class that is not there",
            "PGD": f"{self.steps} steps of {self.radius / 4:g}/255, from a random start of seed {self.seed}",
        }

    def carried_out(self, classifier: Classifier, batch: Pictures) -> Iterator[Attacked]:
        """Attacks those pictures in which the network sees a class that is there, by FGSM and by PGD.

        Raises:
            ValueError: there is no such picture.
        """
        before = classifier.probabilities(batch.images)
        classes = torch.arange(before.shape[1])
        present = (batch.truth[:, None] == classes[:, None, None]).flatten(2).any(2)
        right = _predicts(before, present)
        if not right.any():
            raise ValueError(f"{classifier.name} gets none of {len(right)} pictures right; give it more of them")
        clean, truth, present, before = batch.images[right], batch.truth[right], present[right], before[right]
        loss = towards(before.masked_fill(present, -1.0).argmax(1)) if self.targeted else away_from(present)
        ball = self.radius / 255
        for attack, images in (
            ("FGSM", fgsm(classifier.logits, clean, loss, radius=ball)),
            ("PGD", pgd(classifier.logits, clean, loss, radius=ball, step=ball / 4, steps=self.steps, seed=self.seed)),
        ):
            yield Attacked(attack, clean, images, truth, present, before, classifier.probabilities(images))


def _predicts(probabilities: Tensor, present: Tensor) -> Tensor:
    """Whether the predicted class is one that is present, bool ``[N]``."""
    return present.gather(1, probabilities.argmax(1, keepdim=True))[:, 0]
