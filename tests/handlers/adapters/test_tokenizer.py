"""Tokens, and the words that they make."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handlers.adapters.tokenizer import LibraryTokenizer, load_tokenizer
from handlers.language import Text
from model_store.recipe import RecipeError
from tests.handlers.adapters.models import FAMILIES, SEP, UNKNOWN, byte_pairs, load, save, transformers, word_pieces


def _words(text: Text) -> list[tuple[str, int]]:
    """The words and how many tokens each has."""
    assert [word.start for word in text.words] == [0, *[word.stop for word in text.words[:-1]]][: len(text.words)]
    assert not text.words or text.words[-1].stop == len(text.tokens)
    return [(word.text, word.stop - word.start) for word in text.words]


def test_words_are_as_they_were_written() -> None:
    text = LibraryTokenizer(word_pieces(), 24).read("Small red  circles, don't")
    assert text.text == "Small red  circles, don't"
    assert _words(text) == [("Small", 1), ("red", 1), ("circles", 2), (",", 1), ("don't", 3)]
    assert text.unknown == ()


def test_unknown_words_are_told_once_each() -> None:
    text = LibraryTokenizer(word_pieces(), 24).read("a zebra left of a zebra and 日本")
    assert text.unknown == ("zebra", "and", "日本")
    assert text.tokens.count(UNKNOWN) == 5


@pytest.mark.parametrize("make", [word_pieces, byte_pairs])
def test_names_of_special_tokens_are_text_like_any_other(make: Callable[[], Any]) -> None:
    tokenizer = LibraryTokenizer(make(), 99)
    special = set(make().all_special_ids) - {make().unk_token_id}
    for text in ("a [SEP] dog", "a <|endoftext|> dog"):
        assert not special & set(tokenizer.read(text).tokens)


@pytest.mark.parametrize("text", ["a red dog", "Don't!", "naïve 日本, dog", "  a  dog ", "🙂 a", "\x00\x01", "", "\n"])
def test_byte_pairs_know_every_text_and_write_it_again(text: str) -> None:
    tokenizer = LibraryTokenizer(byte_pairs(), 99)
    read = tokenizer.read(text)
    assert read.unknown == ()
    written = tokenizer.write([*read.tokens, tokenizer.pad, 70])
    assert written == read
    assert [word for word, _ in _words(read)] == [word for word, _ in _words(written)]


def test_a_character_of_several_tokens_is_of_one_word() -> None:
    text = LibraryTokenizer(byte_pairs(), 99).read("a 日 dog")
    assert [word for word, _ in _words(text)] == ["a", "日", "dog"]
    written = LibraryTokenizer(byte_pairs(), 99).write(list(text.tokens))
    assert _words(written) == _words(text)


def test_what_is_written_ends_at_an_end_and_has_no_marks() -> None:
    tokenizer = LibraryTokenizer(word_pieces(), 24)
    small, circles = tokenizer.read("small").tokens, tokenizer.read("circles").tokens
    text = tokenizer.write([tokenizer.pad, *small, *circles, SEP, *small])
    assert text.tokens == (*small, *circles)
    assert text.text == "small circles"
    assert _words(text) == [("small", 1), ("circles", 2)]
    assert tokenizer.write([SEP, *small]) == Text("", (), ())


@pytest.mark.parametrize(
    ("kind", "before", "after"), [("vilt", 1, 1), ("vit-gpt2", 0, 0), ("clip", 1, 1), ("siglip", 0, 1)]
)
def test_what_surrounds_a_text_is_the_tokenizers_own(kind: str, before: int, after: int, tmp_path: Path) -> None:
    _, tokenizer, _ = load(kind, tmp_path)
    own = FAMILIES[kind].tokenizer()("a dog")["input_ids"]
    assert [*tokenizer.before, *tokenizer.read("a dog").tokens, *tokenizer.after] == own
    assert (len(tokenizer.before), len(tokenizer.after)) == (before, after)
    assert tokenizer.longest == 24 - before - after


def test_siglips_texts_lose_case_and_punctuation(tmp_path: Path) -> None:
    save("siglip", tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace('"TokenizersBackend"', '"SiglipTokenizer"'))
    assert "SiglipTokenizer" in settings.read_text()
    tokenizer = load_tokenizer(tmp_path, transformers.AutoConfig.from_pretrained(tmp_path))
    found = tokenizer.read("A red, Dog!")
    assert found.tokens == tokenizer.read("a red dog").tokens
    assert [word.text for word in found.words] == ["A", "red", "Dog"]


def test_a_tokenizer_that_cannot_fill_up_rows_is_refused() -> None:
    own = byte_pairs()
    own.pad_token = None
    with pytest.raises(RecipeError, match="no token that fills up rows; set pad_token"):
        LibraryTokenizer(own, 24)
