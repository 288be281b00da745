"""Small random models of each family, saved as transformers saves them, with a tokenizer and a recipe."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from handlers.adapters import load_language_model
from handlers.adapters.tokenizer import LibraryTokenizer
from model_store.recipe import load_recipe

transformers: Any = pytest.importorskip("transformers")
tokenizers: Any = pytest.importorskip("tokenizers")

transformers.utils.logging.disable_progress_bar()

SIDE = 32
GRID = (4, 4)
TEXT = "a small red circle ##s left of the blue square what colour is ? , don ' t dog"
WORDS = TEXT.split()
LABELS = ("red", "blue", "two")
PAD, UNKNOWN, CLS, SEP, DEC = range(5)


def word_pieces() -> Any:
    """As BERT's; ids are those above, then the words'."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]"]
    vocabulary = {word: index for index, word in enumerate([*names, *WORDS])}
    own = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token=names[UNKNOWN]))
    own.normalizer = tokenizers.normalizers.BertNormalizer()
    own.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    own.decoder = tokenizers.decoders.WordPiece()
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    roles = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "bos_token"), names, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own, **roles)


def byte_pairs() -> Any:
    """As GPT-2's: one special token, 0, that begins, ends and fills up."""
    own = tokenizers.Tokenizer(tokenizers.models.BPE())
    own.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    own.train_from_iterator([TEXT] * 2, trainer)
    special = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<|endoftext|>")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own, **special)


def clip_pairs() -> Any:
    """As CLIP's: byte pairs between a begin and an end, the end filling up."""
    own = byte_pairs()
    own.add_special_tokens({"bos_token": "<|startoftext|>"})
    own.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", own.bos_token_id), ("<|endoftext|>", own.eos_token_id)],
    )
    return own


def pieces() -> Any:
    """As SigLIP's file, which knows nothing of punctuation and case: an end that fills up, 1."""
    vocabulary = [(word, 0.0) for word in ("<unk>", "</s>")] + [(f"▁{word}", -1.0) for word in WORDS]
    vocabulary += [(letter, -9.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    own = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=0))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    own.decoder = tokenizers.decoders.Metaspace()
    own.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own, **special)


_LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_VISION = {"hidden_size": 16, "image_size": SIDE, "patch_size": 8, **_LAYERS}
_TEXT = {"hidden_size": 16, "max_position_embeddings": 24, **_LAYERS}
_BERT = {"vocab_size": 5 + len(WORDS), "pad_token_id": PAD, "bos_token_id": DEC, "eos_token_id": SEP}


def _blip(kind: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        text = {**_TEXT, **_BERT, "sep_token_id": SEP, "encoder_hidden_size": 16, "projection_dim": 16}
        config = transformers.BlipConfig(text_config=text, vision_config=_VISION)
        network: nn.Module = getattr(transformers, kind)(config)
        return network

    return build


def _git() -> nn.Module:
    roles = {**_BERT, "bos_token_id": CLS}
    config = transformers.GitConfig(vision_config=_VISION, **_TEXT, **roles)
    network: nn.Module = transformers.GitForCausalLM(config)
    return network


def _vit_gpt2() -> nn.Module:
    vision = transformers.ViTConfig(**_VISION)
    roles = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)
    text = transformers.GPT2Config(vocab_size=290, n_positions=24, n_embd=20, n_layer=2, n_head=2, **roles)
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, text)
    config.decoder_start_token_id = config.pad_token_id = 0
    network: nn.Module = transformers.VisionEncoderDecoderModel(config)
    return network


def _vilt() -> nn.Module:
    labels = dict(enumerate(LABELS))
    config = transformers.ViltConfig(
        **{**_TEXT, **_VISION}, vocab_size=_BERT["vocab_size"], id2label=labels, max_image_length=-1
    )
    network: nn.Module = transformers.ViltForQuestionAnswering(config)
    return network


def _clip() -> nn.Module:
    text = {**_TEXT, "vocab_size": 291, "bos_token_id": 290, "eos_token_id": 0, "pad_token_id": 0}
    config = transformers.CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=12)
    network: nn.Module = transformers.CLIPModel(config)
    return network


def _siglip() -> nn.Module:
    text = {**_TEXT, "vocab_size": 29 + len(WORDS), "projection_size": 16, "eos_token_id": 1, "pad_token_id": 1}
    config = transformers.SiglipConfig(text_config=text, vision_config=_VISION)
    network: nn.Module = transformers.SiglipModel(config)
    return network


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        task: of its recipe.
        build: makes the library's network.
        tokenizer: makes the library's tokenizer.
        layer: what is read by default.
    """

    task: str
    build: Callable[[], nn.Module]
    tokenizer: Callable[[], Any]
    layer: str


FAMILIES = {
    "blip captioner": Family(
        "caption", _blip("BlipForConditionalGeneration"), word_pieces, "network.vision_model.encoder.layers.1"
    ),
    "git": Family("caption", _git, word_pieces, "network.git.visual_projection"),
    "vit-gpt2": Family("caption", _vit_gpt2, byte_pairs, "network.encoder.layernorm"),
    "clip": Family("caption", _clip, clip_pairs, "network.vision_model.encoder.layers.1.layer_norm1"),
    "siglip": Family("caption", _siglip, pieces, "network.vision_model.post_layernorm"),
    "blip answerer": Family(
        "answer", _blip("BlipForQuestionAnswering"), word_pieces, "network.vision_model.encoder.layers.1"
    ),
    "vilt": Family("answer", _vilt, word_pieces, "network.vilt.encoder.layer.1.layernorm_before"),
}


def save(kind: str, folder: Path) -> nn.Module:
    """Writes a model's folder; returns the library's network."""
    family = FAMILIES[kind]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = family.build().eval()
        for parameter in network.parameters():
            if parameter.dim() > 1:  # drawn wide, so that images and texts matter
                nn.init.normal_(parameter, std=0.5)
    network.save_pretrained(folder)
    family.tokenizer().save_pretrained(folder)
    recipe = {
        "name": "tiny",
        "version": "1",
        "task": family.task,
        "description": "A small random network.",
        "source": {"transformers": {"config": "config.json"}},
        "weights": {"file": "model.safetensors"},
        "preprocessing": {"size": [SIDE, SIDE], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return network


def load(kind: str, folder: Path) -> tuple[Any, LibraryTokenizer, Any]:
    """A model of a kind as the server loads it, its tokenizer, and the library's network; all in float64."""
    network = save(kind, folder)
    adapter, tokenizer = load_language_model(load_recipe(folder), folder)
    return adapter.eval().requires_grad_(False).double(), tokenizer, network.double()


def images(count: int) -> Tensor:
    """Random images in float64."""
    return torch.randn(count, 3, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def rows(tokenizer: LibraryTokenizer, *texts: str, width: int = 0) -> Tensor:
    """Texts as a padded batch."""
    read = [tokenizer.read(text).tokens for text in texts]
    width = max(width, *map(len, read))
    return torch.tensor([[*tokens, *[tokenizer.pad] * (width - len(tokens))] for tokens in read])
