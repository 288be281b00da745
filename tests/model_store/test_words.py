import pytest

from model_store.words import END, PAD, START, UNKNOWN, Words


@pytest.fixture
def words() -> Words:
    return Words(["a", "circle", "red"])


def test_ids_follow_the_special_ones(words: Words) -> None:
    assert len(words) == 7
    assert len({PAD, START, END, UNKNOWN}) == 4
    assert words.encode(["a", "circle", "red"]) == [4, 5, 6]


def test_case_and_punctuation_do_not_matter(words: Words) -> None:
    assert words.split("A red, RED circle?") == ["a", "red", "red", "circle"]


def test_text_in_another_script_is_unknown(words: Words) -> None:
    assert words.encode(words.split("красный круг 赤い")) == [UNKNOWN] * 3


def test_special_ids_say_nothing(words: Words) -> None:
    assert words.decode([START, 4, 6, UNKNOWN, 5, END, PAD]) == ["a", "red", "circle"]


def test_names_of_special_tokens_are_words_like_any_other(words: Words) -> None:
    assert words.encode(words.split("<end> <pad>")) == [UNKNOWN, UNKNOWN]
