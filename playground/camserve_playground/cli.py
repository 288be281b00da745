"""The ``camserve-playground`` command."""

import argparse
import os
import socket
from collections.abc import Sequence

from camserve import ExplanationClient
from camserve.channel import DEFAULT_ADDRESS

_TIMEOUT = 120.0  # seconds: slow methods are there to be tried


def main(argv: Sequence[str] | None = None) -> int:
    """Serves the page until Ctrl-C."""
    options = _parser().parse_args(argv)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported, which takes seconds
    import gradio as gr  # noqa: PLC0415

    from camserve_playground.page import CSS, page  # noqa: PLC0415

    port = options.port or _free_port(options.host)
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    with ExplanationClient(options.server, timeout=_TIMEOUT) as client:
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
        prog="camserve-playground", description="Serves a page to try a camserve server with, until Ctrl-C."
    )
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("CAMSERVE_SERVER", DEFAULT_ADDRESS),
        help="address of the server (default: $CAMSERVE_SERVER, else localhost:50051)",
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
