"""The choices that figures depend on, beside the pictures and the methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from evaluation.measures.faithfulness import Protocol
from evaluation.measures.pointing import TOLERANCE
from evaluation.measures.road import SHARES

REGIONS: Final = ("mask", "box")
"""What can count as an object."""


@dataclass(frozen=True)
class Choices:
    """Of all measures.

    Attributes:
        protocol: of average drop, gain and increase, insertion and deletion; and which class is explained.
        region: what the pointing games count as the object: its pixels, or its filled boxes, as the papers do. Where
            its pixels are not known, its boxes are taken.
        tolerance: of pointing, as a share of the picture's shorter side.
        top: classes of each picture that the extended pointing game asks for.
        threshold: of localisation errors, as a share of the map's maximum.
        radius: of max-sensitivity's noise, on pixels in [0, 1].
        samples: noisy copies for max-sensitivity.
        seed: of all noise.
    """

    protocol: Protocol = field(default_factory=Protocol)
    region: str = "mask"
    tolerance: float = TOLERANCE
    top: int = 5
    threshold: float = 0.15
    radius: float = 0.02
    samples: int = 10
    seed: int = 0

    def told(self) -> Mapping[str, str]:
        """All of them in words."""
        protocol = self.protocol
        return {
            "explained and scored class": "the true one" if protocol.classes == "label" else "the predicted one",
            "where a map is 0, the picture is": protocol.mask,
            "insertion starts from": protocol.insertion,
            "deletion ends in": protocol.deletion,
            "steps of insertion and deletion": str(protocol.steps),
            "ROAD removes": f"{', '.join(f'{100 * share:.0f}' for share in SHARES)} % of the pixels",
            "ADCC and coherency hide with": protocol.mask,
            "an object is, for pointing and energy": f"its {self.region}",
            "pointing allows beside the object": f"{100 * self.tolerance:g} % of the shorter side",
            "extended pointing": f"the top {self.top} classes, at the threshold of raw peaks that is best for the set",
            "MaxBoxAcc, MaxBoxAccV2 and seed mIoU": "at the threshold that is best for the set",
            "localisation error draws boxes at": f"{100 * self.threshold:g} % of the maximum, and wants an IoU of 0.5",
            "max-sensitivity": f"{self.samples} copies with uniform noise up to {self.radius:g}",
            "seed of noise": str(self.seed),
        }
