"""Serves the scenes models, explains a few pictures through them, and stops them.

For each picture: what speaks for each class in it; a caption, word by word; a question with its answer. Writes the
pictures, an overlay for each class and answer, a sheet for each caption and one overview into ``out/demo/``.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from camserve import ExplanationClient, answer, caption, class_target
from camserve.results import ExplainResult
from camserve.v1 import explanation_pb2 as pb
from gateway.launcher.server import run_server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw
from model_store.scenes.language import questions
from model_store.scenes.scene import Scene

CLASSIFIER, CAPTIONER, ANSWERER = MODELS = "scenes-classifier", "scenes-captioner", "scenes-vqa"
METHOD = "grad-cam"
OUT = Path("out/demo")
SIDE = 480
ROW = "{:<25} {:<9} {:>5} {:>12}   {:<28} {}"


def main() -> None:
    """Runs the demo."""
    OUT.mkdir(parents=True, exist_ok=True)
    with (
        run_server("--models", ",".join(MODELS), log=sys.stderr) as server,
        ExplanationClient(server.address) as client,
    ):
        client.models()  # connects, so that the first picture does not wait for that
        print("\n" + ROW.format("picture", "kind", "ms", "probability", "target", "prediction"))
        groups = [tour(client, file, scene) for file, scene in pictures()]
    overview(groups).save(OUT / "overview.jpg", quality=88)
    print(f"\nThe overlays are in {OUT}/: {OUT}/overview.jpg shows them, {OUT}/*-words.png the captions word by word.")


def pictures() -> Iterator[tuple[Path, Scene]]:
    """Draws the scenes; gives each picture's file and what is in it."""
    for name, scene in demo_scenes():
        file = OUT / f"{name}.jpg"
        Image.fromarray(draw(scene, SIDE, SIDE)).save(file, quality=95)
        yield file, scene


def tour(client: ExplanationClient, file: Path, scene: Scene) -> list[tuple[str, Path]]:
    """Explains a picture for all three tasks; gives it and its overlays, captioned."""
    group = [("", file)]
    for shape in sorted(set(scene.shapes)):
        result = explain(client, file, CLASSIFIER, class_target(label=shape), shape)
        group.append((shape, file.with_name(f"{file.stem}-{shape}.png")))
        result.explanation.overlay(group[-1][1])
    result = explain(client, file, CAPTIONER, caption(per_token=True), "its own words")
    result.explanation.words_sheet(file.with_name(f"{file.stem}-words.png"))
    question = questions(scene)[0].text
    result = explain(client, file, ANSWERER, answer(question), question)
    group.append((f"{question} {result.prediction.label}", file.with_name(f"{file.stem}-answer.png")))
    result.explanation.overlay(group[-1][1])
    return group


def explain(client: ExplanationClient, file: Path, model: str, target: pb.Target, name: str) -> ExplainResult:
    """Explains a target of a picture, and prints a line on it."""
    start = time.perf_counter()
    result = client.explain(file, model=model, target=target, method=METHOD)
    milliseconds = 1000 * (time.perf_counter() - start)
    best = result.prediction
    print(ROW.format(file.name, best.kind, f"{milliseconds:.0f}", f"{best.probability:.3f}", name, best.label))
    return result


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
    font = ImageFont.load_default(15)
    for y, row in enumerate(rows):
        for x, (text, file) in enumerate(row):
            tile = Image.open(file).convert("RGB").resize((side, side))
            ImageDraw.Draw(tile).text((8, side - 26), text, "white", font, stroke_width=2, stroke_fill="black")
            sheet.paste(tile, (x * (side + gap), y * (side + gap)))
    return sheet


if __name__ == "__main__":
    main()
