"""Watching and replacing modules during one call in one thread, with nothing left on them afterwards.

PyTorch keeps a module's hooks in a dictionary that all threads share, so hooks that each call adds and removes run in
other threads' forwards and change that dictionary under them. Here a module carries one hook, counted, for as long as
any call needs it; the hook looks up what the *current thread* wants and does nothing for the others.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn
from torch.nn import functional as F

Watcher = Callable[[Any], Any]
"""Takes a module's output; returns what shall stand in its place, or None to leave it."""

StandIn = Callable[[], Any]
"""Gives what a module shall return in place of running, or None to let it run."""


@contextmanager
def watch(watchers: Mapping[nn.Module, Watcher]) -> Iterator[None]:
    """Calls each module's watcher on its output, in this thread, until the block ends however it ends.

    A watch inside a watch stands in for the outer one until it ends.
    """
    with _taps.held(watchers):
        outer, _wanted.watchers = _wanted.watchers, dict(watchers)
        try:
            yield
        finally:
            _wanted.watchers = outer


@contextmanager
def replace(stand_ins: Mapping[nn.Module, StandIn]) -> Iterator[None]:
    """Takes each module's output from its stand-in instead of running it, in this thread, until the block ends."""
    with _switches.held(stand_ins):
        outer, _wanted.stand_ins = _wanted.stand_ins, dict(stand_ins)
        try:
            yield
        finally:
            _wanted.stand_ins = outer


@contextmanager
def narrow(modules: Collection[nn.Module], count: int) -> Iterator[None]:
    """Runs each module on the first tokens of its first argument alone, in this thread, until the block ends.

    It gives zeros for the others. A module that takes no tokens ``[B, T, C]``, or no more than those, raises.
    """
    with _narrows.held(modules):
        outer, _wanted.cuts = _wanted.cuts, {module: _Cut(count) for module in modules}
        try:
            yield
        finally:
            _wanted.cuts = outer


def watched() -> Iterable[nn.Module]:
    """The modules that the current thread watches."""
    return _wanted.watchers


def replaced() -> Iterable[nn.Module]:
    """The modules that the current thread replaces."""
    return _wanted.stand_ins


@dataclass
class _Cut:
    """How many tokens a module is given, and how many there were."""

    count: int
    length: int = 0


class _Wanted(threading.local):
    """What the current thread wants of which module."""

    def __init__(self) -> None:
        self.watchers: dict[nn.Module, Watcher] = {}
        self.stand_ins: dict[nn.Module, StandIn] = {}
        self.cuts: dict[nn.Module, _Cut] = {}


class _Counted:
    """Something that modules carry while at least one call needs it."""

    def __init__(self, install: Callable[[nn.Module], Callable[[], None]]) -> None:
        """Takes what puts it on a module and returns how to take it off."""
        self._install = install
        self._lock = threading.Lock()
        self._removers: WeakKeyDictionary[nn.Module, Callable[[], None]] = WeakKeyDictionary()
        self._users: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()

    @contextmanager
    def held(self, modules: Iterable[nn.Module]) -> Iterator[None]:
        """Keeps it on these modules until the block ends."""
        with self._lock:
            for module in modules:
                if module not in self._users:
                    self._removers[module] = self._install(module)
                self._users[module] = self._users.get(module, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                for module in modules:
                    self._users[module] -= 1
                    if self._users[module] == 0:
                        self._removers.pop(module)()
                        del self._users[module]


def _install_tap(module: nn.Module) -> Callable[[], None]:
    return module.register_forward_hook(_tap).remove


def _tap(module: nn.Module, _inputs: Any, output: Any) -> Any:
    watcher = _wanted.watchers.get(module)
    return watcher(output) if watcher else None


def _install_switch(module: nn.Module) -> Callable[[], None]:
    own = vars(module).get("forward")  # some libraries put a forward on the instance

    def remove() -> None:
        if own is None:
            del module.forward
        else:
            module.forward = own

    module.forward = partial(_switch, module, module.forward)
    return remove


def _switch(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    stand_in = _wanted.stand_ins.get(module)
    output = stand_in() if stand_in else None
    return forward(*args, **kwargs) if output is None else output


def _install_narrow(module: nn.Module) -> Callable[[], None]:
    before = module.register_forward_pre_hook(_cut_off, with_kwargs=True)
    after = module.register_forward_hook(_fill_up, with_kwargs=True, prepend=True)

    def remove() -> None:
        before.remove()
        after.remove()

    return remove


def _cut_off(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    cut = _wanted.cuts.get(module)
    if cut is None:
        return None
    tokens = args[0]
    if tokens.dim() != 3 or tokens.shape[1] <= cut.count:
        raise TypeError(f"only tokens [B, T, C] can be narrowed to {cut.count}, not {list(tokens.shape)}")
    cut.length = tokens.shape[1]
    return (tokens[:, : cut.count], *args[1:]), kwargs


def _fill_up(module: nn.Module, _args: Any, _kwargs: Any, output: Any) -> Any:
    cut = _wanted.cuts.get(module)
    if cut is None:
        return None
    if isinstance(output, tuple):
        return _fill_up(module, (), {}, output[0]), *output[1:]
    return F.pad(output, (0, 0, 0, cut.length - output.shape[1]))


_wanted = _Wanted()
_taps = _Counted(_install_tap)
_switches = _Counted(_install_switch)
_narrows = _Counted(_install_narrow)
