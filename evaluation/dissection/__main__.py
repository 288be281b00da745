"""Names the units of a model by what they look for: ``python -m evaluation.dissection --model FOLDER``.

Units of the layers that the model's recipe explains are compared with the concepts of the scenes world, and those that
agree with one get its name. The names go into the model's folder, whose recipe says ``units_file: units.yaml``; the
service then tells with each map which of them spoke for the target and which against it.

The report has the same for two controls, chance (every picture's activations with another picture's concepts) and the
network without training, and how many names are found again on held-out scenes.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from evaluation.dissection.concepts import Concept
from evaluation.dissection.dissection import BOUND, SHARE, Batch, dissect, draw_batches, names
from evaluation.dissection.report import table
from evaluation.dissection.subject import digest, load
from evaluation.report.markdown import markdown
from model_store.recipe import RecipeError
from model_store.scenes.dataset import HELD_OUT_SEEDS, TRAINING_SEEDS

UNITS_FILE: Final = "units.yaml"
"""Name of the file with the names, inside the model's folder."""

_SEEDS: Final = TRAINING_SEEDS[9_000_000:]  # a model may be trained on them, but ours take the first
_OTHER_SEEDS: Final = HELD_OUT_SEEDS[9_000_000:]

Named = Mapping[int, tuple[Concept, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    try:
        for folder in args.model:
            sys.stdout.write(_name_units(folder, args))
            sys.stdout.flush()
    except RecipeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _name_units(folder: Path, args: argparse.Namespace) -> str:
    """Writes the names of a model's units into its folder and returns the report."""
    weights = digest(folder)
    trained = load(folder, args.layers)
    untrained = load(folder, trained.layers, trained=False)
    scenes = _drawn(_SEEDS[: args.scenes], trained.size)
    others = _drawn(_OTHER_SEEDS[: args.scenes], trained.size)
    found = dissect(trained.activations, scenes, args.share)
    elsewhere = dissect(trained.activations, others, args.share)
    control = dissect(untrained.activations, scenes, args.share)
    named = {layer: names(agreement.iou, args.bound) for layer, agreement in found.items()}
    file = folder / UNITS_FILE
    file.write_text(_text(trained.name, weights, named))
    shown = table(found, elsewhere, control, bound=args.bound)
    return f"{trained.name}: {shown.caption}\n\n{markdown(shown)}\nwrote {file}\n\n"


@cache
def _drawn(seeds: Sequence[int], size: tuple[int, int]) -> Sequence[Batch]:
    """Scenes, kept for all models that take this size: drawing takes longest, and each is 0.15 MB."""
    return list(draw_batches(seeds, size))


def _text(model: str, weights: str | None, named: Mapping[str, Named]) -> str:
    """The file: the names of a model's units, in the form that recipes take."""
    layers = {
        layer: {unit: {"name": concept.name, "iou": round(iou, 3)} for unit, (concept, iou) in units.items()}
        for layer, units in named.items()
    }
    content = {"weights": weights, "layers": layers}
    head = f"# What single units of {model} look for, and how well they find it; by python -m evaluation.dissection.\n"
    return head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.dissection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="folder of a model, or of several")
    parser.add_argument("--layers", nargs="+", default=(), help="dotted names; none: those of the recipe")
    parser.add_argument("--scenes", type=_count, default=1000, help="to compare on")
    parser.add_argument("--share", type=_share, default=SHARE, help="of its cells in which a unit is taken for on")
    parser.add_argument("--bound", type=_share, default=BOUND, help="intersection over union that earns a name")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if not 2 <= value <= len(_SEEDS):
        raise argparse.ArgumentTypeError(f"must lie in 2 to {len(_SEEDS)}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must lie between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
