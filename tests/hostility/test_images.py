"""The one function that decodes strangers' images, against those that were made to hurt it."""

import pytest

from camserve.errors import InvalidArgumentError
from camserve.image import ImageLimits, decode, read_header
from tests.hostility.images import malformed_images, many_scans, sound_image


def test_every_malformed_image_is_refused_as_the_callers_fault() -> None:
    images = malformed_images()
    assert len(images) >= 200
    reasons = {name: refusal(data) for name, data in images.items()}
    assert {name: reason for name, reason in reasons.items() if not reason.startswith("IMAGE_")} == {}


def refusal(data: bytes) -> str:
    """The reason for which an image is refused."""
    try:
        decode(data)
    except InvalidArgumentError as error:
        return error.reason
    return "none"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_the_images_that_the_others_are_made_of_are_sound(format_: str) -> None:
    assert decode(sound_image(format_)).shape == (64, 64, 3)


def test_a_usual_number_of_scans_is_welcome_and_more_are_refused_by_the_header() -> None:
    assert decode(many_scans(20)).shape == (256, 256, 3)
    with pytest.raises(InvalidArgumentError) as caught:
        read_header(many_scans(100))
    assert (caught.value.reason, caught.value.metadata) == ("IMAGE_TOO_COMPLEX", {"limit": "100"})


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP"])
def test_decoding_has_an_end(format_: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        decode(sound_image(format_), ImageLimits(max_decode_seconds=0))
    assert caught.value.reason == "IMAGE_TOO_COMPLEX"
