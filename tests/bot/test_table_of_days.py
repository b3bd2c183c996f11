"""Days of other people as one table: what public reports describe, played by the simulator.

Each line is a day on which something odd happens from the start or from a moment on. What must hold
is the same for all but what the line names: five shares are bought, sold by the kill switch, once
each, journal and broker agree to the won, nothing stays open, and the alerts named were said.
REPORTS names the public report that a line comes from.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import harness
import pytest
from test_trader import SYMBOL, Life, wishes

import kis_realtime_trading as bot
from companions import simulator


class Situation(NamedTuple):
    """A line: its name, the fault rules, the alerts that must be said, those that must not."""

    name: str
    match: dict[str, Any]
    effect: dict[str, Any]
    said: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ("mismatch", "error", "external_order", "cash_differs")
    bought: bool = True
    acts: tuple[tuple[str, Callable[[simulator.Simulator], Any]], ...] = ()  # of owner and market
    config: Mapping[str, Any] = {}  # of the simulator
    offset_ticks: int = 5  # of the entry; negative rests in the book
    settings: Mapping[str, Any] = {}
    sold: bool = True  # by us
    also: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = ()  # more fault rules


PRICE, BALANCE, LIST = (
    {"path": "inquire-price"},
    {"path": "inquire-balance"},
    {"path": "daily-ccld"},
)
ACCOUNT, ALL = {"kind": "account"}, {"path": "/uapi"}
LATER = {"from": "09:23", "to": "09:24"}


def field(name: str, value: str) -> dict[str, Any]:
    """Return the effect that overwrites a field wherever it occurs."""
    return {"do": "set", "field": name, "value": value}


TABLE = (
    Situation("a quiet day", PRICE, {"do": "delay", "seconds": 0}),
    Situation("codes with a leading A in account answers", ACCOUNT, {"do": "spelling"}),
    Situation("codes with a leading A in price answers", PRICE, {"do": "spelling"}),
    Situation("one stock in several balance lines", BALANCE, {"do": "lines"}),
    Situation("a blank row of another stock in the balance", BALANCE, {"do": "stranger"}),
    Situation("a blank row of another stock in the order list", LIST, {"do": "stranger"}),
    Situation("blank average prices", BALANCE, field("pchs_avg_pric", "")),
    Situation("limits of 0 while shares are held", {**PRICE, **LATER}, field("stck_mxpr", "0")),
    Situation("no limits all day: nothing is bought", PRICE, field("stck_mxpr", "0"), bought=False),
    Situation("a maintenance page for a minute", {**ALL, **LATER}, {"do": "html", "status": 503},
              unsaid=("mismatch", "external_order", "cash_differs")),
    Situation("bodies that take nine seconds", {**ALL, **LATER}, {"do": "delay", "seconds": 9}),
    Situation("a busy server (EGW00201) for a minute", {**ACCOUNT, **LATER},
              {"do": "error", "code": "EGW00201"}),
    Situation("a token that dies again and again", {**ACCOUNT, "probability": 0.05},
              {"do": "token", "code": "EGW00123"}),
    Situation("half an answer now and then", {**ACCOUNT, "probability": 0.2},
              {"do": "garble", "how": "truncate"}),
    Situation("the balance of some minutes ago", {**BALANCE, **LATER},
              {"do": "stale_balance", "seconds": 60}),
    Situation("fills that no notice tells", {"kind": "fill"}, {"do": "notice_drop"}),
    Situation("every notice twice", {"kind": "fill"}, {"do": "notice_repeat", "times": 2}),
    Situation("an order that lists show late", {"kind": "order"}, {"do": "list_delay", "seconds": 20}),
)  # fmt: skip
ORDER, BUY, SELL = (
    {"kind": "order"},
    {"kind": "order", "side": "BUY"},
    {"kind": "order", "side": "SELL"},
)
CANCEL, FILL, NOTICE, TRADE = ({"kind": each} for each in ("cancel", "fill", "notice", "trade"))
RESTS: dict[str, Any] = {
    "offset_ticks": -20,
    "bought": False,
    "settings": {"entry_timeout_s": 60.0},
}
HIS = ("mismatch", "error")  # what is not said although the owner trades beside us


def the_open_one(sim: simulator.Simulator) -> str:
    """Return the number of the order of ours that rests."""
    orders = sim.books()["orders"]
    return next(
        str(o["order_no"]) for o in orders if o["remaining_quantity"] and o["source"] == "api"
    )


def he_trades(side: str, shares: int) -> Callable[[simulator.Simulator], Any]:
    """Let the owner trade the same stock by phone, at the market."""
    return lambda sim: sim.manual_order(SYMBOL, side, shares, kind="01")


def event(kind: str, seconds: float = 0.0) -> Callable[[simulator.Simulator], Any]:
    """Let something happen in the market."""
    return lambda sim: sim.market_event(kind, SYMBOL, seconds)


REPORTS = (
    Situation("notices of 29 fields (python-kis 80)", PRICE, {"do": "delay", "seconds": 0},
              config={"notice_fields": 29, "environment": "real"}),
    Situation("notices of 26 fields on paper (python-kis 68)", PRICE, {"do": "delay", "seconds": 0},
              config={"notice_fields": 26}),
    Situation("records of trades with three more fields (cluefin 28)", TRADE,
              {"do": "frame_extra", "fields": 3}),
    Situation("order rows without a time (python-kis 27)", LIST, field("ord_tmd", "")),
    Situation("a buy whose answer never comes (catalyst 317)", {**BUY, "times": 1},
              {"do": "lose", "how": "hang", "executed": True}, said=("order_unknown", "order_found")),
    Situation("a sell answered by a page, executed (BitBot 27)", {**SELL, "times": 1},
              {"do": "html", "status": 504, "executed": True}, said=("order_unknown", "order_found")),
    Situation("a sell answered by the gateway, executed (trading-gpt 94)", {**SELL, "times": 1},
              {"do": "error", "code": "EGW00301", "executed": True}),
    Situation("a cancel whose answer never comes (BitBot 27)", {**CANCEL, "times": 1},
              {"do": "lose", "how": "hang", "executed": True}, **RESTS),
    Situation("a cancel that is accepted and refused afterwards (freqtrade 3647)",
              {**CANCEL, "times": 1}, {"do": "cancel_refused", "seconds": 2}, **RESTS),
    Situation("an entry that the owner cancels (freqtrade 1535)", PRICE, {"do": "delay", "seconds": 0},
              acts=(("09:22:20", lambda sim: sim.manual_cancel(the_open_one(sim))),), **RESTS),
    Situation("an exit that the owner cancels (freqtrade 8123)", {**SELL, "times": 1},
              {"do": "no_fill", "seconds": 60},
              acts=(("09:25:02", lambda sim: sim.manual_cancel(the_open_one(sim))),)),
    Situation("an exit that nobody fills for 20 s, changed meanwhile (freqtrade 8374)",
              {**SELL, "times": 1}, {"do": "no_fill", "seconds": 20}),
    Situation("a sell that is accepted and refused afterwards (freqtrade 5482)",
              {**SELL, "times": 1}, {"do": "refuse_later", "seconds": 3}, said=("order_rejected",)),
    Situation("a buy that is accepted and refused afterwards (freqtrade 12343)",
              BUY, {"do": "refuse_later", "seconds": 3}, said=("order_rejected",), bought=False),
    Situation("lists that show the shares ordered as filled (open-trading-api 44)", ORDER,
              {"do": "unsettled", "seconds": 10}),
    Situation("a first page of the list again and again (jsmstock 77)", {**LIST, **LATER},
              {"do": "repeat_page"}),
    Situation("an empty order list for a minute (nautilus_trader 4230)", {**LIST, **LATER},
              {"do": "empty"}),
    Situation("a balance without lines for a minute (nautilus_trader 3715)", {**BALANCE, **LATER},
              {"do": "empty"}),
    Situation("the feed breaks as the buy fills (Lean IB 249)", PRICE, {"do": "delay", "seconds": 0},
              acts=(("09:22:00", lambda sim: sim.drop_sessions()),
                    ("09:22:02", lambda sim: sim.drop_sessions()))),
    Situation("the feed breaks every 50 trades (trading-gpt 90)",
              {**TRADE, "nth": [50, 100, 150, 200, 250]}, {"do": "ws_close"}),
    Situation("a feed that leaves half of the trades out (open-trading-api 45)",
              {**TRADE, "probability": 0.5}, {"do": "frame_drop"}),
    Situation("no notice on paper, ever (open-trading-api 13)", NOTICE, {"do": "frame_drop"}),
    Situation("notices that overtake each other (Lean TradeStation 95)", FILL, {"do": "notice_swap"}),
    Situation("another program takes a token with the same key (mojito 6)", PRICE,
              {"do": "delay", "seconds": 0},
              acts=(("09:22:30", lambda sim: sim.second_client()),
                    ("09:24:59", lambda sim: sim.second_client()))),
    Situation("a yes without an order number (koapy 4)", {**BUY, "times": 1},
              {"do": "odno", "style": "empty"}, said=("order_found",)),
    Situation("an order number in another spelling (koapy 4)", ORDER, {"do": "odno", "style": "short"}),
    Situation("he buys the same stock meanwhile (nautilus_trader 3464)", PRICE,
              {"do": "delay", "seconds": 0}, said=("external_order",), unsaid=HIS,
              acts=(("09:23:00", he_trades("BUY", 3)),)),
    Situation("money is paid in meanwhile (freqtrade 2012)", PRICE, {"do": "delay", "seconds": 0},
              unsaid=HIS, acts=(("09:23:00", lambda sim: sim.transfer_cash(1_000_000)),)),
    Situation("an auction begins as the exit leaves (freqtrade 7526)", PRICE,
              {"do": "delay", "seconds": 0}, acts=(("09:24:59", event("vi", 90)),)),
    Situation("nobody buys for a minute and a half (freqtrade 3802)", PRICE,
              {"do": "delay", "seconds": 0},
              acts=(("09:24:58", event("limit_down")), ("09:26:30", event("unlock")))),
)  # fmt: skip
MORE = (
    Situation("a sell that hangs and never came (kuegiBot 2)", {**SELL, "times": 1},
              {"do": "lose", "how": "hang"}, said=("order_unknown",)),
    Situation("a buy reset before it came (Lean TradeStation 95)", {**BUY, "times": 1},
              {"do": "lose", "how": "reset"}, said=("order_unknown", "order_lost"), bought=False,
              config={"environment": "real"}),
    Situation("half of the notices never come (Lean TradeStation 95)",
              {**NOTICE, "probability": 0.5}, {"do": "frame_drop"}),
    Situation("notices that end while the line lives (ibind 129)",
              {**NOTICE, "from": "09:23"}, {"do": "frame_drop"}),
    Situation("every notice before its answer (koapy 55)", PRICE, {"do": "delay", "seconds": 0},
              config={"early_notice_share": 1.0}),
    Situation("he sells all of ours by phone (freqtrade 7586)", PRICE, {"do": "delay", "seconds": 0},
              unsaid=HIS, said=("external_order",), sold=False,
              acts=(("09:23:30", he_trades("SELL", 5)),)),
    Situation("he sells some of ours by phone (freqtrade 1371)", PRICE,
              {"do": "delay", "seconds": 0}, unsaid=HIS, said=("external_order",),
              acts=(("09:23:30", he_trades("SELL", 2)),)),
    Situation("he sells all of ours as our exit leaves (freqtrade 11007)", PRICE,
              {"do": "delay", "seconds": 0}, unsaid=HIS, sold=False,
              acts=(("09:24:59", he_trades("SELL", 5)),)),
    Situation("paper TR refused for a minute (kis-agent 44)", {**BALANCE, **LATER},
              {"do": "error", "code": "EGW02006"}),
    Situation("service not found for a minute (open-trading-api 17)", {**ACCOUNT, **LATER},
              {"do": "error", "code": "MCA00124"}),
    Situation("three busy answers to the exit (pyupbit 41)", {**SELL, "times": 3},
              {"do": "error", "code": "EGW00201"}),
    Situation("the token dies with the exit", {**SELL, "times": 1}, {"do": "token", "code": "EGW00121"}),
    Situation("the token dies with the entry", {**BUY, "times": 1}, {"do": "token", "code": "EGW00123"},
              bought=False),
    Situation("two bodies that cannot be built (koapy 97)", {**SELL, "times": 2},
              {"do": "error", "code": "IGW00007"}),
    Situation("every trade twice (QuantDinger 232)", TRADE, {"do": "frame_repeat", "times": 1}),
    Situation("trades in another order (nautilus_trader 3493)", {**TRADE, "probability": 0.3},
              {"do": "frame_swap"}),
    Situation("frames that are no text now and then (open-trading-api 34)",
              {**TRADE, "probability": 0.1}, {"do": "frame_garble", "how": "text"}),
    Situation("answers in another character set", {**ACCOUNT, "probability": 0.3},
              {"do": "garble", "how": "charset"}),
    Situation("a body whose key is not quoted", {**BUY, "times": 1},
              {"do": "garble", "how": "unquoted"}, said=("order_unknown",)),
    Situation("connections reset one time in five (freqtrade 5045)",
              {"path": "inquire", "probability": 0.2}, {"do": "lose", "how": "reset"}),
    Situation("an entry that fills as it is cancelled (pyexchange 195)",
              {**CANCEL, "times": 1}, {"do": "error", "code": "40330000"}, **RESTS),
    Situation("halted while shares are held", PRICE, {"do": "delay", "seconds": 0},
              acts=(("09:23:00", event("halt", 60)),)),
    Situation("nobody sells: locked at the upper limit", PRICE, {"do": "delay", "seconds": 0},
              bought=False, acts=(("09:21:30", event("limit_up")), ("09:24:30", event("unlock")))),
    Situation("blank limits while shares are held", {**PRICE, **LATER}, field("stck_mxpr", "")),
    Situation("codes padded with blanks", ACCOUNT, field("pdno", f" {SYMBOL} ")),
    Situation("acknowledgements that get lost (ksapi 33)", {"kind": "control", "times": 3},
              {"do": "frame_drop"}),
    Situation("every acknowledgement and PINGPONG twice", {"kind": "control"},
              {"do": "frame_repeat", "times": 1}),
    Situation("no order book all day (bitfinex-api-py 107)", {"kind": "book"}, {"do": "frame_drop"}),
    Situation("broken order books", {"kind": "book"}, {"do": "frame_garble", "how": "truncate"}),
    Situation("no approval key for a while (open-trading-api 32)", {"path": "Approval", "times": 2},
              {"do": "html", "status": 503}),
    Situation("a slow token", {"path": "tokenP", "times": 1}, {"do": "delay", "seconds": 9}),
    Situation("busy price answers (kis-agent 44)", {**PRICE, "probability": 0.3},
              {"do": "error", "code": "EGW00201"}),
    Situation("a balance without counts for a minute", {**BALANCE, **LATER}, field("hldg_qty", "")),
    Situation("an order list without fills for a minute", {**LIST, **LATER},
              field("tot_ccld_qty", "")),
    Situation("an order list of no shares for a minute", {**LIST, **LATER}, field("ord_qty", "0")),
    Situation("prices of 0 while shares are held", {**PRICE, **LATER}, field("stck_prpr", "0")),
    Situation("called halted by REST for a minute", {**PRICE, **LATER}, field("temp_stop_yn", "Y")),
    Situation("called an administrative issue meanwhile", {**PRICE, **LATER},
              field("iscd_stat_cls_code", "51")),
    Situation("a blank price step while shares are held", {**PRICE, **LATER}, field("aspr_unit", "")),
    Situation("a blank base price while shares are held", {**PRICE, **LATER}, field("stck_sdpr", "")),
    Situation("an order time that is none", LIST, field("ord_tmd", "256199")),
    Situation("a branch of signs", ORDER, field("KRX_FWDG_ORD_ORGNO", "<06010>")),
    Situation("status frames twice (real)", {"kind": "status"}, {"do": "frame_repeat", "times": 2},
              config={"environment": "real"}, acts=(("09:23:00", event("vi", 60)),)),
)  # fmt: skip
MODIFY, DEAD_TOKEN = {"kind": "modify"}, {"do": "error", "status": 500, "code": "IGW00121"}
UNFILLED = {"kind": "order", "side": "SELL", "times": 1}, {"do": "no_fill", "seconds": 40}
FRESH = (
    Situation("a cancel refused for the other exchange (Ouroboros 375)", {**CANCEL, "times": 1},
              {"do": "error", "rt_cd": "7", "code": "APBK0000",
               "text": "취소주문 불가합니다. 원주문 거래소[NXT] 취소주문 거래소[KRX]"}, **RESTS),
    Situation("a dead token told as a 500 (programgarden 32)", {**ACCOUNT, **LATER}, DEAD_TOKEN),
    Situation("the same with the exit (programgarden 32)", {**SELL, "times": 1}, DEAD_TOKEN,
              said=("order_unknown",)),
    Situation("tokens whose end is shown in UTC (jsmstock 45)", PRICE, {"do": "delay", "seconds": 0},
              config={"expiry_shift_s": -32_400.0}),
    Situation("tokens that show an end of yesterday (jsmstock 41)", PRICE, {"do": "delay", "seconds": 0},
              config={"expiry_shift_s": -86_400.0}, unsaid=("trouble", "mismatch", "error")),
    Situation("no contest entered on paper (prism-insight 132)", BUY,
              {"do": "error", "rt_cd": "1", "code": "40650000", "text": "모의투자 참가신청"},
              said=("order_refused",), bought=False),
    Situation("the first page of the balance again and again (pipios 27)", {**BALANCE, **LATER},
              {"do": "repeat_page"}),
    Situation("the old balance after the sale (vnpy 2228)", {**BALANCE, "from": "09:24:50", "to": "09:27"},
              {"do": "stale_balance", "seconds": 120}),
    Situation("every notice three times, before its answer (binance-trading-bot 450)", NOTICE,
              {"do": "notice_repeat", "times": 3}, config={"early_notice_share": 1.0}),
    Situation("a page that says 200 for a minute", {**ALL, **LATER}, {"do": "html", "status": 200}),
    Situation("a wrong price step for the exit (pysystemtrade 1660)", {**SELL, "times": 1},
              {"do": "error", "rt_cd": "1", "code": "APBK0506", "text": "호가단위 오류입니다."},
              said=("order_refused",)),
    Situation("an exit refused twice beyond the limits (invest-openapi 452)", {**SELL, "times": 2},
              {"do": "error", "rt_cd": "1", "code": "40270000", "text": "상/하한가 오류입니다."}),
    Situation("all rows called cancelled (freqtrade 11461)", {**LIST, **LATER}, field("cncl_yn", "Y")),
    Situation("all rows called rejected at the exit", {**LIST, "from": "09:24:50", "to": "09:25:50"},
              field("rjct_qty", "5")),
    Situation("the list names another stock: stopped, and sold", {**LIST, **LATER}, field("pdno", "000660"),
              said=("symbol_stopped",)),
    Situation("more filled than ordered: stopped, and sold", {**LIST, **LATER}, field("tot_ccld_qty", "50"),
              said=("symbol_stopped",)),
    Situation("a balance of no shares for a minute", {**BALANCE, **LATER}, field("hldg_qty", "0")),
    Situation("an order number of words", {**BUY, "times": 1}, field("ODNO", "접수"), said=("order_found",)),
    Situation("bodies without anything", {**ACCOUNT, "probability": 0.2}, {"do": "garble", "how": "empty"}),
    Situation("a feed that dies without a word (passivbot_lighter 3)", {**TRADE, "from": "09:23"},
              {"do": "frame_drop"}, unsaid=("mismatch", "external_order", "cash_differs")),
    Situation("an old session that lingers for 20 s", PRICE, {"do": "delay", "seconds": 0},
              config={"session_linger_s": 20.0}, acts=(("09:22:10", lambda sim: sim.drop_sessions()),)),
    Situation("an exit that is changed, the answer lost (nautilus_trader 4564)", *UNFILLED,
              also=(({**MODIFY, "times": 1}, {"do": "lose", "how": "hang", "executed": True}),)),
    Situation("an exit whose change is refused and made (OrderBook-rs 98)", *UNFILLED,
              also=(({**MODIFY, "times": 1}, {"do": "error", "code": "EGW00301", "executed": True}),)),
    Situation("a change without a number (nautilus_trader 4270)", *UNFILLED,
              also=(({**MODIFY, "times": 1}, {"do": "odno", "style": "empty"}),)),
    Situation("changes that are always refused", *UNFILLED,
              also=((MODIFY, {"do": "error", "rt_cd": "1", "code": "40330000", "text": "정정 불가"}),)),
    Situation("the last days of a listing: nothing is bought", PRICE, field("sltr_yn", "Y"), bought=False),
    Situation("a warning of the exchange beside another state", PRICE, field("mrkt_warn_cls_code", "02"),
              bought=False),
    Situation("the last days of a listing begin while shares are held", {**PRICE, **LATER},
              field("sltr_yn", "Y")),
    Situation("three halts of five seconds", PRICE, {"do": "delay", "seconds": 0}, acts=tuple(
              (f"09:23:{at}", event("halt", 5)) for at in ("05", "15", "30"))),
    Situation("the app key in use again and again (python-kis)", PRICE, {"do": "delay", "seconds": 0},
              acts=tuple((f"09:22:{at}", lambda sim: sim.second_client()) for at in ("05", "15", "25", "35"))),
    Situation("no answer to anything from before the exit on", {**ALL, "from": "09:24:30", "to": "09:26"},
              {"do": "lose", "how": "hang"}, said=("trouble", "trouble_over")),
    Situation("no new token, and the old one dies", {"path": "tokenP", "from": "09:22", "to": "09:24:30"},
              {"do": "html", "status": 503},
              also=(({**ACCOUNT, "from": "09:23", "times": 1}, {"do": "token", "code": "EGW00123"}),)),
    Situation("a change reset before it came", *UNFILLED,
              also=(({**MODIFY, "times": 1}, {"do": "lose", "how": "reset"}),)),
)  # fmt: skip
EVERY = (*TABLE, *REPORTS, *MORE, *FRESH)


@pytest.mark.parametrize("line", EVERY, ids=[line.name for line in EVERY])
def test_a_day_of_other_people(line):
    """What the table says must hold, holds."""

    async def story(life):
        for match, effect in ((line.match, line.effect), *line.also):
            life.sim.faults.add({"match": match, "effect": effect})
        wish = wishes("09:22:00", plan=(0.8, 1.2), offset_ticks=line.offset_ticks)
        trader, run = await life.begin(wish)
        late = [act for act in line.acts if act[0] >= "09:25:00"]
        for at, act in line.acts:
            if (at, act) not in late:
                await life.world.until(at)
                act(life.sim)
        await life.world.until("09:25:00")
        trader.set_level("FLATTEN_AND_HALT", "test")
        for at, act in late:
            await life.world.until(at)
            act(life.sim)
        await life.world.until("09:29:00")
        await life.stop(trader, run)
        return trader.engine.core.ledger

    life = Life(density=60.0, settings=dict(line.settings), **line.config)
    ledger = life.play(story)
    ours = [order for order in life.sim.books()["orders"] if order["source"] == "api"]
    sides = [order["side"] for order in ours if order["filled_quantity"]]
    assert sides == ["BUY", "SELL"][: line.bought + (line.bought and line.sold)]
    assert harness.differences(life.sim, ledger) == []
    assert (ledger.position(SYMBOL).quantity, ledger.open_orders()) == (0, [])
    assert bot.KillLevel.FLATTEN_AND_HALT is ledger.level
    said = set(life.alerts())
    assert set(line.said) | ({"order_sent"} if line.offset_ticks < 0 else set()) <= said
    assert not set(line.unsaid) & said
