"""The playground in a real browser that reaches this machine and nothing else."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from gateway.launcher.server import Server
from tests.e2e.conftest import PICTURES
from tests.machine import CHROMIUM, PLAYGROUND

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PLAYGROUND is None, reason="make install-playground has not been run"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; on Debian: apt install chromium"),
]

SHOTS = Path("out/playground")


@pytest.fixture(scope="module")
def address(scenes: Server) -> Iterator[str]:
    """Where the page is served."""
    assert PLAYGROUND is not None
    command = [PLAYGROUND, "--server", scenes.address, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().partition("ready: ")[2].split()[0]
        process.terminate()


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    """The page, loaded, with a picture chosen; nothing beyond this machine was asked for."""
    strangers: list[str] = []

    def route(each: Route) -> None:
        own = each.request.url.startswith((address, "data:", "blob:"))
        (each.continue_ if own else each.abort)()
        if not own:
            strangers.append(each.request.url)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.route("**/*", route)
        page.goto(address)
        expect(page.locator("#model input")).to_have_value("scenes-classifier 1 (classify)")
        page.set_input_files("#image input[type=file]", PICTURES / "star-and-circle.jpg")
        expect(page.locator("#image img")).to_be_visible()
        yield page
        browser.close()
    assert strangers == []


def _choose(page: Page, widget: str, text: str) -> None:
    page.click(f"#{widget} input")
    page.get_by_role("option", name=text).first.click()


def _shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def _overlay(page: Page) -> str:
    return page.locator("#overlay img").get_attribute("src") or ""


def test_a_class_by_several_methods_with_figures(page: Page) -> None:
    _choose(page, "class", "circle")
    page.click("#compared input")
    page.get_by_role("option", name="layer-cam").first.click()
    page.keyboard.press("Escape")
    page.check("#measure input")
    page.click("#explain")
    expect(page.locator("#remarks")).to_contain_text("circle, score")
    expect(page.locator("#remarks")).to_contain_text("grad-cam at stage4")
    expect(page.locator("#prediction")).to_contain_text("%")
    expect(page.locator("#methods img")).to_have_count(2)
    expect(page.locator("#figures")).to_contain_text("layer-cam")
    _shot(page, "class")


def test_the_opacity_slider_draws_again(page: Page) -> None:
    before = _overlay(page)
    page.fill("#opacity input[type=number]", "0.9")
    page.keyboard.press("Enter")
    page.locator("#opacity input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#opacity input[type=range]").dispatch_event("pointerup")
    page.wait_for_function("old => document.querySelector('#overlay img').src !== old", arg=before)


def test_an_example_is_taken(page: Page) -> None:
    before = page.locator("#image img").get_attribute("src")
    page.locator("button.gallery-item").first.click()
    page.wait_for_function("old => document.querySelector('#image img').src !== old", arg=before)


def test_a_caption_has_a_map_for_each_word(page: Page) -> None:
    _choose(page, "model", "scenes-captioner 1 (caption)")
    expect(page.locator("#text")).to_be_visible()
    page.fill("#text textarea, #text input", "a small red circle")
    page.click("#explain")
    expect(page.locator("#remarks")).to_contain_text("a small red circle, score")
    expect(page.locator("#words img")).to_have_count(4)
    _shot(page, "caption")


def test_a_question_is_answered_and_a_fault_is_told(page: Page) -> None:
    _choose(page, "model", "scenes-vqa 1 (answer)")
    page.fill("#question textarea, #question input", "what colour is the cross?")
    page.click("#explain")
    expect(page.locator("#remarks")).to_contain_text("yellow, score")
    expect(page.locator("#prediction")).to_contain_text("yellow")
    _shot(page, "answer")
    page.fill("#text textarea, #text input", "plaid")
    page.click("#explain")
    expect(page.locator(".toast-body").first).to_contain_text("is no answer of the model: 'plaid'")
