"""What the page offers: models, and what can be asked of each."""

from dataclasses import dataclass

from camserve.models import Model

OWN = "(what the model says)"
"""Stands for the prediction where a target can be chosen."""

_COSTS = {"forward": "about one forward", "few": "a few passes", "many": "many passes"}


@dataclass(frozen=True)
class Offer:
    """A model as it is offered: a text for the list, and the names that requests use."""

    text: str
    model: Model


def offers(models: tuple[Model, ...]) -> list[Offer]:
    """The models that are ready, classifiers first."""
    order = {"classify": 0, "caption": 1, "answer": 2}
    ready = sorted((model for model in models if model.ready), key=lambda model: order[model.task])
    return [Offer(f"{model.name} {model.version} ({model.task})", model) for model in ready]


def find(models: tuple[Model, ...], text: str) -> Model:
    """The model that was chosen.

    Raises:
        LookupError: the server has it no more.
    """
    found = next((offer.model for offer in offers(models) if offer.text == text), None)
    if found is None:
        raise LookupError(f"the server has no model {text!r} any more; load the page again")
    return found


def methods(model: Model) -> list[tuple[str, str]]:
    """The model's methods, its default first: a text with what it costs, and the id."""
    ordered = sorted(model.methods, key=lambda method: (method.id != model.default_method, method.id))
    return [(f"{method.id}, {_COSTS[method.cost]}", method.id) for method in ordered]


def labels(model: Model) -> list[str]:
    """What may be chosen as the target of a classifier."""
    return [OWN, *model.labels]
