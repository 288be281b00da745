"""What ``camserve-eval`` understands."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from camserve.commands.connection import security_arguments
from evaluation.choices import REGIONS
from evaluation.claims.scenes import CLAIMS
from evaluation.columns.catalogue import ALL, DEFAULT, MEASURES
from evaluation.measures.faithfulness import BASELINES
from evaluation.pictures.scenes import SET_SIZE
from model_store.scenes.dataset import KINDS

MODEL: Final = Path(__file__).resolve().parents[1] / "model_store" / "scenes-classifier"
METHODS: Final = (
    *("grad-cam", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "score-cam", "ablation-cam", "eigen-cam"),
    *("opti-cam:steps=20", "input-gradient", "integrated-gradients:steps=16", "guided-backprop"),
    *("fake-cam", "centre"),
)
"""Of each family one or two, and controls."""


def parser() -> argparse.ArgumentParser:
    """The command's parser."""
    top = argparse.ArgumentParser(prog="camserve-eval", description="How far can the maps of a model be trusted.")
    commands = top.add_subparsers(dest="command", required=True)
    _add_compare(
        commands.add_parser(
            "compare",
            help="methods side by side, over scenes or a folder of pictures",
            description="Methods side by side. An interrupted run goes on where it was when it is started again.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
    )
    _add_audit(
        commands.add_parser(
            "audit",
            help="all that a model should be asked before it is trusted, as one report",
            description="Compares methods, audits the model, and writes one report. An interrupted audit goes on.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
    )
    _add_claims(
        commands.add_parser(
            "claims",
            help="what papers claim of their methods, measured on scenes",
            description="Measures what papers claim of their methods on scenes, into one report. An interrupted run"
            " goes on.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
    )
    return top


def _add_compare(command: argparse.ArgumentParser) -> None:
    model = command.add_argument_group("model")
    model.add_argument("--model", default=str(MODEL), help="folder of a classifier; with --server, the name of one")
    model.add_argument("--server", metavar="HOST:PORT", help="measure through a running server; None: in this process")
    security_arguments(model)
    model.add_argument("--parallel", type=_whole(1, 256), default=4, help="requests under way at the server")
    model.add_argument("--timeout", type=_number(0.0, 3600.0), default=120.0, help="seconds that a request may take")
    model.add_argument(
        "--methods", nargs="+", default=list(METHODS), metavar="METHOD", help="ids, as opti-cam:steps=50; controls"
    )

    pictures = command.add_argument_group("pictures")
    pictures.add_argument(
        "--images", type=Path, metavar="FOLDER", help="pictures, as ImageNet, VOC or COCO lay them out; None: scenes"
    )
    pictures.add_argument("--split", default="", help="of VOC, such as Segmentation/val; of COCO, instances_val2017")
    pictures.add_argument("--kinds", nargs="+", choices=KINDS, default=["one-class", "two-class"], help="of scenes")
    pictures.add_argument(
        "--count", type=_whole(1, SET_SIZE), help="pictures of each set; None: 64 scenes, or all of the folder"
    )
    pictures.add_argument(
        "--sets", type=_whole(1, 100), help="disjoint sets, over which figures spread; None: 3 of scenes, 1 of a folder"
    )

    measures = command.add_argument_group("measures")
    measures.add_argument(
        "--measures",
        nargs="+",
        default=[],
        metavar="MEASURE",
        help=f"{ALL}, or of {', '.join(MEASURES)}; none: {', '.join(DEFAULT)}",
    )
    measures.add_argument(
        "--classes", choices=("label", "predicted"), help="which class is explained; None: the label, if there is one"
    )
    measures.add_argument("--mask", choices=BASELINES, default="black", help="what a map of 0 shows")
    measures.add_argument("--insertion", choices=BASELINES, default="blur", help="what pixels are inserted into")
    measures.add_argument("--deletion", choices=BASELINES, default="black", help="what is left of deleted pixels")
    measures.add_argument("--steps", type=_whole(1, 10_000), default=28, help="of insertion and deletion")
    measures.add_argument("--region", choices=REGIONS, default="mask", help="what is an object to the pointing games")
    measures.add_argument("--tolerance", type=_number(0.0, 1.0), default=0.03, help="of pointing, share of the side")
    measures.add_argument("--top", type=_whole(1, 100), default=5, help="classes that extended pointing asks for")
    measures.add_argument("--threshold", type=_number(0.0, 1.0), default=0.15, help="of localisation errors")
    measures.add_argument("--radius", type=_number(0.0, 1.0), default=0.02, help="of max-sensitivity's noise")
    measures.add_argument("--samples", type=_whole(1, 1000), default=10, help="of max-sensitivity's noise")
    measures.add_argument("--seed", type=_whole(0, 2**32 - 1), default=0, help="of all noise")

    report = command.add_argument_group("report")
    report.add_argument("--gallery", type=_whole(0, 100), default=4, help="pictures that are shown behind their maps")
    report.add_argument("--out", type=Path, default=Path("out/compare"), help="folder of the results and the report")


def _add_audit(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, default=MODEL, help="folder of a classifier of scenes")
    command.add_argument("--out", type=Path, default=Path("out/audit"), help="folder of the report")


def _add_claims(command: argparse.ArgumentParser) -> None:
    command.add_argument("--claims", nargs="+", choices=CLAIMS, default=list(CLAIMS), help="which")
    command.add_argument("--count", type=_whole(1, SET_SIZE), default=24, help="held-out scenes of each set")
    command.add_argument("--sets", type=_whole(2, 100), default=3, help="disjoint sets, over which figures spread")
    command.add_argument("--out", type=Path, default=Path("out/claims"), help="folder of the report")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must lie in {least} to {most}")
        return value

    return whole


def _number(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must lie in {least:g} to {most:g}")
        return value

    return number
