"""The page: its widgets, and which callback each of them has."""

from pathlib import Path

import gradio as gr

from camserve import ExplanationClient
from camserve.rendering import COLORMAPS, DEFAULT_OPACITY
from camserve_playground import choices, showing
from camserve_playground.callbacks import BY_MAP, Callbacks

PICTURES = tuple(sorted((Path(__file__).parent / "pictures").glob("*.jpg")))
_TITLE = "# camserve playground\nWhat a vision model predicts, and what in the image spoke for it."
CSS = "#words .grid-wrap, #methods .grid-wrap { min-height: 0 !important; max-height: none !important; }"
"""Galleries as high as what they hold."""

_HELLO = "Drop an image or take one of the pictures, and press **Explain**."


def page(client: ExplanationClient) -> gr.Blocks:
    """Builds the page for a server; it asks for the models whenever it is loaded."""
    callbacks = Callbacks(client)
    with gr.Blocks(title="camserve playground") as blocks:
        models, answered = gr.State(()), gr.State(None)
        gr.Markdown(_TITLE)
        with gr.Row():
            with gr.Column(scale=2):
                image = gr.Image(type="filepath", label="Image", height=320, elem_id="image", sources=["upload"])
                gr.Examples([[str(path)] for path in PICTURES], [image], label="Pictures of the scenes world")
                model = gr.Dropdown([], label="Model", elem_id="model")
                method = gr.Dropdown([], label="Method", elem_id="method")
                label = gr.Dropdown([choices.OWN], value=choices.OWN, label="Class", elem_id="class")
                question = gr.Textbox("what colour is the star?", label="Question", visible=False, elem_id="question")
                text = gr.Textbox("", label="Text", placeholder=choices.OWN, visible=False, elem_id="text")
                compared = gr.Dropdown([], multiselect=True, label="Compare with", elem_id="compared")
                polarity = gr.Radio(
                    [("for it", "support"), ("against it", "counter")], value="support", label="Show what speaks"
                )
                faithfulness = gr.Checkbox(label="Measure the maps (tens of further forwards)", elem_id="measure")
                button = gr.Button("Explain", variant="primary", elem_id="explain")
            with gr.Column(scale=3):
                with gr.Row():
                    overlay = gr.Image(
                        label="Overlay",
                        height=360,
                        elem_id="overlay",
                        interactive=False,
                        format="png",
                        buttons=["download", "fullscreen"],
                    )
                    with gr.Column(min_width=200):
                        predicted = gr.Label(label="Prediction", num_top_classes=5, elem_id="prediction")
                        opacity = gr.Slider(0, 1, DEFAULT_OPACITY, step=0.05, label="Opacity", elem_id="opacity")
                        colormap = gr.Dropdown([BY_MAP, *COLORMAPS], value=BY_MAP, label="Colours", elem_id="colours")
                remarks = gr.Markdown(_HELLO, elem_id="remarks")
                words = _gallery("Words", "words", columns=6)
                figures = gr.Dataframe(
                    headers=list(showing.FIGURES), label="How good the maps are", visible=False, elem_id="figures"
                )
                methods = _gallery("Methods side by side", "methods", columns=4)

        blocks.load(callbacks.load, outputs=[models, model])
        model.change(callbacks.choose, [models, model], [method, label, question, text, compared])
        asked = [image, model, method, label, question, text, compared, polarity, faithfulness]
        drawn = [overlay, words, methods]
        button.click(
            callbacks.explain,
            [models, *asked, colormap, opacity],
            [answered, predicted, remarks, figures, *drawn],
        )
        looks = [opacity.release, colormap.change]
        gr.on(looks, callbacks.draw, [answered, colormap, opacity], drawn, show_progress="hidden")
    return blocks


def _gallery(label: str, name: str, columns: int) -> gr.Gallery:
    return gr.Gallery(label=label, columns=columns, height="auto", visible=False, elem_id=name, buttons=["fullscreen"])
