"""Loading networks and weights; what does not fit is refused with the key at fault."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.classifier import Classifier
from handlers.network import labels_of, load_network
from model_store.recipe import RecipeError, load_recipe
from tests.handlers.conftest import FolderFactory, png
from tests.handlers.packs import explained

CPU = torch.device("cpu")


def _load(folder: Path) -> torch.nn.Module:
    return load_network(load_recipe(folder), folder, CPU)


def test_the_network_is_frozen_and_in_evaluation_mode(folder: FolderFactory) -> None:
    net = _load(folder())
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_weights_of_torch_save_load_too(folder: FolderFactory) -> None:
    path = folder()
    expected = _load(path).state_dict()
    torch.save(expected, path / "weights.pt")
    path = folder(weights={"file": "weights.pt"})
    torch.testing.assert_close(dict(_load(path).state_dict()), dict(expected))


def test_pickled_objects_are_refused(folder: FolderFactory) -> None:
    path = folder()
    torch.save({"head.weight": Path("anything")}, path / "weights.pt")
    path = folder(weights={"file": "weights.pt"})
    with pytest.raises(RecipeError, match=r"weights.file: weights.pt holds more than tensors"):
        _load(path)


def test_torchvision_networks_and_their_labels(folder: FolderFactory) -> None:
    path = folder(source={"torchvision": {"name": "resnet18"}}, weights={"random": True}, labels=None)
    recipe = load_recipe(path)
    network = load_network(recipe, path, CPU)
    assert type(network).__name__ == "ResNet"
    labels = labels_of(recipe, network)
    assert len(labels) == 1000
    assert labels[0] == "tench"


def test_timm_networks_and_their_labels(folder: FolderFactory) -> None:
    pytest.importorskip("timm")
    path = folder(source={"timm": {"name": "resnet10t"}}, weights={"random": True}, labels=None)
    recipe = load_recipe(path)
    network = load_network(recipe, path, CPU)
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
    labels = labels_of(recipe, network)
    assert len(labels) == 1000
    assert labels[0] == "tench"


def test_published_weights_of_timm_are_those_that_are_loaded(
    folder: FolderFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = pytest.importorskip("timm")
    published = timm.create_model("resnet10t")
    torch.nn.init.normal_(published.fc.bias)
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    asked: list[str] = []

    def from_hub(name: str, *, weights: bool) -> Path:
        assert weights
        asked.append(name)
        return tmp_path

    monkeypatch.setattr("handlers.libraries.from_hub", from_hub)
    network = _load(folder(source={"timm": {"name": "resnet10t"}}, weights={"pretrained": True}, labels=None))
    torch.testing.assert_close(dict(network.state_dict()), dict(published.state_dict()))
    assert asked == ["timm/resnet10t.c3_in1k"]


def _saved(folder: FolderFactory) -> tuple[torch.nn.Module, Path]:
    """A small classifier as transformers saves it, and its folder."""
    transformers = pytest.importorskip("transformers")
    names = dict(enumerate(("cat", "dog", "bird")))
    options = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(image_size=(32, 48), patch_size=16, id2label=names, **options)
    network: torch.nn.Module = transformers.ViTForImageClassification(config).eval()
    path = folder(
        source={"transformers": {"config": "config.json"}}, weights={"file": "model.safetensors"}, labels=None
    )
    network.save_pretrained(path)
    return network, path


def test_a_network_that_transformers_saved_loads_with_its_labels(folder: FolderFactory) -> None:
    saved, path = _saved(folder)
    recipe = load_recipe(path)
    network = load_network(recipe, path, CPU)
    torch.testing.assert_close(dict(network.state_dict()), dict(saved.state_dict()))
    assert labels_of(recipe, network) == ("cat", "dog", "bird")
    assert set(recipe.files) == {"recipe.yaml", "config.json", "model.safetensors"}


def test_a_network_of_transformers_is_served(folder: FolderFactory) -> None:
    saved, path = _saved(folder)
    classifier = Classifier(path, CPU)
    model = classifier.describe()
    assert list(model.labels) == ["cat", "dog", "bird"]
    assert list(model.default_layers) == ["vit.layers.0.layernorm_before"]
    assert "attention-rollout" in [method.id for method in model.methods]
    (explanation,) = explained(classifier, pb.ExplainRequest(image=png())).explanations
    assert (explanation.heatmap.height, explanation.heatmap.width) == (2, 3)
    picture = classifier.read(wire.Item(predict=pb.PredictRequest(image=png())), arrival=0.0).picture
    best = saved(picture.tensor[None]).logits[0].max().item()
    assert explanation.score == pytest.approx(best, rel=1e-5)


def test_weights_that_do_not_fit_a_network_of_transformers_are_refused(folder: FolderFactory) -> None:
    saved, path = _saved(folder)
    state = saved.state_dict()
    del state["classifier.bias"]
    save_file(state, path / "model.safetensors")
    with pytest.raises(RecipeError, match=r"weights: they do not fit the network; missing are classifier.bias"):
        _load(path)


def test_weights_that_are_not_to_be_had_are_said_soon(folder: FolderFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # the port where nothing listens
    for source in ({"timm": {"name": "resnet10t"}}, {"transformers": {"name": "nobody/nothing"}}):
        path = folder(source=source, weights={"pretrained": True}, labels=None)
        with pytest.raises(RecipeError, match=r"weights.pretrained: .* does not answer\); connect this machine"):
            _load(path)


def test_weights_of_torchvision_that_are_not_to_be_had_are_said_soon(
    folder: FolderFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("handlers.hub._answers", lambda _url: False)
    path = folder(source={"torchvision": {"name": "resnet18"}}, weights={"pretrained": True}, labels=None)
    with pytest.raises(RecipeError, match=r"weights.pretrained: resnet18 cannot be downloaded .*weights.file"):
        _load(path)


@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_a_library_that_is_not_installed_is_named(
    folder: FolderFactory, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(RecipeError, match=rf"source.{library}: {library} is not installed; pip install"):
        _load(folder(source={library: {"name": "x"}}, weights={"random": True}))


def test_a_name_that_timm_does_not_know_is_refused(folder: FolderFactory) -> None:
    pytest.importorskip("timm")
    with pytest.raises(RecipeError, match=r"source.timm.name: Unknown model \(resnet17\)"):
        _load(folder(source={"timm": {"name": "resnet17"}}, weights={"random": True}))


def test_a_configuration_of_another_kind_is_refused(folder: FolderFactory) -> None:
    pytest.importorskip("transformers")
    path = folder()
    (path / "config.json").write_text('{"model_type": "bert"}')
    path = folder(source={"transformers": {"config": "config.json"}}, weights={"random": True})
    with pytest.raises(RecipeError, match=r"source.transformers.config: this is no image classifier"):
        _load(path)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"source": {"python": {"file": "model.py", "factory": "make"}}}, "source.python.factory: model.py has no"),
        (
            {"source": {"torchvision": {"name": "resnet17"}}, "weights": {"random": True}},
            "source.torchvision.name: .*resnet17",
        ),
    ],
)
def test_sources_that_do_not_fit_name_the_key(folder: FolderFactory, sections: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        _load(folder(**sections))


def test_weights_that_do_not_fit_name_the_key(folder: FolderFactory) -> None:
    path = folder()
    save_file({"head.weight": torch.zeros(2, 2)}, path / "weights.safetensors")
    with pytest.raises(RecipeError, match=r"weights.file: weights.safetensors does not fit"):
        _load(path)
