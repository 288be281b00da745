"""Drop and increase against pytorch-grad-cam, which lays maps on the normalised input and subtracts probabilities."""

import numpy as np
import torch
from pytorch_grad_cam.metrics.cam_mult_image import DropInConfidence, IncreaseInConfidence
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import nn

from evaluation.measures.faithfulness import Protocol, faithfulness


def test_drop_and_increase_are_those_of_pytorch_grad_cam() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)
    )
    model.eval().requires_grad_(False)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
    images, maps, classes = torch.rand(12, 3, 16, 16), torch.rand(12, 16, 16), torch.randint(0, 4, (12,))

    def normalised(pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - mean[:, None, None]) / std[:, None, None] * 3

    def probabilities(pixels: torch.Tensor) -> torch.Tensor:
        return model(normalised(pixels)).softmax(1)

    found = faithfulness(probabilities, images, maps, classes, protocol=Protocol(mask="mean", steps=1), mean=mean)
    targets = [ClassifierOutputSoftmaxTarget(index) for index in classes.tolist()]
    inputs, cams = normalised(images), maps.numpy()
    difference = DropInConfidence()(inputs, cams, targets, model)
    before = probabilities(images)[torch.arange(12), classes].numpy()
    np.testing.assert_allclose(found.drop.numpy(), difference / before, atol=1e-5)
    np.testing.assert_array_equal(found.increase.numpy(), IncreaseInConfidence()(inputs, cams, targets, model))
    assert 0 < found.increase.sum() < 12
