"""Say every word of the phone to a bot that trades, and print the table: word, danger, time, answer.

    python tests/support/phone_table.py [--language en] [--whole] > table.md

The bot trades on a simulated market in quick time and hears the real library through the small Bot
API server. The time is that from the word to its answer in the chat, in seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "bot")]

import edge  # noqa: E402
import test_phone  # noqa: E402

import kis_realtime_trading as bot  # noqa: E402

STOCK = "삼성전자"
# In an order in which each has something to say; {code} is the code that the word before asked for.
SAID = (
    "/status", "/positions", "/buy 삼성전자 3", "/yes {code}", "/orders", "/positions", "/balance",
    "/watchlist", "/chart 삼성전자", "/why 삼성전자", "/limits", "/holds", "/locks", "/health", "/logs 3", "/version",
    "/help", "/notify", "/notify fill silent", "/cancel 0000000001", "/sell 삼성전자", "{tap}", "/trades",
    "/profit", "/daily", "/weekly", "/monthly", "/performance", "/stats", "/report", "/stop", "/resume",
    "/yes {code}", "/reduce", "/flatten", "{tap}", "/unlock 삼성전자", "/resolve abc=absent", "/accept",
    "/levels 삼성전자=keep",
)  # fmt: skip
Line = tuple[str, str, float, str]


def danger_of(text: str) -> str:
    """Return what proof a word asks for; "/yes" is the proof itself."""
    word = bot.COMMANDS.get(text.split()[0].lstrip("/"))
    return word.danger.value if word else "its proof"


async def ask_all(folder: Path, language: str) -> list[Line]:
    """Say all words; return each with its danger, the seconds and the answer."""
    lines: list[Line] = []
    async with test_phone.trading(folder, language) as chat:
        position = chat.trader.engine.core.ledger.position(test_phone.SYMBOL)
        rows = chat.trader.journal.rows
        await chat.trader.bridge.learn_names()  # as the program does beside the trader
        await edge.until(lambda: next(rows("bar"), None) is not None)
        for text in SAID:
            before: Any = chat.mine()[-1] if chat.mine() else None
            code = re.search(r"\b[0-9]{6}$", before.text) if before else None
            tapped = text == "{tap}"
            said = (
                before.buttons[0][1] if tapped else text.format(code=code[0] if code else "000000")
            )
            answer = await chat.ask(said, tapped)
            took = chat.took[said.split()[0]]
            shown = text if not tapped else f"({before.buttons[0][0]})"
            lines.append(
                (shown, danger_of(said), took, answer.text + (" 🖼" if answer.photo else ""))
            )
            if len(lines) > 1 and lines[-2][0].startswith("/buy"):
                await edge.until(lambda: position.quantity == 3)
                await asyncio.sleep(2.0)  # until the status has it
    return lines


def table(lines: list[Line], whole: bool = False) -> str:
    """Return the table in Markdown; each answer cut to its beginning unless whole."""
    rows = ["| word | proof | s | answer |", "|---|---|---|---|"]
    for said, danger, took, text in lines:
        flat = " ⏎ ".join(text.splitlines()).replace("|", "\\|")
        flat = flat if whole or len(flat) <= 100 else flat[:99] + "…"
        rows.append(f"| `{said.replace('|', chr(92) + '|')}` | {danger} | {took:.1f} | {flat} |")
    return "\n".join(rows)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--language", choices=("ko", "en"), default="ko")
    parser.add_argument("--whole", action="store_true", help="whole answers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = asyncio.run(ask_all(Path(folder), options.language))
    print(table(lines, options.whole))
    return 0


if __name__ == "__main__":
    sys.exit(main())
