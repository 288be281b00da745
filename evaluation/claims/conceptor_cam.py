"""Is Conceptor-CAM ahead of its bases, and with which negative evidence."""

from typing import Final

from evaluation.claims.compared import FAITHFUL, Sample
from evaluation.report.section import Section
from saliency.families.conceptor_cam import BASES

APERTURES: Final = (0.1, 0.2, 0.4, 1.0, 4.0)
NEGATIVES: Final = ("opposite", "rivals", "background", "remainder", "none")
FOUND: Final = ("pointing", "energy")


def conceptor_cam(sample: Sample) -> Section:
    """Compares bases, negative evidence and apertures."""
    bases = [name for base in BASES for name in (base, f"conceptor-cam:base={base}")]
    negatives = [f"conceptor-cam:negative={negative}" for negative in NEGATIVES]
    sums = [f"conceptor-cam:objective=sum,negative={negative}" for negative in ("opposite", "none")]
    apertures = [f"conceptor-cam:aperture={aperture}" for aperture in APERTURES]
    return Section(
        name="conceptor-cam",
        title="Conceptor-CAM",
        text="The abstract's claim: compatible with every CAM method, and better than it in average drop and increase."
        " The paper's body is not to be had; the method here is a reconstruction, and its options are alternatives.",
        settings={"model": sample.classifier.name},
        tables=[
            sample.table("conceptor-cam", "Every base, and Conceptor-CAM over it with its defaults.", bases, FAITHFUL),
            sample.table("conceptor-cam-found", "Whether the same maps lie on the object.", bases, FOUND),
            sample.table(
                "conceptor-cam-options",
                "Negative evidence, what the map is made of, and apertures, over Grad-CAM.",
                [*negatives, *sums, *apertures],
                FAITHFUL,
            ),
        ],
    )
