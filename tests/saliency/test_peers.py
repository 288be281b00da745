"""Agreement with pytorch-grad-cam and Captum where they implement the same formula, and where they do not, why.

Maps are compared at the layer's own resolution and before anybody normalises them. Skipped where the peers are not
installed; ``pip install grad-cam captum`` brings them.

Not compared: what neither has (``cam``, ``smooth-grad-cam++``, ``ss-cam``, ``is-cam``, ``group-cam``, ``poly-cam``,
``recipro-cam``, attention) and what draws noise of its own (``smooth-grad``).
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import explain, normalize, upsample
from saliency.families.full_grad import biased_forward
from saliency.registry import Problem
from saliency.targets import Targets
from tests.nets import images, make

pgc = pytest.importorskip("pytorch_grad_cam")
captum = pytest.importorskip("captum.attr")
peer_targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # captum tells of its hooks

NETS = ["gap head", "flat head", "residual", "curved head"]
TARGETS = [1, 3]


def _of_pgc(cls: Any, net: nn.Module, layer: str, x: Tensor, targets: Sequence[Any] = TARGETS) -> Tensor:
    """The raw, signed map ``[B, h, w]`` of a class of pytorch-grad-cam."""
    raw: list[Any] = []

    class Raw(cls):  # type: ignore[misc]
        def get_cam_image(self, *args: Any) -> Any:
            raw.append(super().get_cam_image(*args))
            return raw[-1]

    calls = [peer_targets.ClassifierOutputTarget(t) if isinstance(t, int) else t for t in targets]
    with Raw(model=net, target_layers=[net.get_submodule(layer)]) as cam:
        cam(input_tensor=x, targets=calls)
        cam.activations_and_grads.gradients = []  # which the end would detach in place; that fails if they are views
    return torch.from_numpy(raw[0]).float()


def _enlarge(net: nn.Module) -> None:
    """Makes gradients so large that the constants do not matter which the peer adds to denominators."""
    head: Any = list(net.modules())[-1]
    head.weight.data.mul_(1e4)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize(
    ("method", "peer"),
    [
        ("grad-cam", "GradCAM"),
        ("xgrad-cam", "XGradCAM"),
        ("hires-cam", "HiResCAM"),
        ("grad-cam-elementwise", "GradCAMElementWise"),
        ("layer-cam", "LayerCAM"),
        ("shapley-cam", "ShapleyCAM"),
        ("fem", "FEM"),
    ],
)
def test_maps_are_those_of_pytorch_grad_cam(method: str, peer: str, kind: str) -> None:
    net, layer = make(kind)
    x = images(2)
    expected = _of_pgc(getattr(pgc, peer), net, layer, x).clamp_min(0)
    assert expected.max() > 0
    torch.testing.assert_close(explain(net, x, TARGETS, method, layer).maps, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("method", ["grad-cam", "hires-cam"])
def test_maps_are_those_of_captum(method: str, kind: str) -> None:
    net, layer = make(kind)
    x, module = images(2), net.get_submodule(layer)
    if method == "grad-cam":
        expected = captum.LayerGradCam(net, module).attribute(x, torch.tensor(TARGETS))
    else:
        expected = captum.LayerGradientXActivation(net, module).attribute(x, torch.tensor(TARGETS))
    expected = expected.sum(1).clamp_min(0).detach().float()
    torch.testing.assert_close(explain(net, x, TARGETS, method, layer).maps, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["gap head", "flat head", "residual"])
def test_grad_cam_plus_plus_agrees_where_gradients_are_large(kind: str) -> None:
    # pytorch-grad-cam adds 1e-6 to α's denominator, which is of the order of g²: with gradients below 1e-3, as on any
    # large GAP head, that rules its map. A sum of negative activations gives α poles there, and counts as 0 here.
    net, layer = make(kind)
    x = images(2)
    small = _of_pgc(pgc.GradCAMPlusPlus, net, layer, x)
    expected = explain(net, x, TARGETS, "grad-cam++", layer).maps
    assert (normalize(small) - normalize(expected)).abs().max() > 1e-4
    _enlarge(net)
    large = _of_pgc(pgc.GradCAMPlusPlus, net, layer, x)
    torch.testing.assert_close(explain(net, x, TARGETS, "grad-cam++", layer).maps, large, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["gap head", "flat head"])
def test_refine_cam_multiplies_the_same_maps(kind: str) -> None:
    # pytorch-grad-cam upsamples each map to the image before it multiplies; here the finest layer's grid is enough.
    net, layer = make(kind)
    _enlarge(net)
    x, layers = images(2), [f"{layer}.1", layer]
    fine, coarse = (normalize(_of_pgc(pgc.GradCAMPlusPlus, net, one, x)) for one in layers)
    found = explain(net, x, TARGETS, "refine-cam", layers).maps
    torch.testing.assert_close(found, fine * upsample(coarse, (8, 8)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", NETS)
def test_kpca_cam_agrees_but_for_the_sign(kind: str) -> None:
    # scikit-learn gives the component the sign of its largest entry.
    net, layer = make(kind)
    x = images(2)
    found = explain(net, x, TARGETS, "kpca-cam", layer).maps
    for ours, theirs in zip(found, _of_pgc(pgc.KPCA_CAM, net, layer, x), strict=True):
        sign = 1 if (ours * theirs).sum() > 0 else -1
        torch.testing.assert_close(ours, (sign * theirs).clamp_min(0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("method", "peer"), [("eigen-cam", "EigenCAM"), ("eigen-grad-cam", "EigenGradCAM")])
def test_eigen_cam_differs_by_centring_and_sign(method: str, peer: str) -> None:
    # pytorch-grad-cam subtracts each channel's mean first, which the paper does not, and takes the sign as it comes.
    net, layer = make("flat head")
    x = images(2)
    theirs = _of_pgc(getattr(pgc, peer), net, layer, x)
    activation = net.features(x).detach()
    factor = torch.ones(())
    if method == "eigen-grad-cam":
        leaf = activation.clone().requires_grad_()
        (factor,) = torch.autograd.grad(net.head(leaf.flatten(1))[[0, 1], TARGETS].sum(), leaf)
    cells = (activation * factor).flatten(2).mT
    for centred in (True, False):
        matrix = cells - cells.mean(1, keepdim=True) if centred else cells
        component = (matrix @ torch.linalg.svd(matrix)[2][:, 0, :, None]).reshape(2, 4, 4).float()
        of_whom = theirs if centred else explain(net, x, TARGETS, method, layer).maps
        for i in range(2):
            expected = component[i] * (1 if (component[i] * of_whom[i]).sum() > 0 else -1)
            expected = expected if centred else expected.clamp_min(0)
            torch.testing.assert_close(of_whom[i], expected, rtol=1e-4, atol=1e-5)


def test_finer_cam_differs_by_the_gradient_of_the_probabilities() -> None:
    # pytorch-grad-cam differentiates the rivals' probabilities too; here they are constant weights.
    net, layer = make("gap head")
    x = images(1)
    order = (net(x)[0] - net(x)[0, 2]).abs().argsort().tolist()
    of_theirs = peer_targets.FinerWeightedTarget(2, order[1:4], 1.0)
    theirs = _of_pgc(pgc.GradCAM, net, layer, x, [of_theirs]).clamp_min(0)
    torch.testing.assert_close(explain(net, x, [of_theirs], "grad-cam", layer).maps, theirs, rtol=1e-4, atol=1e-8)
    ours = explain(net, x, [2], "finer-cam", layer).maps
    assert (ours - theirs).abs().max() > 1e-3 * ours.max()
    shares = torch.softmax(net(x)[0, order[1:4]], 0).detach()
    constant = _of_pgc(pgc.GradCAM, net, layer, x, [lambda out: (shares * (out[2] - out[order[1:4]])).sum()])
    torch.testing.assert_close(ours, constant.clamp_min(0), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("kind", ["gap head", "residual"])
def test_full_grad_differs_by_what_is_normalised(kind: str) -> None:
    # pytorch-grad-cam min-max normalises every channel by itself, so that the bias, constant in a channel, cancels; the
    # authors' code and ours normalise a layer as a whole. The terms are the same.
    net, _ = make(kind)
    _enlarge(net)
    x = images(1)
    with pgc.FullGrad(model=net, target_layers=[]) as cam:
        theirs = torch.from_numpy(cam(input_tensor=x, targets=[peer_targets.ClassifierOutputTarget(2)])).float()
    run = biased_forward(Problem(net, x, Targets.parse([2], 1), ()))
    terms = [term for term in run.terms(run.outputs[:, 2], torch.ones(1).double()) if term.dim() == 4]
    channels = [F.interpolate(normalize(term.abs()), size=(16, 16), mode="bilinear").sum(1) for term in terms]
    torch.testing.assert_close(theirs, normalize(torch.stack(channels).sum(0)), rtol=1e-3, atol=1e-4)
    assert (normalize(explain(net, x, [2], "full-grad").maps) - theirs).abs().max() > 0.01


class _FullSize(nn.Module):
    """A net whose layer has the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(96, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def test_score_cam_agrees_where_no_mask_is_resized() -> None:
    # pytorch-grad-cam upsamples masks with corners on corners, which moves them outwards; here edges lie on edges.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = _FullSize().double().eval()
    x = images(2)
    expected = _of_pgc(pgc.ScoreCAM, net, "features", x)
    torch.testing.assert_close(explain(net, x, TARGETS, "score-cam", "features").maps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "layer"), [("gap head", "trunk"), ("flat head", "features.1"), ("residual", "blocks")]
)
def test_ablation_cam_agrees_where_scores_are_positive_and_activations_reach_zero(kind: str, layer: str) -> None:
    # pytorch-grad-cam divides by a negative score too, which turns the map round, and sets a channel to -1e7 where the
    # smallest activation of the chunk is not exactly zero.
    net, _ = make(kind)
    head: Any = list(net.modules())[-1]
    head.bias.data.add_(10.0)
    x = images(2)
    expected = _of_pgc(pgc.AblationCAM, net, layer, x).clamp_min(0)
    torch.testing.assert_close(explain(net, x, TARGETS, "ablation-cam", layer).maps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize(
    ("method", "peer"),
    [("input-gradient", "Saliency"), ("guided-backprop", "GuidedBackprop"), ("deconvolution", "Deconvolution")],
)
def test_gradients_of_pixels_are_those_of_captum(method: str, peer: str, kind: str) -> None:
    net, _ = make(kind)
    x = images(2)
    expected = getattr(captum, peer)(net).attribute(x.clone(), torch.tensor(TARGETS)).abs().amax(1).float()
    torch.testing.assert_close(explain(net, x, TARGETS, method).maps, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", NETS)
def test_guided_grad_cam_is_that_of_captum(kind: str) -> None:
    net, layer = make(kind)
    x = images(2)
    peer = captum.GuidedGradCam(net, net.get_submodule(layer))
    expected = peer.attribute(x.clone(), torch.tensor(TARGETS), interpolate_mode="bilinear").abs().amax(1).float()
    torch.testing.assert_close(explain(net, x, TARGETS, "guided-grad-cam", layer).maps, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", NETS)
def test_integrated_gradients_are_those_of_captum(kind: str) -> None:
    net, _ = make(kind)
    x = images(2)
    expected = captum.IntegratedGradients(net).attribute(x, target=torch.tensor(TARGETS), n_steps=17).sum(1).float()
    found = explain(net, x, TARGETS, "integrated-gradients", steps=17).maps
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
