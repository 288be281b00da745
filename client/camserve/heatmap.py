"""A map with the geometry that places it on its image."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from camserve import rendering
from camserve.source import ImageSource, pixels
from camserve.v1 import explanation_pb2 as pb


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A map at the method's own resolution.

    Attributes:
        values: float32 ``[height, width]`` in cells, raw and signed as the method defines, finite, read-only.
        box: the region of the original image that the cells cover evenly, in pixels after EXIF orientation.
        image_size: height and width of the original image after EXIF orientation.
        proto: the message that this was made from.
    """

    values: npt.NDArray[np.float32]
    box: rendering.Box
    image_size: tuple[int, int]
    proto: pb.Heatmap = field(repr=False)

    @classmethod
    def from_proto(cls, proto: pb.Heatmap, image_size: tuple[int, int]) -> "Heatmap":
        """Takes the map from a response about an image of the given height and width."""
        values = np.frombuffer(proto.data, dtype="<f4").astype(np.float32, copy=False)
        box = proto.box
        return cls(
            values=values.reshape(proto.height, proto.width),
            box=rendering.Box(box.left, box.top, box.right, box.bottom),
            image_size=image_size,
            proto=proto,
        )

    def on_image(self) -> npt.NDArray[np.float32]:
        """The raw map in the frame of the original image.

        Returns:
            float32 ``[height, width]``, resized bilinearly; 0 where the model saw nothing.
        """
        return rendering.place(self.values, self.box, *self.image_size)

    def peak(self) -> tuple[float, float]:
        """Where the map is strongest: x and y of the centre of the largest cell, in pixels of the original image."""
        row, column = divmod(int(self.values.argmax()), self.values.shape[1])
        left, top, right, bottom = self.box
        height, width = self.values.shape
        return left + (column + 0.5) * (right - left) / width, top + (row + 0.5) * (bottom - top) / height

    def scaled(self, height: int, width: int) -> "Heatmap":
        """The same map for the same image at another size."""
        down, across = height / self.image_size[0], width / self.image_size[1]
        left, top, right, bottom = self.box
        box = rendering.Box(left * across, top * down, right * across, bottom * down)
        return replace(self, box=box, image_size=(height, width))

    def overlay(
        self, image: ImageSource, *, colormap: str = "", opacity: float = rendering.DEFAULT_OPACITY
    ) -> Image.Image:
        """The coloured map laid over the image that was explained.

        Args:
            image: the image, in any form that ``ExplanationClient.explain`` takes.
            colormap: turbo, viridis, jet, gray or coolwarm; empty: turbo, or coolwarm, gray at zero, for a map with
                negative values.
            opacity: of the map over the image, 0 to 1.

        Returns:
            An RGB picture of the image's size.

        Raises:
            ValueError: this is not the image that was explained (its size differs), or an option is out of range.
        """
        picture = pixels(image)
        if picture.shape[:2] != self.image_size:
            raise ValueError(f"image: expected height and width {self.image_size}, got {picture.shape[:2]}")
        return Image.fromarray(rendering.overlay_picture(picture, self.values, self.box, colormap, opacity))
