import asyncio
from types import SimpleNamespace

import pytest

from camserve.errors import ResourceExhaustedError
from gateway.access.allowance import ANYONE, Allowance, CallerLimits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("gateway.access.allowance.time", clock)
    return clock


def spend(allowance: Allowance, cost: int) -> None:
    with allowance.use(cost):
        pass


def test_a_burst_then_the_rate(clock: SimpleNamespace) -> None:
    allowance = Allowance("shop", CallerLimits(cost_per_second=10, burst=20))
    spend(allowance, 10)
    spend(allowance, 10)
    with pytest.raises(ResourceExhaustedError):
        spend(allowance, 1)
    clock.now = 0.5
    spend(allowance, 5)
    clock.now = 1000.0  # a rest gives a burst, not more
    spend(allowance, 20)
    with pytest.raises(ResourceExhaustedError):
        spend(allowance, 1)


def test_what_costs_more_than_a_burst_is_paid_for_afterwards(clock: SimpleNamespace) -> None:
    allowance = Allowance("shop", CallerLimits(cost_per_second=10, burst=20))
    spend(allowance, 120)
    with pytest.raises(ResourceExhaustedError) as caught:
        spend(allowance, 1)
    assert caught.value.retry_after == pytest.approx(10.1)
    clock.now = 10.2
    spend(allowance, 1)


def test_limits_that_change_forget_nothing(clock: SimpleNamespace) -> None:
    allowance = Allowance("shop", CallerLimits(cost_per_second=1, burst=10))
    spend(allowance, 10)
    allowance.change(CallerLimits(cost_per_second=100, burst=1000))
    with pytest.raises(ResourceExhaustedError):
        spend(allowance, 1)
    clock.now = 0.01
    spend(allowance, 1)


async def test_room_comes_with_time_and_with_answers() -> None:
    allowance = Allowance("shop", CallerLimits(in_hand=1))
    with allowance.use(1):
        waiting = asyncio.create_task(allowance.room(1))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    await waiting


def test_a_request_that_fails_is_not_in_hand_any_more() -> None:
    allowance = Allowance("shop", CallerLimits(in_hand=1))
    with pytest.raises(LookupError), allowance.use(1):
        raise LookupError
    spend(allowance, 1)


def test_anyone_may_do_anything() -> None:
    for _ in range(100):
        spend(ANYONE, 10**9)
