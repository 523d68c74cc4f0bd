"""The page in a real browser: no error in the console, pictures drawn, zooming and hovering work, keyboard reaches all.

Skipped where there is no Chromium; continuous integration installs one.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from records_for_tests import table_task, tree
from stores_for_tests import write_store

import bayesgc as gc
from bayesgc.analysis.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="no Chromium with its driver")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_window_size(1200, 900)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of a result, of a completed table with hostile labels, and of a sweep."""
    folder = tmp_path_factory.mktemp("pages")
    task = table_task()
    task.coords["row"][0] = "<script>window.evil = 1</script>"
    for name, result in {"result": tree(), "table": tree(task)}.items():
        gc.save_result(result, folder / f"{name}.nc")
    write_store(folder / "sweep.d", {"depth": [2, 3], "task_seed": [0, 1]})
    sources = {"result": "result.nc", "table": "table.nc", "sweep": "sweep.d"}
    return {name: write_report(folder / source, folder / f"{name}.html") for name, source in sources.items()}


def opened(browser: Any, page: Path) -> Any:
    """The page, once Bokeh says that everything is drawn."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(page.as_uri())
    deadline = time.monotonic() + 60
    while not browser.execute_script("return Bokeh.documents.length > 0 && Bokeh.documents.every(d => d.is_idle)"):
        assert time.monotonic() < deadline, "the pictures are not drawn"
        time.sleep(0.1)
    return browser


@pytest.mark.parametrize(("name", "pictures"), [("result", 5), ("table", 4), ("sweep", 1)])
def test_a_page_is_drawn_without_errors_or_requests(
    browser: Any, pages: dict[str, Path], name: str, pictures: int
) -> None:
    opened(browser, pages[name])
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    requests = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in requests if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("file:", "data:", "blob:"))] == []
    live = browser.find_elements("css selector", "figure.moving .live")
    assert len(live) == pictures
    assert all(each.size["height"] > 250 and each.size["width"] > 250 for each in live)
    assert browser.find_elements("css selector", "table tbody tr")
    assert browser.execute_script("return window.evil") is None


def test_hovering_shows_what_is_under_the_pointer(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver import ActionChains

    opened(browser, pages["sweep"])
    live = browser.find_element("css selector", "figure.moving .live")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", live)
    x, y = browser.execute_script(PLACE_OF_POINT)
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(x - 30, y)
    actions.w3c_actions.pointer_action.move_to_location(x, y)
    actions.perform()
    deadline = time.monotonic() + 20
    while "median" not in (text := browser.execute_script(TOOLTIPS)):
        assert time.monotonic() < deadline, f"no tooltip, but {text!r}"
        time.sleep(0.1)
    assert "G&C posterior" in text
    losses = xr.load_dataset(pages["sweep"].parent / "sweep.d" / "sweep.nc", engine="h5netcdf")["posterior_gen_loss"]
    assert f"median: {losses.sel(depth=2).median().item():.3g} quartiles" in text


def test_zooming_in_narrows_the_axis(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["sweep"])
    before = browser.execute_script(SPAN)
    button = browser.execute_script(ZOOM_BUTTON)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()
    deadline = time.monotonic() + 20
    while browser.execute_script(SPAN) >= before:
        assert time.monotonic() < deadline, "the axis is as it was"
        time.sleep(0.1)


def test_a_phone_scrolls_down_and_not_sideways(browser: Any, pages: dict[str, Path]) -> None:
    browser.set_window_size(500, 900)
    try:
        for page in pages.values():
            opened(browser, page)
            wide, shown = browser.execute_script(
                "return [document.body.scrollWidth, document.documentElement.clientWidth]"
            )
            assert wide <= shown
    finally:
        browser.set_window_size(1200, 900)


def test_keyboard_and_screen_reader_find_their_way(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(browser, pages["result"])
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the answer"
    reached = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.execute_script("return document.activeElement.tagName"))
    assert {"A", "DIV"} <= set(reached)  # the links, then the tables, which scroll
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    assert {"main", "navigation", "banner", "contentinfo", "table", "figure", "heading"} <= set(roles)
    images = [node for node in tree if not node["ignored"] and node["role"]["value"] == "image"]
    assert len(images) == 5
    assert all(len(node["name"]["value"]) > 20 for node in images)


def test_print_shows_the_still_pictures(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["result"])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = browser.execute_script(
            "return [...document.querySelectorAll('.still')].map(e => [e.clientWidth > 100, e.naturalWidth > 0])"
        )
        assert shown == [[True, True]] * 5
        assert not any(each.is_displayed() for each in browser.find_elements("css selector", ".live"))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


PLACE_OF_POINT = """
const view = Object.values(Bokeh.index.roots ?? Bokeh.index)[0];
const plot = view.model.type === "Figure" ? view : view.child_views[0];
const glyph = [...plot.renderer_views.values()].find(
  r => r.model.glyph?.type === "Scatter" && plot.model.renderers.indexOf(r.model) > 4);
const box = plot.el.getBoundingClientRect();
const inner = plot.frame.bbox ?? plot.frame_view.bbox;
return [Math.round(box.left + glyph.glyph.sx[0]), Math.round(box.top + glyph.glyph.sy[0])];
"""

TOOLTIPS = """
const texts = [];
const walk = root => root.querySelectorAll("*").forEach(e => {
  if (e.classList.contains("bk-Tooltip")) texts.push(e.shadowRoot.querySelector(".bk-tooltip-content").textContent);
  if (e.shadowRoot) walk(e.shadowRoot);
});
walk(document);
return texts.join(" ");
"""

ZOOM_BUTTON = """
const buttons = [];
const walk = root => root.querySelectorAll("*").forEach(e => {
  if (/zoom in/i.test(e.title ?? "")) buttons.push(e);
  if (e.shadowRoot) walk(e.shadowRoot);
});
walk(document);
return buttons[0];
"""

SPAN = "const range = Bokeh.documents[0].roots()[0].y_range; return range.end - range.start;"


@pytest.mark.parametrize("name", ["result", "table", "sweep"])
def test_a_phone_shows_every_column(browser: Any, pages: dict[str, Path], name: str) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened(browser, pages[name])
        widths = browser.execute_script(
            "return [...document.querySelectorAll('.scroller')].map(e => [e.scrollWidth, e.clientWidth])"
        )
        adjusted = browser.execute_script("return getComputedStyle(document.documentElement).textSizeAdjust")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert len(widths) >= 3
    assert all(whole <= seen for whole, seen in widths)
    assert adjusted == "100%"  # else a phone enlarges text and not tables
