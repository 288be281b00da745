"""``camserve predict``: the prediction alone."""

import argparse

from camserve import report
from camserve.client import ExplanationClient
from camserve.commands.command import Commands, add_command
from camserve.commands.inputs import default_model, image_argument, read_image

_EXAMPLES = """\
examples:
  camserve predict photo.jpg --top-k 3
  camserve predict photo.jpg --model scenes-captioner
  camserve predict photo.jpg --model scenes-vqa --question "how many stars are there?"
  cat photo.jpg | camserve predict - --json
"""


def add(commands: Commands, on_model: argparse.ArgumentParser) -> None:
    """Declares the command."""
    predict = add_command(commands, "predict", run, parents=[on_model], text="predict", examples=_EXAMPLES)
    image_argument(predict)
    predict.add_argument("--top-k", type=int, metavar="K", help="how many predictions, 1 to 100 (default: 5)")


def run(client: ExplanationClient, arguments: argparse.Namespace) -> int:
    """Predicts and prints."""
    image = read_image(arguments.image)
    model = arguments.model or default_model(client, "answer" if arguments.question else "classify")
    result = client.predict(image, model=model, top_k=arguments.top_k, question=arguments.question)
    print(report.message_json(result.proto) if arguments.json else report.predict_text(result))
    return 0
