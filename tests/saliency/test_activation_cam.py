"""FEM against its definition in float64."""

import torch

from saliency import explain, normalize
from tests.nets import images, make


def test_fem_weighs_channels_by_their_share_of_rare_cells() -> None:
    net, x = make("gap head")[0], images(2)
    found = explain(net, x, [0, 1], "fem", "trunk").maps
    for i, activation in enumerate(net.trunk(x).detach()):
        expected = torch.zeros(8, 8).double()
        for channel in activation:
            mean = channel.sum() / 64
            std = (((channel - mean) ** 2).sum() / 64).sqrt()
            expected += sum(bool(cell > mean + 2 * std) for cell in channel.flatten()) / 64 * channel
        torch.testing.assert_close(found[i], expected.float())


def test_several_layers_are_fused() -> None:
    net, x = make("gap head")[0], images(1)
    single = [normalize(explain(net, x, [0], "fem", layer).maps) for layer in ("trunk.1", "trunk")]
    torch.testing.assert_close(explain(net, x, [0], "fem", ["trunk.1", "trunk"], fusion="max").maps, torch.max(*single))
