"""Methods side by side on held-out scenes: ``python -m evaluation.compare --methods grad-cam opti-cam``."""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from evaluation.classifier import Classifier, load_classifier
from evaluation.journal import Journal, JournalError
from evaluation.measures.faithfulness import BASELINES, Protocol, faithfulness
from evaluation.measures.pointing import TOLERANCE, energy_inside, pointing
from evaluation.methods import Contender
from evaluation.pictures.scenes import SET_SIZE, Pictures, pictures
from evaluation.table import markdown
from model_store.recipe import RecipeError
from model_store.scenes.dataset import KINDS
from saliency.faithfulness import mask_of

BATCH: Final = 16
"""Pictures that are drawn, explained and measured at a time."""
MODEL: Final = Path(__file__).resolve().parents[1] / "model_store" / "scenes-classifier"


def compare(
    classifier: Classifier,
    contenders: Sequence[Contender],
    journal: Journal,
    *,
    kinds: Sequence[str],
    images: int,
    sets: int,
    protocol: Protocol,
) -> None:
    """Measures what is not in the journal yet, and tells on stderr how far it is.

    Args:
        classifier: whose scores are explained.
        contenders: what explains them.
        journal: gets a record per set, batch and contender.
        kinds: of scenes, which take turns.
        images: pictures of each set.
        sets: how many sets.
        protocol: the choices of the measures.
    """
    progress = _Progress(sets * images * len(contenders))
    for number, first in product(range(sets), range(0, images, BATCH)):
        count = min(BATCH, images - first)
        missing = [contender for contender in contenders if (number, first, contender.name) not in journal.records]
        progress.skip(count * (len(contenders) - len(missing)))
        if not missing:
            continue
        batch = pictures(kinds, number, range(first, first + count), classifier.size)
        classes = protocol.chosen(batch.labels, classifier.probabilities(batch.images))
        for contender in missing:
            values = measure(classifier, contender, batch, classes, protocol)
            journal.add((number, first, contender.name), {name: _plain(rows) for name, rows in values.items()})
            progress.advance(count, contender.name)


def measure(
    classifier: Classifier, contender: Contender, batch: Pictures, classes: Tensor, protocol: Protocol
) -> dict[str, Tensor]:
    """The values of each picture ``[N]`` by name; not a number where the class is not in the picture to be found."""
    started = time.perf_counter()
    raw = contender.maps(classifier, batch.images, classes)
    seconds = (time.perf_counter() - started) / len(classes)
    maps = mask_of(raw, classifier.size)
    mean = torch.tensor(classifier.mean)
    found = faithfulness(classifier.probabilities, batch.images, maps, classes, protocol=protocol, mean=mean)
    masks = batch.masks_of(classes)
    absent = ~masks.flatten(1).any(1)
    return {
        **vars(found),
        "pointing": pointing(maps, masks, TOLERANCE * min(classifier.size)).float().masked_fill(absent, torch.nan),
        "energy": energy_inside(maps, masks).masked_fill(absent, torch.nan),
        "seconds": torch.full((len(classes),), seconds),
        "classes": classes,
    }


def _plain(values: Tensor) -> list[float | None]:
    """As JSON has them: null for what is not a number."""
    return [None if math.isnan(value) else value for value in values.tolist()]


class _Progress:
    """A line on stderr, written over itself, with the time that is left at the pace so far."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._skipped = total, 0, 0
        self._started = time.monotonic()

    def skip(self, count: int) -> None:
        self._skipped += count

    def advance(self, count: int, what: str) -> None:
        self._done += count
        ahead = self._total - self._done - self._skipped
        seconds = (time.monotonic() - self._started) / self._done * ahead
        end = "\r" if ahead and sys.stderr.isatty() else "\n"
        line = f"{self._total - ahead}/{self._total} maps, about {seconds / 60:.1f} minutes left ({what})"
        sys.stderr.write(f"{line:<78}{end}")
        sys.stderr.flush()


def report(classifier: Classifier, names: Sequence[str], journal: Journal, settings: dict[str, Any], sets: int) -> str:
    """The table with a paragraph on how it was made."""
    protocol = settings["protocol"]
    each = f"of {settings['images']} pictures"
    over = f"one set {each}" if sets == 1 else f"{sets} disjoint sets {each}, mean ± standard deviation over the sets"
    return (
        "# Methods side by side\n\n"
        f"{classifier.name} on held-out scenes ({', '.join(settings['kinds'])}): {over}. Explained and scored"
        f" is the {'true' if protocol['classes'] == 'label' else 'predicted'} class. Maps are laid on"
        f" {protocol['mask']}; insertion starts from {protocol['insertion']}, deletion ends in"
        f" {protocol['deletion']}, both in {protocol['steps']} steps. Pointing allows {100 * TOLERANCE:g} % of the side"
        f" beside the object and is averaged over classes. Times are medians, for batches of {BATCH} on"
        f" {torch.get_num_threads()} threads.\n\n"
        + markdown({key: record for key, record in journal.records.items() if key[0] < sets}, names)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    try:
        protocol = Protocol(args.classes, args.mask, args.insertion, args.deletion, args.steps)
        contenders = [Contender.parse(text) for text in dict.fromkeys(args.methods)]
        classifier = load_classifier(args.model)
        settings = {
            "weights": classifier.digest,
            "layers": classifier.layers,
            "kinds": args.kinds,
            "images": args.images,
            "protocol": asdict(protocol),
        }
        journal = Journal(args.out / "results.jsonl", settings)
        options = {"kinds": args.kinds, "images": args.images, "sets": args.seeds, "protocol": protocol}
        compare(classifier, contenders, journal, **options)
    except (JournalError, RecipeError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    text = report(classifier, [contender.name for contender in contenders], journal, settings, args.seeds)
    (args.out / "table.md").write_text(text)
    sys.stdout.write(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation.compare", description=__doc__)
    parser.add_argument(
        "--methods", nargs="+", required=True, help="ids with options, such as opti-cam:steps=50; fake-cam, centre"
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="folder of a classifier of scenes")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["one-class", "two-class"], help="of scenes")
    parser.add_argument("--images", type=_count(SET_SIZE), default=64, help="pictures of each set")
    parser.add_argument("--seeds", type=_count(100), default=3, help="disjoint sets, over which values spread")
    parser.add_argument("--classes", choices=("label", "predicted"), default="label", help="which class is explained")
    parser.add_argument("--mask", choices=BASELINES, default="black", help="what a map of 0 shows")
    parser.add_argument("--insertion", choices=BASELINES, default="blur", help="what pixels are inserted into")
    parser.add_argument("--deletion", choices=BASELINES, default="black", help="what is left of deleted pixels")
    parser.add_argument("--steps", type=_count(10_000), default=28, help="of insertion and deletion")
    parser.add_argument("--out", type=Path, default=Path("out/compare"), help="folder of results.jsonl and table.md")
    return parser


def _count(most: int) -> Any:
    def count(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"must lie in 1 to {most}")
        return value

    return count


if __name__ == "__main__":
    sys.exit(main())
