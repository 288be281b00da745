"""Maps of the same pictures, side by side."""

from collections.abc import Sequence

from camserve.errors import CamserveError
from evaluation.audits.overlays import COLORMAP, overlay
from evaluation.audits.overlays import picture as as_picture
from evaluation.choices import Choices
from evaluation.columns.case import Batch
from evaluation.methods import Contender
from evaluation.pictures.picture import UNLABELLED, Picture, Pictures
from evaluation.pictures.source import PictureError, Source
from evaluation.report.section import Gallery
from evaluation.subject import Subject


def gallery(
    subject: Subject, source: Source, contenders: Sequence[Contender], choices: Choices, count: int
) -> Gallery | None:
    """The first pictures that can be used, behind each method's map; None if there is none.

    Args:
        subject: whose maps.
        source: of pictures.
        contenders: those without maps, as they do not go with the model, are left out.
        choices: which class is explained.
        count: of pictures.
    """
    pictures = _first(source, choices, count)
    if not pictures:
        return None
    batch = Batch(subject, Pictures.of(pictures), choices)
    shown = [as_picture(picture.image) for picture in pictures]
    titles, columns = ["picture"], [shown]
    for contender in contenders:
        try:
            maps = contender.maps(subject, batch.pictures.images, batch.classes)
        except (ValueError, CamserveError):  # told as a problem of the comparison
            continue
        titles.append(contender.name)
        columns.append([overlay(picture.image, own) for picture, own in zip(pictures, maps, strict=True)])
    names = [subject.labels[index] for index in batch.classes.tolist()]
    rows = {f"{picture.name}: {name}": row for picture, name, *row in zip(pictures, names, *columns, strict=True)}
    return Gallery("Maps over the pictures, for the class that is named.", titles, rows, COLORMAP)


def _first(source: Source, choices: Choices, count: int) -> list[Picture]:
    found: list[Picture] = []
    for index in range(source.counts()[0]):
        if len(found) == count:
            break
        try:
            picture = source.read(0, index)
        except PictureError:
            continue
        if choices.protocol.classes == "predicted" or picture.label != UNLABELLED:
            found.append(picture)
    return found
