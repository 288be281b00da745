"""The methods, one small file per family; importing this package registers them all."""

from saliency.families import (
    activation_cam,
    attention,
    class_cam,
    eigen_cam,
    finer_cam,
    full_grad,
    grad_cam_plus_plus,
    gradient_cam,
    group_cam,
    guided,
    head_cam,
    input_gradient,
    poly_cam,
    score_cam,
    shapley_cam,
)

__all__ = [
    "activation_cam",
    "attention",
    "class_cam",
    "eigen_cam",
    "finer_cam",
    "full_grad",
    "grad_cam_plus_plus",
    "gradient_cam",
    "group_cam",
    "guided",
    "head_cam",
    "input_gradient",
    "poly_cam",
    "score_cam",
    "shapley_cam",
]
