"""``python -m benchmarks [PART ...]``: measures, prints tables, and writes JSON and plots."""

import argparse
import importlib
from pathlib import Path

PARTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "resnet50": ("Grad-CAM against a plain forward and the peers, on ResNet-50", "in_process", {"name": "resnet50"}),
    "vgg16": ("likewise, on VGG-16", "in_process", {"name": "vgg16"}),
    "vit_b_16": ("likewise, on ViT-B/16", "in_process", {"name": "vit_b_16"}),
    "optimised": ("Grad-CAM with the trunk compiled, on ResNet-50", "optimised", {"name": "resnet50"}),
    "optimised-vit": ("likewise, on ViT-B/16", "optimised", {"name": "vit_b_16"}),
    "slow": ("slow methods against pytorch-grad-cam and the authors' Opti-CAM", "slow", {}),
    "score-cam": ("Score-CAM, exact, optimised and of fewer channels", "score_cam", {"name": "resnet18"}),
    "service": ("through the service, alone and with many callers", "service", {"name": "resnet50"}),
    "stages": ("where the time of one request goes", "stages", {"name": "resnet50"}),
    "scaling": ("batch, classes and image size in process", "scaling", {"name": "resnet50"}),
    "workers": ("callers at once and workers, start-up and memory", "workers", {"name": "resnet18"}),
}


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast explanations are. Wants a machine to itself.",
        epilog="\n".join(f"{name:<12} {what}" for name, (what, *_) in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help="which; all if none is named")
    parser.add_argument("--rounds", type=int, default=15, help="of each comparison (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="where files go (default: %(default)s)")
    options = parser.parse_args()
    for name in options.parts or PARTS:
        _, module, arguments = PARTS[name]
        part = importlib.import_module(f"benchmarks.{module}").measure(options.rounds, **arguments)
        print(f"{part}\n", flush=True)
        part.write(options.out)
        if part.plots:
            drawing = importlib.import_module("benchmarks.drawing")  # slow to import, and measured beside nothing
            drawing.draw(part.plots, options.out / f"{part.name}.png")


if __name__ == "__main__":
    main()
