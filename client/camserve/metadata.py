"""The metadata of calls: who makes them, and in which trace they stand."""

from camserve.tracing import outgoing

_OWN_MACHINE = ("localhost:", "127.0.0.1:", "[::1]:", "unix:")


class CallMetadata:
    """Makes what goes with every call of a client beside its message."""

    def __init__(self, token: str, address: str, *, encrypted: bool) -> None:
        """Takes what is the same for all calls.

        Args:
            token: the caller's; empty: it has none.
            address: of the server, or several between commas.
            encrypted: whether the channel is.

        Raises:
            ValueError: the token would leave this machine readable for everyone on the way.
        """
        here = all(each.strip().startswith(_OWN_MACHINE) for each in address.split(","))
        if token and not encrypted and not here:
            raise ValueError(f"token: the connection to {address} is not encrypted; give credentials too")
        self._token = (("authorization", f"Bearer {token}"),) if token else ()

    def __call__(self) -> tuple[tuple[str, str], ...]:
        """The metadata of a call that is made now."""
        return (*self._token, *outgoing())
