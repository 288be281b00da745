"""The ``camserve`` command: predictions and explanations from the shell."""

import sys
from collections.abc import Sequence

from camserve.arguments import parser
from camserve.commands.connection import connect
from camserve.commands.inputs import InputError
from camserve.errors import CamserveError, FailedPreconditionError, InvalidArgumentError, NotFoundError

_EXIT_SERVER = 1
_EXIT_INPUT = 2
_EXIT_INTERRUPTED = 130

_INPUT_ERRORS = (InvalidArgumentError, NotFoundError, FailedPreconditionError)

_HINTS = {
    "SERVER_UNREACHABLE": "Start one with `camserve-server up`, or say where it is with --server HOST:PORT.",
    "TOKEN_REQUIRED": "Put your token into the variable CAMSERVE_TOKEN.",
    "DEADLINE_EXCEEDED": "Allow more with --timeout SECONDS.",
    "MODEL_UNKNOWN": "`camserve models` lists the models.",
    **dict.fromkeys(
        ("ANSWER_UNKNOWN", "LABEL_UNKNOWN", "LAYER_UNKNOWN", "METHOD_UNKNOWN"),
        "`camserve models NAME` lists the labels, layers and methods of a model.",
    ),
}
"""What to do next, by the reason of an error."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: arguments; None: those of the process.

    Returns:
        The exit status.
    """
    arguments = parser().parse_args(argv)
    if "local" in arguments:
        return int(arguments.local(arguments))
    try:
        with connect(arguments) as client:
            return int(arguments.run(client, arguments))
    except CamserveError as error:
        hint = f"\n{_HINTS[error.reason]}" if error.reason in _HINTS else ""
        return _fail(_EXIT_INPUT if isinstance(error, _INPUT_ERRORS) else _EXIT_SERVER, error.message + hint)
    except (InputError, OSError) as error:
        return _fail(_EXIT_INPUT, str(error))
    except KeyboardInterrupt:
        return _fail(_EXIT_INTERRUPTED, "interrupted")


def _fail(status: int, message: str) -> int:
    print(f"camserve: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
