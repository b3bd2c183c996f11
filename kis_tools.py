"""Commands around the bot that trade nothing: demo, decode, journal, why, picture, unit.

The bot file hands these options over and never imports this file:

    python kis_realtime_trading.py --demo                      a simulated day, compared book by book
    python kis_realtime_trading.py --decode < frames.txt       raw frames to JSON lines
    python kis_realtime_trading.py --journal                   the journal, readable
    python kis_realtime_trading.py --report                    results over days, stocks, reasons
    python kis_realtime_trading.py --why 0000001234            how one order came about
    python kis_realtime_trading.py --picture day.png           the last day as a picture
    python kis_realtime_trading.py --replay FILE-0000.gz       a recording again, compared row by row
    python kis_realtime_trading.py --print-systemd-unit        a unit for this machine

Map: 1 WIRE LAYOUTS, 2 DECODE, 3 JOURNAL, 4 PICTURE, 5 DEMO, 6 REPLAY, 7 SYSTEMD, 8 COMMAND LINE.
"""

from __future__ import annotations

if __name__ == "__main__":  # until run_guarded Ctrl-C ends it at once: no trace of an import
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # blocked by the bot's file while Python started again
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))

import argparse
import asyncio
import contextlib
import getpass
import gzip
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pydantic import TypeAdapter

import kis_realtime_trading as bot
from companions.journal_reader import find_journals

# === 1. WIRE LAYOUTS ===


class WireField(NamedTuple):
    """One field of a realtime record: broker name, kind (s i f t d), may be missing at the end."""

    name: str
    kind: str
    optional: bool


# Realtime layouts, wire order. NAME is text, :i integer, :f decimal, :t HHMMSS, :d YYYYMMDD;
# "?" may be missing at the end; "X*10" stands for X1 ... X10. Doc 2026-09-11, corrected by frames.
_HEAD43 = (
    "MKSC_SHRN_ISCD STCK_CNTG_HOUR:t STCK_PRPR:i PRDY_VRSS_SIGN PRDY_VRSS:i PRDY_CTRT:f "
    "WGHN_AVRG_STCK_PRC:f STCK_OPRC:i STCK_HGPR:i STCK_LWPR:i ASKP1:i BIDP1:i CNTG_VOL:i "
    "ACML_VOL:i ACML_TR_PBMN:i SELN_CNTG_CSNU:i SHNU_CNTG_CSNU:i NTBY_CNTG_CSNU:i CTTR:f "
    "SELN_CNTG_SMTN:i SHNU_CNTG_SMTN:i CNTG_CLS_CODE SHNU_RATE:f PRDY_VOL_VRSS_ACML_VOL_RATE:f "
    "OPRC_HOUR:t OPRC_VRSS_PRPR_SIGN OPRC_VRSS_PRPR:i HGPR_HOUR:t HGPR_VRSS_PRPR_SIGN "
    "HGPR_VRSS_PRPR:i LWPR_HOUR:t LWPR_VRSS_PRPR_SIGN LWPR_VRSS_PRPR:i BSOP_DATE:d "
    "NEW_MKOP_CLS_CODE TRHT_YN ASKP_RSQN1:i BIDP_RSQN1:i TOTAL_ASKP_RSQN:i TOTAL_BIDP_RSQN:i "
    "VOL_TNRT:f PRDY_SMNS_HOUR_ACML_VOL:i PRDY_SMNS_HOUR_ACML_VOL_RATE:f"
)
_HEAD45 = _HEAD43 + " HOUR_CLS_CODE MRKT_TRTM_CLS_CODE"
_UNIFIED_TRADE = (
    _HEAD45 + " VI_STND_PRC:i MARKET_CLS_CODE?"
)  # 47th field since 2026-09-14 (measured)
_BOOK_TAIL = (
    " TOTAL_ASKP_RSQN:i TOTAL_BIDP_RSQN:i OVTM_TOTAL_ASKP_RSQN:i OVTM_TOTAL_BIDP_RSQN:i "
    "ANTC_CNPR:i ANTC_CNQN:i ANTC_VOL:i ANTC_CNTG_VRSS:i ANTC_CNTG_VRSS_SIGN "
    "ANTC_CNTG_PRDY_CTRT:f ACML_VOL:i TOTAL_ASKP_RSQN_ICDC:i TOTAL_BIDP_RSQN_ICDC:i "
    "OVTM_TOTAL_ASKP_ICDC:i OVTM_TOTAL_BIDP_ICDC:i"
)
_BOOK59 = (
    "MKSC_SHRN_ISCD BSOP_HOUR:t HOUR_CLS_CODE ASKP*10:i BIDP*10:i ASKP_RSQN*10:i BIDP_RSQN*10:i"
    + _BOOK_TAIL
    + " STCK_DEAL_CLS_CODE"
)
_MID = "{0}MID_PRC:i{1} {0}MID_TOTAL_RSQN:i{1} {0}MID_CLS_CODE{1}"
_NOTICE18 = (
    "CUST_ID ACNT_NO ODER_NO OODER_NO SELN_BYOV_CLS RCTF_CLS ODER_KIND ODER_COND STCK_SHRN_ISCD "
    "CNTG_QTY:i CNTG_UNPR:i STCK_CNTG_HOUR:t RFUS_YN CNTG_YN ACPT_YN BRNC_NO ODER_QTY:i ACNT_NAME"
)
_STATUS = (
    "MKSC_SHRN_ISCD TRHT_YN TR_SUSP_REAS_CNTT MKOP_CLS_CODE ANTC_MKOP_CLS_CODE MRKT_TRTM_CLS_CODE "
    "DIVI_APP_CLS_CODE ISCD_STAT_CLS_CODE VI_CLS_CODE OVTM_VI_CLS_CODE EXCH_CLS_CODE?"
)
_INDEX = (
    "BSTP_CLS_CODE BSOP_HOUR:t PRPR_NMIX:f PRDY_VRSS_SIGN BSTP_NMIX_PRDY_VRSS:f ACML_VOL:i "
    "ACML_TR_PBMN:i PCAS_VOL:i PCAS_TR_PBMN:i PRDY_CTRT:f OPRC_NMIX:f NMIX_HGPR:f NMIX_LWPR:f "
    "OPRC_VRSS_NMIX_PRPR:f OPRC_VRSS_NMIX_SIGN HGPR_VRSS_NMIX_PRPR:f HGPR_VRSS_NMIX_SIGN "
    "LWPR_VRSS_NMIX_PRPR:f LWPR_VRSS_NMIX_SIGN PRDY_CLPR_VRSS_OPRC_RATE:f "
    "PRDY_CLPR_VRSS_HGPR_RATE:f PRDY_CLPR_VRSS_LWPR_RATE:f UPLM_ISSU_CNT:i ASCN_ISSU_CNT:i "
    "STNR_ISSU_CNT:i DOWN_ISSU_CNT:i LSLM_ISSU_CNT:i QTQT_ASCN_ISSU_CNT:i QTQT_DOWN_ISSU_CNT:i "
    "TICK_VRSS:f"
)
_PROGRAM = (
    "MKSC_SHRN_ISCD STCK_CNTG_HOUR:t SELN_CNQN:i SELN_TR_PBMN:i SHNU_CNQN:i SHNU_TR_PBMN:i "
    "NTBY_CNQN:i NTBY_TR_PBMN:i SELN_RSQN:i SHNU_RSQN:i WHOL_NTBY_QTY:i"
)
_OVERSEAS_HEAD = (
    "RSYM SYMB ZDIV:i XYMD:d XHMS:t KYMD:d KHMS:t BVOL:i AVOL:i BDVL:i ADVL:i "
    "PBID1:f PASK1:f VBID1:i VASK1:i DBID1:i DASK1:i"
)
_OVERSEAS_LEVEL = " PBID{0}:f? PASK{0}:f? VBID{0}:i? VASK{0}:i? DBID{0}:i? DASK{0}:i?"
_OVERSEAS_NOTICE = (
    "CUST_ID ACNT_NO ODER_NO OODER_NO SELN_BYOV_CLS RCTF_CLS ODER_KIND2 STCK_SHRN_ISCD CNTG_QTY:i "
    "CNTG_UNPR STCK_CNTG_HOUR:t RFUS_YN CNTG_YN ACPT_YN BRNC_NO ODER_QTY ACNT_NAME CNTG_ISNM "
    "ODER_COND DEBT_GB DEBT_DATE:d START_TM:t END_TM:t TM_DIV_TP CNTG_UNPR12"
)
_LAYOUT_TEXT = {
    "H0STCNT0": _UNIFIED_TRADE.replace("CNTG_CLS_CODE", "CCLD_DVSN"),
    "H0UNCNT0 H0NXCNT0": _UNIFIED_TRADE,
    "H0STASP0": _BOOK59 + " MID_PRC:i? MIDP_TOTAL_RSQN:i? MIDP_CLS_CODE? MARKET_CLS_CODE?",
    "H0UNASP0": f"{_BOOK59} {_MID.format('K', '')} {_MID.format('N', '')} ANTC_EXCH_CLS_CODE?",
    "H0NXASP0": f"{_BOOK59} {_MID.format('K', '?')} {_MID.format('N', '?')}",  # 62 and 65 reported
    "H0STANC0": _HEAD45,
    "H0UNANC0 H0NXANC0": _HEAD45 + " VI_STND_PRC:i",
    "H0STOUP0 H0STOAC0": _HEAD43,  # market abolished 2026-09-14; kept for recordings
    "H0STOAA0": _BOOK59.replace("*10", "*9").removesuffix(" STCK_DEAL_CLS_CODE"),
    "H0STCNI0 H0STCNI9": _NOTICE18 + " ORD_COND_PRC:i ORD_EXG_GB POPUP_YN FILLER CRDT_CLS "
    "CRDT_LOAN_DATE:d CNTG_ISNM40 ODER_PRC:i",
    # all hosts before March 2025, the paper host still on 2026-08-19 (measured)
    "H0STCNI0#23 H0STCNI9#23": _NOTICE18 + " EXG_POPUP CRDT_CLS CRDT_LOAN_DATE:d CNTG_ISNM40 "
    "ODER_PRC:i",
    "H0STMKO0 H0NXMKO0 H0UNMKO0": _STATUS,  # UN: live frames carry the code, the document not
    "H0UPCNT0 H0UPANC0": _INDEX,
    "H0STPGM0 H0NXPGM0 H0UNPGM0": _PROGRAM,
    "HDFSCNT0": "RSYM SYMB ZDIV:i TYMD:d XYMD:d XHMS:t KYMD:d KHMS:t OPEN:f HIGH:f LOW:f LAST:f "
    "SIGN DIFF:f RATE:f PBID:f PASK:f VBID:i VASK:i EVOL:i TVOL:i TAMT:f BIVL:i ASVL:i STRN:f MTYP",
    "HDFSASP0": _OVERSEAS_HEAD + "".join(_OVERSEAS_LEVEL.format(n) for n in range(2, 11)),
    "HDFSASP1": _OVERSEAS_HEAD,
    "H0GSCNI0 H0GSCNI9": _OVERSEAS_NOTICE,
}


def _expand_layout(text: str) -> tuple[WireField, ...]:
    """Expand the compact notation of _LAYOUT_TEXT."""
    fields: list[WireField] = []
    for word in text.split():
        optional = word.endswith("?")
        name, _, kind = word.rstrip("?").partition(":")
        stem, star, last = name.partition("*")
        names = [f"{stem}{n}" for n in range(1, int(last) + 1)] if star else [name]
        fields += [WireField(each, kind or "s", optional) for each in names]
    return tuple(fields)


LAYOUTS: dict[str, tuple[WireField, ...]] = {
    tr_id: _expand_layout(text) for tr_ids, text in _LAYOUT_TEXT.items() for tr_id in tr_ids.split()
}


# === 2. DECODE ===

_CODE = re.compile(r"[0-9A-Z]{6,7}")
_NUMBERS = {"i": re.compile(r"[+-]?\d+(\.0+)?"), "f": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")}
Record = dict[str, str | int | float | None]


def read_records(decoder: bot.FrameDecoder, frame: str) -> list[Record]:
    """Return every record of a frame under the broker's own field names. Raises bot.BadData.

    Known fields are whole numbers, decimals or texts; an empty text and "(null)" are None; fields
    beyond the layout are left out. Times stay HHMMSS, dates YYYYMMDD.
    """
    tr_id, count, payload = decoder.open_frame(frame)
    if tr_id not in LAYOUTS:
        raise bot.BadData(f"unknown TR {tr_id[:12]!r}")
    fields = payload.split("^")
    width = bot.record_width(len(fields), count)
    layout = choose_layout(tr_id, width, fields[0])
    return [
        {field.name: typed(field, text) for field, text in zip(layout, fields[at:], strict=False)}
        for at in range(0, len(fields), width)
    ]


def choose_layout(tr_id: str, width: int, first: str) -> tuple[WireField, ...]:
    """Choose the layout by width. H0UNMKO0 without its leading code is the documented form."""
    layout = LAYOUTS.get(f"{tr_id}#{width}", LAYOUTS[tr_id])
    if tr_id == "H0UNMKO0" and not _CODE.fullmatch(first):
        layout = layout[1:]
    elif tr_id in bot.NOTICE_TRS.values() and 23 < width < 26:
        layout = layout[:18]  # the fields that all known forms share
    least = sum(not each.optional for each in layout)
    if width < least:
        raise bot.BadData(f"{tr_id}: {width} fields a record, at least {least} are known")
    return layout


def typed(field: WireField, text: str) -> str | int | float | None:
    """Return the value of a field. Raises bot.BadData when a number is none."""
    text = text.strip()
    if text in ("", "(null)"):
        return None
    pattern = _NUMBERS.get(field.kind)
    if pattern is None:
        return text
    if not pattern.fullmatch(text):
        raise bot.BadData(f"{field.name} is {text[:20]!r}, not a number")
    return int(text.partition(".")[0]) if field.kind == "i" else float(text)


def use_utf8(*streams: TextIO) -> None:
    """Read and write UTF-8, whatever the locale: a byte that is none becomes U+FFFD, or "?" here.

    Frames with such bytes were seen (expected trades, 2026-05): they are shown or refused as well.
    """
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def decode_lines(source: Iterable[str], target: TextIO, key: str, iv: str) -> int:
    """Print one JSON object a record, or the reason for each frame refused.

    Keys are also learnt from acknowledgements in the input; they are never printed.
    """
    decoder = bot.FrameDecoder()
    if key or iv:
        try:
            for tr_id in LAYOUTS:
                decoder.set_key(tr_id, key, iv)
        except bot.BadData as error:
            raise bot.BotError(f"--key and --iv: {error}") from None
    for line in source:
        frame = line.strip("\r\n\ufeff ")
        if frame:
            for record in decode_line(decoder, frame):
                target.write(json.dumps(record, ensure_ascii=False) + "\n")
    return 0


def decode_line(decoder: bot.FrameDecoder, frame: str) -> list[Record]:
    """Return what one line holds: records, a control message, or a refusal."""
    try:
        if not frame.startswith("{"):
            tr_id = frame.split("|", 2)[1] if "|" in frame else ""
            return [{"tr_id": tr_id, **record} for record in read_records(decoder, frame)]
        control = bot.parse_control(frame)
        if control.key and control.iv:
            decoder.set_key(control.tr_id, control.key, control.iv)
        return [{"tr_id": control.tr_id, "control": f"{control.code} {control.text}".strip()}]
    except bot.BadData as error:
        return [{"refused": str(error), "frame": frame[:24]}]


# === 3. JOURNAL ===


# === 4. PICTURE ===


def korean_font() -> str | None:
    """Return the path of a font with Korean letters, None when there is none."""
    from matplotlib import font_manager

    for font in font_manager.fontManager.ttflist:
        if any(name in font.name for name in ("Nanum", "Noto Sans CJK KR", "Malgun")):
            return str(font.fname)
    spec = importlib.util.find_spec("koreanize_matplotlib")  # carries NanumGothic; not imported
    if spec and spec.origin:
        found = sorted(Path(spec.origin).parent.glob("**/NanumGothic.ttf"))
        return str(found[0]) if found else None
    return None


def draw_picture(options: argparse.Namespace) -> int:
    """Draw price, entries, exits and result of the last day of the first journal."""
    import matplotlib

    from companions import picture, report_view

    matplotlib.use("Agg")
    from matplotlib import font_manager

    font = korean_font()
    if font:
        font_manager.fontManager.addfont(font)
        name = font_manager.FontProperties(fname=font).get_name()
        matplotlib.rcParams["font.family"] = [name, "DejaVu Sans"]
    matplotlib.rcParams["axes.unicode_minus"] = False
    language, fees = report_view.settings_of(options)
    day = picture.read_drawn(find_journals(bot.state_folder(options, None))[0], fees)
    drawn = io.BytesIO()
    picture.draw(day, bool(font) and language != "en").savefig(drawn, dpi=110)
    write_whole(options.picture, drawn.getvalue())
    print(options.picture)
    return 0


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(data)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


# === 5. DEMO ===

MOST_SPEED = 1_000  # beyond it seconds of the market pass between two looks at anything


async def show_screen(trader: bot.Trader) -> None:
    """Draw the live screen until cancelled."""
    from rich.live import Live

    with Live(draw_screen(trader), refresh_per_second=4) as live:
        while True:
            await asyncio.sleep(0.25)
            live.update(draw_screen(trader))


def draw_screen(trader: bot.Trader) -> Any:
    """Return what the screen shows now: head line, prices, orders, messages."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table

    core, korean = trader.engine.core, trader.bot.language == "ko"
    columns = "종목 현재가 보유 평단 평가손익" if korean else "stock price held average result"
    prices = Table(*columns.split(), expand=True)
    for symbol, state in core.symbols.items():
        position, price = state.view.position, core.last_price(symbol)
        result = round(price * position.quantity - float(position.cost))
        prices.add_row(
            symbol, f"{price:,}", f"{position.quantity:,}", f"{position.average_price:,.0f}",
            f"{result:+,}" if position.quantity else "",
        )  # fmt: skip
    columns = "주문 상태 수량 체결 가격" if korean else "order status shares filled price"
    orders = Table(*columns.split(), expand=True)
    for order in list(core.ledger.orders.values())[-6:]:
        intent = order.intent
        side = bot.SIDE_WORDS[trader.bot.language][intent.side]
        orders.add_row(
            f"{intent.symbol} {side} {intent.reason}", str(order.status), f"{intent.quantity:,}",
            f"{order.filled_quantity:,}", f"{order.price:,}",
        )  # fmt: skip
    head = (
        f"{trader.clock.now():%Y-%m-%d %H:%M:%S} · {trader.profile.environment}"
        f"{' · simulator' if trader.profile.simulated else ''} · {core.phase} · "
        f"P&L {core.day_result_krw():+,} · {trader.counts['Trade']:,} trades"
    )
    return Group(Panel(head), prices, orders, Panel("\n".join(list(trader.bridge.messages)[-8:])))


def run_demo(options: argparse.Namespace) -> int:
    """Start the simulator as its own process, run the unchanged bot against it, compare books."""
    if not 1 <= options.speed <= MOST_SPEED:
        raise bot.wrong_setting("--speed", f"{options.speed:g}", f"1 to {MOST_SPEED} times")
    simulator = bot.HERE / "kis_simulator.py"
    if not simulator.is_file():
        raise bot.BotError(f"--demo needs {simulator}")
    base = options.state or Path(bot.BotSettings.model_fields["state_dir"].default)
    folder = (base / f"demo-{datetime.now(bot.KST):%Y%m%d-%H%M%S}-{os.getpid()}").absolute()
    folder.mkdir(mode=0o700, parents=True)
    command = [
        sys.executable, str(simulator), "--port", "0", "--write-config", str(folder),
        "--seed", str(options.seed), "--speed", str(options.speed), "--start", "08:50",
        "--until-eof",
    ]  # fmt: skip
    print(
        f"demo: invented prices and account; one day in about {7 * 3600 / options.speed:.0f} s",
        flush=True,
    )
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as Ctrl-C, which ends the picture's process as well
    with (folder / "simulator.log").open("w") as errors, contextlib.ExitStack() as ends:
        process = subprocess.Popen(  # out of reach of Ctrl-C; ends with us by the end of its input
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            ready = wait_ready(process, folder)
            options.config, options.state, options.one_day = (
                folder / bot.SETTINGS_NAME,
                folder,
                True,
            )
            settings, _ = bot.load_settings(options, "paper")
            watch = show_screen if sys.stdout.isatty() and not options.plain else None
            ends.enter_context(page_beside(options, folder))
            code, figures = bot.run_trader(settings, options, watch)
            signal.signal(
                signal.SIGTERM, signal.default_int_handler
            )  # the bot's own handler has gone with its loop
            print(f"journal: {folder}", flush=True)
            if figures["cut_short"]:  # what was under way would differ, and a picture takes long
                print("stopped before the end of the day: no comparison, no picture")
                return code
            return code or finish_demo(options, figures, ready["rest"])
        finally:
            process.kill()  # it has nothing to keep
            process.wait()


def page_folder(options: argparse.Namespace) -> Path:
    """Return the folder that the page shows: the given one, that of the running bot, the usual one."""
    from companions import status

    running = status.running_folders()
    usual = Path(bot.BotSettings.model_fields["state_dir"].default)
    return options.state or (running[0] if len(running) == 1 else usual)


@contextlib.contextmanager
def page_beside(options: argparse.Namespace, folder: Path) -> Iterator[None]:
    """Show the page of the demo as long as it runs, and on a terminal until Ctrl-C."""
    if not options.page:
        yield
        return
    from companions.page import server

    process = server.start(folder, options.port)
    try:
        yield
        if sys.stdin.isatty():
            print("화면은 계속 열려 있습니다. Ctrl-C로 끝냅니다.", flush=True)
            process.wait()
    finally:
        process.terminate()
        process.wait()


def wait_ready(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """Return what the simulator says when it listens."""
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith("READY "):
        raise bot.BotError(f"the simulator did not start; see {folder / 'simulator.log'}")
    ready: dict[str, Any] = json.loads(line[6:])
    return ready


def finish_demo(options: argparse.Namespace, ours: dict[str, Any], url: str) -> int:
    """Compare our figures with the simulator's own books, print both, draw the picture."""
    with urllib.request.urlopen(f"{url}/simulator/books", timeout=5) as answer:
        books = json.loads(answer.read())
    theirs = {
        "trades": sum(books["trades_sent"].values()),
        "orders": books["order_count"],
        "fills": books["fill_count"],
        "gross": books["realized_pnl_gross_krw"],
        "fees": books["fees_krw"],
        "taxes": books["taxes_krw"],
        "net": books["realized_pnl_net_krw"],
        "cash": books["cash_krw"],
    }
    options.picture = options.state / "day.png"
    command = [
        sys.executable,
        __file__,
        "--picture",
        str(options.picture),
        "--state",
        str(options.state),
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    print(f"picture: {options.picture if drawn.returncode == 0 else drawn.stderr.strip()[-300:]}")
    different = [name for name in theirs if ours[name] != theirs[name]]
    print(f"{'':8}{'bot':>16}{'simulator':>16}")
    for name in ("trades", "bars", "orders", "fills", "gross", "fees", "taxes", "net", "cash"):
        shown = f"{theirs[name]:>16,}" if name in theirs else ""
        print(f"{name:8}{ours[name]:>16,}{shown}{'  <- DIFFERENT' if name in different else ''}")
    print(
        f"THE BOOKS DIFFER: {', '.join(different)}"
        if different
        else "the books are equal to the won"
    )
    return bot.EXIT_FAILED if different else 0


# === 6. REPLAY ===


class Replayed(NamedTuple):
    """What a recording gives when it is run again."""

    header: dict[str, Any]
    rows: list[tuple[str, str, str]]  # kind, ref, body: as the journal would hold them
    digest: str
    trades: int
    torn: bool  # the last second of the recording is missing


def read_lines(first: Path) -> Iterator[str]:
    """Yield the lines of all segments of a run; damage ends a segment with an empty line."""
    stem = first.name.rpartition("-")[0]
    for segment in sorted(first.parent.glob(f"{stem}-*.gz")):
        rest = b""
        try:
            with gzip.open(segment) as file:
                while block := file.read1(1 << 18):
                    whole, newline, after = block.rpartition(b"\n")
                    if newline:
                        text = (rest + whole).decode("utf-8", "surrogateescape")
                        yield from text.split("\n")
                        rest = after
                    else:
                        rest += block
        except (EOFError, gzip.BadGzipFile, zlib.error):
            yield ""


_EVENT_TYPES: dict[str, Any] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        bot.Notice,
        bot.OrderAnswered,
        bot.Command,
        bot.Instrument,
        bot.Balance,
        bot.Cash,
        bot.OrderList,
        bot.PastBars,
    )
}


def event_from_json(text: str) -> bot.Event:
    """Turn a recorded event back into itself. Raises bot.BadData."""
    try:
        data = json.loads(text)
        if data["type"] == "Seen":
            value = _EVENT_TYPES[data["value"]["type"]].validate_python(_untyped(data["value"]))
            return bot.Seen(value, datetime.fromisoformat(data["asked_at"]))
        event: bot.Event = _EVENT_TYPES[data["type"]].validate_python(_untyped(data))
        return event
    except (ValueError, KeyError, TypeError) as error:
        raise bot.BadData(f"a recorded event cannot be read: {error}") from None


def _untyped(value: Any) -> Any:
    """Take the type names out of a plain value."""
    if isinstance(value, dict):
        return {key: _untyped(item) for key, item in value.items() if key != "type"}
    return [_untyped(item) for item in value] if isinstance(value, list) else value


def replay(first: Path, strategy: bot.TradingStrategy | None = None) -> Replayed:
    """Drive codec and engine with a recording, as fast as they go.

    `strategy` replaces the recorded one. Raises bot.BotError for what is no recording.
    """
    if not first.is_file():
        raise bot.BotError(
            f"no file {first}; recordings are in the folder records beside the journal"
        )
    lines = read_lines(first)
    start = next(lines, "")
    if not start.startswith("S"):
        raise bot.BotError(f"{first} is not the first segment (-0000.gz) of a recording")
    header = json.loads(start[1:])
    settings = bot.BotSettings.model_validate(header["settings"])
    ledger = bot.Ledger(settings.stock_fee_pct, settings.fund_fee_pct)
    for kind, body in header["rows"]:
        bot.apply_row(ledger, kind, body)
    chosen = strategy or bot.load_strategy(header["strategy"], settings.parameters)
    engine = bot.Engine(settings, chosen, ledger, header["environment"] == "paper")
    return _drive(engine, lines, header)


def _drive(engine: bot.Engine, lines: Iterator[str], header: dict[str, Any]) -> Replayed:
    """Feed the lines of a recording to an engine; collect the rows it wants written."""
    decoder = bot.FrameDecoder()
    rows: list[tuple[str, str, str]] = []
    handle, decode, trades, torn = engine.handle, decoder.decode, 0, False
    trade, epoch = bot.Trade, bot.EPOCH  # looked up once: the loop runs for each line

    def keep(actions: Iterable[bot.Action]) -> None:
        for action in actions:
            if isinstance(action, bot.Record):
                rows.append((action.kind, action.ref, bot.canonical_json(action.data)))

    for line in lines:
        mark = line[:1]
        if mark in ("F", "J"):
            frame = line.split(" ", 2)[2]
            try:
                events = decode(json.loads(frame) if mark == "J" else frame)
            except bot.BadData:
                continue
            for event in events:
                trades += type(event) is trade
                if actions := handle(event):
                    keep(actions)
        elif mark == "T":
            if actions := handle(bot.TimeEvent(epoch + timedelta(0, 0, int(line[1:])))):
                keep(actions)
        elif mark == "E":
            other = event_from_json(line[1:])
            if isinstance(other, bot.Command) and other.session:
                decoder.set_day(other.session.day)
            keep(handle(other))
        torn = torn or not line
    return Replayed(header, rows, engine.digest.hexdigest(), trades, torn)


UNCOMPARED = ("alert", "request", "day")  # rows that the trader adds around the engine's


def live_rows(journal: bot.Journal, after: int) -> list[tuple[str, str, str]]:
    """Return what the live run wrote after a row, as far as the engine decided it."""
    rows: list[tuple[str, str, str]] = []
    for row in journal.rows():
        if row.seq > after and row.kind not in UNCOMPARED:
            rows.append((row.kind, row.ref, row.body))
    starts = [n for n, row in enumerate(rows) if row[:2] == ("command", "restarted")]
    # the next process has a recording of its own; its first row comes just before its start
    return rows[: starts[1] - 1] if len(starts) > 1 else rows


def show_replay(options: argparse.Namespace) -> int:
    """Replay a recording and compare it with the journal beside it."""
    path: Path = options.replay
    strategy = None
    if options.strategy:
        strategy = bot.load_strategy(options.strategy, {})
    began = time.perf_counter()
    result = replay(path, strategy)
    spent = time.perf_counter() - began
    bars = sum(kind == "bar" for kind, _, _ in result.rows)
    intents = sum(kind == "intent" for kind, _, _ in result.rows)
    print(f"{result.trades:,} trades, {bars} bars, {intents} intents in {spent:.2f} s "
          f"({result.trades / spent:,.0f} trades a second)")  # fmt: skip
    print(f"digest {result.digest}")
    if result.torn:
        print("the recording ends in the middle: its process was killed")
    file = path.parent.parent / result.header["journal"]
    if not file.is_file():
        print(f"no journal {file} to compare with")
        return 0
    journal = bot.Journal(file, read_only=True)
    journal.verify()
    live = live_rows(journal, result.header["journal_seq"])
    if strategy or result.header["build"] != bot.build_hash():
        show_orders(live, result.rows)
    return show_difference(live, result.rows)


def show_difference(live: list[tuple[str, str, str]], again: list[tuple[str, str, str]]) -> int:
    """Print the first row that differs with what stands around it; 0 when there is none.

    A process that was killed may have written rows whose recording was not flushed any more.
    """
    for at, (left, right) in enumerate(zip(live, again, strict=False)):
        if left != right:
            print(f"FIRST DIFFERENCE at row {at + 1} after the start")
            for name, rows in (("live", live), ("replay", again)):
                for n in range(max(0, at - 3), min(len(rows), at + 3)):
                    mark = ">>" if n == at else "  "
                    print(f"{mark} {name:6} {rows[n][0]:9} {rows[n][1]:18} {rows[n][2][:160]}")
            return bot.EXIT_FAILED
    if len(again) > len(live):
        print(f"FIRST DIFFERENCE: the replay decides {len(again) - len(live)} rows more")
        return bot.EXIT_FAILED
    missing = len(live) - len(again)
    tail = f"; the last {missing} of the live run were not recorded" if missing else ""
    print(f"equal to the live run: {len(again)} rows{tail}")
    return 0


def show_orders(live: list[tuple[str, str, str]], again: list[tuple[str, str, str]]) -> None:
    """Print the orders of both histories that are not in the other, side by side."""

    def orders(rows: list[tuple[str, str, str]]) -> dict[str, str]:
        found = {}
        for kind, ref, body in rows:
            if kind == "intent":
                i = json.loads(body)
                found[ref] = (
                    f"{i['at'][11:19]} {i['symbol']} {i['side']} {i['quantity']} @ {i['price']}"
                )
        return found

    left, right = orders(live), orders(again)
    print(f"{'live':46}replay")
    for ref in sorted({*left, *right}, key=lambda r: left.get(r) or right[r]):
        if left.get(ref) != right.get(ref):
            print(f"{left.get(ref, '-'):46}{right.get(ref, '-')}")


# === 7. SYSTEMD ===

# Progress feeds the watchdog (see Trader._each_wall_second); the sandbox leaves the network, this
# folder (read only) and /var/lib/kisbot. Not tried on a server: MemoryDenyWriteExecute together
# with another build of the crypto wheel.
UNIT = """\
[Unit]
Description=KIS trading bot ({mode})
After=network-online.target time-sync.target
Wants=network-online.target
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec=45
User={user}
WorkingDirectory={here}
StateDirectory=kisbot
StateDirectoryMode=0700
ExecStart={command}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={final}
UMask=0077
LimitCORE=0
MemoryMax=512M
TasksMax=64
ProtectHome=tmpfs
{binds}NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectSystem=strict
ProtectProc=invisible
ProcSubset=pid
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
DevicePolicy=closed
KeyringMode=private
RemoveIPC=yes
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @mount @debug @cpu-emulation @obsolete @swap @reboot @raw-io @module @clock
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
HIDDEN_BY_PROTECT_HOME = ("/home/", "/root/", "/run/user/")


def _unit_word(text: str) -> str:
    """Quote a word of a unit file: blanks, quotes, % and $ have a meaning there."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if re.search(r"[^\w@%+=:,./$-]", text) else text


def systemd_unit(options: argparse.Namespace) -> str:
    """Return a systemd unit that runs the bot as the present user, with the present settings."""
    config = (options.config or Path.cwd() / bot.SETTINGS_NAME).resolve()
    program = [sys.executable, "-I", str(bot.HERE / "kis_realtime_trading.py"), "--paper"]
    needed = {bot.HERE, config.parent, Path(sys.prefix), Path(sys.base_prefix)}
    hidden = sorted(str(p) for p in needed if f"{p}/".startswith(HIDDEN_BY_PROTECT_HOME))
    return UNIT.format(
        mode="paper",
        user=getpass.getuser(),
        here=str(bot.HERE).replace("%", "%%"),
        command=" ".join(_unit_word(word) for word in (*program, "--config", str(config))),
        final=f"{bot.EXIT_RUNNING} {bot.EXIT_JOURNAL} {bot.EXIT_SETTINGS}",
        binds="".join(f"BindReadOnlyPaths={_unit_word(path)}\n" for path in hidden),
    )


# === 8. COMMAND LINE ===


def main() -> int:
    """Run one command; return its exit code."""
    return bot.run_guarded(bot.build_parser("--page" not in sys.argv).parse_args(), run_command)


def run_command(options: argparse.Namespace) -> int:
    """Choose the command."""
    if options.decode:
        use_utf8(sys.stdin, sys.stdout)
        return decode_lines(sys.stdin, sys.stdout, options.key, options.iv)
    if options.status:
        from companions import status

        return status.show_status(options)
    if options.journal or options.why or options.report:
        from companions import journal_view, report_view

        if options.report:
            return int(journal_view.pager_friendly(report_view.show_report)(options))
        return int((journal_view.show_why if options.why else journal_view.show_journal)(options))
    if options.replay:
        return show_replay(options)
    if options.picture:
        return draw_picture(options)
    if options.print_systemd_unit:
        print(systemd_unit(options))
        return 0
    if options.demo:
        return run_demo(options)
    if options.page:
        from companions.page import server

        return server.run(page_folder(options), options.port)
    raise bot.BotError("start the bot itself for this option: python kis_realtime_trading.py")


if __name__ == "__main__":
    exit_code = main()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be ended in order
    sys.exit(exit_code)
