"""Raw realtime frames as JSON lines: `--decode`, and the layouts of all feeds."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from typing import NamedTuple, TextIO

import kis_realtime_trading as bot


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
            raise bot.BotError(
                bot.Both(f"--key and --iv: {error}", f"--key와 --iv를 확인하십시오: {error}")
            ) from None
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
