"""Methods side by side: every measure of every method's maps of every picture, a batch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from camserve.errors import (
    CamserveError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from evaluation.choices import Choices
from evaluation.columns.case import Batch, Case
from evaluation.columns.measure import Measure
from evaluation.journal import Journal, Place
from evaluation.methods import Contender
from evaluation.pictures.picture import UNLABELLED, Picture, Pictures
from evaluation.pictures.source import PictureError, Source
from evaluation.progress import Progress
from evaluation.subject import Subject

BATCH: Final = 16
"""Pictures that are read, explained and measured at a time."""

_REFUSALS: Final = (ValueError, FailedPreconditionError, InvalidArgumentError, NotFoundError)
"""What says that a method does not go with the model at all."""


@dataclass(frozen=True)
class Problem:
    """Something that was left out.

    Attributes:
        what: a picture, a method, or a method on some pictures.
        reason: why, and what to do.
    """

    what: str
    reason: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.what}: {' '.join(self.reason.split())}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is compared, on what, by what.

    Attributes:
        subject: the model.
        source: of pictures.
        contenders: methods and controls.
        measures: columns.
        choices: of the measures.
    """

    subject: Subject
    source: Source
    contenders: Sequence[Contender]
    measures: Sequence[Measure]
    choices: Choices

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on, to tell those of other runs apart; methods, measures and scenes may be added."""
        weights = {"weights": self.subject.digest, "layers": self.subject.layers}
        return {**weights, **self.source.settings, "choices": asdict(self.choices)}

    def run(self, journal: Journal) -> list[Problem]:
        """Measures what is not in the journal yet, and tells on stderr how far it is.

        Returns:
            What had to be left out. What may go better another time is tried again by the next run.

        Raises:
            UnavailableError: the server is gone.
        """
        contenders = list(self.contenders)
        problems: list[Problem] = []
        progress = Progress(sum(self.source.counts()) * len(contenders), "maps")
        for place, indices in self._places():
            before = len(journal.failures.get(place, ()))
            if not before and not any(self._missing(journal, place, contender) for contender in contenders):
                progress.skip(len(indices) * len(self.contenders))
                continue
            pictures = self._read(journal, place, indices)
            batch = Batch(self.subject, Pictures.of(pictures), self.choices) if pictures else None
            for contender in self.contenders:
                missing = self._missing(journal, place, contender)
                if batch is None or not missing or contender not in contenders:
                    progress.skip(len(indices))
                    continue
                case = Case(batch, contender)
                try:
                    values = {measure.name: measure.record(case) for measure in missing}
                    journal.add(place, contender.name, batch.classes.tolist(), values)
                except UnavailableError:
                    raise
                except _REFUSALS as error:
                    contenders.remove(contender)
                    problems.append(Problem(contender.name, str(error)))
                except CamserveError as error:
                    names = f"{batch.pictures.names[0]} to {batch.pictures.names[-1]}"
                    problems.append(Problem(f"{contender.name} on {names}", error.message))
                progress.advance(len(indices), contender.name)
        progress.end()
        unread = [Problem(*failure) for own in journal.failures.values() for failure in own.items()]
        return unread + problems

    def _places(self) -> Iterator[tuple[Place, range]]:
        for number, count in enumerate(self.source.counts()):
            for first in range(0, count, BATCH):
                yield (number, first), range(first, min(first + BATCH, count))

    def _missing(self, journal: Journal, place: Place, contender: Contender) -> list[Measure]:
        record = journal.records.get((place, contender.name))
        return [measure for measure in self.measures if record is None or measure.name not in record.values]

    def _read(self, journal: Journal, place: Place, indices: Sequence[int]) -> list[Picture]:
        """The pictures of a batch that can be used; if they are others than before, all is measured again."""
        pictures, failures = [], {}
        for index in indices:
            try:
                picture = self.source.read(place[0], index)
                if self.choices.protocol.classes == "label" and picture.label == UNLABELLED:
                    raise PictureError(picture.name, "no label; give it one, or explain --classes predicted")
                pictures.append(picture)
            except PictureError as error:
                failures[error.name] = error.reason
        if failures != journal.failures.get(place, {}):
            journal.begin_anew(place, failures)
        return pictures
