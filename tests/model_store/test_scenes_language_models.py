"""The shipped captioner and answerer: their figures on held-out scenes, and that batches and padding change nothing."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from model_store.scenes.dataset import HELD_OUT_SEEDS, collect, draw_examples
from model_store.scenes.language import describe, questions
from model_store.scenes.networks.answerer import ScenesAnswerer
from model_store.scenes.networks.captioner import ScenesCaptioner
from model_store.scenes.networks.encoder import FEATURES, Encoder
from model_store.scenes.scene import Scene, SceneObject
from model_store.scenes.training.fit import SIDE, normalise, scenes_of
from model_store.scenes.training.held_out_answers import answers
from model_store.scenes.training.held_out_captions import captions, parse, true_slots
from model_store.scenes.training.lessons import answer_loss, caption_loss
from model_store.scenes.training.naming import Naming
from model_store.scenes.training.owners import Owners
from model_store.scenes.training.train_language import look, naming_loss
from model_store.scenes.vocabulary import CAPTION_WORDS
from model_store.words import END, PAD, Words

STORE = Path(__file__).resolve().parents[2] / "model_store"
SEEDS = HELD_OUT_SEEDS[5_000:5_200]  # none that the training report measures
KINDS = ["one-class", "two-class"]


def load(folder: str, model: nn.Module) -> nn.Module:
    model.load_state_dict(load_file(STORE / folder / "weights.safetensors"))
    return model.eval()


@pytest.fixture(scope="module")
def captioner() -> ScenesCaptioner:
    model = ScenesCaptioner()
    load("scenes-captioner", model)
    return model


@pytest.fixture(scope="module")
def answerer() -> ScenesAnswerer:
    model = ScenesAnswerer()
    load("scenes-vqa", model)
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return collect(draw_examples(KINDS, SEEDS, SIDE)).images


@pytest.mark.parametrize("folder", ["scenes-captioner", "scenes-vqa"])
def test_weights_are_small(folder: str) -> None:
    assert (STORE / folder / "weights.safetensors").stat().st_size <= 4_000_000


def test_captions_say_what_is_there(captioner: ScenesCaptioner, images: np.ndarray) -> None:
    counts = [
        tuple(true_slots(scene, text).values())
        for scene, text in zip(scenes_of(KINDS, SEEDS), captions(captioner, images), strict=True)
    ]
    right, total = np.array(counts).sum((0, 1))
    assert right / total >= 0.87


@pytest.mark.parametrize("kind", ["colour", "shape", "existence", "count", "relation"])
def test_questions_are_answered(answerer: ScenesAnswerer, images: np.ndarray, kind: str) -> None:
    asked = [
        (index, question)
        for index, scene in enumerate(scenes_of(KINDS, SEEDS))
        for question in questions(scene)
        if question.kind == kind
    ]
    said = answers(answerer, images, [question.text for _, question in asked], [index for index, _ in asked])
    assert np.mean([own == question.answer for own, (_, question) in zip(said, asked, strict=True)]) >= 0.9


def test_forward_scores_what_generate_says(captioner: ScenesCaptioner, images: np.ndarray) -> None:
    pictures = normalise(images[:8])
    tokens = captioner.generate(pictures, 32)
    with torch.no_grad():
        likeliest = captioner(pictures, tokens).argmax(2)
    spoken = tokens != PAD
    assert torch.equal(likeliest[spoken], tokens[spoken])
    assert ((tokens == END).sum(1) <= 1).all()


def test_padding_and_neighbours_change_nothing() -> None:
    pictures = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    texts = [torch.tensor([4, 9, 12, 7]), torch.tensor([5, 6]), torch.tensor([8, 8, 4])]
    padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=PAD)
    for model in (ScenesCaptioner().double().eval(), ScenesAnswerer().double().eval()):
        with torch.no_grad():
            together = model(pictures, padded)
            for row, text in enumerate(texts):
                alone: Tensor = model(pictures[row : row + 1], text[None])[0]
                own = together[row, : len(text)] if alone.dim() == 2 else together[row]
                torch.testing.assert_close(own, alone, rtol=1e-9, atol=1e-9)


def test_several_questions_share_an_image(answerer: ScenesAnswerer) -> None:
    features = torch.rand(2, 128, 14, 14)
    asked = torch.randint(4, 20, (6, 5))
    with torch.no_grad():
        together = answerer.answers(features, asked)
        alone = answerer.answers(features.repeat_interleave(3, 0), asked)
    torch.testing.assert_close(together, alone)


def item(shape: str, colour: str, extent: float, x: float) -> SceneObject:
    return SceneObject(shape, colour, "plain", extent, x, 0.0, 0.0, (0.5, 0.5, 0.5))


def test_true_slots_count_words_and_not_their_order() -> None:
    scene = Scene(0, (item("circle", "red", 0.15, -0.3), item("square", "blue", 0.5, 0.2)))
    text = describe(scene).text
    assert text == "a large blue square right of a small red circle"
    full = {"size": (2, 2), "colour": (2, 2), "shape": (2, 2), "relation": (1, 1)}
    assert true_slots(scene, text) == full
    assert true_slots(scene, "a small red circle left of a large blue square") == full
    wrong = true_slots(scene, "a small red circle above a large blue star")
    assert wrong == {**full, "shape": (1, 2), "relation": (0, 1)}
    assert true_slots(scene, "a small red circle") == {
        "size": (1, 2),
        "colour": (1, 2),
        "shape": (1, 2),
        "relation": (0, 1),
    }
    assert true_slots(scene, "a large blue square right of a small red circle with a large red star")["size"] == (2, 3)


def test_a_caption_that_makes_no_sense_has_no_right_words() -> None:
    assert parse("of of a").objects == (("of", "a"),)
    scene = Scene(0, (item("circle", "red", 0.15, -0.3),))
    assert [right for right, _ in true_slots(scene, "of of a").values()] == [0, 0, 0, 0]


def falls(loss: Callable[[], Tensor], parameters: Iterable[nn.Parameter]) -> bool:
    """Whether a few steps bring a loss well down."""
    optimizer = torch.optim.AdamW(parameters, lr=2e-3)
    losses = []
    for _ in range(12):
        found = loss()
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return losses[-1] < 0.8 * losses[0]


def test_training_goes_down() -> None:
    """A few steps on a few scenes: what the encoder learns by, and what the models do."""
    torch.manual_seed(0)
    seeds = range(16)
    scenes, batch, mirrored = scenes_of(KINDS, seeds), torch.arange(16), torch.arange(16) % 2 == 1
    images = collect(draw_examples(KINDS, seeds, SIDE)).images
    pictures = normalise(images)
    pictures[mirrored] = pictures[mirrored].flip(3)
    encoder = Encoder()
    names = nn.Conv2d(FEATURES, len(Words(CAPTION_WORDS)), 1)
    owners = Owners(scenes)
    loss_of = naming_loss(encoder, names, scenes, owners)
    coarse = nn.functional.avg_pool2d(pictures, 2)
    assert falls(lambda: loss_of(coarse, batch, mirrored), nn.ModuleList([encoder, names]).parameters())

    captioner, answerer = ScenesCaptioner(), ScenesAnswerer()
    seen = look(encoder.eval(), images)[mirrored.long(), batch].float()
    with torch.no_grad():
        torch.testing.assert_close(seen, encoder(pictures), rtol=2e-3, atol=2e-3)  # half precision
    for model, own in (
        (captioner, caption_loss(captioner, scenes, owners)),
        (answerer, answer_loss(answerer, scenes, owners)),
    ):
        heads = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
        assert falls(partial(own, seen, batch, mirrored), heads)


def test_naming_asks_for_the_words_of_the_object_at_each_place() -> None:
    scene = Scene(0, (item("circle", "red", 0.15, -0.3), item("square", "blue", 0.5, 0.2)))
    naming = Naming([scene], Owners([scene]), ["blue", "circle", "left", "red", "square"])
    found = {}
    for mirrored in (False, True):
        evidence = torch.zeros(1, 14, 14, 5, requires_grad=True)
        naming.loss(evidence, torch.tensor([0]), torch.tensor([mirrored])).backward()
        assert evidence.grad is not None
        found[mirrored] = evidence.grad[0] < 0  # where more evidence is asked for
    red, blue = found[False][..., 3], found[False][..., 0]
    assert torch.equal(red, found[False][..., 1])
    assert torch.equal(blue, found[False][..., 4])
    assert not found[False][..., 2].any()
    assert red.any()
    assert not (red & blue).any()
    assert int(red.nonzero()[:, 1].max()) < 5  # on the left
    assert int(blue.nonzero()[:, 1].min()) > 5
    assert torch.equal(found[True], found[False].flip(1))
