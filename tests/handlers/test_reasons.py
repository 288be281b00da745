"""Named units in responses, through packs as the gateway sends them."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.caption import CaptionHandler
from handlers.classifier import Classifier
from handlers.reasons import Reasons
from handlers.rows import Explained
from model_store.recipe import RecipeError, load_recipe
from tests.handlers.conftest import FolderFactory, png, scenes_folder
from tests.handlers.packs import explained, send

CPU = torch.device("cpu")
NAMES = ["red", "blue", "star", "star", "ring", "small", "large"]  # the last of the eight units has none
DOG = pb.Target(class_target=pb.ClassTarget(label="dog"))
FISH = pb.Target(class_target=pb.ClassTarget(label="fish"))


def _units(**layers: dict[int, str]) -> dict[str, Any]:
    return {
        "layers": {
            layer: {unit: {"name": name, "iou": 0.5} for unit, name in names.items()} for layer, names in layers.items()
        }
    }


@pytest.fixture
def classifier(folder: FolderFactory) -> Classifier:
    return Classifier(folder(units=_units(trunk=dict(enumerate(NAMES)))), CPU)


def _contributions(classifier: Classifier, target: int) -> list[float]:
    """Of the units of the trunk, on whose average the head is linear: their average times their weight."""
    picture = classifier.read(wire.Item(predict=pb.PredictRequest(image=png())), arrival=0.0).picture
    network = classifier.runner.network
    average = network.get_submodule("trunk")(picture.tensor[None]).mean((2, 3))[0]
    return [float(value) for value in average * network.get_parameter("head.weight")[target]]


def _expected(values: list[float]) -> list[tuple[str, int]]:
    order = sorted(range(len(NAMES)), key=lambda unit: -abs(values[unit]))
    favour = [unit for unit in order if values[unit] > 0][:3]
    against = [unit for unit in order if values[unit] < 0][:3]
    return [(NAMES[unit], unit) for unit in (*favour, *against)]


def test_the_strongest_named_units_for_and_against(classifier: Classifier) -> None:
    response = explained(classifier, pb.ExplainRequest(image=png(), targets=[DOG, FISH]))
    for index, explanation in zip((1, 3), response.explanations, strict=True):
        values = _contributions(classifier, index)
        assert [(reason.name, reason.unit) for reason in explanation.reasons] == _expected(values)
        assert [r.contribution for r in explanation.reasons] == pytest.approx(
            [values[r.unit] for r in explanation.reasons], rel=1e-4
        )
        assert {reason.layer for reason in explanation.reasons} == {"trunk"}


@pytest.mark.parametrize("method", ["eigen-cam", "score-cam", "layer-cam"])
def test_do_not_depend_on_the_method(classifier: Classifier, method: str) -> None:
    response = explained(classifier, pb.ExplainRequest(image=png(), targets=[DOG], method=method))
    found = [(reason.name, reason.unit) for reason in response.explanations[0].reasons]
    assert found == _expected(_contributions(classifier, 1))


def test_of_a_counterfactual_change_sides(classifier: Classifier) -> None:
    request = pb.ExplainRequest(image=png(), targets=[DOG], polarity=pb.POLARITY_COUNTER)
    found = [(r.name, r.unit, r.contribution > 0) for r in explained(classifier, request).explanations[0].reasons]
    values = [-value for value in _contributions(classifier, 1)]
    assert found == [(name, unit, values[unit] > 0) for name, unit in _expected(values)]


def test_a_pack_gives_what_lone_requests_give(classifier: Classifier) -> None:
    requests = [
        pb.ExplainRequest(image=png(seed=1), targets=[DOG]),
        pb.ExplainRequest(image=png(seed=2), targets=[FISH, DOG, FISH]),
    ]
    for request, together in zip(requests, send(classifier, *requests), strict=True):
        alone = explained(classifier, request)
        for a, b in zip(together.explain.explanations, alone.explanations, strict=True):
            assert [r.unit for r in a.reasons] == [r.unit for r in b.reasons]
            assert [r.contribution for r in a.reasons] == pytest.approx([r.contribution for r in b.reasons], rel=1e-4)


def test_none_where_nothing_has_a_name(classifier: Classifier, folder: FolderFactory) -> None:
    request = pb.ExplainRequest(image=png(), targets=[DOG])
    assert not explained(Classifier(folder(), CPU), request).explanations[0].reasons
    request.layers.append("trunk.0")
    assert not explained(classifier, request).explanations[0].reasons
    request = pb.ExplainRequest(image=png(), targets=[DOG], method="integrated-gradients")  # reads no layer
    assert not explained(classifier, request).explanations[0].reasons


def test_units_that_did_nothing_are_no_reasons(folder: FolderFactory) -> None:
    reasons = Reasons(load_recipe(folder(units=_units(trunk={0: "red", 1: "blue", 2: "star"}))))
    contributions = {"trunk": torch.tensor([[0.0, -2.0, 1.0]])}
    nothing = torch.zeros(1, 1, 1)
    found = Explained(nothing, (0.0,), (0,), False, nothing, ((),), None, "cam", ("trunk",), contributions)
    assert [(reason.name, reason.contribution) for reason in reasons.of(found, 0)] == [("star", 1), ("blue", -2)]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"trnk": {0: "red"}}, r"units: the model has no layer 'trnk'; near: trunk"),
        ({"trunk": {8: "red"}}, r"units: layer 'trunk' has units 0 to 7, but unit 8 is given a name"),
    ],
)
def test_names_of_what_is_not_there_are_refused(
    folder: FolderFactory, layers: dict[str, dict[int, str]], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        Classifier(folder(units=_units(**layers)), CPU)


def test_captions_have_reasons_too(tmp_path: Path) -> None:
    folder = scenes_folder("scenes-captioner", tmp_path / "one")
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    recipe["units"] = _units(**{"encoder.join": {unit: f"unit {unit}" for unit in range(128)}})
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    captioner = CaptionHandler.load(folder, CPU)
    target = pb.Target(caption=pb.CaptionTarget(text="a red star", per_token=True))
    (explanation,) = explained(captioner, pb.ExplainRequest(image=png(), targets=[target])).explanations
    assert {reason.layer for reason in explanation.reasons} == {"encoder.join"}
    signs = [reason.contribution > 0 for reason in explanation.reasons]
    assert signs == [True] * 3 + [False] * 3
