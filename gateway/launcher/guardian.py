"""Runs a command for the process that started it, and ends it with that process, however that one ends.

A script of its own, with nothing but the standard library: ``python -IS guardian.py OWN_DIR OWNERS_DIR COMMAND...``.
Its standard input is a pipe from its owner. When the owner writes into it, or it closes because the owner died, the
command and all that it started are killed. They get no time to end by themselves: TorchServe keeps nothing, kills its
workers in just this way, and by then the gateway has finished every request. The command's folder is removed in every
case, the owner's if the owner died.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STDIN = 0


def guard(own_dir: str, owners_dir: str, command: list[str]) -> int:
    """Runs the command to its end, or to the end of the owner.

    Args:
        own_dir: removed afterwards.
        owners_dir: removed too if the owner died.
        command: what to run; it becomes the leader of its own process group.

    Returns:
        The exit status of the command; negative: the signal that ended it.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the command leaves behind becomes a child of this process
    process = subprocess.Popen(  # noqa: S603 - the launcher composed it
        command,
        stdin=subprocess.DEVNULL,
        process_group=0,
        # Should this process itself be killed, the kernel kills the command. There is one thread, so this is safe.
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509
    )
    owner_died = False
    try:
        readable, _, _ = select.select([_STDIN, os.pidfd_open(process.pid)], [], [])
        owner_died = _STDIN in readable and not os.read(_STDIN, 1)
    finally:
        # Before the leader is reaped, so that the group's number cannot have gone to a stranger.
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-process.pid, 0)
        shutil.rmtree(own_dir, ignore_errors=True)
        if owner_died:
            shutil.rmtree(owners_dir, ignore_errors=True)
    return status


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A handler, not SIG_IGN, which the command would inherit. The owner decides when to stop.
        signal.signal(number, lambda *_: None)
    result = guard(sys.argv[1], sys.argv[2], sys.argv[3:])
    sys.exit(result if result >= 0 else 128 - result)
