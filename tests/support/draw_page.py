"""Draw docs/page.png and docs/phone-width.png anew: the page of a running demo, in a real browser.

    python tests/support/draw_page.py [--language en] [--folder docs]

Needs playwright and Chromium, as CI has them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY = """() => { const cells = [...document.querySelectorAll('#view tbody tr')];
  return cells.filter((row) => /[1-9]/.test(row.cells[3]?.textContent || '')).length >= 2; }"""


def main() -> int:
    """Run a demo, wait until it holds two stocks, take the pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", choices=("ko", "en"), default="ko")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    command = [
        sys.executable, str(ROOT / "kis_realtime_trading.py"), "--demo", "--plain", "--page",
        "--port", "8767", "--speed", "200",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as home, sync_playwright() as play:
        demo = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)  # fmt: skip
        try:
            assert demo.stdout
            found = (re.search(r"http://\S+key=\S+", line) for line in demo.stdout)
            url = next(match[0] for match in found if match)
            chromium = play.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            for name, width, tab in (
                ("page", 1280, "overview"),
                ("phone-width", 390, "stock/005930"),
            ):
                page = chromium.new_context(viewport={"width": width, "height": 844}).new_page()
                page.goto(url)
                page.wait_for_function(READY, timeout=240_000)
                if options.language == "en":
                    page.click("#language")
                page.evaluate(f"location.hash = '#{tab}'")
                page.wait_for_selector("#candles canvas" if "/" in tab else "section")
                if "/" in tab:
                    page.wait_for_function(
                        "document.querySelectorAll('#candles canvas').length > 3"
                    )
                page.screenshot(path=str(options.folder / f"{name}.png"))
            chromium.close()
        finally:
            demo.kill()
            demo.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
