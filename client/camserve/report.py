"""What the ``camserve`` command prints: tables for people, JSON for programs."""

import json
import re
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from camserve.explanation import Explanation, Faithfulness, TokenMap
from camserve.heatmap import Heatmap
from camserve.models import Model
from camserve.prediction import ExplainedTarget, Prediction
from camserve.progress import Progress
from camserve.results import ExplainResult, PredictResult

_EXPLANATION_HEADER = ("target", "probability", "score", "strongest at", "method", "layers")
_FIGURES_HEADER = ("drop", "gain", "increase", "insertion", "deletion", "unseen")
_GRID_HEADER = ("method", "target", "strongest at", "ms")
_TOKEN_HEADER = ("word", "log-probability", "strongest at")


def explain_text(result: ExplainResult, overlays: Sequence[Path]) -> str:
    """The prediction, rows for targets and their words, figures, reasons, warnings, and where the overlays are."""
    table = _table([_EXPLANATION_HEADER, *map(_explanation_row, result.explanations)])
    lines = [_predicts(result), "", table]
    measured = [(_name(each.target), *_figures(each.faithfulness)) for each in result.explanations if each.faithfulness]
    if measured:
        lines += ["", _table([("target", *_FIGURES_HEADER), *measured])]
    for explanation in result.explanations:
        if explanation.tokens:
            lines += ["", _table([_TOKEN_HEADER, *map(_token_row, explanation.tokens)])]
        if explanation.reasons:
            lines.append(_reasons_text(explanation))
        lines += [f"warning: {explanation.target.label}: {w.message}" for w in explanation.warnings]
    lines += [f"wrote {path}" for path in overlays]
    return "\n".join(lines)


def explain_json(result: ExplainResult, overlays: Sequence[Path]) -> str:
    """The ``ExplainResponse``, with each map's data as rows of numbers and the paths of the overlays."""
    return json.dumps(_explain_content(result, overlays), indent=2)


def grid_text(results: Sequence[ExplainResult], pictures: Sequence[Path]) -> str:
    """The prediction, a row for each method and target with its time, figures, warnings, and where the picture is."""
    measured = any(explanation.faithfulness for result in results for explanation in result.explanations)
    rows: list[Sequence[str]] = [(*_GRID_HEADER, *(_FIGURES_HEADER if measured else ()))]
    warnings = []
    for result in results:
        for explanation in result.explanations:
            rows.append(_grid_row(explanation, result.timing.total, measured=measured))
            warnings += [f"warning: {explanation.method}: {warning.message}" for warning in explanation.warnings]
    wrote = [f"wrote {path}" for path in pictures]
    return "\n".join([_predicts(results[0]), "", _table(rows), *warnings, *wrote])


def grid_json(results: Sequence[ExplainResult], pictures: Sequence[Path]) -> str:
    """The ``ExplainResponse`` of each method, as :func:`explain_json` gives one."""
    return json.dumps([_explain_content(result, pictures) for result in results], indent=2)


def progress_text(progress: Progress) -> str:
    """Where a method stands, in a line."""
    objectives = ", ".join(f"{value:.4f}" for value in progress.objectives)
    return f"step {progress.step} of {progress.steps}" + (f", objective {objectives}" if objectives else "")


def predict_text(result: PredictResult) -> str:
    """A row for each prediction."""
    rows = [("prediction", "probability", "score")]
    rows += [(p.label, f"{p.probability:.4f}", _figure(p.score)) for p in result.predictions]
    return _table(rows)


def models_text(models: Sequence[Model]) -> str:
    """A row for each model."""
    rows = [("model", "version", "task", "state", "weights", "default method", "description")]
    rows += [
        (
            model.name,
            model.version + (" (default)" if model.default_version else ""),
            model.task,
            "ready" if model.ready else "not ready",
            model.weights,
            model.default_method,
            model.description,
        )
        for model in models
    ]
    return _table(rows)


def model_text(model: Model) -> str:
    """All that a caller wants to know of a model."""
    limits = model.limits
    rows = [
        ("model", f"{model.name} {model.version}"),
        ("description", model.description),
        ("task", model.task),
        ("state", "ready" if model.ready else "not ready"),
        ("weights", model.weights),
        ("input", f"{model.input_size[0]} x {model.input_size[1]} (height x width), {model.fit}"),
        ("layers", ", ".join(_starred(model.layers, model.default_layers))),
        ("methods", ", ".join(_starred([method.id for method in model.methods], [model.default_method]))),
        ("limits", f"{limits.max_image_bytes} bytes, {limits.max_image_pixels} pixels, {limits.max_targets} targets"),
        ("labels", ", ".join(model.labels)),
    ]
    return _table(rows) + "\n(* default)"


def message_json(message: Message) -> str:
    """A message as JSON, by the names of the contract."""
    return json.dumps(_content(message), indent=2)


def messages_json(messages: Sequence[Message]) -> str:
    """Messages as a JSON list."""
    return json.dumps([_content(message) for message in messages], indent=2)


def file_name(label: str) -> str:
    """A label as part of a file name."""
    return re.sub(r"[^\w.-]+", "-", label).strip("-.")[:60] or "target"


def _explain_content(result: ExplainResult, overlays: Sequence[Path]) -> dict[str, Any]:
    content = _content(result.proto)
    for explanation, message in zip(result.explanations, content["explanations"], strict=True):
        _spell_out(explanation.heatmap, message["heatmap"])
        for token, token_message in zip(explanation.tokens, message["tokens"], strict=True):
            _spell_out(token.heatmap, token_message["heatmap"])
    content["overlays"] = [str(path) for path in overlays]
    return content


def _predicts(result: ExplainResult) -> str:
    predicted = ", ".join(map(_prediction_text, result.predictions[:1])) or "nothing of its own"
    return f"{result.model} {result.version} predicts {predicted}"


def _name(target: ExplainedTarget) -> str:
    return f"against {target.label}" if target.polarity == "counter" else target.label


def _explanation_row(explanation: Explanation) -> Sequence[str]:
    target = explanation.target
    return (
        _name(target),
        "" if target.probability is None else f"{target.probability:.4f}",
        _figure(explanation.score),
        _peak(explanation.heatmap),
        explanation.method,
        ", ".join(explanation.layers),
    )


def _grid_row(explanation: Explanation, seconds: float, *, measured: bool) -> Sequence[str]:
    figures = explanation.faithfulness
    measures = _figures(figures) if figures else [""] * len(_FIGURES_HEADER)
    row = (explanation.method, _name(explanation.target), _peak(explanation.heatmap), f"{1000 * seconds:.0f}")
    return (*row, *measures) if measured else row


def _figures(figures: Faithfulness) -> Sequence[str]:
    return (
        f"{figures.average_drop:.1f} %",
        f"{figures.average_gain:.1f} %",
        "yes" if figures.increase else "no",
        f"{figures.insertion_auc:.3f}",
        f"{figures.deletion_auc:.3f}",
        "unknown" if isnan(figures.unseen_share) else f"{100 * figures.unseen_share:.1f} %",
    )


def _token_row(token: TokenMap) -> Sequence[str]:
    return (token.text, _figure(token.score), _peak(token.heatmap))


def _reasons_text(explanation: Explanation) -> str:
    """The named units that spoke for what the map shows, and those that spoke against it."""
    texts = {reason: f"{reason.name} ({reason.contribution:+.2g})" for reason in explanation.reasons}
    favour = ", ".join(text for reason, text in texts.items() if reason.contribution > 0) or "nothing named"
    against = ", ".join(text for reason, text in texts.items() if reason.contribution < 0) or "nothing named"
    return f"{_name(explanation.target)} because: {favour}; against: {against}"


def _peak(heatmap: Heatmap) -> str:
    left, top = heatmap.peak()
    return f"x {left:.0f}, y {top:.0f}"


def _prediction_text(prediction: Prediction) -> str:
    return f"{prediction.label} (probability {prediction.probability:.4f})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _starred(names: Sequence[str], defaults: Sequence[str]) -> list[str]:
    return [f"{name}*" if name in defaults else name for name in names]


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _content(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _spell_out(heatmap: Heatmap, message: dict[str, Any]) -> None:
    del message["data"]
    message["values"] = heatmap.values.tolist()
