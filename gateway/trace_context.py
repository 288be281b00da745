"""The W3C trace context, by which a request is found again in the traces of all services that it went through.

https://www.w3.org/TR/trace-context/
"""

import re
from dataclasses import dataclass

HEADER = "traceparent"
"""The metadata that it comes in and goes on with."""

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


@dataclass(frozen=True)
class TraceContext:
    """Where in which trace a request stands.

    Attributes:
        trace_id: of the trace, 32 hexadecimal digits.
        span_id: of the span that sent the request, 16 hexadecimal digits.
        flags: what the sender says of the trace, 0 to 255; see ``sampled``.
    """

    trace_id: str
    span_id: str
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether the sender records the trace."""
        return bool(self.flags & _SAMPLED)

    def __str__(self) -> str:
        """As the header has it."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @classmethod
    def parse(cls, header: object) -> "TraceContext | None":
        """Reads a header; None if there is none or it is malformed, which then is as if there were none."""
        found = _FORM.fullmatch(header) if isinstance(header, str) else None
        # The first version has these four fields, and later ones may have more.
        if found is None or (found[4] and str(header).startswith("00")):
            return None
        return cls(found[1], found[2], int(found[3], 16))
