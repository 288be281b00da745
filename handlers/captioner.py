"""A captioner that explains itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from camserve.v1 import explanation_pb2 as pb
from handlers.explainer import Answer
from handlers.job import Job
from handlers.language import Text
from handlers.messages import caption_prediction, heatmap, resolved_caption
from handlers.preprocessing import Picture
from handlers.rows import Explained, Explaining, Row
from handlers.speaker import Said, Speaker, checked, spoken
from handlers.targets import targets_of
from handlers.tokens import read_text


@dataclass(frozen=True)
class AskedCaption:
    """A caption to explain.

    Attributes:
        text: the caption; None: the model's own.
        words: whether each word gets a map too.
    """

    text: Text | None = None
    words: bool = False


class Captioner(Speaker[AskedCaption]):
    """The servable of task ``caption`` for networks that generate text; see :class:`handlers.language.Captioner`."""

    def asked(self, request: pb.ExplainRequest) -> list[AskedCaption]:
        """The captions; the model's own if none is given."""
        asked = []
        for field, target in targets_of(request, "caption"):
            text = target.caption.text
            read = read_text(self.tokenizer, text, f"{field}.caption.text") if text else None
            asked.append(AskedCaption(read, target.caption.per_token))
        return asked or [AskedCaption()]

    def predict(self, jobs: Sequence[Job[AskedCaption]]) -> list[list[pb.Prediction]]:
        """What the model says of each image."""
        rows = [Row(job.picture.tensor) for job in jobs]
        return [[_prediction(said)] for said in self.scored(rows, self.say(rows), {})]

    def explain(self, how: Explaining, jobs: Sequence[Job[AskedCaption]]) -> Iterable[Answer]:
        """A row for each caption; its words are further targets of the same row."""
        pictures = [Row(job.picture.tensor, counter=job.counter) for job in jobs]
        said = self.say(pictures)
        texts = [[asked.text or checked(own) for asked in job.asked] for job, own in zip(jobs, said, strict=True)]
        rows = [
            spoken(picture, text, place, words=asked.words)
            for job, picture, own in zip(jobs, pictures, texts, strict=True)
            for place, (asked, text) in enumerate(zip(job.asked, own, strict=True))
        ]
        every = iter(self.explained(how, rows))
        found = [[next(every) for _ in own] for own in texts]
        known = {
            place: explained.scores[0]
            for place, (job, own) in enumerate(zip(jobs, found, strict=True))
            for asked, explained in zip(job.asked, own, strict=True)
            if asked.text is None
        }
        for job, prediction, captions, own in zip(jobs, self.scored(pictures, said, known), texts, found, strict=True):
            explanations = [self._explanation(*each, job.picture) for each in zip(own, captions, strict=True)]
            yield [_prediction(prediction)], explanations

    def _explanation(self, explained: Explained, text: Text, picture: Picture) -> pb.Explanation:
        parts = zip(text.words, explained.scores[1:], explained.maps[1:], strict=bool(explained.scores[1:]))
        tokens = [
            pb.TokenMap(
                text=word.text, start=word.start, end=word.stop, score=score, heatmap=heatmap(values, picture.box)
            )
            for word, score, values in parts
        ]
        return self.explanation(explained, 0, resolved_caption(text), picture, unknown=text.unknown, tokens=tokens)


def _prediction(said: Said) -> pb.Prediction:
    return caption_prediction(said.text.text, said.score)
