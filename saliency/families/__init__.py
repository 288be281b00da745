"""The methods, one small file per family; importing this package registers them all."""

from saliency.families import gradient_cam

__all__ = ["gradient_cam"]
