"""A name server on this machine."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Self

_HEADER = struct.Struct(">6H")  # id, flags, and how many questions, answers, authorities, additionals
_A = 1


class NameServer(asyncio.DatagramProtocol):
    """Says of every name that it stands for some IPv4 addresses, and knows nothing else.

    Attributes:
        addresses: those.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answers a question."""
        number, _, _, _, _, _ = _HEADER.unpack_from(data)
        end = data.index(0, _HEADER.size) + 5  # the name ends with 0, then come type and class
        (kind,) = struct.unpack_from(">H", data, end - 4)
        addresses = self.addresses if kind == _A else []
        # The name of an answer points to that of the question, at byte 12; it may be kept for a second.
        answers = b"".join(
            struct.pack(">HHHIH", 0xC00C, _A, 1, 1, 4) + socket.inet_aton(address) for address in addresses
        )
        header = _HEADER.pack(number, 0x8580, 1, len(addresses), 0, 0)  # an answer, by who is in charge of the name
        self._transport.sendto(header + data[_HEADER.size : end] + answers, addr)
