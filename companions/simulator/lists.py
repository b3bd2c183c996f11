"""REST answers about the market: indexes, flows of investors, rankings and other lists."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, NamedTuple

from companions.simulator.history import Bar
from companions.simulator.market import Market
from companions.simulator.quotations import (
    FIRST_DAY,
    PERIODS,
    Answer,
    Call,
    Quotations,
    Rejected,
    inquiry,
    merge_bars,
    stock_words,
)
from companions.simulator.rules import NO_BAND, sign_code
from companions.simulator.tables import Listing
from companions.simulator.tape import Ground, Tape
from companions.simulator.tools import Layout, hms_of, padded, parse_ymd, percent, ymd


class Index(NamedTuple):
    """A market index. `level` is its invented height when all stocks stand at their anchors."""

    name: str
    market: str
    level: int


INDEXES = {
    "0001": Index("종합", "KOSPI", 2700),
    "1001": Index("KOSDAQ", "KOSDAQ", 870),
    "2001": Index("KOSPI200", "KOSPI", 360),
}
INDEX_PRICE = Layout("""
    bstp_nmix_prpr=close bstp_nmix_prdy_vrss=change prdy_vrss_sign=sign bstp_nmix_prdy_ctrt=rate
    acml_vol=volume prdy_vol=volume_before acml_tr_pbmn=value prdy_tr_pbmn=value_before
    bstp_nmix_oprc=open prdy_nmix_vrss_nmix_oprc=open_gap oprc_vrss_prpr_sign=open_sign
    bstp_nmix_oprc_prdy_ctrt=open_rate bstp_nmix_hgpr=high prdy_nmix_vrss_nmix_hgpr=high_gap
    hgpr_vrss_prpr_sign=high_sign bstp_nmix_hgpr_prdy_ctrt=high_rate bstp_nmix_lwpr=low
    prdy_clpr_vrss_lwpr=low_gap lwpr_vrss_prpr_sign=low_sign prdy_clpr_vrss_lwpr_rate=low_rate
    ascn_issu_cnt=rising uplm_issu_cnt=at_upper stnr_issu_cnt=flat down_issu_cnt=falling
    lslm_issu_cnt=at_lower dryy_bstp_nmix_hgpr=year_high dryy_hgpr_vrss_prpr_rate=from_high
    dryy_bstp_nmix_hgpr_date=high_day dryy_bstp_nmix_lwpr=year_low
    dryy_lwpr_vrss_prpr_rate=from_low dryy_bstp_nmix_lwpr_date=low_day total_askp_rsqn=asks
    total_bidp_rsqn=bids seln_rsqn_rate=ask_rate shnu_rsqn_rate=bid_rate ntby_rsqn=more_bids
""")
INDEX_HEAD = Layout("""
    bstp_nmix_prdy_vrss=change prdy_vrss_sign=sign bstp_nmix_prdy_ctrt=rate prdy_nmix=before
    acml_vol=volume acml_tr_pbmn=value hts_kor_isnm=name bstp_nmix_prpr=close bstp_cls_code=code
    prdy_vol=volume_before bstp_nmix_oprc=open bstp_nmix_hgpr=high bstp_nmix_lwpr=low
    futs_prdy_oprc=open_before futs_prdy_hgpr=high_before futs_prdy_lwpr=low_before
""")
INDEX_DAY_ROW = Layout("""
    stck_bsop_date=day bstp_nmix_prpr=close bstp_nmix_oprc=open bstp_nmix_hgpr=high
    bstp_nmix_lwpr=low acml_vol=volume acml_tr_pbmn=value mod_yn=N
""")
INDEX_MINUTE_ROW = Layout("""
    stck_bsop_date=day stck_cntg_hour=clock bstp_nmix_prpr=close bstp_nmix_oprc=open
    bstp_nmix_hgpr=high bstp_nmix_lwpr=low cntg_vol=volume acml_tr_pbmn=total
""")


class Indexes:
    """Market indexes, computed from the stocks of this simulation by market value.

    Bars of an index are in hundredths of a point; volume in 1,000 shares and value in million won,
    as on the realtime feed of indexes (unconfirmed for REST). Highs and lows are those of the
    stocks together, a little too wide (invented).
    """

    def __init__(self, ground: Ground, market: Market) -> None:
        self._market, self._history, self._calendar = market, ground.history, ground.calendar

    def _find(self, call: Call) -> tuple[Index, list[Tape]]:
        """Return the index of a call and its stocks; any when none is of its market."""
        if call.get("FID_COND_MRKT_DIV_CODE") != "U":
            raise Rejected("OPSQ2001", "ERROR INVALID FID_COND_MRKT_DIV_CODE", "2")
        index = INDEXES.get(call.get("FID_INPUT_ISCD"), INDEXES["0001"])
        tapes = list(self._market.tapes.values())
        stocks = [tape for tape in tapes if not tape.listing.etf] or tapes
        return index, [tape for tape in stocks if tape.listing.market == index.market] or stocks

    @staticmethod
    def _weigh(index: Index, rows: Sequence[tuple[Listing, Bar]]) -> Bar:
        """Return the bar of an index from the bars of its stocks."""
        whole = sum(row.shares * row.anchor for row, _ in rows)
        opened, high, low, close = (
            round(100 * index.level * sum(row.shares * price(bar) for row, bar in rows) / whole)
            for price in map(operator.attrgetter, ("open", "high", "low", "close"))
        )
        volume, value = (sum(getattr(b, name) for _, b in rows) for name in ("volume", "value"))
        return Bar(opened, high, low, close, volume // 1000, value // 1_000_000)

    def _today(self, index: Index, tapes: Sequence[Tape]) -> Bar:
        rows = []
        for tape in tapes:
            prices = (tape.open or tape.base, tape.high or tape.base, tape.low or tape.base)
            rows.append((tape.listing, Bar(*prices, tape.last, tape.volume, tape.value)))
        return self._weigh(index, rows)

    def _past(self, index: Index, tapes: Sequence[Tape], day: date) -> Bar:
        history = self._history
        rows = [(tape.listing, history.daily(tape.listing.code, day)) for tape in tapes]
        return self._weigh(index, rows)

    @staticmethod
    def _words(bar: Bar, before: int) -> dict[str, Any]:
        """Return the words of a bar with points as text."""
        words, close = bar.words(before), bar.close
        for name in ("open", "high", "low"):
            gap = getattr(bar, name) - before
            words |= {f"{name}_rate": percent(gap, before), f"{name}_gap": f"{gap / 100:.2f}"}
            words[f"{name}_sign"] = sign_code(close - getattr(bar, name), close, NO_BAND)
        points = {n: f"{words[n] / 100:.2f}" for n in ("open", "high", "low", "close", "change")}
        return words | points | {"before": f"{before / 100:.2f}"}

    def _now(self, call: Call, index: Index, tapes: Sequence[Tape]) -> dict[str, Any]:
        yesterday = self._past(index, tapes, self._calendar.previous(self._market.day))
        words = self._words(self._today(index, tapes), yesterday.close)
        earlier = self._words(yesterday, yesterday.close)
        words |= {f"{name}_before": earlier[name] for name in ("open", "high", "low", "volume")}
        code = call.get("FID_INPUT_ISCD")
        return words | {"name": index.name, "code": code, "value_before": yesterday.value}

    def price(self, call: Call) -> Answer:
        """inquire-index-price (real only)."""
        index, tapes = self._find(call)
        words, asks, bids = self._now(call, index, tapes), 0, 0
        counts = dict.fromkeys(("1", "2", "3", "4", "5"), 0)
        for tape in tapes:
            depth = tape.depth()
            asks, bids = asks + depth.ask_total, bids + depth.bid_total
            counts[sign_code(tape.last - tape.base, tape.last, tape.band)] += 1
        words |= {"rising": counts["1"] + counts["2"], "falling": counts["4"] + counts["5"]}
        words |= {"at_upper": counts["1"], "flat": counts["3"], "at_lower": counts["4"]}
        words |= {"asks": asks, "bids": bids, "more_bids": bids - asks}
        words |= {"ask_rate": percent(asks, asks + bids), "bid_rate": percent(bids, asks + bids)}
        year = [(self._past(index, tapes, day), day) for day in self._this_year()]
        year = year or [(self._today(index, tapes), self._market.day)]
        high, high_day = max((bar.high, day) for bar, day in year)
        low, low_day = min((bar.low, day) for bar, day in year)
        last = float(words["close"]) * 100
        words |= {"year_high": f"{high / 100:.2f}", "high_day": ymd(high_day)}
        words |= {"year_low": f"{low / 100:.2f}", "low_day": ymd(low_day)}
        words |= {"from_high": percent(last - high, high), "from_low": percent(last - low, low)}
        return Answer({"output": INDEX_PRICE.fill(words)})

    def _this_year(self) -> list[date]:
        """Return the trading days of this year before today, newest first."""
        days, day = [], self._calendar.previous(self._market.day)
        while day.year == self._market.day.year:
            days.append(day)
            day = self._calendar.previous(day)
        return days

    def daily(self, call: Call) -> Answer:
        """inquire-daily-indexchartprice: 50 bars between two days, newest first (rows: doc)."""
        index, tapes = self._find(call)
        first = parse_ymd(call.get("FID_INPUT_DATE_1")) or FIRST_DAY
        day = parse_ymd(call.get("FID_INPUT_DATE_2")) or self._market.day
        size, key = PERIODS.get(call.get("FID_PERIOD_DIV_CODE"), PERIODS["D"])
        days: list[tuple[date, Bar]] = []
        if day >= self._market.day:
            if first <= self._market.day and any(tape.volume for tape in tapes):
                days.append((self._market.day, self._today(index, tapes)))
            day = self._market.day - timedelta(days=1)
        day = self._calendar.previous(day + timedelta(days=1))
        while day >= max(first, FIRST_DAY) and len(days) < 50 * size:
            days.append((day, self._past(index, tapes, day)))
            day = self._calendar.previous(day)
        rows = [
            INDEX_DAY_ROW.fill(self._words(bar, bar.close) | {"day": ymd(day)})
            for day, bar in merge_bars(days, key)[:50]
        ]
        return Answer({"output1": INDEX_HEAD.fill(self._now(call, index, tapes)), "output2": rows})

    def minutes(self, call: Call) -> Answer:
        """inquire-time-indexchartprice: bars of today, newest first (real only).

        FID_INPUT_HOUR_1 is the length of a bar in seconds (doc); below 60 it is taken as 60 here.
        """
        index, tapes = self._find(call)
        wanted = call.get("FID_INPUT_HOUR_1")
        step = max(int(wanted) if wanted.isdigit() else 60, 60)
        last = {tape.listing.code: tape.base for tape in tapes}
        bars: list[tuple[int, Bar]] = []
        for second in sorted(set().union(*(tape.minutes for tape in tapes))):
            rows = []
            for tape in tapes:
                price = last[tape.listing.code]
                bar = tape.minutes.get(second) or Bar(price, price, price, price, 0)
                last[tape.listing.code] = bar.close
                rows.append((tape.listing, bar))
            bars.append((second, self._weigh(index, rows)))
        merged = merge_bars(reversed(bars), lambda second: second // step)
        totals = list(itertools.accumulate(bar.value for _, bar in reversed(merged)))[::-1]
        output = [
            INDEX_MINUTE_ROW.fill(
                self._words(bar, bar.close)
                | {"day": ymd(self._market.day), "clock": hms_of(second), "total": total}
            )
            for (second, bar), total in zip(merged, totals, strict=True)
        ]
        head = INDEX_HEAD.fill(self._now(call, index, tapes))
        return Answer({"output1": head, "output2": output[:102]})


class Flows(Quotations):
    """Who traded one stock: kinds of investors, brokers; and the market that was abolished."""

    def investors(self, call: Call) -> Answer:
        """inquire-investor: 30 days, newest first; nothing of today until the close (doc).

        That today's row stands there with empty values is unconfirmed. Net quantities of persons,
        foreigners and institutions add up to nothing (invented).
        """

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            return {"output": [self._investor_row(tape, w) for w in self._recent(tape, call)]}

        return self._about(call, build)

    def _recent(self, tape: Tape, call: Call) -> list[dict[str, Any]]:
        daily = replace(call, params={**call.params, "FID_PERIOD_DIV_CODE": "D"})
        return self._period_words(tape, daily, 30)

    def _investor_row(self, tape: Tape, words: Mapping[str, Any]) -> dict[str, Any]:
        row = {"stck_bsop_date": words["day"], "stck_clpr": words["close"]}
        row |= {"prdy_vrss": words["change"], "prdy_vrss_sign": words["sign"]}
        known = words["day"] != ymd(tape.day) or tape.state == "closed"
        volume, net = words["volume"], {}
        for kind in ("frgn", "orgn"):
            part = 0.05 * self._dice.gauss("flow", tape.listing.code, words["day"], kind)
            net[kind] = round(volume * min(max(part, -0.15), 0.15))
        net["prsn"] = -net["frgn"] - net["orgn"]
        bought = {k: (round(volume * part) + net[k]) // 2 for k, part in INVESTORS.items()}
        counts = {"ntby": net, "shnu": bought, "seln": {k: bought[k] - net[k] for k in net}}
        for name, unit in (("ntby", "qty"), ("shnu", "vol"), ("seln", "vol")):
            for suffix, factor in ((unit, 10**6), ("tr_pbmn", words["close"])):
                for kind in INVESTORS:
                    value = counts[name][kind] * factor // 10**6  # money in million won
                    row[f"{kind}_{name}_{suffix}"] = value if known else ""
        return row

    def brokers(self, call: Call) -> Answer:
        """inquire-member: five largest sellers and buyers of today (invented)."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            output: dict[str, Any] = {}
            for side in ("seln", "shnu"):
                for number, name in enumerate(BROKERS, start=1):
                    part = 30 - 5 * number
                    output[f"{side}_mbcr_no{number}"] = f"{90 + number:05d}"
                    output[f"{side}_mbcr_name{number}"] = name
                    output[f"total_{side}_qty{number}"] = tape.volume * part // 100
                    output[f"{side}_mbcr_rlim{number}"] = f"{part if tape.volume else 0:.2f}"
                    output[f"{side}_qty_icdc{number}"] = 0
                    output[f"{side}_mbcr_glob_yn_{number}"] = "N"
                output |= {f"glob_total_{side}_qty": 0, f"glob_{side}_rlim": "0.00"}
                output[f"glob_total_{side}_qty_icdc"] = 0
            return {"output": output | {"glob_ntby_qty": 0, "acml_vol": tape.volume}}

        return self._about(call, build)

    def overtime_trades(self, call: Call) -> Answer:
        """inquire-time-overtimeconclusion: no trades, this market ended on 2026-09-13.

        What the real server answers since then is unconfirmed.
        """
        return self._about(call, lambda tape, call: {"output1": OVERTIME.fill({}), "output2": []})

    def overtime_days(self, call: Call) -> Answer:
        """inquire-daily-overtimeprice: 30 days, newest first, without after-hours trades."""

        def build(tape: Tape, call: Call) -> dict[str, Any]:
            rows = [OVERTIME_ROW.fill(words) for words in self._recent(tape, call)]
            return {"output1": OVERTIME.fill({}), "output2": rows}

        return self._about(call, build)


MANY_ROW = Layout("""
    inter_shrn_iscd=code inter_kor_isnm=name inter2_prpr=last inter2_prdy_vrss=change
    prdy_vrss_sign=sign prdy_ctrt=rate acml_vol=volume inter2_oprc=open inter2_hgpr=high
    inter2_lwpr=low inter2_llam=lower inter2_mxpr=upper inter2_askp=ask inter2_bidp=bid
    seln_rsqn=ask_size shnu_rsqn=bid_size total_askp_rsqn=asks total_bidp_rsqn=bids
    acml_tr_pbmn=value inter2_prdy_clpr=base inter2_sdpr=base intr_antc_cnpr=expected
    intr_antc_vol=expected_volume hour_cls_code=hour_class mrkt_trtm_cls_name
    kospi_kosdaq_cls_name=market
""")
RANK_ROW = Layout("""
    hts_kor_isnm=name mksc_shrn_iscd=code stck_shrn_iscd=code data_rank=rank stck_prpr=last
    prdy_vrss_sign=sign prdy_vrss=change prdy_ctrt=rate acml_vol=volume prdy_vol=previous_volume
    lstn_stcn=shares avrg_vol=previous_volume n_befr_clpr_vrss_prpr_rate=rate
    vol_inrt=volume_rate vol_tnrt=turnover nday_vol_tnrt=turnover avrg_tr_pbmn=value
    tr_pbmn_tnrt=turnover nday_tr_pbmn_tnrt=turnover acml_tr_pbmn=value stck_hgpr=high
    hgpr_hour=high_at stck_lwpr=low lwpr_hour=low_at cnnt_ascn_dynu=0 cnnt_down_dynu=0
    oprc_vrss_prpr_sign=up_sign oprc_vrss_prpr=up oprc_vrss_prpr_rate=up_rate prd_rsfl=change
    prd_rsfl_rate=rate stck_avls=cap mrkt_whol_avls_rlim=0.00
""")
BROKERS = ("가나증권", "다라증권", "마바증권", "사아증권", "자차증권")  # invented
INVESTORS = {"prsn": 0.55, "frgn": 0.27, "orgn": 0.18}  # share of the volume (invented)
OVERTIME = Layout("""
    ovtm_untp_prpr=0 ovtm_untp_prdy_vrss=0 ovtm_untp_prdy_vrss_sign=3 ovtm_untp_prdy_ctrt=0.00
    ovtm_untp_vol=0 ovtm_untp_tr_pbmn=0 ovtm_untp_mxpr=0 ovtm_untp_llam=0 ovtm_untp_oprc=0
    ovtm_untp_hgpr=0 ovtm_untp_lwpr=0 ovtm_untp_antc_cnpr=0 ovtm_untp_antc_cntg_vrss=0
    ovtm_untp_antc_cntg_vrss_sign=3 ovtm_untp_antc_cntg_ctrt=0.00 ovtm_untp_antc_vol=0
""")
OVERTIME_ROW = Layout("""
    stck_bsop_date=day ovtm_untp_prpr=0 ovtm_untp_prdy_vrss=0 ovtm_untp_prdy_vrss_sign=3
    ovtm_untp_prdy_ctrt=0.00 ovtm_untp_vol=0 stck_clpr=close prdy_vrss=change prdy_vrss_sign=sign
    prdy_ctrt=rate acml_vol=volume ovtm_untp_tr_pbmn=0
""")
OVERSEAS_DETAIL = Layout("""
    rsym=key zdiv=4 curr=USD vnit=1 open=base high=high low=low last=close base=base pvol=1000000
    pamt=amount uplp=0 dnlp=0 h52p=high52 h52d=day l52p=low52 l52d=day perx=20.00 pbrx=3.00
    epsx=10.00 bpsx=50.00 shar=1000000000 mcap=amount tomv=amount t_xprc=won t_xdif=0 t_xrat=rate
    t_rate=1400.00 t_xsgn=sign e_ordyn=orderable e_hogau=0.0100 e_parp=0 e_icod tvol=900000
    tamt=amount etyp_nm
""")
VI_ROW = Layout("""
    hts_kor_isnm=name mksc_shrn_iscd=code vi_cls_code=active bsop_date=day cntg_vi_hour=from
    vi_cncl_hour=to vi_kind_code=1 vi_prc=price vi_stnd_prc=reference vi_dprt=gap
    vi_dmc_stnd_prc=0 vi_dmc_dprt=0.00 vi_count=1
""")
HOLIDAY_ROW = Layout("""
    bass_dt=day wday_dvsn_cd=weekday bzdy_yn=open tr_day_yn=business opnd_yn=open sttl_day_yn=open
""")
INFO = Layout("""
    pdno=long_code prdt_type_cd=300 prdt_name=name prdt_name120=name prdt_abrv_name=name
    prdt_eng_name=english prdt_eng_name120=english prdt_eng_abrv_name=english std_pdno=isin
    shtn_pdno=code prdt_sale_stat_cd prdt_risk_grad_cd prdt_clsf_name=market
""")
STOCK_INFO = Layout("""
    pdno=long_code prdt_type_cd=300 prdt_name=name prdt_name120=name prdt_abrv_name=name
    prdt_eng_name=english mket_id_cd=market_id scty_grp_id_cd=group excg_dvsn_cd=exchange
    lstg_stqt=shares papr=100 kospi200_item_yn=kospi etf_dvsn_cd=etf tr_stop_yn=halted
    admn_item_yn=N thdt_clpr=last bfdy_clpr=base lstg_abol_dt std_pdno=isin
    cptt_trad_tr_psbl_yn=nxt nxt_tr_stop_yn=N
""")


class Lists:
    """Answers about many stocks: calendar, master data, rankings; and a little overseas."""

    def __init__(self, ground: Ground, market: Market) -> None:
        self._market, self._calendar, self._dice = market, ground.calendar, ground.dice

    def holidays(self, call: Call) -> Answer:
        """chk-holiday: 25 days a page from BASS_DT on, about 100 days in all."""
        first = parse_ymd(call.get("BASS_DT")) or self._market.day
        start = (parse_ymd(call.get("CTX_AREA_NK")) if call.tr_cont == "N" else None) or first
        rows = [self._holiday_row(start + timedelta(days=i)) for i in range(25)]
        follow = start + timedelta(days=25)
        more = follow < first + timedelta(days=100)
        context = {"ctx_area_nk": ymd(follow) if more else "", "ctx_area_fk": ymd(first)}
        tr_cont = ("F" if start == first else "M") if more else "E"
        return inquiry({**context, "output": rows}, tr_cont)

    def _holiday_row(self, day: date) -> dict[str, Any]:
        words = {"day": ymd(day), "weekday": f"{day.isoweekday() % 7 + 1:02d}"}
        words["open"] = "Y" if self._calendar.is_trading_day(day) else "N"
        words["business"] = "Y" if day.weekday() < 5 else "N"
        return HOLIDAY_ROW.fill(words)

    def _listing_words(self, call: Call) -> dict[str, Any]:
        tape = self._market.tapes.get(call.get("PDNO"))
        if tape is None:
            raise Rejected("KIOK0560", padded("조회할 내용이 없습니다"), "7")
        row, kosdaq = tape.listing, tape.listing.market == "KOSDAQ"
        return stock_words(tape) | {
            "english": row.english,
            "long_code": f"00000A{row.code}",
            "isin": f"KR7{row.code}003",
            "market_id": "KSQ" if kosdaq else "STK",
            "exchange": "03" if kosdaq else "02",
            "group": "EF" if row.etf else "ST",
            "etf": "1" if row.etf else "",
            "kospi": "N" if kosdaq or row.etf else "Y",
            "nxt": "N" if row.etf else "Y",
        }

    def search_info(self, call: Call) -> Answer:
        """search-info (CTPF1604R)."""
        return inquiry({"output": INFO.fill(self._listing_words(call))})

    def stock_info(self, call: Call) -> Answer:
        """search-stock-info (CTPF1002R)."""
        return inquiry({"output": STOCK_INFO.fill(self._listing_words(call))})

    def many_prices(self, call: Call) -> Answer:
        """intstock-multprice: up to 30 codes."""
        codes = [call.get(f"FID_INPUT_ISCD_{i}") for i in range(1, 31)]
        tapes = [self._market.tapes[code] for code in codes if code in self._market.tapes]
        return Answer({"output": [MANY_ROW.fill(stock_words(tape)) for tape in tapes]})

    def vi_status(self, call: Call) -> Answer:
        """inquire-vi-status: interruptions of today, newest first."""
        wanted, rows = call.get("FID_INPUT_ISCD"), []
        for vi in reversed(self._market.vi_log):
            words = stock_words(vi["tape"]) | vi | {"day": ymd(self._market.day)}
            words["active"] = "N" if vi["to"] else "Y"
            words["gap"] = percent(vi["price"] - vi["reference"], vi["reference"])
            if wanted in ("", words["code"]):
                rows.append(VI_ROW.fill(words))
        return Answer({"output": rows})

    def volume_rank(self, call: Call) -> Answer:
        """volume-rank: by volume, or by value with FID_BLNG_CLS_CODE 3."""
        by_value = call.get("FID_BLNG_CLS_CODE") == "3"
        return self._ranking(lambda tape: tape.value if by_value else tape.volume)

    def fluctuation(self, call: Call) -> Answer:
        """fluctuation: gainers, or losers with FID_RANK_SORT_CLS_CODE 1."""
        sign = -1 if call.get("FID_RANK_SORT_CLS_CODE") == "1" else 1
        return self._ranking(lambda tape: sign * (tape.last / tape.base - 1))

    def market_cap(self, call: Call) -> Answer:
        """market-cap: the dearest companies first."""
        return self._ranking(lambda tape: tape.listing.shares * tape.last)

    def _ranking(self, key: Callable[[Tape], float]) -> Answer:
        tapes = sorted(self._market.tapes.values(), key=key, reverse=True)[:30]
        rows = [RANK_ROW.fill(stock_words(t) | {"rank": n}) for n, t in enumerate(tapes, start=1)]
        return Answer({"output": rows})

    def _foreign(self, symbol: str, day: date) -> float:
        """Return an invented close in dollars."""
        level, phase = (self._dice.unit(name, symbol) for name in ("overseas", "phase"))
        wave = 0.12 * math.sin(day.toordinal() / 37 + 6 * phase)
        return (40 + 260 * level) * (1 + wave + 0.01 * self._dice.gauss("overseas", symbol, day))

    def _foreign_words(self, call: Call, day: date) -> dict[str, Any]:
        close = self._foreign(call.get("SYMB"), day)
        base = self._foreign(call.get("SYMB"), day - timedelta(days=1))
        prices = {"close": close, "base": base, "gap": abs(close - base)}
        prices |= {"high": max(close, base) * 1.01, "low": min(close, base) * 0.99}
        words: dict[str, Any] = {name: f"{price:.4f}" for name, price in prices.items()}
        sign, rate = "2" if close >= base else "5", f"{(close - base) * 100 / base:+.2f}"
        words |= {"sign": sign, "rate": rate, "amount": f"{close * 9e5:.0f}", "day": ymd(day)}
        return words | {"key": f"D{call.get('EXCD')}{call.get('SYMB')}", "orderable": "매매 가능"}

    @staticmethod
    def overseas_nothing(call: Call) -> Answer:
        """Overseas account inquiries: nothing is held, nothing was ordered."""
        context = {"ctx_area_fk200": padded("", 200), "ctx_area_nk200": padded("", 200)}
        empty: dict[str, Any] = {"output": [], "output1": [], "output2": [], "output3": {}}
        return inquiry({**context, **empty}, "D", empty=True)

    @staticmethod
    def day_or_night(call: Call) -> Answer:
        """dayornight: whether the overseas account runs on the night ledger; N here (invented)."""
        return inquiry({"output": {"PSBL_YN": "N"}})

    def overseas_detail(self, call: Call) -> Answer:
        """overseas price-detail (HHDFS76200200, real only)."""
        words = self._foreign_words(call, self._market.day)
        close = float(words["close"])
        words |= {"high52": f"{close * 1.3:.4f}", "low52": f"{close * 0.7:.4f}"}
        return Answer({"output": OVERSEAS_DETAIL.fill(words | {"won": f"{close * 1400:.0f}"})})

    def overseas_price(self, call: Call) -> Answer:
        """overseas price (HHDFS00000300)."""
        layout = Layout("""rsym=key zdiv=4 base=base pvol=1000000 last=close sign=sign diff=gap
            rate=rate tvol=900000 tamt=amount ordy=orderable""")
        return Answer({"output": layout.fill(self._foreign_words(call, self._market.day))})

    def overseas_daily(self, call: Call) -> Answer:
        """overseas dailyprice (HHDFS76240000): 100 rows, newest first."""
        layout = Layout("""xymd=day clos=close sign=sign diff=gap rate=rate open=base high=high
            low=low tvol=900000 tamt=amount pbid=close vbid=100 pask=close vask=100""")
        last = parse_ymd(call.get("BYMD")) or self._market.day
        days = [day for i in range(140) if (day := last - timedelta(days=i)).weekday() < 5]
        rows = [layout.fill(self._foreign_words(call, day)) for day in days[:100]]
        head = {"rsym": f"D{call.get('EXCD')}{call.get('SYMB')}", "zdiv": "4", "nrec": len(rows)}
        return Answer({"output1": head, "output2": rows})
