import pytest

from camserve import AsyncExplanationClient, ExplanationClient
from camserve.channel import channel_target


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("localhost:50051", "localhost:50051"),
        ("dns:///camserve:50051", "dns:///camserve:50051"),
        ("10.0.0.1:50051, 10.0.0.2:50051", "ipv4:10.0.0.1:50051,10.0.0.2:50051"),
        ("[::1]:50051,[::2]:50051", "ipv6:[::1]:50051,[::2]:50051"),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
    ],
)
def test_what_grpc_calls_an_address(address: str, target: str) -> None:
    assert channel_target(address) == target


@pytest.mark.parametrize("address", ["one:50051,two:50051", "10.0.0.1:1,[::1]:1", "10.0.0.1:1,", "10.0.0.1,10.0.0.2"])
def test_several_that_grpc_has_no_word_for(address: str) -> None:
    for client in (ExplanationClient, AsyncExplanationClient):
        with pytest.raises(ValueError, match="dns:///NAME:PORT"):
            client(address)
