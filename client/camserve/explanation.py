"""One explained target: its map, how good the map is, and what to beware of."""

import io
import os
from dataclasses import dataclass, field
from math import exp

import numpy as np
import numpy.typing as npt
from PIL import Image

from camserve.enums import enum_name
from camserve.heatmap import Heatmap
from camserve.prediction import ExplainedTarget
from camserve.rendering import DEFAULT_OPACITY
from camserve.sheet import Tile, contact_sheet, thumbnail
from camserve.source import pixels
from camserve.v1 import explanation_pb2 as pb


@dataclass(frozen=True)
class TokenMap:
    """The map of one token of a caption, or of the tokens of one word: ``start`` to before ``end``."""

    text: str
    start: int
    end: int
    score: float
    heatmap: Heatmap


@dataclass(frozen=True)
class Reason:
    """A named unit of the explained layer; its contribution is above 0 if it spoke for what the map shows.

    That is the target, or what speaks against it if the polarity is ``counter``; see ``camserve.v1.Reason``.
    """

    name: str
    unit: int
    layer: str
    contribution: float


@dataclass(frozen=True)
class MapWarning:
    """Something to beware of in a map: a code such as ``flat_map``, and a sentence with figures."""

    code: str
    message: str


@dataclass(frozen=True)
class Faithfulness:
    """How good a map is, by what the target's probability does as the map decides which pixels are seen.

    ``camserve.v1.Faithfulness`` says how each is measured.

    Attributes:
        average_drop: what the probability loses behind the map, in percent of it; lower is better.
        average_gain: what it wins behind the map, in percent of what it can win; higher is better.
        increase: whether it rises behind the map.
        insertion_auc: area under it as pixels are inserted, the map's strongest first, 0 to 1; higher is better.
        deletion_auc: area under it as they are deleted, the strongest first, 0 to 1; lower is better.
        unseen_share: share of the map on pixels that the model cannot see, 0 to 1; not a number if its score has no
            gradient that would tell.
    """

    average_drop: float
    average_gain: float
    increase: bool
    insertion_auc: float
    deletion_auc: float
    unseen_share: float


@dataclass(frozen=True)
class Rendering:
    """A map in a further form, made by the server.

    Attributes:
        format: ``float32``, ``uint8``, ``png``, ``overlay_png`` or ``color_png``.
        size: ``original``, ``input`` or ``native``.
        height: rows, in pixels.
        width: columns, in pixels.
        data: the raw values or the encoded picture.
        colormap: the colormap used; empty where there is no colour.
    """

    format: str
    size: str
    height: int
    width: int
    data: bytes = field(repr=False)
    colormap: str = ""

    def array(self) -> npt.NDArray[np.float32] | npt.NDArray[np.uint8]:
        """The values: float32 or uint8 ``[height, width]``, or uint8 ``[height, width, 3]`` where there is colour."""
        if self.format in ("float32", "uint8"):
            dtype = "<f4" if self.format == "float32" else "u1"
            return np.frombuffer(self.data, dtype=dtype).reshape(self.height, self.width)
        return np.asarray(Image.open(io.BytesIO(self.data), formats=["PNG"]))


@dataclass(frozen=True)
class Explanation:
    """One target and its map.

    Attributes:
        target: the target as it was understood.
        score: its score: a logit or a log-probability, as the kind of target says.
        heatmap: the map.
        method: id of the method.
        layers: dotted names of the layers it read.
        steps_done: steps done of an iterative method; None for others.
        tokens: a map per token, if asked for.
        faithfulness: how good the map is, if asked for; None, with the warning ``not_measured``, if time was up.
        reasons: named units that spoke for the target, strongest first, and then those against it, likewise.
        warnings: what to beware of in this map.
        renderings: the further forms asked for, in the order of the request.
        image: the encoded image that was explained.
    """

    target: ExplainedTarget
    score: float
    heatmap: Heatmap
    method: str
    layers: tuple[str, ...]
    steps_done: int | None
    tokens: tuple[TokenMap, ...]
    faithfulness: Faithfulness | None
    reasons: tuple[Reason, ...]
    warnings: tuple[MapWarning, ...]
    renderings: tuple[Rendering, ...]
    image: bytes = field(repr=False)
    proto: pb.Explanation = field(repr=False, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.Explanation, image: bytes, image_size: tuple[int, int]) -> "Explanation":
        """Takes the explanation of an image from a response."""
        quality = proto.faithfulness
        return cls(
            target=ExplainedTarget.from_proto(proto.target),
            score=proto.score,
            heatmap=Heatmap.from_proto(proto.heatmap, image_size),
            method=proto.method,
            layers=tuple(proto.layers),
            steps_done=proto.steps_done if proto.HasField("steps_done") else None,
            tokens=tuple(
                TokenMap(token.text, token.start, token.end, token.score, Heatmap.from_proto(token.heatmap, image_size))
                for token in proto.tokens
            ),
            faithfulness=Faithfulness(
                quality.average_drop,
                quality.average_gain,
                quality.increase,
                quality.insertion_auc,
                quality.deletion_auc,
                quality.unseen_share,
            )
            if proto.HasField("faithfulness")
            else None,
            reasons=tuple(Reason(r.name, r.unit, r.layer, r.contribution) for r in proto.reasons),
            warnings=tuple(MapWarning(enum_name(pb.WarningCode, w.code), w.message) for w in proto.warnings),
            renderings=tuple(
                Rendering(
                    enum_name(pb.RenderingFormat, r.format),
                    enum_name(pb.RenderingSize, r.size),
                    r.height,
                    r.width,
                    r.data,
                    r.colormap,
                )
                for r in proto.renderings
            ),
            image=image,
            proto=proto,
        )

    def overlay(
        self, path: str | os.PathLike[str] | None = None, *, colormap: str = "", opacity: float = DEFAULT_OPACITY
    ) -> Image.Image:
        """Draws the coloured map over the image that was explained, and saves it if a path is given.

        Args:
            path: where to save it; the ending gives the format.
            colormap: as `Heatmap.overlay`.
            opacity: as `Heatmap.overlay`.

        Raises:
            OSError, ValueError: it cannot be saved there, or an option is out of range.
        """
        picture = self.heatmap.overlay(self.image, colormap=colormap, opacity=opacity)
        if path is not None:
            picture.save(path)
        return picture

    def words_sheet(
        self, path: str | os.PathLike[str] | None = None, *, colormap: str = "", opacity: float = DEFAULT_OPACITY
    ) -> Image.Image:
        """Draws the caption's map and those of its words, each with the word and its probability under it.

        Args:
            path: where to save it; the ending gives the format.
            colormap: as `Heatmap.overlay`.
            opacity: as `Heatmap.overlay`.

        Raises:
            OSError: it cannot be saved there.
            ValueError: there are no maps of words, as ``per_token`` was not asked for; or an option is out of range.
        """
        if not self.tokens:
            raise ValueError("there are no maps of words: explain caption(text, per_token=True)")
        small = thumbnail(Image.fromarray(pixels(self.image)))

        def tile(heatmap: Heatmap, text: str, score: float) -> Tile:
            picture = heatmap.scaled(small.height, small.width).overlay(small, colormap=colormap, opacity=opacity)
            return Tile(picture, text, f"probability {exp(score):.2g}")

        words = [tile(token.heatmap, token.text, token.score) for token in self.tokens]
        sheet = contact_sheet(self.target.label, [tile(self.heatmap, "all words", self.score), *words])
        if path is not None:
            sheet.save(path)
        return sheet
