"""The authors' search, against masks made by hand; the colours model, whose channels are colours."""

from pathlib import Path

import torch
from torch.nn import functional as F

from evaluation.claims.authors_search import AuthorsSearch
from evaluation.classifier import load_classifier
from tests.evaluation.conftest import SIDE


def _images() -> torch.Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_a_mask_of_one_channel_shows_where_it_is_bright(colours: Path) -> None:
    classifier, images, classes = load_classifier(colours), _images(), torch.tensor([0, 2])
    search = AuthorsSearch(classifier, images, classes)
    channel = images[:, 1]  # the network's channels are the colours, at the size of the image
    low, high = channel.amin((1, 2), keepdim=True), channel.amax((1, 2), keepdim=True)
    seen = images * ((channel - low) / (high - low))[:, None]
    expected = 40 * seen.mean((2, 3)).gather(1, classes[:, None])[:, 0]
    weights = F.one_hot(torch.tensor([1, 1]), 3).float()
    torch.testing.assert_close(search.logits(weights), expected)
    assert (search.best_single_channel() >= expected - 1e-4).all()


def test_the_search_climbs_and_a_single_step_is_none(colours: Path) -> None:
    search = AuthorsSearch(load_classifier(colours), _images(), torch.tensor([0, 2]))
    start = search.logits(torch.full((2, 3), 1 / 3))
    torch.testing.assert_close(search.run(0), start)
    assert (search.run(40) > start).all()


def test_a_flat_map_is_no_number_nowhere(colours: Path) -> None:
    search = AuthorsSearch(load_classifier(colours), torch.full((1, 3, SIDE, SIDE), 0.5), torch.tensor([0]))
    assert search.run(3).isfinite().all()
