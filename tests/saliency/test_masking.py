"""Scores of images under masks, and the image among a model's inputs."""

import pytest
import torch
from torch import Tensor, nn

from saliency import Class, normalize, upsample
from saliency.masking import CPU_CHUNK, score_masked
from saliency.picture import forward_from_picture, picture_of, with_picture
from saliency.registry import Problem, UnsuitableError
from saliency.targets import Targets
from tests.nets import CLASSES, images, make


def _problem(x: Tensor, rows: list[list[int]]) -> tuple[nn.Module, Problem, Targets]:
    net, _ = make("flat head")
    targets = Targets([[Class(index) for index in row] for row in rows], single=False)
    return net, Problem(net, x, targets, ()), targets


def test_each_row_is_its_own_image_under_its_own_mask() -> None:
    x = images(3)
    rows = [[0, 1], [2, 3], [4, 0]]
    net, problem, targets = _problem(x, rows)
    count = 2 * CPU_CHUNK + 5
    masks = torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(0))
    owners = torch.arange(count) % 3
    found = score_masked(problem, targets, masks, owners, prepare=normalize)
    for r in range(count):
        mask = normalize(upsample(masks[r : r + 1], (16, 16)))
        scores = net((x[owners[r]] * mask)[None])[0]
        torch.testing.assert_close(found[r], scores[rows[owners[r]]].float())


def test_a_blend_sees_images_masks_and_owners() -> None:
    x = images(2)
    net, problem, targets = _problem(x, [[0], [1]])
    other = x.flip(0)
    found = score_masked(
        problem,
        targets,
        torch.full((2, 1, 1), 0.25),
        torch.tensor([1, 0]),
        blend=lambda pictures, masks, owners: pictures * masks + other[owners] * (1 - masks),
    )
    expected = net(0.25 * x.flip(0) + 0.75 * other.flip(0)).flip(0)
    torch.testing.assert_close(found[:, 0], expected[[0, 1], [0, 1]].flip(0).float())


def test_no_forward_is_larger_than_a_chunk_and_none_smaller_but_the_last() -> None:
    x = images(3)
    net, problem, targets = _problem(x, [[0], [0], [0]])
    score_masked(problem, targets, torch.ones(1, 2, 2), torch.zeros(1, dtype=torch.int64))  # looks at the model
    sizes: list[int] = []
    handle = net.register_forward_hook(lambda _m, given, _o: sizes.append(len(given[0])))
    count = CPU_CHUNK + 7
    score_masked(problem, targets, torch.ones(3 * count, 2, 2), torch.arange(3).repeat_interleave(count))
    handle.remove()
    assert sizes == [*[CPU_CHUNK] * 5, 5]


def test_the_image_is_found_among_named_inputs() -> None:
    inputs = {"question": torch.tensor([[1, 2], [3, 4]]), "pixels": images(2)}
    assert picture_of(inputs) == ("pixels", inputs["pixels"])
    other = torch.zeros(3, 3, 16, 16)
    owners = torch.tensor([1, 0, 1])
    found = with_picture(inputs, "pixels", other, owners)
    assert isinstance(found, dict)
    assert found["pixels"] is other
    assert found["question"].tolist() == [[3, 4], [1, 2], [3, 4]]
    with pytest.raises(ValueError, match="question"):
        picture_of({"question": inputs["question"]})


def test_gradients_of_the_picture_leave_the_callers_tensor_alone() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sub_(1.0).square_().flatten(1)[:, :CLASSES]

    x = images(2)
    before = x.clone()
    run = forward_from_picture(InPlace(), x)
    gradients = run.gradients(lambda out: out[:, :2])
    expected = torch.zeros(2, 2, 3, 16, 16, dtype=torch.float64)
    for k in range(2):
        expected[:, k, 0, 0, k] = 2 * (before[:, 0, 0, k] - 1)
    torch.testing.assert_close(gradients, expected)
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert x.grad is None


def test_scores_without_a_graph_say_so() -> None:
    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().flatten(1)

    with pytest.raises(UnsuitableError, match="do not depend on the image"):
        forward_from_picture(Cut(), images(1)).gradients(lambda out: out)
