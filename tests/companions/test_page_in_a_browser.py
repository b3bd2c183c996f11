"""The page in a real browser: a status appears, the flatten button works, nothing leaves the machine.

Needs playwright and a Chromium of the system; skips with a sentence where there is none.
Pictures of each tab, 1280 and 390 wide, Korean and English, are left where KISBOT_PICTURES names a folder.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from journals import make_journal
from test_codec import quote_frame
from test_page import STATUS, opened

import kis_realtime_trading as bot

playwright = pytest.importorskip("playwright.async_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no Chromium: apt-get install chromium", allow_module_level=True)
pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
PICTURES = os.environ.get("KISBOT_PICTURES", "")
TABS = ("overview", "stock/005930", "orders", "results", "journal", "health")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Any]:
    """Return a browser; each test opens windows of its own in it."""
    async with playwright.async_playwright() as play:
        started = await play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        await started.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a state folder with five days of journal and a status of one stock."""
    make_journal(tmp_path / "journal-paper-000000000000.sqlite3", 5, 60)
    show(tmp_path, 0)
    return tmp_path


def show(folder: Path, result: int) -> None:
    """Write a status with a result of the day."""
    stock = {
        "symbol": "005930", "name": "삼성전자", "price": 71_000, "change_pct": 0.85, "position": 3,
        "average": 70_000.0, "stop": 69_000, "target": 73_000, "gain_krw": 3_000, "gain_pct": 1.4,
        "prev_close": 70_400, "book": quote_frame(),
    }  # fmt: skip
    day = {**STATUS["day"], "result_krw": result}
    text = json.dumps({**STATUS, "symbols": [stock], "day": day}, ensure_ascii=False)
    bot.write_private(folder / bot.STATUS_FILE, text)


async def picture(page: playwright.Page, name: str) -> None:
    """Leave a picture of the whole page where KISBOT_PICTURES names a folder."""
    if PICTURES:
        await page.wait_for_timeout(400)  # a chart draws itself within some frames
        await page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


async def test_the_page_lives_and_its_button_reaches_the_bot(folder: Path, chromium: Any):
    """Each tab shows in both sizes and languages without an error or a request to elsewhere.

    Nothing is wider than the window, in any of them: what has no room is folded below.
    """
    async with opened(folder) as (base, url):
        faults: list[str] = []
        for width in (1280, 390):
            context = await chromium.new_context(viewport={"width": width, "height": 844})
            page = await context.new_page()
            page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on(
                "request", lambda r: faults.append(r.url) if not r.url.startswith(base) else None
            )
            await page.goto(url)
            await page.wait_for_selector("text=삼성전자")
            assert page.url == base + "/"  # the key has gone from the address
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            for language in ("ko", "en"):
                for tab in TABS:
                    await page.evaluate("document.querySelector('#view').replaceChildren()")
                    await page.evaluate(f"location.hash = '#{tab}'; show()")
                    await page.wait_for_selector(
                        f"nav a[href='#{tab.partition('/')[0]}'][aria-current]"
                    )
                    await page.wait_for_selector("#view section")
                    assert await page.evaluate(overflow) <= 0, (tab, language, width)
                    await picture(page, f"{tab.replace('/', '-')}-{width}-{language}")
                await page.click("#language")
            await page.evaluate("location.hash = '#why/last'")
            await page.wait_for_selector("section p")
            await page.evaluate("location.hash = '#stock/005930'")
            await page.wait_for_selector("#candles canvas")
            rows = page.locator("#book tbody tr")
            assert await rows.count() == 20
            assert (await rows.nth(9).inner_text()).split()[:2] == ["1", "71,900"]  # the best ask
            assert (await rows.nth(10).inner_text()).split()[0] == "71,800"  # over the best bid
            assert await page.evaluate(overflow) <= 0
            await context.close()
        assert faults == []


async def test_a_fill_shows_and_flatten_needs_its_word(folder: Path, chromium: Any):
    """A new result appears by itself; the wrong word does nothing, the right one tells the bot."""
    async with opened(folder) as (_, url):
        first = await chromium.new_context()
        page = await first.new_page()
        await page.goto(url)
        await page.wait_for_selector("text=삼성전자")
        show(folder, 12_345)
        await page.wait_for_selector("text=+12,345", timeout=20_000)
        await page.click("#do-FLATTEN_AND_HALT")
        await page.fill("#ask-word", "전량")
        await page.click("#ask-yes")
        await page.wait_for_selector("text=입력한 말이 다릅니다")
        assert not (folder / bot.CONTROL_FILE).exists()
        await page.fill("#ask-word", "전량매도")
        await page.click("#ask-yes")
        await page.wait_for_selector("text=봇에 전했습니다", timeout=60_000)
        left = await asyncio.to_thread((folder / bot.CONTROL_FILE).read_text)
        assert "FLATTEN_AND_HALT" in left
        stranger = await chromium.new_context()
        other = await stranger.new_page()
        await other.goto(url.partition("/?")[0])
        assert "삼성전자" not in await other.content()
        await stranger.close()
        await first.close()


@pytest.mark.parametrize("tab", TABS)
async def test_axe_finds_nothing_serious(folder: Path, chromium: Any, tab: str):
    """The rules of axe-core for contrast, names, roles and keyboard, in a wide and a narrow window."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="pip install axe")
    async with opened(folder) as (_, url):
        for width in (1280, 390):
            context = await chromium.new_context(
                viewport={"width": width, "height": 844}, bypass_csp=True
            )
            page = await context.new_page()
            await page.goto(url)
            await page.wait_for_selector("text=삼성전자")
            await page.evaluate(f"location.hash = '#{tab}'")
            await page.wait_for_selector("nav a[aria-current]")
            found = (await axe.Axe().run(page)).response["violations"]
            assert [f"{each['id']}: {each['help']}" for each in found
                    if each["impact"] in ("serious", "critical")] == []  # fmt: skip
            await context.close()


async def test_texts_of_trades_do_not_lie_on_each_other(chromium: Any):
    """On a phone a chart of three trades has no texts, only arrows: five lay on each other at 390 pixels."""
    script = (Path(bot.__file__).parent / "companions/page/static/page.js").read_text("utf-8")
    [line] = [each for each in script.splitlines() if "const crowded =" in each]
    window = await chromium.new_page()
    ask = f"([width, n]) => {{ const room = {{ clientWidth: width }};\n{line}\nreturn crowded({{ marks: Array(n) }}); }}"
    cases = {(390, 2): False, (390, 3): True, (1200, 24): False, (1200, 25): True}
    assert {each: await window.evaluate(ask, list(each)) for each in cases} == cases
    await window.close()
