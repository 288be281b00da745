"""Serves the scenes classifier, explains a few pictures through it, and stops it.

Writes the pictures, an overlay for each target and one overview into ``out/demo/``.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from camserve import ExplanationClient
from gateway.launcher.server import run_server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

MODEL = "scenes-classifier"
METHOD = "grad-cam"
OUT = Path("out/demo")
SIDE = 480
ROW = "{:<26} {:<10} {:>11}   {:<10} {:<9} {:>6}"


def main() -> None:
    """Runs the demo."""
    OUT.mkdir(parents=True, exist_ok=True)
    with run_server("--models", MODEL, log=sys.stderr) as server, ExplanationClient(server.address) as client:
        client.model(MODEL)  # connects, so that the first picture does not wait for that
        print("\n" + ROW.format("picture", "prediction", "probability", "target", "method", "ms"))
        groups = [explain(client, file, classes) for file, classes in pictures()]
    overview(groups).save(OUT / "overview.jpg", quality=88)
    print(f"\nThe overlays are in {OUT}/; {OUT}/overview.jpg shows them all.")


def pictures() -> Iterator[tuple[Path, list[str]]]:
    """Draws the scenes; gives each picture's file and the classes in it."""
    for name, scene in demo_scenes():
        file = OUT / f"{name}.jpg"
        Image.fromarray(draw(scene, SIDE, SIDE)).save(file, quality=95)
        yield file, sorted({thing.shape for thing in scene.objects})


def explain(client: ExplanationClient, file: Path, classes: list[str]) -> list[tuple[str, Path]]:
    """Explains every class of a picture, prints a line for each, and gives the picture and its overlays, captioned."""
    group = [("", file)]
    for target in classes:
        start = time.perf_counter()
        result = client.explain(file, model=MODEL, target=target, method=METHOD)
        milliseconds = 1000 * (time.perf_counter() - start)
        best = result.prediction
        print(ROW.format(file.name, best.label, f"{best.probability:.3f}", target, METHOD, f"{milliseconds:.1f}"))
        overlay = file.with_name(f"{file.stem}-{target}.png")
        result.explanation.overlay(overlay)
        group.append((target, overlay))
    return group


def overview(groups: list[list[tuple[str, Path]]]) -> Image.Image:
    """Every picture with its overlays beside it, as many groups in a row as fit the longest."""
    side, gap = SIDE // 2, 6
    columns = max(map(len, groups))
    rows: list[list[tuple[str, Path]]] = [[]]
    for group in groups:
        if len(rows[-1]) + len(group) > columns:
            rows.append([])
        rows[-1] += group
    sheet = Image.new("RGB", (columns * (side + gap) - gap, len(rows) * (side + gap) - gap), "white")
    for y, row in enumerate(rows):
        for x, (caption, file) in enumerate(row):
            tile = Image.open(file).resize((side, side))
            if caption:
                font = ImageFont.load_default(16)
                ImageDraw.Draw(tile).text((8, side - 26), caption, "white", font, stroke_width=2, stroke_fill="black")
            sheet.paste(tile, (x * (side + gap), y * (side + gap)))
    return sheet


if __name__ == "__main__":
    main()
