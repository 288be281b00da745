"""The ``camserve-playground`` command."""

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from camserve.commands.connection import connect, connection_arguments
from camserve.commands.inputs import InputError

_TIMEOUT = 120.0  # seconds: slow methods are there to be tried


def main(argv: Sequence[str] | None = None) -> int:
    """Serves the page until Ctrl-C."""
    options = _parser().parse_args(argv)
    try:
        connected = connect(options)
    except (InputError, OSError) as error:
        print(f"camserve-playground: {error}", file=sys.stderr)
        return 2
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported, which takes seconds
    import gradio as gr  # noqa: PLC0415

    from camserve_playground.page import CSS, page  # noqa: PLC0415

    port = options.port or _free_port(options.host)
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    with connected as client:
        blocks = page(client)
        blocks.launch(
            server_name=options.host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            theme=theme,
            css=CSS,
            footer_links=[],
        )
        print(f"camserve playground ready: http://{options.host}:{port} for the server {options.server}", flush=True)
        blocks.block_thread()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="camserve-playground",
        description="Serves a page to try a camserve server with, until Ctrl-C.",
        epilog="CAMSERVE_TOKEN is your token, for a server that asks for one; who can open the page then uses it.",
        parents=[connection_arguments(timeout=_TIMEOUT)],
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine)")
    parser.add_argument("--port", type=int, default=7860, help="0 for a free one (default: %(default)s)")
    return parser


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as found:
        port: int = found.getsockname()[1]
        return port


if __name__ == "__main__":
    raise SystemExit(main())
