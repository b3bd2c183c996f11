"""REST answers about the market: prices, books, charts.

Layouts pair the broker's field names with our words; every value leaves as text. Words of a stock
come from `stock_words`, words of a bar from Bar.words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from companions.simulator.history import Bar
from companions.simulator.market import AUCTIONS, Market
from companions.simulator.rules import NO_BAND, sign_code
from companions.simulator.tape import NO_LEVELS, Ground, Tape, TradeRow
from companions.simulator.tools import (
    Layout,
    hms,
    hms_of,
    padded,
    parse_clock,
    parse_ymd,
    percent,
    second_of_day,
    ymd,
)
from companions.simulator.wire import hour_class


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call after the gateway's checks; parameter names in upper case."""

    path: str
    tr_id: str
    params: Mapping[str, str]
    body: Mapping[str, Any]
    tr_cont: str
    at: int

    def get(self, name: str) -> str:
        """Return a query parameter without blanks, empty when missing."""
        return str(self.params.get(name, "")).strip()


@dataclass(slots=True)
class Answer:
    """Payload and envelope of a successful call."""

    payload: dict[str, Any]
    msg_cd: str = "MCA00000"
    msg1: str = "정상처리 되었습니다."
    tr_cont: str = ""


class Rejected(Exception):
    """A business refusal: HTTP 200 with rt_cd other than 0."""

    def __init__(self, msg_cd: str, msg1: str, rt_cd: str = "1") -> None:
        super().__init__(msg_cd)
        self.msg_cd, self.msg1, self.rt_cd = msg_cd, msg1, rt_cd


def inquiry(payload: dict[str, Any], tr_cont: str = "", empty: bool = False) -> Answer:
    """Wrap an account inquiry; its text is padded with blanks (doc examples)."""
    if tr_cont in ("F", "M"):
        return Answer(
            payload, "KIOK0500", padded("조회가 계속됩니다.다음버튼을 Click 하십시오."), tr_cont
        )
    if empty:
        return Answer(payload, "KIOK0560", padded("조회할 내용이 없습니다"), tr_cont)
    return Answer(payload, "KIOK0510", padded("조회가 완료되었습니다"), tr_cont)


def blank(value: Any) -> Any:
    """Return the same structure filled with "0": how an unknown stock is answered (observed)."""
    if isinstance(value, dict):
        return {key: blank(item) for key, item in value.items()}
    return [] if isinstance(value, list) else "0"


def change_words(price: int, tape: Tape) -> dict[str, Any]:
    """Return change, rate and sign of a price against the previous close."""
    change = price - tape.base
    sign = sign_code(change, price, tape.band)
    return {"change": change, "rate": percent(change, tape.base), "sign": sign}


def stock_words(tape: Tape) -> dict[str, Any]:
    """Return the words of a stock as it stands now."""
    state = (tape.depth(), tape.state, tape.expected)  # every trade makes a new book
    known = tape.words
    if known is None or known[0][0] is not state[0] or known[0][1:] != state[1:]:
        known = tape.words = (state, _stock_words(tape))
    return known[1].copy()


def _stock_words(tape: Tape) -> dict[str, Any]:
    listing, last, depth = tape.listing, tape.last, tape.depth()
    halted = tape.state == "halt"
    expected = tape.expected if tape.state in AUCTIONS else (0, 0)
    return change_words(last, tape) | {
        "code": listing.code,
        "name": listing.name,
        "market": listing.market,
        "index": "KOSPI200" if listing.market == "KOSPI" else "KSQ150",
        "issue": "58" if halted else "55",
        "halted": "Y" if halted else "N",
        "vi": "Y" if tape.state == "vi" else "N",
        "last": last,
        "base": tape.base,
        "open": tape.open,
        "high": tape.high,
        "low": tape.low,
        "upper": tape.band[1],
        "lower": tape.band[0],
        "volume": tape.volume,
        "value": tape.value,
        "vwap": f"{tape.value / tape.volume if tape.volume else 0.0:.2f}",
        "previous_volume": tape.previous_volume,
        "volume_change": tape.volume - tape.previous_volume,
        "volume_rate": percent(tape.volume, tape.previous_volume),
        "turnover": percent(tape.volume, listing.shares),
        "tick": tape.tick(last),
        "width": tape.band[1] - tape.base,
        "substitute": tape.base * 7 // 10,
        "shares": listing.shares,
        "cap": listing.shares * last // 10**8,
        "eps": f"{last / 14.2:.2f}",
        "bps": f"{last / 1.35:.2f}",
        "ask": depth.asks[0],
        "bid": depth.bids[0],
        "ask_size": depth.ask_sizes[0],
        "bid_size": depth.bid_sizes[0],
        "asks": depth.ask_total,
        "bids": depth.bid_total,
        "more_bids": depth.bid_total - depth.ask_total,
        "expected": expected[0],
        "expected_volume": expected[1],
        "hour_class": hour_class(tape.state),
        "operation": {"before": "10", "opening": "10", "closed": "31"}.get(tape.state, "20"),
        "coming": {"opening": "112", "closing": "121"}.get(tape.state, "311"),
        "high_at": tape.high_clock,
        "low_at": tape.low_clock,
        "up": last - tape.open,
        "up_sign": sign_code(last - tape.open, last, tape.band),
        "up_rate": percent(last - tape.open, tape.open),
    }


PRICE = Layout("""
    iscd_stat_cls_code=issue marg_rate=20.00 rprs_mrkt_kor_name=index bstp_kor_isnm=market
    temp_stop_yn=halted oprc_rang_cont_yn=N clpr_rang_cont_yn=N crdt_able_yn=Y stck_prpr=last
    prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate acml_tr_pbmn=value acml_vol=volume
    prdy_vrss_vol_rate=volume_rate stck_oprc=open stck_hgpr=high stck_lwpr=low stck_mxpr=upper
    stck_llam=lower stck_sdpr=base wghn_avrg_stck_prc=vwap hts_frgn_ehrt=51.20 frgn_ntby_qty=0
    pgtr_ntby_qty=0 rstc_wdth_prc=width stck_fcam=100 stck_sspr=substitute aspr_unit=tick
    hts_deal_qty_unit_val=1 lstn_stcn=shares hts_avls=cap per=14.20 pbr=1.35 stac_month=12
    vol_tnrt=turnover eps=eps bps=bps stck_shrn_iscd=code vi_cls_code=vi ovtm_vi_cls_code=N
    invt_caful_yn=N mrkt_warn_cls_code=00 short_over_yn=N sltr_yn=N mang_issu_cls_code=N
    w52_hgpr=year_high w52_hgpr_vrss_prpr_ctrt=from_high w52_hgpr_date=high_day
    w52_lwpr=year_low w52_lwpr_vrss_prpr_ctrt=from_low w52_lwpr_date=low_day
    d250_hgpr=year_high d250_hgpr_vrss_prpr_rate=from_high d250_hgpr_date=high_day
    d250_lwpr=year_low d250_lwpr_vrss_prpr_rate=from_low d250_lwpr_date=low_day
    stck_dryy_hgpr=year_high dryy_hgpr_vrss_prpr_rate=from_high dryy_hgpr_date=high_day
    stck_dryy_lwpr=year_low dryy_lwpr_vrss_prpr_rate=from_low dryy_lwpr_date=low_day
""")
PRICE_2 = Layout("""
    rprs_mrkt_kor_name=index crdt_able_yn=Y stck_mxpr=upper elw_pblc_yn=N prdy_clpr_vrss_oprc_rate=open_rate crdt_rate=0.00
    marg_rate=20.00 lwpr_vrss_prpr=low_gap lwpr_vrss_prpr_sign=low_sign
    prdy_clpr_vrss_lwpr_rate=low_rate stck_lwpr=low hgpr_vrss_prpr=high_gap
    hgpr_vrss_prpr_sign=high_sign prdy_clpr_vrss_hgpr_rate=high_rate stck_hgpr=high
    oprc_vrss_prpr=open_gap oprc_vrss_prpr_sign=open_sign mang_issu_yn=N divi_app_cls_code=00
    short_over_yn=N mrkt_warn_cls_code=00 invt_caful_yn=N stange_runup_yn=N ssts_hot_yn=N
    low_current_yn=N vi_cls_code=vi short_over_cls_code stck_llam=lower new_lstn_cls_name
    vlnt_deal_cls_name stck_sdpr=base bstp_cls_code=000000 stck_prdy_clpr=base insn_pbnt_yn=N
    stck_prpr=last
    prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate acml_tr_pbmn=value acml_vol=volume
    prdy_vrss_vol_rate=volume_rate bstp_kor_isnm=market sltr_yn=N trht_yn=halted
    oprc_rang_cont_yn=N vlnt_fin_cls_code stck_oprc=open prdy_vol=previous_volume
""")
BOOK_TOTALS = Layout("""
    total_askp_rsqn=asks total_bidp_rsqn=bids total_askp_rsqn_icdc=0 total_bidp_rsqn_icdc=0
    ovtm_total_askp_rsqn=0 ovtm_total_bidp_rsqn=0 ovtm_total_askp_icdc=0 ovtm_total_bidp_icdc=0
    ntby_aspr_rsqn=more_bids new_mkop_cls_code=operation
""")
BOOK_EXPECTED = Layout("""
    antc_mkop_cls_code=coming stck_prpr=last stck_oprc=open stck_hgpr=high stck_lwpr=low
    stck_sdpr=base antc_cnpr=expected antc_cntg_vrss_sign=expected_sign
    antc_cntg_vrss=expected_change antc_cntg_prdy_ctrt=expected_rate antc_vol=expected_volume
    stck_shrn_iscd=code vi_cls_code=vi
""")
TRADE = Layout("""
    stck_cntg_hour=clock stck_prpr=price prdy_vrss=change prdy_vrss_sign=sign
    cntg_vol=quantity tday_rltv=strength prdy_ctrt=rate
""")
TRADE_BY_TIME = Layout("""
    stck_cntg_hour=clock stck_prpr=price prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate
    askp=ask bidp=bid tday_rltv=strength acml_vol=volume cnqn=quantity
""")
TRADE_HEAD = Layout("""
    stck_prpr=last prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate acml_vol=volume
    prdy_vol=previous_volume rprs_mrkt_kor_name=market
""")
CHART_HEAD = Layout("""
    prdy_vrss=change prdy_vrss_sign=sign prdy_ctrt=rate stck_prdy_clpr=base acml_vol=volume
    acml_tr_pbmn=value hts_kor_isnm=name stck_prpr=last
""")
MINUTE_ROW = Layout("""
    stck_bsop_date=day stck_cntg_hour=clock stck_prpr=close stck_oprc=open stck_hgpr=high
    stck_lwpr=low cntg_vol=volume acml_tr_pbmn=total
""")
DAILY_HEAD = Layout("""
    stck_shrn_iscd=code prdy_vol=previous_volume stck_mxpr=upper stck_llam=lower stck_oprc=open
    stck_hgpr=high stck_lwpr=low stck_prdy_oprc=before_open stck_prdy_hgpr=before_high
    stck_prdy_lwpr=before_low askp=ask bidp=bid prdy_vrss_vol=volume_change vol_tnrt=turnover
    stck_fcam=100 lstn_stcn=shares cpfn=0 hts_avls=cap per=14.20 eps=eps pbr=1.35
""")
LOAN_RATE = {"itewhol_loan_rmnd_ratem name": "0.10"}  # the key has a blank (seen 2026-08)
DAILY_ROW = Layout("""
    stck_bsop_date=day stck_clpr=close stck_oprc=open stck_hgpr=high stck_lwpr=low
    acml_vol=volume acml_tr_pbmn=value flng_cls_code=00 prtt_rate=0.00 mod_yn=N
    prdy_vrss_sign=sign prdy_vrss=change revl_issu_reas
""")
DAILY_SHORT_ROW = Layout("""
    stck_bsop_date=day stck_oprc=open stck_hgpr=high stck_lwpr=low stck_clpr=close
    acml_vol=volume prdy_vrss_vol_rate=volume_rate prdy_vrss=change prdy_vrss_sign=sign
    prdy_ctrt=rate hts_frgn_ehrt=51.20 frgn_ntby_qty=0 flng_cls_code=00 acml_prtt_rate=1.00
""")
PERIODS: dict[str, tuple[int, Callable[[date], Any]]] = {  # days per bar at most, key of a bar
    "D": (1, lambda day: day),
    "W": (5, lambda day: day.isocalendar()[:2]),
    "M": (23, lambda day: (day.year, day.month)),
    "Y": (260, lambda day: day.year),
}
FIRST_DAY = date(2018, 1, 2)  # history begins here


def merge_bars(days: Iterable[tuple[Any, Bar]], key: Callable[[Any], Any]) -> list[tuple[Any, Bar]]:
    """Merge bars, newest first, whose times share a key; each takes the newest time."""
    merged: list[tuple[Any, Bar]] = []
    for _, group in itertools.groupby(days, key=lambda item: key(item[0])):
        part = list(group)
        bars = [bar for _, bar in part]
        high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
        volume, value = sum(bar.volume for bar in bars), sum(bar.value for bar in bars)
        whole = Bar(bars[-1].open, high, low, bars[0].close, volume, value)
        merged.append((part[0][0], whole))
    return merged


class Quotations:
    """Prices, books and bars of one stock."""

    def __init__(self, ground: Ground, market: Market) -> None:
        self._market, self._history, self._calendar = market, ground.history, ground.calendar
        self._dice = ground.dice
        self._year_words: dict[tuple[str, date], dict[str, Any]] = {}

    def _about(self, call: Call, build: Callable[[Tape, Call], dict[str, Any]]) -> Answer:
        if call.get("FID_COND_MRKT_DIV_CODE") not in ("J", "NX", "UN"):
            raise Rejected("OPSQ2001", "ERROR INVALID FID_COND_MRKT_DIV_CODE", "2")
        tape = self._market.tapes.get(call.get("FID_INPUT_ISCD"))
        if tape is None:
            return Answer(blank(build(next(iter(self._market.tapes.values())), call)))
        return Answer(build(tape, call))

    # --- price, book, trades --------------------------------------------------------

    def price(self, call: Call) -> Answer:
        """inquire-price."""
        return self._about(call, self._price)

    def price_2(self, call: Call) -> Answer:
        """inquire-price-2: other fields of the same stock (doc).

        Six documented names without a value are left out altogether, as the server does
        (seen 2026-09-27, one source): flng_cls_name, mrkt_warn_cls_name and the like.
        """

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            words = stock_words(tape)
            for name in ("open", "high", "low"):
                gap = tape.last - words[name]
                words |= {f"{name}_gap": gap, f"{name}_sign": sign_code(gap, tape.last, NO_BAND)}
                words[f"{name}_rate"] = percent(words[name] - tape.base, tape.base)
            return {"output": PRICE_2.fill(words)}

        return self._about(call, build)

    def _price(self, tape: Tape, call: Call) -> dict[str, Any]:
        words = stock_words(tape) | self._year(tape)
        words["from_high"] = percent(tape.last - words["year_high"], words["year_high"])
        words["from_low"] = percent(tape.last - words["year_low"], words["year_low"])
        return {"output": PRICE.fill(words)}

    def _year(self, tape: Tape) -> dict[str, Any]:
        """Return the extremes of the 250 trading days before today."""
        key = (tape.listing.code, self._market.day)
        if key not in self._year_words:
            day, days = self._market.day, []
            for _ in range(251):
                day = self._calendar.previous(day)
                days.append(day)
            high, high_day, low, low_day = self._history.extremes(tape.listing.code, tuple(days))
            words = {"year_high": high, "high_day": ymd(high_day)}
            self._year_words[key] = words | {"year_low": low, "low_day": ymd(low_day)}
        return self._year_words[key]

    def book(self, call: Call) -> Answer:
        """inquire-asking-price-exp-ccn."""
        return self._about(call, self._book)

    def _book(self, tape: Tape, call: Call) -> dict[str, Any]:
        depth, words = tape.depth(), stock_words(tape)
        expected = change_words(words["expected"], tape)
        words |= {f"expected_{name}": value for name, value in expected.items()}
        levels: dict[str, Any] = {"aspr_acpt_hour": hms(call.at)}
        names = ("askp", "bidp", "askp_rsqn", "bidp_rsqn", "askp_rsqn_icdc", "bidp_rsqn_icdc")
        for name, values in zip(names, (*depth[:4], NO_LEVELS, NO_LEVELS), strict=True):
            levels |= {f"{name}{i}": value for i, value in enumerate(values, start=1)}
        return {"output1": levels | BOOK_TOTALS.fill(words), "output2": BOOK_EXPECTED.fill(words)}

    @staticmethod
    def _trade_words(tape: Tape, row: TradeRow) -> dict[str, Any]:
        words = row._asdict() | change_words(row.price, tape)
        return words | {"clock": hms(row.at), "strength": percent(row.bought, row.sold)}

    def last_trades(self, call: Call) -> Answer:
        """inquire-ccnl: 30 rows, newest first."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            rows = tape.trades[:-31:-1]
            return {"output": [TRADE.fill(self._trade_words(tape, row)) for row in rows]}

        return self._about(call, build)

    def trades_by_time(self, call: Call) -> Answer:
        """inquire-time-itemconclusion: 30 trades up to an hour, newest first.

        The table of the document calls the price stck_pbpr, its example and the server stck_prpr
        (seen 2026-09-27, one source).
        """

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            hour = call.get("FID_INPUT_HOUR_1") or "235959"
            fitting = (row for row in reversed(tape.trades) if hms(row.at) <= hour)
            rows = itertools.islice(fitting, 30)
            words = [self._trade_words(tape, row) for row in rows]
            head = TRADE_HEAD.fill(stock_words(tape))
            return {"output1": head, "output2": [TRADE_BY_TIME.fill(w) for w in words]}

        return self._about(call, build)

    # --- bars -----------------------------------------------------------------------

    def minutes_today(self, call: Call) -> Answer:
        """inquire-time-itemchartprice: 30 bars up to an hour, newest first."""
        return self._about(call, self._minutes_today)

    def _minutes_today(self, tape: Tape, call: Call) -> dict[str, Any]:
        hour, now = call.get("FID_INPUT_HOUR_1"), second_of_day(call.at) // 60 * 60
        wanted = parse_clock(hour) // 60 * 60 if hour.isdigit() and int(hour) else now
        bars = dict(tape.minutes)
        if bars and tape.state != "closed":
            known = max(bars)
            for second in range(max(known + 60, wanted - 29 * 60), wanted + 1, 60):
                # A minute without a trade repeats the price; the running one shows the volume
                # of the bar before, as the real server does until the first trade.
                volume = bars[known].volume if second == now else 0
                bars[second] = Bar(tape.last, tape.last, tape.last, tape.last, volume)
        rows = [(hms_of(second), bar) for second, bar in sorted(bars.items())]
        return self._minute_answer(tape, tape.day, rows, hms_of(wanted), 30)

    def minutes_past(self, call: Call) -> Answer:
        """inquire-time-dailychartprice: 120 bars of one day up to an hour, newest first."""
        return self._about(call, self._minutes_past)

    def _minutes_past(self, tape: Tape, call: Call) -> dict[str, Any]:
        day = parse_ymd(call.get("FID_INPUT_DATE_1")) or tape.day
        oldest = tape.day - timedelta(days=366)  # one year is kept (doc)
        rows: list[tuple[str, Bar]] = []
        if day == tape.day:
            rows = [(hms_of(second), bar) for second, bar in sorted(tape.minutes.items())]
        elif oldest <= day < tape.day and self._calendar.is_trading_day(day):
            rows = self._history.minute_rows(tape.listing.code, day)
        return self._minute_answer(tape, day, rows, call.get("FID_INPUT_HOUR_1") or "235959", 120)

    @staticmethod
    def _minute_answer(
        tape: Tape, day: date, rows: Sequence[tuple[str, Bar]], hour: str, most: int
    ) -> dict[str, Any]:
        totals = itertools.accumulate(bar.value for _, bar in rows)
        known = [(row, total) for row, total in zip(rows, totals, strict=True) if row[0] <= hour]
        output = [
            MINUTE_ROW.fill(bar.words() | {"day": ymd(day), "clock": clock, "total": total})
            for (clock, bar), total in known[: -most - 1 : -1]
        ]
        return {"output1": CHART_HEAD.fill(stock_words(tape)), "output2": output}

    def _days(self, tape: Tape, first: date, last: date, rows: int) -> list[tuple[date, Bar]]:
        """Return daily bars newest first; today's bar is included and unfinished."""
        found: list[tuple[date, Bar]] = []
        if last >= tape.day:
            if tape.volume and first <= tape.day:
                bar = Bar(tape.open, tape.high, tape.low, tape.last, tape.volume, tape.value)
                found.append((tape.day, bar))
            last = tape.day - timedelta(days=1)
        day = self._calendar.previous(last + timedelta(days=1))
        while day >= max(first, FIRST_DAY) and len(found) < rows:
            found.append((day, self._history.daily(tape.listing.code, day)))
            day = self._calendar.previous(day)
        return found

    def _periods(self, tape: Tape, call: Call, rows: int) -> list[tuple[date, Bar]]:
        """Return bars of days, weeks, months or years, newest first, one more than wanted."""
        first = parse_ymd(call.get("FID_INPUT_DATE_1")) or FIRST_DAY
        last = parse_ymd(call.get("FID_INPUT_DATE_2")) or self._market.day
        days, key = PERIODS.get(call.get("FID_PERIOD_DIV_CODE"), PERIODS["D"])
        return merge_bars(self._days(tape, first, last, rows * days), key)[:rows]

    def _period_words(self, tape: Tape, call: Call, rows: int) -> list[dict[str, Any]]:
        bars = self._periods(tape, call, rows)
        words = []
        for index, (day, bar) in enumerate(bars):
            before = bars[index + 1][1] if index + 1 < len(bars) else None
            if before is None:
                before = self._history.daily(tape.listing.code, self._calendar.previous(day))
            growth = percent(bar.volume - before.volume, before.volume)
            words.append(bar.words(before.close) | {"day": ymd(day), "volume_rate": growth})
        return words

    def daily_chart(self, call: Call) -> Answer:
        """inquire-daily-itemchartprice: 100 bars between two days, newest first."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            before = self._history.daily(tape.listing.code, self._calendar.previous(tape.day))
            words = stock_words(tape) | {"before_open": before.open}
            words |= {"before_high": before.high, "before_low": before.low}
            rows = [DAILY_ROW.fill(w) for w in self._period_words(tape, call, 100)]
            head = CHART_HEAD.fill(words) | DAILY_HEAD.fill(words) | LOAN_RATE
            return {"output1": head, "output2": rows}

        return self._about(call, build)

    def daily_short(self, call: Call) -> Answer:
        """inquire-daily-price: 30 bars, newest first."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            rows = self._period_words(tape, call, 30)
            return {"output": [DAILY_SHORT_ROW.fill(words) for words in rows]}

        return self._about(call, build)
