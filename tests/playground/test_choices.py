"""What the page offers, of the models of the clients' fake server."""

import pytest

from camserve.models import Model
from camserve_playground import choices
from tests.client.fake_service import MODELS

KNOWN = tuple(map(Model.from_proto, MODELS))


def test_ready_models_are_offered_classifiers_first() -> None:
    texts = [offer.text for offer in choices.offers(KNOWN)]
    assert texts == ["scenes-classifier 1 (classify)", "scenes-answerer 1 (answer)"]
    assert choices.find(KNOWN, texts[1]).name == "scenes-answerer"


def test_a_model_that_has_gone_is_told() -> None:
    with pytest.raises(LookupError, match="load the page again"):
        choices.find((), "scenes-classifier 1 (classify)")


def test_methods_tell_their_cost_the_default_first() -> None:
    assert choices.methods(choices.find(KNOWN, "scenes-classifier 1 (classify)")) == [
        ("grad-cam, a few passes", "grad-cam"),
        ("cam, about one forward", "cam"),
        ("opti-cam, many passes", "opti-cam"),
    ]


def test_the_prediction_may_be_the_target() -> None:
    assert choices.labels(KNOWN[2]) == [choices.OWN, "circle", "star", "square"]
