"""Targets: what is accepted, what is refused, what is settled on the unperturbed output."""

from typing import Any

import pytest
import torch

from saliency import Class, Contrast, Counter, Rank, TargetError
from saliency.targets import Targets, classes_of


def test_lists_of_targets_keep_their_dimension_and_single_ones_do_not() -> None:
    assert Targets.parse([1, 2], 2).single
    nested = Targets.parse([[1], [2]], 2)
    assert not nested.single
    assert nested.count == 1


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1], "1 entries for 2 images"),
        ([1, 2, 3], "3 entries for 2 images"),
        ([[1], 2], "mixes"),
        ([[1], [1, 2]], "same number"),
        ([[], []], "at least 1"),
    ],
)
def test_wrong_lengths_raise(targets: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        Targets.parse(targets, 2)


@pytest.mark.parametrize("target", ["dog", 1.5, True, None])
def test_wrong_types_raise(target: Any) -> None:
    with pytest.raises(TypeError):
        Targets.parse([target], 1)


def test_tensors_of_indices_are_accepted() -> None:
    assert Targets.parse(torch.tensor([1, 2]), 2).rows == ((1,), (2,))
    assert Targets.parse(torch.tensor([[1, 0], [2, 3]]), 2).rows == ((1, 0), (2, 3))


@pytest.mark.parametrize("target", [3, -1, Class(3), Contrast(0, (7,)), Counter(5), Rank(3), Rank(-1)])
def test_classes_out_of_range_raise(target: Any) -> None:
    with pytest.raises(TargetError):
        Targets.parse([target], 1).resolve(torch.tensor([[1.0, 2.0, 3.0]]))


def test_a_class_of_an_output_that_is_no_vector_raises() -> None:
    with pytest.raises(TargetError, match="callable"):
        Targets.parse([0], 1).resolve(torch.zeros(1, 3, 4))
    with pytest.raises(TargetError, match="no top class"):
        Targets.parse(None, 1).resolve(torch.zeros(1, 3, 4))


def test_ranks_are_settled_once() -> None:
    outputs = torch.tensor([[1.0, 5.0, 3.0], [9.0, 0.0, 4.0]])
    row: list[Any] = [Rank(0), Counter(Rank(1)), Contrast(Rank(2), (1,))]
    settled = Targets.parse([row, row], 2).resolve(outputs)
    assert settled.rows == (
        (Class(1), Counter(Class(2)), Contrast(Class(0), (1,))),
        (Class(0), Counter(Class(2)), Contrast(Class(1), (1,))),
    )
    disturbed = outputs.flip(1)
    expected = [[5.0, -1.0, -2.0], [4.0, -9.0, 0.0]]
    torch.testing.assert_close(settled.score(disturbed), torch.tensor(expected))


def test_scores_of_further_rows_belong_to_their_images() -> None:
    targets = Targets.parse([[0, 1], [2, 0]], 2).resolve(torch.zeros(2, 3))
    outputs = torch.arange(12.0).reshape(4, 3)
    owners = torch.tensor([0, 0, 1, 1])
    expected = torch.tensor([[0.0, 1.0], [3.0, 4.0], [8.0, 6.0], [11.0, 9.0]])
    torch.testing.assert_close(targets.score(outputs, owners), expected)
    rows: list[list[Any]] = [[lambda out: out[0], 1], [2, 0]]
    mixed = Targets.parse(rows, 2).resolve(torch.zeros(2, 3))
    torch.testing.assert_close(mixed.score(outputs, owners), expected)


def test_classes_of_a_target() -> None:
    assert classes_of(Counter(Contrast(Class(2), (0, 1)))) == (2, 0, 1)
    assert classes_of(lambda out: out.sum()) == ()
