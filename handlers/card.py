"""A model's card: what ListModels and GetModel tell of it."""

from collections.abc import Sequence

import saliency
from camserve.v1 import explanation_pb2 as pb
from model_store.recipe import Recipe

TASKS = {"classify": pb.TASK_CLASSIFY, "caption": pb.TASK_CAPTION, "answer": pb.TASK_ANSWER}
_FITS = {"stretch": pb.FIT_STRETCH, "crop": pb.FIT_CROP, "pad": pb.FIT_PAD}
_COSTS = {
    saliency.Cost.FORWARD: pb.COST_CLASS_FORWARD,
    saliency.Cost.FEW: pb.COST_CLASS_FEW,
    saliency.Cost.MANY: pb.COST_CLASS_MANY,
}


def card(
    recipe: Recipe,
    labels: Sequence[str],
    layers: Sequence[str],
    default_layers: Sequence[str],
    methods: Sequence[type[saliency.Method]],
) -> pb.Model:
    """Describes a model, but for what only the gateway knows: readiness, default version, limit on image bytes."""
    height, width = recipe.preprocessing.size
    limits = recipe.limits
    return pb.Model(
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        task=TASKS[recipe.task],
        labels=labels,
        input_size=pb.ImageSize(height=height, width=width),
        fit=_FITS[recipe.preprocessing.fit],
        layers=layers,
        default_layers=default_layers,
        methods=[_method(method) for method in methods],
        default_method=saliency.method(recipe.explanation.method).id,
        limits=pb.Limits(
            max_image_pixels=limits.max_image_pixels,
            min_image_side=limits.min_image_side,
            max_image_side=limits.max_image_side,
            max_aspect_ratio=limits.max_aspect_ratio,
            max_targets=limits.max_targets,
            max_layers=limits.max_layers,
            max_text_length=limits.max_text_length,
        ),
        weights=pb.WEIGHTS_RANDOM if recipe.weights.random else pb.WEIGHTS_TRAINED,
    )


def _method(method: type[saliency.Method]) -> pb.Method:
    return pb.Method(
        id=method.id,
        aliases=method.aliases,
        paper=method.paper,
        cost=_COSTS[method.cost],
        options=[_option(option) for option in method.options()],
        class_agnostic=method.class_agnostic,
    )


def _option(option: saliency.Option) -> pb.MethodOption:
    return pb.MethodOption(
        name=option.name,
        description=option.description,
        default_value=str(option.default),
        minimum=option.minimum,
        maximum=option.maximum,
        choices=option.choices,
    )
