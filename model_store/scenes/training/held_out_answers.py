"""The held-out report: how many questions of each kind are answered right, beside the commonest answer's share."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from model_store.scenes.dataset import KINDS, collect, draw_examples
from model_store.scenes.language import QUESTION_KINDS, Question, questions
from model_store.scenes.networks.answerer import ScenesAnswerer
from model_store.scenes.training.fit import SIDE, normalise, scenes_of
from model_store.scenes.vocabulary import ANSWERS, QUESTION_WORDS
from model_store.words import PAD, Words


@torch.no_grad()
def answers(model: ScenesAnswerer, images: np.ndarray, texts: Sequence[str], owners: Sequence[int]) -> list[str]:
    """What a model in evaluation mode answers to questions about RGB images, uint8 `[n, h, w, 3]`."""
    words = Words(QUESTION_WORDS)
    features = torch.cat([model.encoder(normalise(part)) for part in np.array_split(images, len(images) // 64 + 1)])
    said = []
    for start in range(0, len(texts), 256):
        rows = [torch.tensor(words.encode(words.split(text))) for text in texts[start : start + 256]]
        tokens: Tensor = pad_sequence(rows, batch_first=True, padding_value=PAD)
        logits = model.answers(features[list(owners[start : start + 256])], tokens)
        said += [ANSWERS[index] for index in logits.argmax(1).tolist()]
    return said


def measure(model: ScenesAnswerer, seeds: Sequence[int], workers: int) -> str:
    """A table: share of right answers by kind of question, over all kinds of scene, and by kind of scene.

    The baseline knows the question's kind and gives the commonest answer of that kind.

    Args:
        model: In evaluation mode.
        seeds: Held-out scenes, as many of each kind.
        workers: Processes that draw.
    """
    asked: list[tuple[str, Question, bool]] = []
    for kind in KINDS:
        about = [
            (index, question) for index, scene in enumerate(scenes_of([kind], seeds)) for question in questions(scene)
        ]
        images = collect(draw_examples([kind], seeds, SIDE, workers)).images
        said = answers(model, images, [question.text for _, question in about], [index for index, _ in about])
        asked += [
            (kind, question, answer == question.answer) for (_, question), answer in zip(about, said, strict=True)
        ]
    lines = [f"{'question':<10} {'right':>7} {'baseline':>9}  " + "  ".join(f"{kind:>10}" for kind in KINDS)]
    for kind in QUESTION_KINDS:
        mine = [(scene, question, right) for scene, question, right in asked if question.kind == kind]
        baseline = Counter(question.answer for _, question, _ in mine).most_common(1)[0][1] / len(mine)
        by_scene = [np.mean([right for scene, _, right in mine if scene == wanted]) for wanted in KINDS]
        share = np.mean([right for _, _, right in mine])
        lines.append(f"{kind:<10} {share:7.4f} {baseline:9.4f}  " + "  ".join(f"{part:10.4f}" for part in by_scene))
    return "\n".join(lines)
