"""Maps of the mass that excitation backprop brings down to a layer; :mod:`saliency.excitation` has the rules."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from saliency.capture import Pass
from saliency.excitation import NoRuleError, forward
from saliency.maps import fuse
from saliency.registry import Cost, Evidence, Method, Problem, UnsuitableError, fusion, register
from saliency.targets import Targets


@dataclass(frozen=True)
class MassMethod(Method):
    """Mass of a layer, summed over its channels.

    The authors read layers well before the last, for maps with more cells: pool4 of VGG16 and pool2 of GoogLeNet; of
    ResNet50, layer3 is usual. The automatic choice is the last layer, as for all methods.
    """

    told_by_running = True
    needs = "convolutions, linear layers, pooling, batch norm, ReLU, sums and concatenation, no other operation"

    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        try:
            run = forward(problem.model, problem.inputs, problem.layers)
        except NoRuleError as error:
            raise UnsuitableError(f"{self.id} does not work on this model: {error}") from None
        targets = problem.targets.resolve(run.outputs)
        maps = [mass.float().sum(2) for mass in self.mass(run, targets)]
        return Evidence(fuse(maps, self.fusion, clip=self.clip), run.outputs.detach(), targets)

    @abstractmethod
    def mass(self, run: Pass, targets: Targets) -> tuple[Tensor, ...]:
        """Mass ``[B, K, C, h, w]`` of each layer."""


@register(
    "excitation-backprop",
    paper="Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
    aliases=("mwp",),
)
@dataclass(frozen=True)
class ExcitationBackprop(MassMethod):
    """The mass of a class's output, of which each neuron's excitatory parents take their shares: ``Σ_c p_c``, MWP.

    Never negative, and of a class sums to 1 where no mass is lost. A score made of several outputs spreads mass over
    them by its derivatives; of an output that counts against the score, what inhibits it gets the mass.
    """

    def mass(self, run: Pass, targets: Targets) -> tuple[Tensor, ...]:
        """Hands the mass down."""
        return run.gradients(targets.score)


@register(
    "contrastive-excitation-backprop",
    paper="Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016",
    cost=Cost.FORWARD,
    passes="1 forward, 2 head backwards",
    aliases=("c-mwp", "cmwp"),
)
@dataclass(frozen=True)
class ContrastiveExcitationBackprop(MassMethod):
    """What excites a class more than what inhibits it: ``ReLU(Σ_c (p_c - q_c))``, c-MWP.

    q is the mass of the dual unit, whose weights are the class's own, negated. Both start at the classifier and are
    handed down by the same rules, so it makes no difference below which layer they are subtracted. Before the ReLU the
    map sums to 0 where no mass is lost, and of the negated score is its own negative.
    """

    def mass(self, run: Pass, targets: Targets) -> tuple[Tensor, ...]:
        """Hands both masses down."""
        duals = run.gradients(lambda outputs: -targets.score(outputs))
        return tuple(p - q for p, q in zip(run.gradients(targets.score), duals, strict=True))
