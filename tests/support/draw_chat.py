"""Draw the chat of a whole demo day: as text, and as a picture of a real browser at a phone's width.

    python tests/support/draw_chat.py [--language en] [--seed 4] [--speed 200] [--folder docs]

The demo trades a day; nobody types but `/status` in the morning and `/report` after the close. The text goes to
standard output with the count of messages, the picture to chat.png. Needs playwright and Chromium, as CI has them.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WIDE = 412
ALL_SHOWN = "() => [...document.images].every((each) => each.complete && each.naturalWidth)"


def text_of(messages: list[dict[str, Any]]) -> str:
    """Return the chat for a person who has no picture, and how many messages the bot sent."""
    lines = []
    for each in messages:
        mark = ">" if each["mine"] else " "
        extra = (" [picture]" if each["photo"] else "") + f" (x{each['edits'] + 1})" * bool(
            each["edits"]
        )
        lines.append(f"{mark} " + each["text"].replace("\n", "\n    ") + extra)
        if each["buttons"]:
            lines.append("    " + " ".join(f"[{face}]" for face, _ in each["buttons"]))
    told = sum(not each["mine"] for each in messages)
    asked = sum(each["mine"] for each in messages)
    return "\n".join([*lines, "", f"{told} messages, {asked} of them answers"])


def take(chromium: Any, url: str, over: Any, folder: Path) -> list[dict[str, Any]]:
    """Follow the chat until the day is over; leave its picture and return its messages."""
    page = chromium.new_context(
        viewport={"width": WIDE, "height": 900}, device_scale_factor=2
    ).new_page()
    page.goto(url)

    def messages() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = page.evaluate(
            "() => fetch('/api/chat').then((r) => r.json())"
        )["messages"]
        return found

    def say(text: str) -> None:
        count = len(messages())
        page.fill("input", text)
        page.keyboard.press("Enter")
        page.wait_for_function(
            f"() => document.querySelectorAll('.row').length >= {count + 2}", timeout=60_000
        )

    page.wait_for_function("() => document.querySelectorAll('.row').length >= 3", timeout=120_000)
    say("/status")
    while not over():
        page.wait_for_timeout(500)
    page.wait_for_timeout(3_000)  # until the evening's picture is there
    page.evaluate(
        "() => { for (const each of [document.documentElement, document.body]) each.style.height = 'auto'; }"
    )
    page.wait_for_function(ALL_SHOWN)
    page.screenshot(path=str(folder / "chat.png"), full_page=True)
    return messages()


def main() -> int:
    """Run a demo with its chat and keep what stands there."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--language", choices=("ko", "en"), default="ko")
    parser.add_argument("--seed", default="4")
    parser.add_argument("--speed", default="200")
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    options = parser.parse_args()
    command = [
        sys.executable, str(ROOT / "kis_realtime_trading.py"), "--demo", "--plain", "--phone", "--seed",
        options.seed, "--speed", options.speed, "--language", options.language,
    ]  # fmt: skip
    ours, theirs = pty.openpty()  # before a terminal the chat stays open after the day
    with tempfile.TemporaryDirectory() as home, sync_playwright() as play:
        told = Path(home) / "told"
        with told.open("wb") as out:
            demo = subprocess.Popen(
                command, cwd=home, stdin=theirs, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            chromium = play.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            while not (found := re.search(r"http://\S+key=\S+", told.read_text("utf-8"))):
                assert demo.poll() is None, told.read_text("utf-8")
            stays = ("대화 화면은 계속", "the chat stays open")
            messages = take(
                chromium, found[0], lambda: any(each in told.read_text("utf-8") for each in stays),
                options.folder,
            )  # fmt: skip
            print(text_of(messages))
            chromium.close()
        finally:
            demo.terminate()
            demo.wait(30)
            os.close(ours)
            os.close(theirs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
