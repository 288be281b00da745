import pytest

from gateway.trace_context import TraceContext

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_header_is_read_and_written() -> None:
    for flags, sampled in (("00", False), ("01", True), ("02", False), ("03", True)):
        header = f"00-{TRACE}-{SPAN}-{flags}"
        context = TraceContext.parse(header)
        assert context == TraceContext(TRACE, SPAN, int(flags))
        assert (context.sampled, str(context)) == (sampled, header)


def test_a_later_version_may_say_more() -> None:
    assert TraceContext.parse(f"01-{TRACE}-{SPAN}-01-what-the-future-brings") == TraceContext(TRACE, SPAN, 1)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"00",
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_malformed_is_as_if_it_were_not_there(header: object) -> None:
    assert TraceContext.parse(header) is None
