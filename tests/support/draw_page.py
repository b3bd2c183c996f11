"""Draw the pictures of the guide anew, so that they are never stale: page, phone's width, screen, day.

    python tests/support/draw_page.py [--language en] [--folder docs]

A demo runs for two minutes; a real browser looks at it. Needs playwright and Chromium, as CI has them.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from companions.names import names_of  # noqa: E402
from companions.screen import Screen  # noqa: E402

READY = """() => { const cells = [...document.querySelectorAll('#view tbody tr')];
  return cells.filter((row) => /[1-9]/.test(row.cells[3]?.textContent || '')).length >= 2; }"""
WIDE, HIGH = 100, 28  # of the screen
CELL = 12.2  # units of the drawing


class Watcher(threading.Thread):
    """Reads every status of the demo, as a screen does; keeps the drawing of the newest."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._home, self._screen = home, Screen(names_of(None), "stop_demo")
        self.told: dict[str, Any] = {}
        self.over = threading.Event()

    def run(self) -> None:
        """Read until told to end."""
        while not self.over.wait(0.2):
            for path in self._home.glob("kis_state/demo-*/status.json"):
                self.told = json.loads(path.read_text("utf-8"))
                self._screen.see(self.told)

    def svg(self) -> str:
        """Return the screen of now."""
        console = Console(record=True, width=WIDE, height=HIGH, file=io.StringIO())
        for line in self._screen.draw(self.told, 0.0, WIDE, HIGH):
            console.print(line)
        drawn = console.export_svg(title="python kis_realtime_trading.py")
        return re.sub(r'textLength="[\d.]+"([^>]*)>([^<]*)<', _whole_cells, drawn)


def _whole_cells(text: re.Match[str]) -> str:
    """Give a text the room of its cells: two for a letter of Korean, where the export counts one."""
    wide = cell_len(html.unescape(text[2])) * CELL
    return f'textLength="{wide:.1f}"{text[1]}>{text[2]}<'


def shoot(chromium: Any, url: str, watcher: Watcher, options: argparse.Namespace) -> None:
    """Take the page in two widths, and the screen of the same moment."""
    for name, width, tab in (("page", 1280, "overview"), ("phone-width", 390, "stock/005930")):
        page = chromium.new_context(viewport={"width": width, "height": 844}).new_page()
        page.goto(url)
        page.wait_for_function(READY, timeout=240_000)
        if options.language == "en":
            page.click("#language")
        page.evaluate(f"location.hash = '#{tab}'")
        page.wait_for_selector("#candles canvas" if "/" in tab else "section")
        if "/" in tab:
            page.wait_for_function("document.querySelectorAll('#candles canvas').length > 3")
        page.screenshot(path=str(options.folder / f"{name}.png"))
    page = chromium.new_context(viewport={"width": 1240, "height": 800}).new_page()
    page.set_content(f"<body style='margin:0'>{watcher.svg()}</body>")
    page.locator("svg").screenshot(path=str(options.folder / "screen.png"))


def main() -> int:
    """Run a demo, take its pictures when it holds two stocks, and that of the whole day."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", choices=("ko", "en"), default="ko")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    command = [
        sys.executable, str(ROOT / "kis_realtime_trading.py"), "--demo", "--plain", "--page",
        "--port", "8767", "--speed", "200", "--language", options.language,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as home, sync_playwright() as play:
        demo = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)  # fmt: skip
        watcher = Watcher(Path(home))
        watcher.start()
        try:
            assert demo.stdout
            found = (re.search(r"http://\S+key=\S+", line) for line in demo.stdout)
            url = next(match[0] for match in found if match)
            chromium = play.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            shoot(chromium, url, watcher, options)
            chromium.close()
            pictures = (re.search(r"(\S+day\.png)", line) for line in demo.stdout)
            shutil.copy(next(match[1] for match in pictures if match), options.folder / "demo.png")
        finally:
            watcher.over.set()
            demo.send_signal(signal.SIGINT)  # it ends its page and its simulator as well
            demo.wait(30)
    return 0


if __name__ == "__main__":
    sys.exit(main())
