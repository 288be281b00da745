"""Captioners and answerers of transformers, a file per family, behind what :mod:`handlers.language` describes."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from handlers.adapters.blip import BlipAnswerer, BlipCaptioner
from handlers.adapters.dual_encoder import CLIPMatcher, SiglipMatcher
from handlers.adapters.encoder_decoder import EncoderDecoderCaptioner
from handlers.adapters.git import GitCaptioner
from handlers.adapters.tokenizer import LibraryTokenizer, load_tokenizer
from handlers.adapters.vilt import ViltChooser
from handlers.hub import from_hub
from handlers.language import Answerer, Captioner, Chooser, Matcher
from handlers.libraries import import_library, transformers_config, transformers_network
from handlers.weights import load_state
from model_store.recipe import Recipe, RecipeError

LanguageModel = Captioner | Matcher | Chooser | Answerer
"""What is served."""

_FAMILIES: dict[str, dict[str, tuple[str, Callable[[nn.Module, LibraryTokenizer], LanguageModel]]]] = {
    "caption": {
        "blip": ("BlipForConditionalGeneration", BlipCaptioner),
        "clip": ("CLIPModel", CLIPMatcher),
        "git": ("GitForCausalLM", GitCaptioner),
        "siglip": ("SiglipModel", SiglipMatcher),
        "vision-encoder-decoder": ("VisionEncoderDecoderModel", EncoderDecoderCaptioner),
    },
    "answer": {
        "blip": ("BlipForQuestionAnswering", BlipAnswerer),
        "vilt": ("ViltForQuestionAnswering", ViltChooser),
    },
}
"""By task and transformers' type of model: its class there, and the adapter."""


def load_language_model(recipe: Recipe, folder: Path) -> tuple[LanguageModel, LibraryTokenizer]:
    """A captioner or answerer of transformers with its weights, in evaluation mode, and its tokenizer.

    Args:
        recipe: of task ``caption`` or ``answer``, with ``source.transformers``.
        folder: where its files lie: beside those that the recipe names, the tokenizer's, and
            ``generation_config.json`` if the model has one.

    Raises:
        RecipeError: the model is of no known family, or its files do not fit or cannot be had.
    """
    source, weights = recipe.source.transformers, recipe.weights
    if source is None:
        raise RecipeError("source.transformers is missing; name a model of transformers")
    library = import_library("transformers")
    where = from_hub(source.name, weights=weights.pretrained, language=True) if source.name else folder
    config = transformers_config(source, where)
    families = _FAMILIES[recipe.task]
    if config.model_type not in families:
        raise RecipeError(
            f"source.transformers: models of type {config.model_type} have no adapter for the task {recipe.task};"
            f" there are {', '.join(families)}"
        )
    name, adapter = families[config.model_type]
    state = load_state(folder / weights.file) if weights.file else None
    with torch.random.fork_rng(enabled=weights.random):
        if weights.random:
            torch.manual_seed(weights.seed)
        published = where if weights.pretrained else None
        network = transformers_network(getattr(library, name), config, published, state).eval()
    if (where / "generation_config.json").is_file() and hasattr(network, "generation_config"):
        network.generation_config = library.GenerationConfig.from_pretrained(where, local_files_only=True)
    tokenizer = load_tokenizer(where, config)
    return adapter(network, tokenizer), tokenizer
