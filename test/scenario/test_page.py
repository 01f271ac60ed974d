"""The worry: the first thing that a stranger sees of Limpet is a page that is broken, ugly, or wrong about what it shows.

The story: somebody runs `limpet demo` and opens the page in a browser. It says which slot, process and generation he has
and where he comes from. He sends a text and gets it back. He kills his worker with the very command that the page shows: the
page returns by itself to the same slot, in its next generation. He kills the acceptor: the page's WebSocket does not even
notice. Nothing is fetched from another host and nothing complains in the console, in light, in dark and on a phone.
SPDX-License-Identifier: ISC
"""
import json
import os
import signal
import subprocess

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from client import http_get
from limpet import free_port, is_sanitized, wait_until

PATIENCE = 30
LOOKS = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light"),
         "small phone": (320, 568, "dark")}
CHROMIUM = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]

# What a person would notice: text that leaves its sheet, and sheets that leave the screen.
OVERFLOWING = """
    const wide = document.documentElement.clientWidth;
    return [...document.querySelectorAll("body *:not(input)")].filter(e => e.getBoundingClientRect().right > wide + 0.5 ||
        getComputedStyle(e).display !== "inline" && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
        .map(e => e.outerHTML.slice(0, 80));
"""

# Contrast of each text with the nearest ground behind it (WCAG 2.2, 1.4.3), as [ratio, text].
CONTRASTS = """
    const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgb = colour => {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        return [...paint.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => {
        const colour = rgb(getComputedStyle(e).backgroundColor);
        return colour[3] === 255 || !e.parentElement ? colour : ground(e.parentElement);
    };
    return [...document.querySelectorAll("body *")].filter(e => e.offsetParent && !e.disabled &&
        [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
            const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.trim()];
        });
"""


class Page:
    """The demo's page in a browser of its own."""

    def __init__(self, port, profile, look):
        width, height, scheme = LOOKS[look]
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for argument in CHROMIUM + [f"--user-data-dir={profile}", f"--window-size={width},{height}"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.origin = f"127.0.0.1:{port}"
        self.browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme},
                         {"name": "prefers-reduced-motion", "value": "reduce"}]})
        self.browser.get_log("performance")         # what the browser did before belongs to nobody
        self.browser.get(f"http://{self.origin}/")

    def element(self, name):
        return self.browser.find_element(By.ID, name)

    def text(self, name):
        return self.element(name).text

    def events(self):
        """Newest first."""
        return [e.text for e in self.browser.find_elements(By.CSS_SELECTOR, "#events li span")]

    def wait_for(self, name, wanted):
        wait_until(lambda: wanted(self.text(name)), PATIENCE,
                   lambda: f"{name} is {self.text(name)!r}; {self.events()}")

    def wait_connected(self):
        self.wait_for("state", lambda state: state == "connected")

    def echo(self, words):
        self.element("text").clear()
        self.element("text").send_keys(words)
        self.element("send").click()
        self.wait_for("echo", lambda said: said.startswith(words + " came back in "))

    def requests(self):
        """The addresses that the page asked for since the last call."""
        found = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                found.append(message["params"]["url"])
        return found

    def complaints(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def demo(limpet):
    limpet.port = free_port()
    return limpet.start(["demo", "-b", f"127.0.0.1:{limpet.port}"])


@pytest.fixture
def open_page(demo, tmp_path):
    pages = []

    def open_one(look="light"):
        pages.append(Page(demo.port, tmp_path / "profile", look))
        pages[-1].wait_connected()
        return pages[-1]
    yield open_one
    for page in pages:
        page.browser.quit()


def test_shows_whom_you_have(demo, open_page):
    page = open_page()
    me = http_get(demo.port, "/whoami", "127.0.0.1")
    assert page.text("slot") == str(me["slot"])
    assert int(page.text("pid")) == me["pid"] == demo.workers()[me["slot"]]
    assert page.text("generation") == "1"
    assert page.text("pool") == "demo"
    assert page.text("client").startswith("127.0.0.1:")
    assert page.browser.title == f"slot {me['slot']} · Limpet"
    page.echo("Grüße, <b>rock</b> & 岩")
    page.echo("again")
    asked = page.requests()
    assert {address.split("/")[2] for address in asked if not address.startswith("data:")} == {page.origin}
    assert f"ws://{page.origin}/ws" in asked
    assert page.complaints() == []


def test_the_commands_that_it_shows_work(demo, open_page):
    """The text of the page is pasted into a shell, as a visitor does it."""
    page = open_page()
    answer = subprocess.run(["/bin/sh", "-c", page.text("curl")], stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
    assert json.loads(answer.stdout)["client"] == "127.0.0.2"
    slot = page.text("slot")
    for generation in "2", "3":
        before = page.text("pid")
        subprocess.run(["/bin/sh", "-c", page.text("kill")], timeout=PATIENCE, check=True)
        page.wait_for("generation", lambda now, wanted=generation: now == wanted)
        page.wait_connected()
        assert page.text("slot") == slot
        assert int(page.text("pid")) == demo.workers()[int(slot)] != int(before)
        assert page.events()[:2] == [
            f"returned to slot {slot}: generation {generation}, process {page.text('pid')}", "the connection was lost"]
        page.echo(f"generation {generation}")
    assert page.complaints() == []


def test_death_of_the_acceptor_is_not_noticed(demo, open_page):
    page = open_page()
    client = page.text("client")
    for _ in range(3):
        acceptor = demo.acceptor_pid()
        os.kill(acceptor, signal.SIGKILL)
        wait_until(lambda old=acceptor: demo.acceptor_pid() not in (None, old), PATIENCE)
        page.echo("still here")
    assert http_get(demo.port)["client"] == "127.0.0.1"
    assert page.text("state") == "connected"
    assert page.text("client") == client, "the same connection"
    assert len(page.events()) == 1, "connected once, and nothing since"
    assert page.complaints() == []


def test_a_stopped_demo_says_so(demo, open_page):
    """Nobody looks at old figures and believes them: they fade, and nothing can be sent."""
    page = open_page()
    demo.stop(signal.SIGINT)        # SIGTERM would wait for the page's WebSocket
    page.wait_for("state", lambda state: state in ("disconnected", "connecting"))
    assert not page.element("send").is_enabled()
    assert float(page.element("pid").value_of_css_property("opacity")) < 0.5
    assert page.events()[0] == "the worker said goodbye"


# The page is the same whoever serves it: a sanitized worker is looked at once.
@pytest.mark.parametrize("look", ["light"] if is_sanitized() else LOOKS)
def test_looks(demo, open_page, tmp_path, look):
    page = open_page(look)
    page.echo("Hello, rock. " * 6 + "unbroken" * 12)
    demo.kill_worker(int(page.text("slot")))
    page.wait_for("generation", lambda now: now == "2")
    page.wait_connected()
    page.browser.save_screenshot(str(tmp_path / f"{look}.png"))
    assert page.browser.execute_script(OVERFLOWING) == []
    poor = [(round(ratio, 1), text) for ratio, text in page.browser.execute_script(CONTRASTS) if ratio < 4.5]
    assert poor == []
    assert page.complaints() == []
