"""Randomising layers, and what is said of maps that change and of those that cannot."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from evaluation.audits.randomisation import layers, randomise
from evaluation.audits.sanity import sanity
from evaluation.methods import Contender
from evaluation.report.section import Section
from tests.evaluation.audits.tiny import SIDE, classifier


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_layers_are_the_parts_with_weights_from_the_input_on() -> None:
    assert layers(classifier().network) == {"0.0": ["0.0", "0.1"], "1": ["1"], "5": ["5"]}
    with pytest.raises(ValueError, match="no part of the Sequential has weights"):
        layers(nn.Sequential(nn.ReLU()))


def test_only_the_named_modules_change_and_the_seed_repeats() -> None:
    trained, first, second, other = (classifier().network for _ in range(4))
    state = torch.get_rng_state()
    randomise(first, ["1"], _generator())
    randomise(second, ["1"], _generator())
    randomise(other, ["1"], _generator(1))
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in trained.state_dict().items():
        assert torch.equal(first.state_dict()[name], value) == (not name.startswith("1."))
        assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()["1.weight"], other.state_dict()["1.weight"])
    assert not any(parameter.requires_grad for parameter in first.parameters())


def test_parameters_that_no_layer_initialises_keep_their_mean_and_deviation() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.randn(10_000, generator=_generator()) * 3 + 7)

    network = nn.Sequential(Token())
    before = network[0].token.detach().clone()
    randomise(network, ["0"], _generator())
    after = network[0].token.detach()
    assert float(torch.corrcoef(torch.stack([before, after]))[0, 1]) == pytest.approx(0.0, abs=0.05)
    assert float(after.mean()) == pytest.approx(7.0, abs=0.15)
    assert float(after.std()) == pytest.approx(3.0, abs=0.15)


def _figures(section: Section, row: str) -> dict[str, float | None]:
    table = section.tables[0]
    return {
        column.title: None if figure is None else figure.mean
        for column, figure in zip(table.columns, table.rows[row], strict=True)
    }


def _section(subject: object, *methods: str, **counts: int) -> Section:
    return sanity(subject, [Contender.parse(method) for method in methods], **counts)  # type: ignore[arg-type]


def test_a_map_of_weights_alone_is_gone_with_them_and_controls_do_not_move() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 10)).eval().requires_grad_(False)
    linear = replace(classifier(), network=network, layers=())  # its input gradient is its weights
    section = _section(linear, "input-gradient", "fake-cam", "centre", images=2, draws=2)
    found = _figures(section, "input-gradient")
    assert abs(found["ranks, all random"] or 0) < 0.1
    assert found["|ranks|, all random"] is None
    for control in ("fake-cam", "centre"):
        assert _figures(section, control)["ranks, all random"] == pytest.approx(1.0)
        assert _figures(section, control)["SSIM, all random"] == pytest.approx(1.0)
    assert "no method keeps" in section.text


def test_what_does_not_ask_for_the_class_is_told_and_the_network_is_left_alone() -> None:
    subject = classifier()
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    section = _section(subject, "eigen-cam", "grad-cam", images=3, draws=2)
    assert "changes nothing at all for eigen-cam: " in section.text
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())
    assert _figures(section, "eigen-cam")["ranks, output layer random"] == pytest.approx(1.0)
    assert (_figures(section, "grad-cam")["ranks, output layer random"] or 0) < 0.99


def test_a_map_that_does_not_ask_for_the_picture_is_told() -> None:
    """Deconvolution looks at the signs of gradients only, and without max pooling nothing else comes from below."""
    section = _section(classifier(), "deconvolution", "guided-backprop", images=3, draws=1)
    assert "The map is the same for every picture, whatever it shows, for deconvolution." in section.text
    assert _figures(section, "deconvolution")["ranks, another picture"] == pytest.approx(1.0)
    assert (_figures(section, "guided-backprop")["ranks, another picture"] or 0) < 0.9
    with pytest.raises(ValueError, match="images must be at least 2"):
        _section(classifier(), "deconvolution", images=1)


def test_a_section_has_a_map_and_a_point_for_every_depth_and_repeats() -> None:
    section, again = (_section(classifier(), "grad-cam", images=2, draws=1) for _ in range(2))
    assert section.tables == again.tables
    cascading, _, independent = section.plots
    assert [across for across, _ in cascading.lines["grad-cam"]] == [0, 1, 2, 3]
    assert cascading.lines["grad-cam"][0] == (0.0, 1.0)
    assert [across for across, _ in independent.lines["grad-cam"]] == [1, 2, 3]
    (gallery,) = section.galleries
    assert gallery.titles == ["picture", "trained", "5", "… 1", "… 0.0"]


def test_signed_maps_are_compared_by_their_magnitude_too() -> None:
    section = _section(classifier(), "integrated-gradients:steps=2", images=2, draws=1)
    assert _figures(section, "integrated-gradients:steps=2")["|ranks|, all random"] is not None
