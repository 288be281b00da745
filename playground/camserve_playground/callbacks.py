"""What the page does when something on it is loaded, chosen or pressed: values of its widgets in, updates out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr
from PIL import Image

from camserve import CamserveError, ExplanationClient
from camserve.models import Model
from camserve.requests import Polarity
from camserve.results import ExplainResult
from camserve_playground import asking, choices, showing
from camserve_playground.asking import Comparison, Question

BY_MAP = "by the map"
"""The colormap that suits the map."""

Models = tuple[Model, ...]
Answered = tuple[ExplainResult, Comparison]
Update = dict[str, Any]


class Callbacks:
    """The callbacks for one server."""

    def __init__(self, client: ExplanationClient) -> None:
        """Takes the client that asks it."""
        self._client = client

    def load(self) -> tuple[Models, Update]:
        """Asks for the models; fills the list of them."""
        with _shown():
            models = self._client.models()
        texts = [offer.text for offer in choices.offers(models)]
        return models, gr.update(choices=texts, value=texts[0] if texts else None)

    def choose(self, models: Models, chosen: str | None) -> tuple[Update, ...]:
        """Fills methods, classes, question, text and methods to compare for a model."""
        if not chosen:
            return (gr.update(),) * 5
        with _shown():
            model = choices.find(models, chosen)
        return (
            gr.update(choices=choices.methods(model), value=model.default_method),
            gr.update(choices=choices.labels(model), value=choices.OWN, visible=model.task == "classify"),
            gr.update(visible=model.task == "answer"),
            gr.update(value="", visible=model.task != "classify", label=model.task.capitalize()),
            gr.update(choices=[identifier for _, identifier in choices.methods(model)], value=[]),
        )

    def explain(  # noqa: PLR0917 - Gradio passes values by position
        self,
        models: Models,
        image: str | None,
        chosen: str | None,
        method: str,
        label: str,
        question: str,
        text: str,
        compared: Sequence[str],
        polarity: Polarity,
        faithfulness: bool,
        colormap: str,
        opacity: float,
    ) -> tuple[Any, ...]:
        """Explains; gives the answer to keep, prediction, remarks, figures, and the pictures of `draw`."""
        if not image or not chosen:
            text = "There is no image: drop one, or take one of the pictures." if chosen else "Choose a model first."
            raise gr.Error(text, print_exception=False)
        with _shown():
            model = choices.find(models, chosen)
            what = Question(image, label, text, question, polarity, faithfulness)
            result = asking.explain(self._client, model, what, method)
        rest = asking.compare(self._client, model, what, [name for name in compared if name != method])
        rows = showing.figures((result.explanation, *rest.explanations))
        return (
            (result, rest),
            showing.predictions(result),
            showing.remarks(result, rest.problems),
            gr.update(value=rows, visible=bool(rows)),
            *self.draw((result, rest), colormap, opacity),
        )

    def draw(
        self, answered: Answered | None, colormap: str, opacity: float
    ) -> tuple[Image.Image | None, Update, Update]:
        """Draws what was answered, without asking again: overlay, words, methods side by side."""
        if answered is None:
            return None, gr.update(), gr.update()
        result, rest = answered
        name = "" if colormap == BY_MAP else colormap
        words = showing.words(result.explanation, name, opacity)
        beside = (result.explanation, *rest.explanations) if rest.explanations else ()
        methods = showing.overlays(beside, name, opacity)
        return (
            result.explanation.overlay(colormap=name, opacity=opacity),
            gr.update(value=words, visible=bool(words)),
            gr.update(value=methods, visible=bool(methods)),
        )


@contextmanager
def _shown() -> Iterator[None]:
    """Shows on the page why something cannot be done."""
    try:
        yield
    except CamserveError as error:
        raise gr.Error(error.message, print_exception=False) from error
    except LookupError as error:
        raise gr.Error(str(error), print_exception=False) from error
