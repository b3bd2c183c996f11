"""The simulated broker against the protocol facts: values in, values out; sockets at the end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad

import companions.simulator as ks
from companions.simulator import (
    KST,
    Reply,
    Session,
    Simulator,
    SimulatorConfig,
    command_line,
    words,
)

ROOT = Path(__file__).resolve().parents[2]
FIELDS_FILE = ROOT.parent / "shared" / "kis-fields.json"
DAY = date(2026, 11, 20)
STOCK, KOSDAQ_STOCK, ETF = "005930", "247540", "069500"
ALL = (STOCK, KOSDAQ_STOCK, ETF)
QUOTES = "/uapi/domestic-stock/v1/quotations/"
TRADING = "/uapi/domestic-stock/v1/trading/"


def at(clock: str, day: date = DAY) -> datetime:
    """Return market time of HH:MM[:SS[.mmm]]."""
    return datetime.fromisoformat(f"{day.isoformat()}T{clock}").replace(tzinfo=KST)


class Bench:
    """A simulator with one client that has a token, an approval key and a session."""

    def __init__(self, clock: str = "08:40", **config: Any) -> None:
        config.setdefault("requests_per_second", 10_000)
        config.setdefault("density", 2.0)
        config.setdefault("auction_quote_s", 30.0)
        config.setdefault("symbols", (STOCK, ETF))
        config.setdefault("early_notice_share", 0.0)
        self.sim = Simulator(SimulatorConfig(**config))
        self.config = self.sim.config
        self.sim.advance(at(clock, self.config.day))
        self.key, self.secret, self.account = self.sim.credentials.active(self.config.environment)
        self.token = ""
        reply = self.issue_token()
        assert reply.status == 200, reply.body
        self.token = reply.json()["access_token"]

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> Reply:
        return self.sim.request("POST", path, {}, headers, json.dumps(body).encode())

    def issue_token(self) -> Reply:
        keys = {"appkey": self.key, "appsecret": self.secret}
        return self.post("/oauth2/tokenP", {"grant_type": "client_credentials", **keys})

    def approval_key(self) -> str:
        keys = {"appkey": self.key, "secretkey": self.secret}
        reply = self.post("/oauth2/Approval", {"grant_type": "client_credentials", **keys})
        return str(reply.json()["approval_key"])

    def headers(self, tr_id: str, tr_cont: str = "") -> dict[str, str]:
        return {
            "authorization": f"Bearer {self.token}",
            "appkey": self.key,
            "appsecret": self.secret,
            "tr_id": tr_id,
            "custtype": "P",
            "tr_cont": tr_cont,
        }

    def get(self, path: str, tr_id: str, tr_cont: str = "", **params: str) -> Reply:
        return self.sim.request("GET", path, params, self.headers(tr_id, tr_cont))

    def quote(self, name: str, tr_id: str, symbol: str = STOCK, **params: str) -> Any:
        stock = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": symbol}
        reply = self.get(QUOTES + name, tr_id, **stock, **params)
        assert (reply.status, reply.json()["rt_cd"]) == (200, "0"), reply.body.decode()
        return reply.json()

    @property
    def owner(self) -> dict[str, str]:
        return {"CANO": self.account, "ACNT_PRDT_CD": "01"}

    @property
    def letter(self) -> str:
        return "V" if self.config.paper else "T"

    def order_body(
        self, quantity: int, price: int = 0, kind: str = "00", symbol: str = STOCK
    ) -> dict[str, str]:
        body = {**self.owner, "PDNO": symbol, "ORD_DVSN": kind, "ORD_QTY": str(quantity)}
        return {
            **body,
            "ORD_UNPR": str(price),
            "EXCG_ID_DVSN_CD": "KRX",
            "SLL_TYPE": "",
            "CNDT_PRIC": "",
        }

    def send_order(self, body: Mapping[str, Any], side: str = "BUY", tr_id: str = "") -> Reply:
        tr_id = tr_id or f"{self.letter}TTC001{2 if side == 'BUY' else 1}U"
        return self.post(TRADING + "order-cash", body, **self.headers(tr_id))

    def buy(self, quantity: int, price: int = 0, kind: str = "00", symbol: str = STOCK) -> Reply:
        return self.send_order(self.order_body(quantity, price, kind, symbol))

    def sell(self, quantity: int, price: int = 0, kind: str = "00", symbol: str = STOCK) -> Reply:
        return self.send_order(self.order_body(quantity, price, kind, symbol), "SELL")

    def change(self, number: str, cancel: bool = True, quantity: int = 0, price: int = 0) -> Reply:
        body = {
            **self.owner,
            "KRX_FWDG_ORD_ORGNO": "",
            "ORGN_ODNO": number,
            "ORD_DVSN": "00",
            "RVSE_CNCL_DVSN_CD": "02" if cancel else "01",
            "ORD_QTY": str(quantity),
            "ORD_UNPR": str(price),
            "QTY_ALL_ORD_YN": "N" if quantity else "Y",
            "EXCG_ID_DVSN_CD": "KRX",
            "CNDT_PRIC": "",
        }
        headers = self.headers(f"{self.letter}TTC0013U")
        return self.post(TRADING + "order-rvsecncl", body, **headers)

    def orders(self, tr_cont: str = "", **changes: str) -> Reply:
        day = self.sim.now.strftime("%Y%m%d")
        params = {
            **self.owner,
            **{"INQR_STRT_DT": day, "INQR_END_DT": day, "SLL_BUY_DVSN_CD": "00", "PDNO": ""},
            **{"CCLD_DVSN": "00", "INQR_DVSN": "00", "INQR_DVSN_3": "00", "ORD_GNO_BRNO": ""},
            **{"ODNO": "", "INQR_DVSN_1": "", "CTX_AREA_FK100": "", "CTX_AREA_NK100": ""},
        }
        tr_id = f"{self.letter}TTC0081R"
        return self.get(TRADING + "inquire-daily-ccld", tr_id, tr_cont, **(params | changes))

    def order_row(self, number: str) -> dict[str, str]:
        rows = self.orders(ODNO=number).json()["output1"]
        return rows[0] if rows else {}

    def balance(self, tr_cont: str = "", **changes: str) -> Reply:
        params = {
            **self.owner,
            **{"AFHR_FLPR_YN": "N", "OFL_YN": "", "INQR_DVSN": "02", "UNPR_DVSN": "01"},
            **{"FUND_STTL_ICLD_YN": "N", "FNCG_AMT_AUTO_RDPT_YN": "N", "PRCS_DVSN": "00"},
            **{"CTX_AREA_FK100": "", "CTX_AREA_NK100": ""},
        }
        tr_id = f"{self.letter}TTC8434R"
        return self.get(TRADING + "inquire-balance", tr_id, tr_cont, **(params | changes))

    def buying_power(self, symbol: str = STOCK, kind: str = "01", price: str = "") -> Any:
        params = {"PDNO": symbol, "ORD_UNPR": price, "ORD_DVSN": kind}
        params |= {"CMA_EVLU_AMT_ICLD_YN": "N", "OVRS_ICLD_YN": "N", **self.owner}
        tr_id = f"{self.letter}TTC8908R"
        return self.get(TRADING + "inquire-psbl-order", tr_id, **params).json()["output"]

    def listen(self, *streams: tuple[str, str]) -> Session:
        session = self.sim.connect()
        approval = self.approval_key()
        for tr_id, tr_key in streams:
            session.receive_text(registration(approval, tr_id, tr_key))
            assert '"OPSP0000"' in session.outbox.pop()
        return session

    def listen_notices(self) -> Session:
        tr_id = "H0STCNI9" if self.config.paper else "H0STCNI0"
        return self.listen((tr_id, self.sim.credentials.hts_id))

    def price(self, symbol: str = STOCK) -> dict[str, int]:
        output = self.quote("inquire-price", "FHKST01010100", symbol)["output"]
        names = {
            "last": "stck_prpr",
            "upper": "stck_mxpr",
            "lower": "stck_llam",
            "tick": "aspr_unit",
        }
        return {word: int(output[name]) for word, name in names.items()}

    def book(self, symbol: str = STOCK) -> dict[str, str]:
        return dict(self.quote("inquire-asking-price-exp-ccn", "FHKST01010200", symbol)["output1"])

    def advance(self, clock: str, mono: float = 0.0) -> None:
        self.sim.advance(at(clock, self.sim.now.date()), mono)


def registration(approval: str, tr_id: str, tr_key: str, tr_type: str = "1") -> str:
    """Return the message of the official sample."""
    header = {"approval_key": approval, "custtype": "P", "tr_type": tr_type}
    header["content-type"] = "utf-8"
    return json.dumps({"header": header, "body": {"input": {"tr_id": tr_id, "tr_key": tr_key}}})


def records(text: str) -> list[list[str]]:
    """Split a frame into records by its own count."""
    _, _, count, payload = text.split("|", 3)
    fields = payload.split("^")
    width, rest = divmod(len(fields), int(count))
    assert rest == 0
    return [fields[i * width : (i + 1) * width] for i in range(int(count))]


def drain(session: Session, tr_id: str = "") -> list[str]:
    """Return and forget the waiting frames of a stream."""
    texts = [text for text in session.outbox if not tr_id or text[2:].startswith(tr_id)]
    session.outbox.clear()
    return texts


def notices(session: Session) -> list[list[str]]:
    """Return the decrypted notices that wait."""
    found = []
    for text in drain(session, "H0STCNI"):
        enc, _, _, payload = text.split("|", 3)
        assert enc == "1"
        cipher = AES.new(session.key.encode(), AES.MODE_CBC, session.iv.encode())
        clear = unpad(cipher.decrypt(base64.b64decode(payload)), 16).decode()
        found.append(clear.split("^"))
    return found


def code(reply: Reply) -> str:
    """Return msg_cd or error_code."""
    body = reply.json()
    return str(body.get("msg_cd") or body.get("error_code"))


@pytest.fixture
def bench() -> Bench:
    """A paper account in continuous trading."""
    return Bench("10:00")


# --- tokens, keys, limits ---------------------------------------------------------------------


def test_token_is_the_same_for_six_hours_and_then_replaced() -> None:
    """Same token within 6 h; after it a new one, and the old one is refused."""
    bench = Bench("08:40")
    bench.sim.advance(at("14:39"))
    assert bench.issue_token().json()["access_token"] == bench.token
    bench.sim.advance(at("14:41"))
    fresh = bench.issue_token().json()["access_token"]
    assert fresh != bench.token
    assert code(bench.balance()) == "EGW00121"


def test_second_token_within_a_minute_is_refused_with_403() -> None:
    """One issue per minute: HTTP 403, EGW00133, no rt_cd."""
    bench = Bench()
    bench.sim.advance(at("08:40:59"))
    reply = bench.issue_token()
    assert (reply.status, code(reply)) == (403, "EGW00133")
    assert "rt_cd" not in reply.json()
    bench.sim.advance(at("08:41:00"))
    assert bench.issue_token().status == 200


def test_token_shape_and_expiry() -> None:
    """About 350 characters, 24 h, expiry as Korean local time; keys of 36 and 180 characters."""
    bench = Bench("09:00")
    bench.sim.advance(at("09:02"))
    body = bench.issue_token().json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 86400)
    assert body["access_token_token_expired"] == "2026-11-21 09:00:00"
    assert 300 < len(body["access_token"]) < 400
    assert (len(bench.key), len(bench.secret)) == (36, 180)


def test_token_expires_after_a_day() -> None:
    """EGW00123 with HTTP 500 after 24 h."""
    bench = Bench("08:40")
    bench.sim.advance(at("08:41", DAY + timedelta(days=1)))
    reply = bench.balance()
    assert (reply.status, code(reply)) == (500, "EGW00123")


@pytest.mark.parametrize(
    ("clock", "day", "seed", "environment", "expected"),
    [
        ("10:00", DAY, 21, "paper", "KIOK0560"),
        ("08:00", DAY, 21, "paper", "KIOK0560"),  # started again for an earlier hour
        ("10:00", DAY + timedelta(days=3), 21, "paper", "EGW00123"),
        ("10:00", DAY, 22, "paper", "EGW00121"),
        ("10:00", DAY, 21, "real", "EGW00121"),
    ],
)
def test_token_outlives_a_restart(
    clock: str, day: date, seed: int, environment: str, expected: str
) -> None:
    """Clients keep tokens on disk; another seed or host does not know them."""
    token = Bench("09:00").token
    bench = Bench(clock, day=day, seed=seed, environment=environment)
    bench.token = token
    assert code(bench.balance()) == expected


def test_forged_tokens_are_unknown(bench: Bench) -> None:
    """A changed middle or end of a token is EGW00121."""
    head, claims, signature = bench.token.split(".")
    for parts in ((head, claims[:-1] + "A", signature), (head, claims, signature[:-1] + "!")):
        bench.token = ".".join(parts)
        assert code(bench.balance()) == "EGW00121"
    for text in ("..", "a.b.c", "a.b"):
        bench.token = text
        assert code(bench.balance()) == "EGW00121"


def test_shown_end_of_a_token_can_lie_later() -> None:
    """For clients on the clock on the wall; the token itself still lives 24 hours."""
    bench = Bench("09:00", expiry_shift_s=3 * 86_400.0)
    bench.sim.advance(at("09:02"))
    assert bench.issue_token().json()["access_token_token_expired"] == "2026-11-24 09:00:00"
    bench.sim.advance(at("09:01", DAY + timedelta(days=1)))
    assert code(bench.balance()) == "EGW00123"


def test_revoked_token_is_refused_and_a_new_one_is_given() -> None:
    """revokeP kills the token at once."""
    bench = Bench("08:40")
    sent = {"appkey": bench.key, "appsecret": bench.secret, "token": bench.token}
    assert bench.post("/oauth2/revokeP", sent).json()["code"] == 200
    assert code(bench.balance()) == "EGW00121"
    bench.sim.advance(at("08:42"))
    assert bench.issue_token().json()["access_token"] != bench.token


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grant_type": "password"}, (403, "EGW00116")),
        ({"grant_type": ""}, (403, "EGW00115")),
        ({"appkey": "x" * 36}, (403, "EGW00103")),
        ({"appsecret": "x" * 180}, (403, "EGW00105")),
    ],
)
def test_token_refusals(changes: dict[str, str], expected: tuple[int, str]) -> None:
    """OAuth refusals are HTTP 403 with error_code."""
    bench = Bench()
    sent = {"grant_type": "client_credentials", "appkey": bench.key, "appsecret": bench.secret}
    reply = bench.post("/oauth2/tokenP", sent | changes)
    assert expected == (reply.status, code(reply))


def test_keys_of_the_other_environment_are_named() -> None:
    """A real key on the paper host is EGW02007, a paper key on the real host EGW02004."""
    for environment, expected in (("paper", "EGW02007"), ("real", "EGW02004")):
        bench = Bench(environment=environment)
        other = bench.sim.credentials.active("real" if environment == "paper" else "paper")
        bench.key, bench.secret = other[0], other[1]
        reply = bench.balance()
        assert (500, expected) == (reply.status, code(reply))


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("authorization", "token", "EGW00205"),
        ("authorization", "Bearer nonsense", "EGW00121"),
        ("authorization", "Bearer ", "EGW00122"),
        ("appsecret", "x" * 180, "EGW00304"),
        ("appkey", "x" * 36, "EGW00103"),
        ("tr_id", "TTTC8434R", "EGW02006"),
        ("tr_id", "XXXX", "EGW00310"),
    ],
)
def test_data_call_refusals(bench: Bench, header: str, value: str, expected: str) -> None:
    """Gateway refusals of data calls are HTTP 500."""
    headers = bench.headers("VTTC8434R") | {header: value}
    reply = bench.sim.request("GET", TRADING + "inquire-balance", bench.owner, headers)
    assert (500, expected) == (reply.status, code(reply))


def test_unknown_path_field_and_account(bench: Bench) -> None:
    """MCA00124, OPSQ2001 with rt_cd 2, IGW00002."""
    assert code(bench.get(QUOTES + "nonsense", "FHKST01010100")) == "MCA00124"
    reply = bench.get(QUOTES + "inquire-price", "FHKST01010100", FID_INPUT_ISCD=STOCK)
    assert (reply.status, reply.json()["rt_cd"], code(reply)) == (200, "2", "OPSQ2001")
    assert "FID_COND_MRKT_DIV_CODE" in reply.json()["msg1"]
    reply = bench.balance(CANO="12345678")
    assert (reply.status, code(reply)) == (500, "IGW00002")


@pytest.mark.parametrize(
    ("path", "tr_id"),
    [
        ("chk-holiday", "CTCA0903R"),
        ("search-stock-info", "CTPF1002R"),
        ("volume-rank", "FHPST01710000"),
        ("intstock-multprice", "FHKST11300006"),
    ],
)
def test_real_only_services_are_refused_on_paper(bench: Bench, path: str, tr_id: str) -> None:
    """HTTP 500, EGW02006."""
    reply = bench.get(QUOTES + path, tr_id, BASS_DT="20261120")
    assert (reply.status, code(reply)) == (500, "EGW02006")


@pytest.mark.parametrize(
    ("path", "tr_id", "expected"),
    [
        (TRADING + "inquire-psbl-rvsecncl", "TTTC0084R", (500, "EGW02006")),
        (TRADING + "inquire-psbl-rvsecncl", "TTTC8036R", (500, "EGW02006")),
        (TRADING + "inquire-psbl-rvsecncl", "VTTC0084R", (200, "OPSQ0002")),
        (TRADING + "inquire-psbl-rvsecncl", "VTTC8036R", (200, "OPSQ0002")),
        (QUOTES + "chk-holiday", "VTCA0903R", (200, "OPSQ0002")),
        (QUOTES + "chk-holiday", "VTTC0084R", (500, "EGW00310")),
    ],
)
def test_paper_ids_made_from_real_only_ones(
    bench: Bench, path: str, tr_id: str, expected: tuple[int, str]
) -> None:
    """A V in the first place makes no paper service: OPSQ0002 (seen for VTTC0084R)."""
    reply = bench.get(path, tr_id, **bench.owner)
    assert (reply.status, code(reply)) == expected
    assert reply.json()["rt_cd"] == "1"


@pytest.mark.parametrize("environment", ["paper", "real"])
def test_buying_power_on_the_path_of_the_first_official_sample(environment: str) -> None:
    """TTTC8908R on the path of the daily orders; other ids do not wander."""
    bench = Bench("10:00", environment=environment)
    params = {"PDNO": "", "ORD_UNPR": "0", "ORD_DVSN": "02", "CMA_EVLU_AMT_ICLD_YN": "Y"}
    params |= {"OVRS_ICLD_YN": "N", **bench.owner}
    path = TRADING + "inquire-daily-ccld"
    body = bench.get(path, f"{bench.letter}TTC8908R", **params).json()
    assert (body["rt_cd"], body["output"]["ord_psbl_cash"]) == ("0", "10000000")
    assert code(bench.get(path, f"{bench.letter}TTC8434R", **params)) == "EGW00310"


INDEX = {"FID_COND_MRKT_DIV_CODE": "U", "FID_INPUT_ISCD": "0001"}


def test_index_price_agrees_with_its_chart() -> None:
    """The same level, change and previous level everywhere; real only but for the daily chart."""
    bench = Bench("10:00", environment="real", symbols=ALL)
    output = bench.get(QUOTES + "inquire-index-price", "FHPUP02100000", **INDEX).json()["output"]
    params = INDEX | {"FID_INPUT_DATE_1": "20260101", "FID_INPUT_DATE_2": "20261120"}
    path, tr_id = QUOTES + "inquire-daily-indexchartprice", "FHKUP03500100"
    chart = bench.get(path, tr_id, **params, FID_PERIOD_DIV_CODE="D").json()
    head, rows = chart["output1"], chart["output2"]
    now, before = rows[0]["bstp_nmix_prpr"], rows[1]["bstp_nmix_prpr"]
    assert (output["bstp_nmix_prpr"], head["bstp_nmix_prpr"], head["prdy_nmix"]) == (
        now,
        now,
        before,
    )
    change = round(float(now) - float(before), 2)
    assert output["bstp_nmix_prdy_vrss"] == head["bstp_nmix_prdy_vrss"] == f"{change:.2f}"
    assert {"-": "5", "0": "3"}.get(f"{change:.2f}"[0], "2") == output["prdy_vrss_sign"]
    assert len(rows) == 50
    assert [row["stck_bsop_date"] for row in rows[:2]] == ["20261120", "20261119"]
    for row in rows:
        low, high = float(row["bstp_nmix_lwpr"]), float(row["bstp_nmix_hgpr"])
        assert low <= float(row["bstp_nmix_oprc"]) <= high
        assert low <= float(row["bstp_nmix_prpr"]) <= high
    weeks = bench.get(path, tr_id, **params, FID_PERIOD_DIV_CODE="W").json()["output2"]
    assert [row["stck_bsop_date"] for row in weeks[:2]] == ["20261120", "20261113"]
    assert output["ascn_issu_cnt"] + output["stnr_issu_cnt"] + output["down_issu_cnt"] in (
        "100",
        "010",
        "001",
    )  # one KOSPI stock, the fund does not count


def test_index_minutes_end_at_the_present_level() -> None:
    """Newest first; the last close is the level now; longer bars merge the short ones."""
    bench = Bench("10:00", environment="real", density=20.0)
    price = bench.get(QUOTES + "inquire-index-price", "FHPUP02100000", **INDEX).json()["output"]
    path, tr_id = QUOTES + "inquire-time-indexchartprice", "FHKUP03500200"
    params = INDEX | {"FID_ETC_CLS_CODE": "0", "FID_PW_DATA_INCU_YN": "Y"}
    rows = bench.get(path, tr_id, **params, FID_INPUT_HOUR_1="60").json()["output2"]
    assert rows[0]["bstp_nmix_prpr"] == price["bstp_nmix_prpr"]
    assert rows[-1]["stck_cntg_hour"] == "090000"
    assert [r["stck_cntg_hour"] for r in rows] == sorted(r["stck_cntg_hour"] for r in rows)[::-1]
    longer = bench.get(path, tr_id, **params, FID_INPUT_HOUR_1="600").json()["output2"]
    assert sum(int(r["cntg_vol"]) for r in rows) == sum(int(r["cntg_vol"]) for r in longer)
    assert len(longer) == 6


def test_indexes_before_the_open_and_on_paper(bench: Bench) -> None:
    """Nothing traded: flat, no bar of today. On paper only the daily chart exists."""
    early = Bench("08:00", environment="real")
    output = early.get(QUOTES + "inquire-index-price", "FHPUP02100000", **INDEX).json()["output"]
    assert (output["bstp_nmix_prdy_vrss"], output["prdy_vrss_sign"]) == ("0.00", "3")
    params = INDEX | {"FID_INPUT_DATE_1": "20261101", "FID_INPUT_DATE_2": "20261120"}
    params["FID_PERIOD_DIV_CODE"] = "D"
    path, tr_id = QUOTES + "inquire-daily-indexchartprice", "FHKUP03500100"
    assert early.get(path, tr_id, **params).json()["output2"][0]["stck_bsop_date"] == "20261119"
    assert bench.get(path, tr_id, **params).json()["rt_cd"] == "0"
    assert code(bench.get(QUOTES + "inquire-index-price", "FHPUP02100000", **INDEX)) == "EGW02006"
    wrong = params | {"FID_COND_MRKT_DIV_CODE": "J"}
    assert code(bench.get(path, tr_id, **wrong)) == "OPSQ2001"


def test_investors_balance_and_today_is_empty_until_the_close(bench: Bench) -> None:
    """30 days, newest first; what some buy others sell; the day itself comes after the close."""
    rows = bench.quote("inquire-investor", "FHKST01010900")["output"]
    assert (len(rows), rows[0]["stck_bsop_date"]) == (30, "20261120")
    assert {rows[0][f"{kind}_ntby_qty"] for kind in ks.INVESTORS} == {""}
    for row in rows[1:]:
        assert sum(int(row[f"{kind}_ntby_qty"]) for kind in ks.INVESTORS) == 0
        for kind in ks.INVESTORS:
            bought, sold = int(row[f"{kind}_shnu_vol"]), int(row[f"{kind}_seln_vol"])
            assert bought - sold == int(row[f"{kind}_ntby_qty"])
            assert min(bought, sold) >= 0
    bench.advance("15:40")
    after = bench.quote("inquire-investor", "FHKST01010900")["output"]
    assert after[0]["prsn_ntby_qty"] != "" and after[1:] == rows[1:]


def test_brokers_and_the_abolished_market(bench: Bench) -> None:
    """inquire-member is one object; after-hours single prices are empty."""
    output = bench.quote("inquire-member", "FHKST01010600")["output"]
    assert int(output["total_seln_qty1"]) > int(output["total_seln_qty5"]) > 0
    assert len(output) == 2 * (5 * 6 + 3) + 2
    trades = bench.quote("inquire-time-overtimeconclusion", "FHPST02310000", FID_HOUR_CLS_CODE="1")
    assert (trades["output1"]["ovtm_untp_vol"], trades["output2"]) == ("0", [])
    days = bench.quote("inquire-daily-overtimeprice", "FHPST02320000")["output2"]
    daily = bench.quote(
        "inquire-daily-price", "FHKST01010400", FID_PERIOD_DIV_CODE="D", FID_ORG_ADJ_PRC="0"
    )["output"]
    assert [row["stck_clpr"] for row in days] == [row["stck_clpr"] for row in daily]


def test_market_cap_ranking_and_overseas_detail() -> None:
    """Real only: the dearest company first; dollars with a tick and a won price."""
    bench = Bench("10:00", environment="real", symbols=ALL)
    path = "/uapi/domestic-stock/v1/ranking/market-cap"
    rows = bench.get(path, "FHPST01740000", FID_COND_MRKT_DIV_CODE="J").json()["output"]
    values = [int(row["stck_avls"]) for row in rows]
    assert values == sorted(values, reverse=True)
    path = "/uapi/overseas-price/v1/quotations/price"
    asked = {"AUTH": "", "EXCD": "NAS", "SYMB": "AAPL"}
    detail = bench.get(f"{path}-detail", "HHDFS76200200", **asked).json()["output"]
    price = bench.get(path, "HHDFS00000300", **asked).json()["output"]
    assert (detail["last"], detail["base"]) == (price["last"], price["base"])
    path = "/uapi/overseas-stock/v1/trading/dayornight"
    assert bench.get(path, "JTTT3010R").json()["output"] == {"PSBL_YN": "N"}


def test_price_2_has_the_previous_close() -> None:
    """Other fields than inquire-price; the same prices."""
    bench = Bench("10:00", environment="real")
    one = bench.quote("inquire-price", "FHKST01010100")["output"]
    two = bench.quote("inquire-price-2", "FHPST01010000")["output"]
    assert two["stck_prdy_clpr"] == one["stck_sdpr"]
    same = ("stck_prpr", "stck_oprc", "prdy_vrss", "prdy_ctrt", "acml_vol", "stck_mxpr")
    assert [two[name] for name in same] == [one[name] for name in same]
    gap = int(two["stck_prpr"]) - int(two["stck_oprc"])
    assert int(two["oprc_vrss_prpr"]) == gap


def test_paper_tr_on_the_real_host() -> None:
    """EGW02005."""
    bench = Bench(environment="real")
    reply = bench.get(TRADING + "inquire-balance", "VTTC8434R", **bench.owner)
    assert (reply.status, code(reply)) == (500, "EGW02005")


@pytest.mark.parametrize(("environment", "limit"), [("paper", 1), ("real", 18)])
def test_requests_per_second(environment: str, limit: int) -> None:
    """A sliding second of market time; what is refused is not executed and not counted."""
    bench = Bench("10:00", environment=environment, requests_per_second=None)
    served = [bench.balance().status for _ in range(limit + 2)]
    assert served == [200] * limit + [500] * 2
    reply = bench.buy(1, kind="01")
    assert code(reply) == "EGW00201"
    assert bench.sim.books()["orders"] == []
    bench.sim.advance(bench.sim.now + timedelta(seconds=1))
    assert bench.balance().status == 200


def test_header_and_parameter_names_in_any_case(bench: Bench) -> None:
    """Clients send appKey and fid_input_iscd; both work."""
    headers = {name.title(): value for name, value in bench.headers("FHKST01010100").items()}
    params = {"fid_cond_mrkt_div_code": "J", "fid_input_iscd": STOCK}
    reply = bench.sim.request("GET", QUOTES[1:] + "inquire-price", params, headers)
    assert reply.json()["rt_cd"] == "0"
    assert {"tr_id", "tr_cont", "gt_uid", "Content-Type"} <= set(reply.headers)


def test_old_tr_ids_take_the_short_body() -> None:
    """TTTC0802U and friends know six keys; a switch refuses them."""
    for accepted, expected in ((True, "40600000"), (False, "EGW00310")):
        bench = Bench("10:00", accept_old_tr_ids=accepted)
        body = {key: bench.order_body(1, kind="01")[key] for key in ks.PLAIN_KEYS}
        assert code(bench.send_order(body, tr_id="VTTC0802U")) == expected


def test_hashkey(bench: Bench) -> None:
    """A right hash passes, a wrong one is EGW00131."""
    body = bench.order_body(1, kind="01")
    keys = {"appKey": bench.key, "appSecret": bench.secret}
    answer = bench.post("/uapi/hashkey", body, **keys).json()
    assert answer["BODY"] == body
    headers = bench.headers("VTTC0012U")
    right = bench.post(TRADING + "order-cash", body, **headers, hashkey=answer["HASH"])
    wrong = bench.post(TRADING + "order-cash", body, **headers, hashkey="0" * 64)
    assert (code(right), code(wrong)) == ("40600000", "EGW00131")


# --- quotations -------------------------------------------------------------------------------


def test_price_answer_has_the_documented_fields(bench: Bench) -> None:
    """All values are text; limits are +-30 % towards the base; no trade date, no name."""
    output = bench.quote("inquire-price", "FHKST01010100")["output"]
    named = """stck_prpr prdy_vrss prdy_vrss_sign prdy_ctrt stck_oprc stck_hgpr stck_lwpr stck_mxpr
        stck_llam stck_sdpr acml_vol acml_tr_pbmn wghn_avrg_stck_prc aspr_unit
        hts_deal_qty_unit_val iscd_stat_cls_code temp_stop_yn mrkt_warn_cls_code short_over_yn
        sltr_yn invt_caful_yn mang_issu_cls_code vi_cls_code ovtm_vi_cls_code marg_rate
        rprs_mrkt_kor_name bstp_kor_isnm hts_avls lstn_stcn per pbr eps bps w52_hgpr w52_lwpr
        w52_hgpr_date d250_hgpr stck_dryy_hgpr frgn_ntby_qty pgtr_ntby_qty hts_frgn_ehrt
        stck_shrn_iscd prdy_vrss_vol_rate"""
    assert set(named.split()) <= set(output)
    assert all(isinstance(value, str) for value in output.values())
    base, low, high = (int(output[n]) for n in ("stck_sdpr", "stck_llam", "stck_mxpr"))
    assert base * 7 / 10 <= low < base < high <= base * 13 / 10
    assert low % ks.tick_size(low) == high % ks.tick_size(high) == 0


def test_unknown_stock_is_answered_with_zeros(bench: Bench) -> None:
    """rt_cd 0 and price 0."""
    assert bench.quote("inquire-price", "FHKST01010100", "999999")["output"]["stck_prpr"] == "0"


def test_book_answer(bench: Bench) -> None:
    """Ten levels on both sides, totals, no expected price outside auctions."""
    body = bench.quote("inquire-asking-price-exp-ccn", "FHKST01010200")
    book, expected = body["output1"], body["output2"]
    asks = [int(book[f"askp{i}"]) for i in range(1, 11)]
    bids = [int(book[f"bidp{i}"]) for i in range(1, 11)]
    assert asks == sorted(asks) and bids == sorted(bids, reverse=True) and bids[0] < asks[0]
    total = sum(int(book[f"askp_rsqn{i}"]) for i in range(1, 11))
    assert int(book["total_askp_rsqn"]) == total
    assert (expected["antc_cnpr"], book["new_mkop_cls_code"]) == ("0", "20")


def test_minute_bars_of_today(bench: Bench) -> None:
    """30 rows, newest first, and the next page from one minute before the oldest."""
    params = {"FID_PW_DATA_INCU_YN": "Y", "FID_ETC_CLS_CODE": ""}
    name, tr_id = "inquire-time-itemchartprice", "FHKST03010200"
    first = bench.quote(name, tr_id, FID_INPUT_HOUR_1="095900", **params)["output2"]
    clocks = [row["stck_cntg_hour"] for row in first]
    assert len(first) == 30 and clocks == sorted(clocks, reverse=True) and clocks[0] == "095900"
    second = bench.quote(name, tr_id, FID_INPUT_HOUR_1="092900", **params)["output2"]
    rows = [*reversed(second), *reversed(first)]
    assert rows[0]["stck_cntg_hour"] == "090000"
    total = sum(int(row["cntg_vol"]) for row in rows)
    seen = bench.quote("inquire-price", "FHKST01010100")["output"]
    assert total == int(seen["acml_vol"])
    assert max(int(row["stck_hgpr"]) for row in rows) == int(seen["stck_hgpr"])


def test_a_future_hour_repeats_the_present_price(bench: Bench) -> None:
    """The newest rows lie in the future and show the last price."""
    params = {"FID_PW_DATA_INCU_YN": "Y", "FID_ETC_CLS_CODE": "", "FID_INPUT_HOUR_1": "101000"}
    rows = bench.quote("inquire-time-itemchartprice", "FHKST03010200", **params)["output2"]
    assert rows[0]["stck_cntg_hour"] == "101000"
    assert int(rows[0]["stck_prpr"]) == bench.price()["last"]
    assert rows[0]["cntg_vol"] == "0"


def test_past_minutes_fit_the_daily_bar(bench: Bench) -> None:
    """120 rows a call; open, high, low, close and volume agree with the day."""
    days = bench.quote(
        "inquire-daily-itemchartprice",
        "FHKST03010100",
        **{"FID_INPUT_DATE_1": "20261101", "FID_INPUT_DATE_2": "20261118"},
        **{"FID_PERIOD_DIV_CODE": "D", "FID_ORG_ADJ_PRC": "0"},
    )["output2"]
    rows: list[dict[str, str]] = []
    hour = "153000"
    while True:
        page = bench.quote(
            "inquire-time-dailychartprice",
            "FHKST03010230",
            **{"FID_INPUT_HOUR_1": hour, "FID_INPUT_DATE_1": "20261118"},
            **{"FID_PW_DATA_INCU_YN": "Y", "FID_FAKE_TICK_INCU_YN": ""},
        )["output2"]
        if not page:
            break
        assert len(page) <= 120
        rows += page
        oldest = datetime.strptime(page[-1]["stck_cntg_hour"], "%H%M%S") - timedelta(minutes=1)
        hour = oldest.strftime("%H%M%S")
    day = days[0]
    assert day["stck_bsop_date"] == "20261118"
    assert rows[0]["stck_prpr"] == day["stck_clpr"] and rows[-1]["stck_oprc"] == day["stck_oprc"]
    assert max(int(r["stck_hgpr"]) for r in rows) == int(day["stck_hgpr"])
    assert min(int(r["stck_lwpr"]) for r in rows) == int(day["stck_lwpr"])
    assert sum(int(r["cntg_vol"]) for r in rows) == int(day["acml_vol"])


def test_daily_chart(bench: Bench) -> None:
    """100 rows newest first, trading days only, today unfinished, base = last close."""
    span = {"FID_INPUT_DATE_1": "20250101", "FID_INPUT_DATE_2": "20261120"}
    body = bench.quote(
        "inquire-daily-itemchartprice",
        "FHKST03010100",
        **span,
        **{"FID_PERIOD_DIV_CODE": "D", "FID_ORG_ADJ_PRC": "0"},
    )
    rows = body["output2"]
    days = [datetime.strptime(row["stck_bsop_date"], "%Y%m%d").date() for row in rows]
    assert len(rows) == 100 and days == sorted(days, reverse=True) and days[0] == DAY
    calendar = ks.Calendar()
    assert all(calendar.is_trading_day(day) for day in days)
    assert rows[1]["stck_clpr"] == body["output1"]["stck_prdy_clpr"]
    for row in rows:
        low, high = int(row["stck_lwpr"]), int(row["stck_hgpr"])
        assert low <= int(row["stck_oprc"]) <= high and low <= int(row["stck_clpr"]) <= high
        assert high % ks.tick_size(high) == 0


@pytest.mark.parametrize(("period", "rows"), [("W", 100), ("M", 100), ("Y", 9)])
def test_longer_periods(bench: Bench, period: str, rows: int) -> None:
    """Weeks, months and years are merged from days; history begins in 2018."""
    body = bench.quote(
        "inquire-daily-itemchartprice",
        "FHKST03010100",
        **{"FID_INPUT_DATE_1": "20150101", "FID_INPUT_DATE_2": "20261120"},
        **{"FID_PERIOD_DIV_CODE": period, "FID_ORG_ADJ_PRC": "0"},
    )
    assert len(body["output2"]) == rows


def test_other_quotation_services(bench: Bench) -> None:
    """Last trades, trades by time, short daily bars: 30 rows, newest first."""
    trades = bench.quote("inquire-ccnl", "FHKST01010300")["output"]
    timed = bench.quote("inquire-time-itemconclusion", "FHPST01060000", FID_INPUT_HOUR_1="093000")
    days = bench.quote(
        "inquire-daily-price", "FHKST01010400", FID_PERIOD_DIV_CODE="D", FID_ORG_ADJ_PRC="0"
    )["output"]
    assert (len(trades), len(timed["output2"]), len(days)) == (30, 30, 30)
    assert all(row["stck_cntg_hour"] <= "093000" for row in timed["output2"])
    assert all(int(row["stck_prpr"]) > 0 for row in timed["output2"])
    fields = {"stck_cntg_hour", "stck_prpr", "prdy_vrss", "prdy_vrss_sign", "cntg_vol"}
    assert set(trades[0]) == fields | {"tday_rltv", "prdy_ctrt"}


def test_services_of_the_real_host() -> None:
    """Holidays, master data, several prices, rankings, overseas prices."""
    bench = Bench("10:00", environment="real")
    days = bench.get(QUOTES + "chk-holiday", "CTCA0903R", BASS_DT="20261119").json()
    first = days["output"][0]
    assert (first["bass_dt"], first["wday_dvsn_cd"], first["opnd_yn"]) == ("20261119", "05", "Y")
    assert {row["bass_dt"]: row["opnd_yn"] for row in days["output"]}["20261121"] == "N"
    info = bench.get(QUOTES + "search-stock-info", "CTPF1002R", PDNO=ETF, PRDT_TYPE_CD="300")
    assert tuple(info.json()["output"][name] for name in ("scty_grp_id_cd", "prdt_abrv_name")) == (
        "EF",
        "KODEX 200",
    )
    info = bench.get(QUOTES + "search-info", "CTPF1604R", PDNO=STOCK, PRDT_TYPE_CD="300").json()
    assert info["output"]["shtn_pdno"] == STOCK
    codes = {"FID_INPUT_ISCD_1": STOCK, "FID_INPUT_ISCD_2": ETF}
    many = bench.get(QUOTES + "intstock-multprice", "FHKST11300006", **codes).json()["output"]
    assert [row["inter_shrn_iscd"] for row in many] == [STOCK, ETF]
    rank = bench.get(QUOTES + "volume-rank", "FHPST01710000", FID_COND_MRKT_DIV_CODE="J").json()
    assert [row["data_rank"] for row in rank["output"]] == ["1", "2"]
    base = "/uapi/overseas-price/v1/quotations/"
    price = bench.get(base + "price", "HHDFS00000300", AUTH="", EXCD="NAS", SYMB="AAPL").json()
    days = bench.get(base + "dailyprice", "HHDFS76240000", EXCD="NAS", SYMB="AAPL").json()
    assert price["output"]["rsym"] == "DNASAAPL" and len(days["output2"]) == 100


# --- the market -------------------------------------------------------------------------------


def test_default_day_has_early_breakouts() -> None:
    """With the default seed a 5-minute breakout finds entries in the first hour."""
    assert len(_breakouts(Simulator(SimulatorConfig(density=4.0)), until="10:15")) >= 2


def _breakouts(sim: Simulator, until: str) -> list[tuple[str, int]]:
    """Return closes above the last 12 highs with 1.5 x volume and above VWAP."""
    found = []
    history, calendar = sim._ground.history, sim._ground.calendar
    for symbol in sim.config.symbols:
        old = _five_minutes(history.minute_rows(symbol, calendar.previous(DAY)))
        new = _five_minutes(history.minute_rows(symbol, DAY))
        value = volume = 0.0
        for index, (clock, bar) in enumerate(new):
            before = [b for _, b in (*old, *new[:index])][-12:]
            value, volume = value + bar[2] * bar[1], volume + bar[1]
            loud = bar[1] >= 1.5 * sum(b[1] for b in before) / 12
            high = bar[2] > max(b[0] for b in before)
            if clock < until.replace(":", "") and loud and high and bar[2] > value / volume:
                found.append((symbol, bar[2]))
    return found


def _five_minutes(rows: list[tuple[str, ks.Bar]]) -> list[tuple[str, tuple[int, int, int]]]:
    merged: dict[str, tuple[int, int, int]] = {}
    for clock, bar in rows:
        key = f"{int(clock[:4]) // 5 * 5:04d}"
        high, volume, _ = merged.get(key, (0, 0, 0))
        merged[key] = (max(high, bar.high), volume + bar.volume, bar.close)
    return list(merged.items())


def test_auction_publishes_an_expected_price() -> None:
    """Before the open: class B, expected price and quantity, nothing traded."""
    bench = Bench("08:50")
    body = bench.quote("inquire-asking-price-exp-ccn", "FHKST01010200")
    assert int(body["output2"]["antc_cnpr"]) > 0
    session = bench.listen((ks.BOOK_TR, STOCK))
    bench.advance("08:51")
    record = records(drain(session)[-1])[0]
    assert (record[2], record[53]) == ("B", "0")
    assert int(record[47]) > 0 and int(record[48]) > 0
    assert bench.price()["last"] == int(record[47]) or bench.sim.books()["fill_count"] == 0


def test_open_and_close_are_auctions_with_a_random_end() -> None:
    """First trade between 09:00:00 and 09:00:30, none 15:20 to 15:30, last by 15:30:30."""
    bench = Bench("15:45")
    trades = bench.sim._market.tapes[STOCK].trades
    clocks = [ks.hms(row.at) for row in trades]
    assert "090000" <= clocks[0] <= "090030" and "153000" <= clocks[-1] <= "153030"
    assert not [clock for clock in clocks if "152000" <= clock < "153000"]


@pytest.mark.parametrize(
    ("day", "before", "during", "after"),
    [
        (date(2026, 1, 2), "09:30", "10:01", "15:31"),
        (date(2026, 11, 19), "09:45", "16:00", "16:31"),
        (date(2026, 11, 20), "08:45", "09:01", "15:31"),
    ],
)
def test_sessions_of_special_days(day: date, before: str, during: str, after: str) -> None:
    """First trading day opens at 10:00; the exam day is one hour later."""
    bench = Bench("07:00", day=day, symbols=(STOCK,))
    states = []
    for clock in ("07:30", before, during, after):
        bench.advance(clock)
        states.append(bench.sim.state()["stocks"][STOCK]["state"])
    assert states == ["before", "opening", "open", "closed"]


def test_calendar() -> None:
    """Weekends, holidays, last day of the year; settlement is T+2."""
    calendar = ks.Calendar()
    closed = (date(2026, 11, 21), date(2026, 12, 25), date(2026, 12, 31), date(2026, 7, 17))
    assert not any(calendar.is_trading_day(day) for day in closed)
    assert calendar.settlement_day(date(2024, 12, 27)) == date(2025, 1, 2)


@pytest.mark.parametrize(
    ("price", "etf", "tick"),
    [
        *[(1_999, False, 1), (2_000, False, 5), (4_995, False, 5), (5_000, False, 10)],
        *[(19_990, False, 10), (20_000, False, 50), (49_950, False, 50), (50_000, False, 100)],
        *[(199_900, False, 100), (200_000, False, 500), (500_000, False, 1_000)],
        *[(1_999, True, 1), (2_000, True, 5), (38_450, True, 5)],
    ],
)
def test_tick_sizes(price: int, etf: bool, tick: int) -> None:
    """The table of 2023-01-25 and the one of ETFs."""
    assert ks.tick_size(price, etf) == tick


def test_all_prices_are_valid_and_inside_the_band() -> None:
    """Every printed price of a day."""
    bench = Bench("15:40", density=10.0)
    for tape in bench.sim._market.tapes.values():
        for row in tape.trades:
            assert row.price % tape.tick(row.price) == 0
            assert tape.band[0] <= row.price <= tape.band[1] and row.quantity > 0


def test_bars_of_a_file_are_met_exactly() -> None:
    """--csv: the tape reproduces the given minutes."""
    text = "symbol,time,open,high,low,close,volume\n005930,09:00,70000,70500,69900,70200,5000\n"
    text += "005930,2026-11-20 09:01,70200,70900,70200,70800,4000\n"
    bars = ks.parse_bars_csv(text)
    bench = Bench("09:10", symbols=(STOCK,), bars=bars, density=1.0)
    minutes = bench.sim._market.tapes[STOCK].minutes
    got = [(b.open, b.high, b.low, b.close, b.volume) for _, b in sorted(minutes.items())]
    assert got == [(70000, 70500, 69900, 70200, 5000), (70200, 70900, 70200, 70800, 4000)]
    with pytest.raises(ValueError, match="line 2"):
        ks.parse_bars_csv("symbol,time,open\n005930,09:00,1\n")


def test_the_next_day_follows_from_this_one() -> None:
    """Midnight and a weekend pass; history shows what was simulated."""
    bench = Bench("15:40")
    closed = bench.price()["last"]
    bench.sim.advance(at("09:30", date(2026, 11, 23)))
    bench.token = bench.issue_token().json()["access_token"]
    output = bench.quote("inquire-price", "FHKST01010100")["output"]
    assert int(output["stck_sdpr"]) == closed
    assert bench.sim.state()["stocks"][STOCK]["state"] == "open"


# --- scripted market --------------------------------------------------------------------------


def test_volatility_interruption_collects_and_ends_with_one_price() -> None:
    """Two minutes without trades, class C, then a single price; real shows it in the list."""
    event = {"at": "10:05", "type": "vi", "symbol": STOCK}
    bench = Bench("10:04", environment="real", events=(event,), density=30.0)
    session = bench.listen((ks.BOOK_TR, STOCK), ("H0STCNT0", STOCK), (ks.STATUS_TR, STOCK))
    bench.advance("10:06")
    output = bench.quote("inquire-price", "FHKST01010100")["output"]
    assert output["vi_cls_code"] == "Y"
    frames = drain(session)
    assert [f for f in frames if "H0STMKO0" in f and records(f)[0][8] == "Y"]
    assert records([f for f in frames if ks.BOOK_TR in f][-1])[0][2] == "C"
    trades = [records(f)[-1][1] for f in frames if "H0STCNT0" in f]
    assert max(trades) < "100500"
    bench.advance("10:08")
    assert bench.sim.state()["stocks"][STOCK]["state"] == "open"
    rows = bench.get(QUOTES + "inquire-vi-status", "FHPST01390000").json()["output"]
    assert [(row["mksc_shrn_iscd"], row["vi_cls_code"]) for row in rows] == [(STOCK, "N")]


def test_halted_stock_takes_no_order_but_a_cancel(bench: Bench) -> None:
    """Halt: refused with the code of the paper host; a cancel passes; resume trades again."""
    number = bench.buy(1, bench.price()["lower"]).json()["output"]["ODNO"]
    bench.sim.market_event("halt", STOCK)
    assert code(bench.buy(1, kind="01")) == "40070000"
    assert code(bench.change(number)) == "40630000"
    bench.sim.market_event("resume", STOCK)
    assert code(bench.buy(1, kind="01")) == "40600000"


def test_locked_at_the_lower_limit_nobody_buys() -> None:
    """Limit-down lock: no bids, a sell waits, the price is the limit."""
    bench = Bench("10:00", holdings={STOCK: (10, 70_000)}, density=60.0)
    bench.sim.market_event("limit_down", STOCK)
    bench.advance("10:02")
    assert bench.book()["bidp1"] == "0"
    assert bench.price()["last"] == bench.price()["lower"]
    bench.sell(10, kind="01")
    bench.advance("10:10")
    assert bench.sim.books()["fill_count"] == 0
    bench.sim.market_event("unlock", STOCK)
    bench.advance("10:15")
    assert bench.sim.books()["orders"][0]["filled_quantity"] == 10


def test_circuit_breaker_stops_everything_for_twenty_minutes() -> None:
    """20 minutes stop, 10 minutes auction, then trading."""
    bench = Bench("10:00", events=({"at": "10:10:00", "type": "circuit_breaker"},))
    states = []
    for clock in ("10:15", "10:35", "10:41"):
        bench.advance(clock)
        states.append({s["state"] for s in bench.sim.state()["stocks"].values()})
    assert states == [{"halt"}, {"vi"}, {"open"}]


def test_unplanned_holiday() -> None:
    """No data, orders refused with the code of a wrong day."""
    bench = Bench("08:40", events=({"at": "08:00", "type": "holiday"},))
    session = bench.listen(("H0STCNT0", STOCK), (ks.BOOK_TR, STOCK))
    bench.advance("10:00")
    assert not session.outbox
    assert code(bench.buy(1, kind="01")) == "40100000"


# --- orders -----------------------------------------------------------------------------------


def test_market_order_takes_the_book(bench: Bench) -> None:
    """Fills at the ask levels; the truth, the list and the balance agree."""
    book = bench.book()
    reply = bench.buy(5, kind="01")
    body = reply.json()
    assert (reply.status, body["rt_cd"], body["msg_cd"]) == (200, "0", "40600000")
    number = body["output"]["ODNO"]
    assert len(number) == 10 and body["output"]["KRX_FWDG_ORD_ORGNO"] == "00950"
    assert set(body["output"]) == {"KRX_FWDG_ORD_ORGNO", "ODNO", "ORD_TMD"}
    order = bench.sim.books()["orders"][0]
    assert (5, 5 * int(book["askp1"])) == (order["filled_quantity"], order["filled_amount_krw"])
    row = bench.order_row(number)
    assert tuple(row[n] for n in ("tot_ccld_qty", "rmn_qty", "cnc_cfrm_qty", "rjct_qty")) == (
        "5",
        "0",
        "0",
        "0",
    )
    holding = bench.balance().json()["output1"][0]
    assert ("5", f"{int(book['askp1'])}.0000") == (holding["hldg_qty"], holding["pchs_avg_pric"])


def test_real_answer_codes() -> None:
    """APBK0013 and a 5-digit branch on the real host."""
    bench = Bench("10:00", environment="real")
    reply = bench.buy(1, kind="01").json()
    assert (reply["msg_cd"], reply["output"]["KRX_FWDG_ORD_ORGNO"]) == ("APBK0013", "06010")


@pytest.mark.parametrize(
    ("name", "value"),
    [("RVSE_CNCL_DVSN_CD", "취소"), ("RVSE_CNCL_DVSN_CD", ""), ("QTY_ALL_ORD_YN", "")],
)
def test_a_change_that_is_neither_modify_nor_cancel_is_refused(
    bench: Bench, name: str, value: str
) -> None:
    """A client that sends the word in place of 02 must not get a modify."""
    number = bench.buy(1, bench.price()["lower"]).json()["output"]["ODNO"]
    body = {**bench.owner, "KRX_FWDG_ORD_ORGNO": "", "ORGN_ODNO": number, "ORD_DVSN": "00"}
    body |= {"RVSE_CNCL_DVSN_CD": "02", "ORD_QTY": "1", "ORD_UNPR": "0", "QTY_ALL_ORD_YN": "Y"}
    headers = bench.headers("VTTC0013U")
    reply = bench.post(TRADING + "order-rvsecncl", body | {name: value}, **headers)
    assert (reply.status, code(reply)) == (500, "IGW00007")
    assert code(bench.post(TRADING + "order-rvsecncl", body, **headers)) == "40630000"


@pytest.mark.parametrize("key", ks.ORDER_KEYS)
def test_every_key_of_the_body_is_needed_when_strict(key: str) -> None:
    """A left-out key gives IGW00007 with HTTP 500."""
    bench = Bench("10:00", strict_order_body=True)
    body = bench.order_body(1, kind="01")
    del body[key]
    reply = bench.send_order(body)
    assert (reply.status, code(reply)) == (500, "IGW00007")


@pytest.mark.parametrize(
    ("side", "left_out", "expected"),
    [
        ("BUY", (), "40600000"),
        ("BUY", ("CNDT_PRIC",), "40600000"),
        ("BUY", ("SLL_TYPE", "CNDT_PRIC", "EXCG_ID_DVSN_CD"), "40600000"),
        ("SELL", ("SLL_TYPE", "EXCG_ID_DVSN_CD"), "40590000"),
        ("SELL", ("CNDT_PRIC",), "IGW00007"),
        ("BUY", ("ORD_DVSN",), "IGW00007"),
    ],
)
def test_short_bodies_on_current_tr_ids(
    side: str, left_out: tuple[str, ...], expected: str
) -> None:
    """Sells without CNDT_PRIC failed while buys passed (measured, 2026-08-11)."""
    bench = Bench("10:00", holdings={STOCK: (5, 70_000)})
    body = bench.order_body(1, kind="01")
    for key in left_out:
        del body[key]
    assert code(bench.send_order(body, side)) == expected


def test_keys_of_the_first_official_sample_pass_with_old_tr_ids_only(bench: Bench) -> None:
    """CTAC_TLNO, SLL_TYPE 01 even on buys, and ALGO_NO beside the six plain keys."""
    body = {key: bench.order_body(1, kind="01")[key] for key in ks.PLAIN_KEYS}
    body |= {"CTAC_TLNO": "", "SLL_TYPE": "01", "ALGO_NO": ""}
    assert code(bench.send_order(body, tr_id="VTTC0802U")) == "40600000"
    assert code(bench.send_order(body, "SELL", tr_id="VTTC0801U")) == "40590000"
    assert code(bench.send_order(body)) == "IGW00007"


@pytest.mark.parametrize(
    "changes",
    [{"ALGO": "X"}, {"ORD_QTY": 1}, {"ORD_QTY": "1.0"}, {"ORD_UNPR": "70000.0"}, {"pdno": STOCK}],
)
def test_odd_bodies_cannot_be_built(bench: Bench, changes: dict[str, Any]) -> None:
    """Extra key, number instead of text, decimals, lower case."""
    reply = bench.send_order(bench.order_body(1, kind="01") | changes)
    assert (reply.status, code(reply)) == (500, "IGW00007")
    assert bench.sim.books()["orders"] == []


@pytest.mark.parametrize("environment", ["paper", "real"])
@pytest.mark.parametrize(
    ("clock", "order", "paper", "real"),
    [
        ("10:00", ("BUY", 1, 10, "00", STOCK), "40999002", "APBK9002"),
        ("10:00", ("BUY", 1, -1, "00", STOCK), "40030000", "APBK9001"),
        ("10:00", ("BUY", 10_000, 0, "01", STOCK), "40250000", "APBK0952"),
        ("10:00", ("SELL", 1, 0, "01", STOCK), "40240000", "APBK0400"),
        ("10:00", ("BUY", 1, 0, "01", "999999"), "40070000", "APBK0656"),
        ("10:00", ("BUY", 0, 0, "01", STOCK), "40999005", "APBK9005"),
        ("10:00", ("BUY", 1, 0, "99", STOCK), "40999004", "APBK1943"),
        ("08:10", ("BUY", 1, 0, "01", STOCK), "40570000", "APBK0918"),
        ("08:45", ("BUY", 1, 0, "03", STOCK), "40999004", "APBK1943"),
        ("15:40", ("BUY", 1, 0, "01", STOCK), "40580000", "APBK0918"),
        ("16:30", ("BUY", 1, 70_000, "41", STOCK), "40580000", "APBK0918"),
    ],
)
def test_refusals(
    environment: str, clock: str, order: tuple[str, int, int, str, str], paper: str, real: str
) -> None:
    """HTTP 200 with rt_cd 1 (paper) or 7 (real) and the code of the host; nothing happens."""
    bench = Bench(clock, environment=environment)
    side, quantity, price, kind, symbol = order
    if price == -1:
        price = bench.price()["last"] + 1
    send = bench.buy if side == "BUY" else bench.sell
    reply = send(quantity, price, kind, symbol)
    expected = (200, "1", paper) if environment == "paper" else (200, "7", real)
    assert expected == (reply.status, reply.json()["rt_cd"], code(reply))
    assert bench.sim.books()["orders"] == []


def test_orders_on_a_weekend_are_refused() -> None:
    """40100000: not a business day; quotes show the last trading day."""
    bench = Bench("10:00", day=date(2026, 11, 21))
    assert code(bench.buy(1, kind="01")) == "40100000"
    assert bench.price()["last"] > 0


def test_other_venues_are_refused_on_paper(bench: Bench) -> None:
    """NXT and SOR do not exist on paper."""
    reply = bench.send_order(bench.order_body(1, kind="01") | {"EXCG_ID_DVSN_CD": "NXT"})
    assert reply.json()["rt_cd"] == "1"


def test_resting_order_waits_in_the_queue_and_fills() -> None:
    """A buy at the bid fills only after the shares before it; partial fills add up."""
    bench = Bench("10:00", symbols=(STOCK,), density=40.0, initial_cash_krw=10**10)
    bid = int(bench.book()["bidp1"])
    number = bench.buy(3_000, bid).json()["output"]["ODNO"]
    assert bench.sim.books()["fill_count"] == 0
    bench.advance("15:40")
    order = bench.sim.books()["orders"][0]
    fills = bench.sim.books()["fills"]
    assert order["filled_quantity"] == sum(f["quantity"] for f in fills) > 0
    assert all(f["price"] <= bid and f["order_no"] == number for f in fills)


def test_limit_buy_above_the_ask_fills_at_the_better_price(bench: Bench) -> None:
    """Never worse than the book."""
    ask = int(bench.book()["askp1"])
    bench.buy(1, bench.price()["upper"])
    assert bench.sim.books()["fills"][0]["price"] == ask


def test_big_order_walks_through_the_levels() -> None:
    """Several fills at rising prices, then the rest waits."""
    bench = Bench("10:00", initial_cash_krw=10**12)
    book = bench.book()
    total = int(book["total_askp_rsqn"])
    bench.buy(total + 100, int(book["askp10"]))
    fills = bench.sim.books()["fills"]
    assert [f["price"] for f in fills] == [int(book[f"askp{i}"]) for i in range(1, 11)]
    assert bench.sim.books()["orders"][0]["remaining_quantity"] == 100
    assert bench.book()["askp_rsqn1"] == "0"


@pytest.mark.parametrize(
    ("kind", "filled", "cancelled"),
    [
        ("11", "part", "rest"),
        ("12", "nothing", "all"),
        ("13", "part", "rest"),
        ("14", "nothing", "all"),
    ],
)
def test_ioc_and_fok(kind: str, filled: str, cancelled: str) -> None:
    """IOC cancels the rest, FOK everything when it cannot fill whole."""
    bench = Bench("10:00", initial_cash_krw=10**12)
    session = bench.listen_notices()
    book = bench.book()
    total = int(book["total_askp_rsqn"])
    bench.buy(total + 1, int(book["askp10"]) if kind < "13" else 0, kind)
    order = bench.sim.books()["orders"][0]
    expected = total if filled == "part" else 0
    assert (expected, total + 1 - expected) == (
        order["filled_quantity"],
        order["cancelled_quantity"],
    )
    bench.advance("10:00:05")
    last = notices(session)[-1]
    assert (last[5], last[13], last[14]) == ("0", "1", "3")


def test_best_and_priority_kinds_take_their_price_from_the_book(bench: Bench) -> None:
    """03 buys at the ask, 04 rests at the bid."""
    book = bench.book()
    bench.buy(1, kind="03")
    bench.buy(1, kind="04")
    first, second = bench.sim.books()["orders"]
    assert first["filled_amount_krw"] == int(book["askp1"])
    assert second["filled_quantity"] == 0
    assert bench.sim._ledger.orders[1].limit == int(book["bidp1"])


def test_orders_of_the_opening_auction_fill_at_one_price() -> None:
    """Limits above the open and market orders fill at the open, lower limits wait."""
    bench = Bench("08:40")
    upper, lower = bench.price()["upper"], bench.price()["lower"]
    for price, kind in ((upper, "00"), (0, "01"), (lower, "00")):
        bench.buy(1, price, kind)
    bench.advance("09:00:40")
    opened = int(bench.quote("inquire-price", "FHKST01010100")["output"]["stck_oprc"])
    books = bench.sim.books()
    assert [f["price"] for f in books["fills"]] == [opened, opened]
    assert [o["filled_quantity"] for o in books["orders"]] == [1, 1, 0]


def test_modify_moves_the_order_to_a_new_number(bench: Bench) -> None:
    """New number, orgn_odno set; the old row shows the moved part as confirmed."""
    price = bench.price()
    old = bench.buy(4, price["lower"]).json()["output"]["ODNO"]
    reply = bench.change(old, cancel=False, price=price["lower"] + ks.tick_size(price["lower"]))
    new = reply.json()["output"]["ODNO"]
    assert new != old
    assert bench.order_row(new)["orgn_odno"] == old
    assert tuple(bench.order_row(old)[n] for n in ("rmn_qty", "cnc_cfrm_qty")) == ("0", "4")
    assert code(bench.change(old)) == "40330000"
    assert code(bench.change(new)) == "40630000"
    books = bench.sim.books()
    assert [(o["cancelled_quantity"], o["remaining_quantity"]) for o in books["orders"]] == [
        (4, 0),
        (4, 0),
    ]
    assert books["orders"][1]["original_order_no"] == old and books["order_count"] == 1


def test_partial_cancel_and_number_paddings(bench: Bench) -> None:
    """QTY_ALL_ORD_YN N cancels a part; numbers are found in any padding."""
    number = bench.buy(5, bench.price()["lower"]).json()["output"]["ODNO"]
    assert code(bench.change(f"  {int(number)}", quantity=2)) == "40630000"
    assert bench.sim.books()["orders"][0]["remaining_quantity"] == 3
    rows = bench.orders(ODNO=str(int(number))).json()["output1"]
    assert [row["odno"] for row in rows] == [number]
    assert code(bench.change(number, quantity=9)) == "40330000"
    assert code(bench.change("0000000001")) == "40330000"


def test_cancel_after_the_close_is_refused() -> None:
    """40580000 on paper."""
    bench = Bench("15:00")
    number = bench.buy(1, bench.price()["lower"]).json()["output"]["ODNO"]
    bench.advance("15:40")
    assert code(bench.change(number)) == "40580000"


@pytest.mark.parametrize(
    ("look", "soon", "late"),
    [
        ("rest_then_cancelled", ("5", "0"), ("0", "5")),
        ("rest", ("5", "0"), ("5", "0")),
        ("cancelled", ("0", "5"), ("0", "5")),
    ],
)
def test_day_orders_die_at_the_close(look: str, soon: Any, late: Any) -> None:
    """The truth is cancelled; the list follows the configured look."""
    bench = Bench("15:00", after_close=look)
    number = bench.buy(5, bench.price()["lower"]).json()["output"]["ODNO"]
    seen = []
    for clock in ("15:35", "16:30"):
        bench.advance(clock)
        row = bench.order_row(number)
        seen.append((row["rmn_qty"], row["cnc_cfrm_qty"]))
    assert seen == [soon, late]
    assert bench.sim.books()["orders"][0]["cancelled_quantity"] == 5
    assert int(bench.buying_power()["ord_psbl_cash"]) == 10_000_000


@pytest.mark.parametrize(("environment", "size"), [("paper", 15), ("real", 100)])
def test_order_list_pages(environment: str, size: int) -> None:
    """F, M, E; context values 100 wide; both orders of time; no row twice."""
    bench = Bench("10:00", environment=environment, initial_cash_krw=10**9)
    price = bench.price()["lower"]
    sent = [bench.buy(1, price).json()["output"]["ODNO"] for _ in range(2 * size + 3)]
    for direction, expected in (("00", sent[::-1]), ("01", sent)):
        got: list[str] = []
        marks, context, tr_cont = [], {"CTX_AREA_FK100": "", "CTX_AREA_NK100": ""}, ""
        while True:
            reply = bench.orders(tr_cont, INQR_DVSN=direction, **context)
            body = reply.json()
            got += [row["odno"] for row in body["output1"]]
            marks.append(reply.headers["tr_cont"])
            assert len(body["ctx_area_nk100"]) == 100
            if marks[-1] not in "FM":
                break
            tr_cont = "N"
            context = {key: body[key.lower()].strip() for key in context}
        assert (expected, ["F", "M", "E"]) == (got, marks)


def test_order_list_filters(bench: Bench) -> None:
    """Side, stock, filled, not filled; an empty list is 70070000 with rt_cd 0."""
    bench.buy(2, kind="01")
    bench.buy(1, bench.price()["lower"])
    bench.sell(1, kind="01")

    def count(**changes: str) -> int:
        return len(bench.orders(**changes).json()["output1"])

    assert (count(), count(SLL_BUY_DVSN_CD="01"), count(CCLD_DVSN="01")) == (3, 1, 2)
    assert (count(CCLD_DVSN="02"), count(PDNO=ETF), count(EXCG_ID_DVSN_CD="NXT")) == (1, 0, 0)
    reply = bench.orders(PDNO=ETF).json()
    assert (reply["rt_cd"], reply["msg_cd"]) == ("0", "70070000")
    assert "excg_id_dvsn_Cd" in bench.orders().json()["output1"][0]
    assert len(bench.orders().json()["msg1"]) == 80


def test_open_orders_on_real() -> None:
    """inquire-psbl-rvsecncl lists what can still be changed."""
    bench = Bench("10:00", environment="real")
    number = bench.buy(3, bench.price()["lower"]).json()["output"]["ODNO"]
    params = {"INQR_DVSN_1": "0", "INQR_DVSN_2": "0", "CTX_AREA_FK100": "", "CTX_AREA_NK100": ""}
    reply = bench.get(TRADING + "inquire-psbl-rvsecncl", "TTTC0084R", **bench.owner, **params)
    assert [(number, "3")] == [(r["odno"], r["psbl_qty"]) for r in reply.json()["output"]]


def test_buying_power_counts_reservations_and_fees(bench: Bench) -> None:
    """nrcvb_* can really be ordered, one share more can not; max_* counts debt."""
    power = bench.buying_power()
    upper = bench.price()["upper"]
    assert int(power["psbl_qty_calc_unpr"]) == upper
    quantity = int(power["nrcvb_buy_qty"])
    assert int(power["max_buy_qty"]) > quantity
    assert code(bench.buy(quantity + 1, kind="01")) == "40250000"
    lower = bench.price()["lower"]
    quantity = int(bench.buying_power(kind="00", price=str(lower))["nrcvb_buy_qty"])
    assert code(bench.buy(quantity, lower)) == "40600000"
    assert int(bench.buying_power()["nrcvb_buy_amt"]) < upper


def test_sellable_quantity_counts_open_sells() -> None:
    """ord_psbl_qty = held - open sells; on real also by psbl-sell."""
    bench = Bench("10:00", environment="real", holdings={STOCK: (10, 70_000)})
    bench.sell(4, bench.price()["upper"])
    assert bench.balance().json()["output1"][0]["ord_psbl_qty"] == "6"
    params = {**bench.owner, "PDNO": STOCK}
    output = bench.get(TRADING + "inquire-psbl-sell", "TTTC8408R", **params).json()["output"]
    assert output["ord_psbl_qty"] == "6"
    assert code(bench.sell(7, kind="01")) == "APBK0400"


# --- money ------------------------------------------------------------------------------------


def test_fee_and_tax_examples() -> None:
    """The measured fee; floor of each tax; KOSDAQ one rate; ETF none; year by settlement."""
    kospi, kosdaq, etf = (ks.LISTINGS[code] for code in (STOCK, KOSDAQ_STOCK, ETF))
    assert ks.fee_of(995_000, etf=False) == 140
    assert ks.fee_of(1_000_000, etf=True) == 147
    amount = 1_234_567
    assert ks.sell_tax_of(amount, kospi, date(2026, 5, 4)) == 617 + 1851
    assert ks.sell_tax_of(amount, kosdaq, date(2026, 5, 4)) == 2469
    assert ks.sell_tax_of(amount, etf, date(2026, 5, 4)) == 0
    assert ks.sell_tax_of(amount, kospi, date(2024, 12, 30)) == 370 + 1851
    assert ks.sell_tax_of(amount, kospi, date(2025, 1, 2)) == 1851


def test_fee_does_not_depend_on_the_split_into_fills() -> None:
    """Cumulative per order."""
    bench = Bench("10:00", initial_cash_krw=10**12)
    book = bench.book()
    bench.buy(int(book["total_askp_rsqn"]), int(book["askp10"]))
    order = bench.sim.books()["orders"][0]
    assert bench.sim.books()["fill_count"] == 10
    assert order["fee_krw"] == ks.fee_of(order["filled_amount_krw"], etf=False)


@pytest.mark.parametrize("seed", [1, 2])
def test_money_balances_to_the_won_over_a_random_day(seed: int) -> None:
    """Cash, positions, fees, taxes and the answers of the inquiries all agree."""
    bench = Bench("09:01", seed=seed, symbols=ALL, initial_cash_krw=300_000_000, density=6.0)
    rng = random.Random(seed)
    for minute in range(0, 370, 5):
        bench.sim.advance(at("09:01") + timedelta(minutes=minute))
        symbol = rng.choice(bench.config.symbols)
        held = bench.sim._ledger.truth.held(symbol)
        kind = rng.choice(["00", "01", "03", "11", "13"])
        price = int(bench.book(symbol)[rng.choice(["askp1", "bidp1", "bidp2"])])
        quantity = 1 + int(rng.random() * 40)
        if held and rng.random() < 0.5:
            bench.sell(min(quantity, held), price if kind in ("00", "11") else 0, kind, symbol)
        else:
            bench.buy(quantity, price if kind in ("00", "11") else 0, kind, symbol)
    bench.advance("15:40")
    check_books(bench)
    books = bench.sim.books()
    assert books["fill_count"] > 30 and books["taxes_krw"] > 0


def check_books(bench: Bench) -> None:
    """Assert the identities of the truth and of the balance answer."""
    books = bench.sim.books()
    bought = sum(f["quantity"] * f["price"] for f in books["fills"] if f["side"] == "BUY")
    sold = sum(f["quantity"] * f["price"] for f in books["fills"] if f["side"] == "SELL")
    costs = books["fees_krw"] + books["taxes_krw"]
    assert books["cash_krw"] == books["initial_cash_krw"] - bought + sold - costs
    assert books["fees_krw"] == sum(o["fee_krw"] for o in books["orders"])
    assert books["taxes_krw"] == sum(o["tax_krw"] for o in books["orders"])
    assert books["realized_pnl_net_krw"] == books["realized_pnl_gross_krw"] - costs
    cost = sum(p["cost_krw"] for p in books["positions"].values())
    assert abs(books["realized_pnl_gross_krw"] - (sold - bought + cost)) <= 3  # roundings
    for order in books["orders"]:
        parts = ("filled_quantity", "cancelled_quantity", "rejected_quantity", "remaining_quantity")
        assert order["quantity"] == sum(order[part] for part in parts)
    body = bench.balance().json()
    total = {name: int(float(value or 0)) for name, value in body["output2"][0].items()}
    held = {row["pdno"]: int(row["hldg_qty"]) for row in body["output1"] if row["hldg_qty"] != "0"}
    assert held == {s: p["quantity"] for s, p in books["positions"].items()}
    assert total["prvs_rcdl_excc_amt"] == books["cash_krw"]
    assert total["dnca_tot_amt"] == books["initial_cash_krw"]
    assert total["tot_evlu_amt"] == total["scts_evlu_amt"] + total["prvs_rcdl_excc_amt"]
    assert total["scts_evlu_amt"] == sum(
        int(row["hldg_qty"]) * int(row["prpr"]) for row in body["output1"]
    )
    assert (total["thdt_buy_amt"], total["thdt_sll_amt"]) == (bought, sold)
    assert total["thdt_tlex_amt"] == costs
    assert total["evlu_pfls_smtl_amt"] == total["evlu_amt_smtl_amt"] - total["pchs_amt_smtl_amt"]


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_nothing_goes_negative_on_a_wild_day(seed: int) -> None:
    """All kinds, modifies, cancels, events, late answers: no oversold share, no borrowed won."""
    rng = random.Random(seed)
    kinds = ("vi", "halt", "limit_up", "limit_down", "unlock", "circuit_breaker")
    events = tuple(
        {"at": f"{9 + hour:02d}:30", "type": rng.choice(kinds), "seconds": 120} for hour in range(5)
    )
    lags = dict(zip(("list_lag", "balance_lag"), ks.LAGS["wild"], strict=True))
    bench = Bench("08:35", seed=seed, events=events, holdings={STOCK: (50, 90_000)}, **lags)
    ledger = bench.sim._ledger
    sent: list[str] = []
    for minute in range(0, 430, 6):
        bench.sim.advance(at("08:35") + timedelta(minutes=minute))
        symbol, kind = rng.choice(bench.config.symbols), rng.choice(list(ks.KINDS))
        tape = bench.sim._market.tapes[symbol]
        price = tape.snap(tape.last * rng.uniform(0.98, 1.02))
        send = rng.choice([bench.buy, bench.sell])
        priced = ks.KINDS[kind].pricing == "limit"
        replies = [send(1 + int(rng.random() * 40), price if priced else 0, kind, symbol)]
        if sent:
            part, cancel = rng.choice([0, 2]), rng.random() < 0.5
            replies.append(bench.change(rng.choice(sent), cancel, part, price))
        sent += [r.json()["output"]["ODNO"] for r in replies if r.json()["rt_cd"] == "0"]
        assert ledger.available() >= 0
        assert all(ledger.sellable(each, ledger.truth) >= 0 for each in bench.config.symbols)
    bench.advance("16:10")
    assert len(sent) > 20
    for order in bench.sim.books()["orders"]:
        assert order["remaining_quantity"] == 0
        parts = ("filled_quantity", "cancelled_quantity", "rejected_quantity")
        assert order["quantity"] == sum(order[part] for part in parts)


def test_sold_out_stock_stays_in_the_list_with_zero(bench: Bench) -> None:
    """hldg_qty 0 until two trading days later."""
    bench.buy(1, kind="01")
    bench.sell(1, kind="01")
    assert [row["hldg_qty"] for row in bench.balance().json()["output1"]] == ["0"]
    bench.sim.advance(at("09:30", date(2026, 11, 24)))
    bench.token = bench.issue_token().json()["access_token"]
    assert bench.balance().json()["output1"] == []


def test_settlement_takes_two_trading_days(bench: Bench) -> None:
    """dnca falls only at T+2; the day after, today's columns are yesterday's."""
    bench.buy(1, kind="01")
    flow = 10_000_000 - bench.sim.books()["cash_krw"]
    seen = []
    for day in (date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 24)):
        bench.sim.advance(at("15:50", day))
        bench.token = bench.issue_token().json()["access_token"]
        total = bench.balance().json()["output2"][0]
        names = ("dnca_tot_amt", "nxdy_excc_amt", "prvs_rcdl_excc_amt")
        seen.append(tuple(10_000_000 - int(total[name]) for name in names))
    assert seen == [(0, 0, flow), (0, flow, flow), (flow, flow, flow)]


def test_profit_inquiries_on_real() -> None:
    """Realised profit by stock, by day, and in the balance: the same net amount."""
    bench = Bench("10:00", environment="real")
    bench.buy(5, kind="01")
    bench.advance("11:00")
    bench.sell(5, kind="01")
    net = bench.sim.books()["realized_pnl_net_krw"]
    days = {"INQR_STRT_DT": "20261120", "INQR_END_DT": "20261120", "PDNO": ""}
    for path, tr_id in (
        ("inquire-period-trade-profit", "TTTC8715R"),
        ("inquire-period-profit", "TTTC8708R"),
    ):
        body = bench.get(TRADING + path, tr_id, **bench.owner, **days).json()
        assert int(body["output2"]["tot_rlzt_pfls"]) == net == int(body["output1"][0]["rlzt_pfls"])
    page = {"CTX_AREA_FK100": "", "CTX_AREA_NK100": "", "COST_ICLD_YN": "Y", "OFL_YN": ""}
    more = {"AFHR_FLPR_YN": "N", "INQR_DVSN": "00", "UNPR_DVSN": "01", "FUND_STTL_ICLD_YN": "N"}
    more |= {"FNCG_AMT_AUTO_RDPT_YN": "N", "PRCS_DVSN": "00"}
    body = bench.get(
        TRADING + "inquire-balance-rlz-pl", "TTTC8494R", **bench.owner, **page, **more
    ).json()
    assert int(body["output2"][0]["rlzt_pfls"]) == net
    body = bench.get(TRADING + "inquire-account-balance", "CTRP6548R", **bench.owner).json()
    assert len(body["output1"]) == 20
    assert int(body["output2"]["tot_asst_amt"]) == bench.sim.books()["cash_krw"]


def test_balance_pages() -> None:
    """20 holdings a page on paper."""
    symbols = (STOCK, *(f"1{n:05d}" for n in range(24)))
    bench = Bench("09:05", symbols=symbols, holdings={s: (1, 1000) for s in symbols}, density=0.1)
    first = bench.balance()
    body = first.json()
    assert (len(body["output1"]), first.headers["tr_cont"]) == (20, "F")
    last = bench.balance("N", CTX_AREA_NK100=body["ctx_area_nk100"])
    assert (len(last.json()["output1"]), last.headers["tr_cont"]) == (5, "E")


def test_owner_acts_beside_the_bot(bench: Bench) -> None:
    """Manual orders appear in the list and as notices; cash moves; the token can be stolen."""
    session = bench.listen_notices()
    number = bench.sim.manual_order(STOCK, "BUY", 2, bench.price()["lower"])
    bench.sim.manual_cancel(number)
    bench.advance("10:00:05")
    assert [number] * 2 == [n[2] if n[5] == "0" else n[3] for n in notices(session)]
    assert bench.order_row(number)["inqr_ip_addr"] != "127.000.000.001"
    books = bench.sim.books()
    assert (books["order_count"], books["orders"][0]["source"]) == (0, "owner")
    bench.sim.transfer_cash(-1_000_000)
    assert bench.sim.books()["cash_krw"] == 9_000_000
    with pytest.raises(ValueError, match="no_shares"):
        bench.sim.manual_order(ETF, "SELL", 1, kind="01")
    bench.sim.second_client()
    assert code(bench.balance()) == "EGW00121"


# --- websocket --------------------------------------------------------------------------------


def layout(name: str) -> list[dict[str, Any]]:
    """Return the published wire layout of a stream."""
    if not FIELDS_FILE.exists():
        pytest.skip("no published field list here")
    return list(json.loads(FIELDS_FILE.read_text("utf-8"))[name])


@pytest.mark.parametrize(
    ("stream", "name", "key"),
    [
        ("H0STCNT0", "H0STCNT0", STOCK),
        ("H0STASP0", "H0STASP0", STOCK),
        ("H0STMKO0", "H0STMKO0", STOCK),
    ],
)
def test_field_counts_are_the_published_ones(stream: str, name: str, key: str) -> None:
    """As many fields a record as the wire layout has; numbers where it says numbers."""
    fields = layout(name)
    bench = Bench("08:59", environment="real", density=60.0)
    session = bench.listen((stream, key))
    bench.advance("09:05")
    rows = [record for text in drain(session, stream) for record in records(text)]
    assert rows
    for row in rows:
        assert len(row) == len(fields)
        for value, spec in zip(row, fields, strict=True):
            if spec["type"] in ("int", "float") and value:
                float(value)


def test_notice_field_counts_are_the_published_ones() -> None:
    """26 on real, 23 on paper, each a switch."""
    for environment, width, expected in (
        ("real", None, len(layout("H0STCNI0"))),
        ("paper", None, len(layout("H0STCNI9#23"))),
        ("paper", 26, len(layout("H0STCNI9"))),
    ):
        bench = Bench("10:00", environment=environment, notice_fields=width)
        session = bench.listen_notices()
        bench.buy(1, kind="01")
        bench.advance("10:00:05")
        assert {expected} == {len(notice) for notice in notices(session)}


@pytest.mark.parametrize(("trade", "book"), [(46, 59), (47, 62)])
def test_older_layouts_can_be_switched_on(trade: int, book: int) -> None:
    """46 and 47 trade fields; 59, 62 and 63 book fields."""
    bench = Bench("10:00", trade_fields=trade, book_fields=book, density=60.0)
    session = bench.listen(("H0STCNT0", STOCK), (ks.BOOK_TR, STOCK))
    bench.advance("10:01")
    widths = {text[2:10]: len(records(text)[0]) for text in drain(session)}
    assert widths == {"H0STCNT0": trade, ks.BOOK_TR: book}


def test_trade_records_are_consistent() -> None:
    """Identities of the trade stream: cumulative numbers, VWAP, strength, signs, extremes."""
    bench = Bench("08:59", density=60.0)
    session = bench.listen(("H0STCNT0", STOCK))
    bench.advance("09:20")
    frames = drain(session, "H0STCNT0")
    assert {len(records(text)) for text in frames} <= {1, 2, 3, 4}
    rows = [record for text in frames for record in records(text)]
    volume = value = bought = sold = 0
    high, low, clock = 0, 10**9, "000000"
    base = bench.sim.state()["stocks"][STOCK]["base"]
    for row in rows:
        number = {
            i: int(row[i]) for i in (2, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 26)
        }
        price, quantity = number[2], number[12]
        volume, value = volume + quantity, value + price * quantity
        bought += quantity if row[21] == "1" else 0
        sold += quantity if row[21] == "5" else 0
        high, low = max(high, price), min(low, price)
        assert (volume, value, sold, bought) == (number[13], number[14], number[19], number[20])
        assert row[1] >= clock and row[0] == STOCK and row[33] == "20261120"
        clock = row[1]
        assert number[17] == number[16] - number[15]
        assert row[6] == f"{value / volume:.2f}" and (number[8], number[9]) == (high, low)
        assert number[4] == price - base and number[26] == price - number[7]
        assert row[3] == ("2" if price > base else "5" if price < base else "3")
        assert row[18] == f"{bought * 100 / sold if sold else 0:.2f}"
        assert number[11] < number[10] and price in (number[10], number[11])
        assert (row[34], row[35], row[43], row[46]) == ("20", "N", "0", "2")
    assert len(rows) > 500 and rows[0][21] == "3"


def test_book_records_are_consistent() -> None:
    """Totals, order of levels, changes of totals; nonsense in 49..52 outside auctions."""
    bench = Bench("10:00", density=60.0)
    session = bench.listen((ks.BOOK_TR, STOCK))
    bench.advance("10:05")
    rows = [records(text)[0] for text in drain(session)]
    before = None
    for row in rows:
        asks, bids = [int(v) for v in row[3:13]], [int(v) for v in row[13:23]]
        totals = (int(row[43]), int(row[44]))
        assert asks == sorted(asks) and bids == sorted(bids, reverse=True) and bids[0] < asks[0]
        assert totals == (sum(map(int, row[23:33])), sum(map(int, row[33:43])))
        assert (row[2], row[47], row[48], row[51], row[52]) == ("0", "0", "0", "5", "-100.00")
        if before:
            assert (int(row[54]), int(row[55])) == (totals[0] - before[0], totals[1] - before[1])
        before = totals


def test_registration_answers(bench: Bench) -> None:
    """Success with iv and key, duplicate, release, release again."""
    session, approval = bench.sim.connect(), bench.approval_key()
    seen = []
    for tr_type in ("1", "1", "2", "2"):
        session.receive_text(registration(approval, "H0STCNT0", STOCK, tr_type))
        body = json.loads(session.outbox.pop())["body"]
        seen.append((body["rt_cd"], body["msg_cd"]))
        if body["rt_cd"] == "0":
            assert (len(body["output"]["iv"]), len(body["output"]["key"])) == (16, 32)
    assert seen == [("0", "OPSP0000"), ("1", "OPSP0002"), ("0", "OPSP0001"), ("1", "OPSP0003")]


@pytest.mark.parametrize(
    ("tr_id", "tr_key", "expected"),
    [
        ("H0NXCNT0", STOCK, "OPSP0000"),
        ("H0STPGM0", STOCK, "OPSP0000"),
        ("H0STANC0", "999999", "OPSP8993"),
        ("H0UPCNT0", "0001", "OPSP0000"),
        ("H0UPCNT0", STOCK, "OPSP8993"),
        ("HDFSCNT0", "DNASAAPL", "OPSP0000"),
        ("HDFSCNT0", "AAPL", "OPSP8993"),
        ("H0XXCNT0", STOCK, "OPSP8991"),
    ],
)
def test_documented_streams_of_the_real_host_can_be_registered(
    tr_id: str, tr_key: str, expected: str
) -> None:
    """Some clients register more than they need and leave when one is refused."""
    bench = Bench("10:00", environment="real")
    session = bench.sim.connect()
    session.receive_text(registration(bench.approval_key(), tr_id, tr_key))
    assert json.loads(session.outbox.pop())["body"]["msg_cd"] == expected
    paper = Bench("10:00")
    session = paper.sim.connect()
    session.receive_text(registration(paper.approval_key(), tr_id, tr_key))
    assert json.loads(session.outbox.pop())["body"]["msg_cd"] == "OPSP8991"


def test_united_book_is_the_book_of_the_exchange() -> None:
    """H0UNASP0 has 66 fields; up to the mid price they are those of H0STASP0."""
    bench = Bench("10:00", environment="real", density=20.0)
    session = bench.listen(("H0STASP0", STOCK), ("H0UNASP0", STOCK))
    bench.advance("10:01")
    frames = list(session.outbox)
    krx = [records(text)[0] for text in frames if "|H0STASP0|" in text]
    united = [records(text)[0] for text in frames if "|H0UNASP0|" in text]
    assert len(krx) > 3 and {len(row) for row in united} == {66}
    assert [row[:60] for row in krx] == [row[:60] for row in united]
    assert united[0][65] == "1"


@pytest.mark.parametrize("environment", ["paper", "real"])
def test_acknowledgement_of_notices_says_encrypted(environment: str) -> None:
    """The official sample decrypts a stream only when its acknowledgement says Y."""
    bench, seen = Bench("10:00", environment=environment), {}
    session, approval = bench.sim.connect(), bench.approval_key()
    notice = ks.NOTICE_TR[environment]
    keys = {"H0STCNT0": STOCK, "H0STASP0": STOCK, notice: bench.sim.credentials.hts_id}
    for tr_id, tr_key in keys.items():
        session.receive_text(registration(approval, tr_id, tr_key))
        seen[tr_id] = json.loads(session.outbox.pop())["header"]["encrypt"]
    assert seen == {"H0STCNT0": "N", "H0STASP0": "N", notice: "Y"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tr_id": "NONSENSE"}, "OPSP8991"),
        ({"tr_id": "H0UNCNT0"}, "OPSP8991"),
        ({"tr_id": "H0STMKO0"}, "OPSP8991"),
        ({"tr_key": "999999"}, "OPSP8993"),
        ({"tr_key": ""}, "OPSP9990"),
        ({"tr_id": "H0STCNI9", "tr_key": "somebody"}, "OPSP8993"),
        ({"approval_key": "wrong"}, "OPSP0011"),
        ({"approval_key": ""}, "OPSP9996"),
        ({"custtype": "X"}, "OPSP8998"),
        ({"custtype": ""}, "OPSP9997"),
        ({"tr_type": "3"}, "OPSP8997"),
        ({"tr_type": "0"}, "OPSP8997"),
    ],
)
def test_registration_refusals(bench: Bench, change: dict[str, str], expected: str) -> None:
    """Every mistake has its code; the session lives on."""
    session = bench.sim.connect()
    message = json.loads(registration(bench.approval_key(), "H0STCNT0", STOCK))
    for name, value in change.items():
        part = message["body"]["input"] if name.startswith("tr_") else message["header"]
        part = message["header"] if name == "tr_type" else part
        part[name] = value
    session.receive_text(json.dumps(message))
    assert json.loads(session.outbox.pop())["body"]["msg_cd"] == expected
    assert session.closed is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "OPSP9999"),
        ("[]", "OPSP9998"),
        ('{"header": {}}', "OPSP9992"),
        ('{"header": {}, "body": {}}', "OPSP9991"),
    ],
)
def test_unreadable_messages(bench: Bench, text: str, expected: str) -> None:
    """Answered, with tr_id (null)."""
    session = bench.sim.connect()
    session.receive_text(text)
    answer = json.loads(session.outbox.pop())
    assert ("(null)", expected) == (answer["header"]["tr_id"], answer["body"]["msg_cd"])


def test_forty_second_registration_is_too_much() -> None:
    """41 in all; the next is OPSP0008."""
    symbols = tuple(f"1{n:05d}" for n in range(42))
    bench = Bench("10:00", symbols=symbols, density=0.0)
    session = bench.listen(*[("H0STCNT0", symbol) for symbol in symbols[:41]])
    session.receive_text(registration(bench.approval_key(), "H0STCNT0", symbols[41]))
    assert "OPSP0008" in session.outbox.pop()


def test_second_session_of_the_key_is_refused_and_closed() -> None:
    """rt_cd 9, OPSP8996; a lost session may block for a while."""
    bench = Bench("10:00", session_linger_s=5.0)
    first = bench.listen(("H0STCNT0", STOCK))
    approval = bench.approval_key()

    def attempt() -> tuple[str, str | None]:
        session = bench.sim.connect()
        session.receive_text(registration(approval, "H0STCNT0", STOCK))
        body = json.loads(session.outbox.pop())["body"]
        return body["rt_cd"], session.closed

    assert attempt() == ("9", "app key in use")
    assert first.closed is None
    first.disconnect()
    assert attempt() == ("9", "app key in use")
    bench.advance("10:00", mono=6.0)
    assert attempt() == ("0", None)


@pytest.mark.parametrize("way", ["text", "pong", "ping"])
def test_every_answer_to_pingpong_keeps_the_session(way: str) -> None:
    """Text echo, PONG frame, PING frame; without one the session ends after 100 s."""
    bench = Bench("10:00")
    alive, dead = bench.listen(("H0STCNT0", STOCK)), bench.sim.connect()
    for step in range(1, 13):
        bench.advance("10:00", mono=10.0 * step)
        for text in drain(alive, ""):
            if "PINGPONG" in text:
                assert set(json.loads(text)["header"]) == {"tr_id", "datetime"}
                answer = {"text": alive.receive_text}.get(way)
                control = alive.receive_pong if way == "pong" else alive.receive_ping
                answer(text) if answer else control(text.encode())
    assert alive.closed is None
    assert dead.closed == "no PINGPONG answer"


def test_notices_tell_the_life_of_an_order() -> None:
    """Flags per event as measured or documented; numbers and zero padding."""
    bench = Bench("10:00", environment="real")
    session = bench.listen_notices()
    lower = bench.price()["lower"]
    bought = bench.buy(3, kind="01").json()["output"]["ODNO"]
    bench.advance("10:00:05")
    received, filled = notices(session)
    assert (bought, "", "0", "1", "1") == tuple(received[i] for i in (2, 3, 5, 13, 14))
    assert tuple(received[i] for i in (9, 10, 6, 25)) == ("0000000003", "000000000", "01", "")
    assert (bought, "0", "2", "2", "0000000003") == tuple(filled[i] for i in (2, 5, 13, 14, 9))
    assert int(filled[10]) == bench.sim.books()["fills"][0]["price"]
    assert ("000000003", bench.account + "01", STOCK) == tuple(filled[i] for i in (16, 1, 8))
    first = bench.buy(1, lower).json()["output"]["ODNO"]
    second = bench.change(first, cancel=False, price=lower).json()["output"]["ODNO"]
    third = bench.change(second).json()["output"]["ODNO"]
    bench.advance("10:00:20")
    _, modified, cancelled = notices(session)
    assert (second, first, "1", "1", "2") == tuple(modified[i] for i in (2, 3, 5, 13, 14))
    assert (third, second, "2", "1", "2") == tuple(cancelled[i] for i in (2, 3, 5, 13, 14))


def test_receipt_can_come_before_the_answer() -> None:
    """Seeded: the notice is out when the HTTP answer still waits."""
    bench = Bench("10:00", early_notice_share=1.0)
    session = bench.listen_notices()
    reply = bench.buy(1, kind="01")
    assert len(session.outbox) == 1 and reply.delay_s > 0


def test_keys_change_with_the_session(bench: Bench) -> None:
    """A new session has another key and iv."""
    first = bench.listen_notices()
    first.disconnect()
    second = bench.listen_notices()
    assert (first.key, first.iv) != (second.key, second.iv)


# --- faults -----------------------------------------------------------------------------------


def faulty(effect: dict[str, Any], **match: Any) -> Bench:
    """Return a bench with one rule."""
    bench = Bench("10:00", symbols=(STOCK, ETF), holdings={STOCK: (10, 70_000)})
    bench.sim.faults.add({"match": match, "effect": effect})
    return bench


@pytest.mark.parametrize(("executed", "fate"), [(False, "reset_before"), (True, "reset_after")])
def test_lost_request_and_lost_answer(executed: bool, fate: str) -> None:
    """Nothing executed, or executed and never told."""
    bench = faulty({"do": "lose", "executed": executed}, path="order-cash", nth=1)
    assert bench.buy(1, kind="01").fate == fate
    assert bench.sim.books()["order_count"] == int(executed)
    assert bench.buy(1, kind="01").fate == "answer"


def test_hanging_answer() -> None:
    """how: hang."""
    bench = faulty({"do": "lose", "how": "hang"}, kind="order")
    assert bench.buy(1, kind="01").fate == "hang"


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("error", ["EGW00300", "EGW00301", "EGW00302", "EGW00201", "EGW00001"])
def test_error_with_and_without_an_order_behind_it(executed: bool, error: str) -> None:
    """HTTP 500 with a code; the truth differs."""
    bench = faulty({"do": "error", "code": error, "executed": executed}, side="BUY")
    reply = bench.buy(1, kind="01")
    assert (500, error) == (reply.status, code(reply))
    assert bench.sim.books()["order_count"] == int(executed)


def test_html_and_garbled_bodies() -> None:
    """502 with HTML; 200 with what is no JSON."""
    reply = faulty({"do": "html", "status": 503}).balance()
    assert reply.status == 503 and reply.body.startswith(b"<html>")
    for how in ("truncate", "text", "unquoted", "empty", "charset"):
        reply = faulty({"do": "garble", "how": how}).balance()
        with pytest.raises(ValueError, match=r"Expect|decode|delimiter|Unterminated"):
            reply.json()


def test_delay_adds_transport_time() -> None:
    """delay: seconds."""
    assert faulty({"do": "delay", "seconds": 5}).balance().delay_s == 5


def test_token_dies_at_will() -> None:
    """The token in use is refused from now on."""
    bench = faulty({"do": "token", "code": "EGW00123"}, times=1)
    assert [code(bench.balance()) for _ in range(2)] == ["EGW00123"] * 2


def test_token_limit_at_will() -> None:
    """EGW00133 as HTTP 403."""
    bench = faulty({"do": "error", "code": "EGW00133"}, kind="oauth")
    bench.sim.advance(at("12:00"))
    assert (bench.issue_token().status, code(bench.issue_token())) == (403, "EGW00133")


def test_empty_lists_with_success() -> None:
    """rt_cd 0 and nothing in it."""
    body = faulty({"do": "empty"}, path="inquire-balance").balance().json()
    assert (body["rt_cd"], body["output1"], body["output2"]) == ("0", [], [])


def test_endless_paging() -> None:
    """The first page again and again."""
    bench = faulty({"do": "repeat_page"}, path="daily-ccld")
    bench.buy(1, kind="01")
    replies = [bench.orders() for _ in range(3)]
    assert len({reply.body for reply in replies}) == 1
    assert {reply.headers["tr_cont"] for reply in replies} == {"M"}


@pytest.mark.parametrize("style", ["empty", "lower", "blank", "short", "missing"])
def test_order_number_styles(style: str) -> None:
    """All spellings that were ever seen."""
    output = faulty({"do": "odno", "style": style}).buy(1, kind="01").json()["output"]
    number = output.get("ODNO", output.get("odno"))
    assert {
        "empty": number == "",
        "lower": "odno" in output and "ODNO" not in output,
        "blank": len(str(number)) == 10 and str(number).startswith(" "),
        "short": str(number) == str(int(number or 0)),
        "missing": number is None,
    }[style]


def test_changed_and_missing_fields() -> None:
    """Schema drift."""
    bench = faulty({"do": "set", "field": "stck_prpr", "value": "-"})
    assert bench.quote("inquire-price", "FHKST01010100")["output"]["stck_prpr"] == "-"
    bench = faulty({"do": "drop", "field": "stck_prpr"})
    assert "stck_prpr" not in bench.quote("inquire-price", "FHKST01010100")["output"]


def test_order_that_shows_late_in_lists() -> None:
    """list_delay."""
    bench = faulty({"do": "list_delay", "seconds": 60}, kind="order")
    number = bench.buy(1, kind="01").json()["output"]["ODNO"]
    assert bench.order_row(number) == {}
    bench.advance("10:01:00")
    assert bench.order_row(number)["tot_ccld_qty"] == "1"


def test_unsettled_quantities() -> None:
    """The list shows order quantity = filled quantity for a while."""
    bench = faulty({"do": "unsettled", "seconds": 30})
    number = bench.buy(5, bench.price()["lower"]).json()["output"]["ODNO"]
    assert tuple(bench.order_row(number)[n] for n in ("ord_qty", "rmn_qty")) == ("0", "0")
    bench.advance("10:00:30")
    assert tuple(bench.order_row(number)[n] for n in ("ord_qty", "rmn_qty")) == ("5", "5")


def test_exchange_that_does_not_match() -> None:
    """no_fill, then it fills."""
    bench = faulty({"do": "no_fill", "seconds": 60})
    bench.buy(1, kind="01")
    bench.advance("10:00:59")
    assert bench.sim.books()["fill_count"] == 0
    bench.advance("10:01:00")
    assert bench.sim.books()["fill_count"] == 1


def test_refusal_after_acceptance() -> None:
    """rt_cd 0 first; then a notice with RFUS_YN 1 and rjct_qty."""
    bench = faulty({"do": "refuse_later", "seconds": 2}, kind="order")
    session = bench.listen_notices()
    number = bench.buy(3, bench.price()["last"]).json()["output"]["ODNO"]
    bench.advance("10:00:05")
    assert bench.order_row(number)["rjct_qty"] == "3"
    assert [notice[12] for notice in notices(session)] == ["0", "1"]


def test_cancel_refused_after_acceptance() -> None:
    """The message is accepted, the order lives on."""
    bench = faulty({"do": "cancel_refused", "seconds": 1}, kind="cancel")
    session = bench.listen_notices()
    number = bench.buy(3, bench.price()["lower"]).json()["output"]["ODNO"]
    assert code(bench.change(number)) == "40630000"
    bench.advance("10:00:05")
    assert bench.sim.books()["orders"][0]["remaining_quantity"] == 3
    last = notices(session)[-1]
    assert ("2", "1", number) == (last[5], last[12], last[3])


def test_stale_balance() -> None:
    """Holdings and cash stand still for a while; a fresh fill is not sellable on paper."""
    bench = faulty({"do": "stale_balance", "seconds": 30}, path="order-cash", times=1)
    bench.buy(1, kind="01", symbol=ETF)
    assert ETF not in [row["pdno"] for row in bench.balance().json()["output1"]]
    assert code(bench.sell(1, kind="01", symbol=ETF)) == "40240000"
    bench.advance("10:00:31")
    assert ETF in [row["pdno"] for row in bench.balance().json()["output1"]]
    assert code(bench.sell(1, kind="01", symbol=ETF)) == "40590000"


@pytest.mark.parametrize(
    ("effect", "kinds"),
    [
        ({"do": "notice_drop"}, ["1"]),
        ({"do": "notice_repeat", "times": 3}, ["1", "2", "2", "2"]),
        ({"do": "notice_delay", "seconds": 60}, ["1"]),
    ],
)
def test_notice_faults(effect: dict[str, Any], kinds: list[str]) -> None:
    """Missing, repeated and late fill notices."""
    bench = faulty(effect, kind="fill")
    session = bench.listen_notices()
    bench.buy(1, kind="01")
    bench.advance("10:00:30")
    assert kinds == [notice[13] for notice in notices(session)]
    if effect["do"] == "notice_delay":
        bench.advance("10:01:01")
        assert [notice[13] for notice in notices(session)] == ["2"]


def test_notices_out_of_order() -> None:
    """The fill comes before the receipt."""
    bench = faulty({"do": "notice_swap"}, kind="received")
    session = bench.listen_notices()
    bench.buy(1, kind="01")
    bench.advance("10:00:30")
    assert [notice[13] for notice in notices(session)] == ["2", "1"]


def frames_with(effect: dict[str, Any], **match: Any) -> tuple[list[str], list[str], Session]:
    """Return the frames of a minute without and with a frame fault."""
    results = []
    for rules in ((), ({"match": match, "effect": effect},)):
        bench = Bench("10:00", density=20.0, symbols=(STOCK,))
        session = bench.listen(("H0STCNT0", STOCK))
        for rule in rules:
            bench.sim.faults.add(rule)
        bench.advance("10:01")
        results.append([text for text in session.outbox if "H0STCNT0" in text])
    return results[0], results[1], session


def test_frame_faults() -> None:
    """Silence, repetition, swapping, damage, other widths."""
    clean, silent, _ = frames_with({"do": "frame_drop"}, kind="trade")
    assert clean and not silent
    clean, doubled, _ = frames_with({"do": "frame_repeat", "times": 2})
    assert doubled == [text for text in clean for _ in range(2)]
    clean, swapped, _ = frames_with({"do": "frame_swap"}, nth=1)
    assert swapped[:2] == clean[1::-1] and swapped[2:] == clean[2:]
    clean, wide, _ = frames_with({"do": "frame_extra", "fields": 7})
    assert {54} == {len(records(text)[0]) for text in wide}
    assert [records(t)[0][:47] for t in wide] == [records(t)[0] for t in clean]
    clean, cut, _ = frames_with({"do": "frame_garble", "how": "truncate"})
    assert all(len(a) < len(b) for a, b in zip(cut, clean, strict=True))


def test_silent_session_gets_no_pingpong() -> None:
    """A rule without conditions silences everything."""
    bench = Bench("10:00")
    session = bench.listen(("H0STCNT0", STOCK))
    bench.sim.faults.add({"match": {}, "effect": {"do": "frame_drop"}})
    bench.advance("10:10", mono=30.0)
    assert not session.outbox and session.closed is None


def test_broken_connection() -> None:
    """ws_close ends the session as a broken one."""
    _, frames, session = frames_with({"do": "ws_close"}, nth=3)
    assert (session.closed, len(frames)) == ("dropped", 2)


def test_rules_match_by_time_symbol_count_and_chance() -> None:
    """from/to, symbol, nth list, times, probability; clear stops them."""
    bench = Bench("10:00")
    add = bench.sim.faults.add

    def codes(count: int) -> list[str]:
        return [code(bench.balance()) for _ in range(count)]

    error = {"do": "error", "code": "EGW00001"}
    number = add({"match": {"from": "10:05", "to": "10:06"}, "effect": error})
    assert codes(1) == ["KIOK0560"]
    bench.advance("10:05:30")
    assert codes(1) == ["EGW00001"]
    bench.sim.faults.clear(number)
    add({"match": {"nth": [2, 3]}, "effect": error})
    assert codes(4) == ["KIOK0560", "EGW00001", "EGW00001", "KIOK0560"]
    bench.sim.faults.clear()
    add({"match": {"probability": 0.5}, "effect": error})
    assert 20 < codes(100).count("EGW00001") < 80


@pytest.mark.parametrize(
    "rule",
    [
        {"effect": {"do": "nonsense"}},
        {"effect": {"do": "lose", "seconds": 1}},
        {"match": {"color": "red"}, "effect": {"do": "empty"}},
        {"match": {"from": "noon"}, "effect": {"do": "empty"}},
    ],
)
def test_wrong_rules_are_named(rule: dict[str, Any]) -> None:
    """ValueError, nothing added."""
    bench = Bench()
    with pytest.raises(ValueError, match=r"one of|unknown keys|expected"):
        bench.sim.faults.add(rule)
    assert bench.sim.faults.rows() == []


def test_lag_models_delay_lists_and_balances() -> None:
    """The truth is at once, the answers follow."""
    lag = ks.Lag(30.0, 30.0, 30.0)
    bench = Bench("10:00", list_lag=lag, balance_lag=lag)
    number = bench.buy(1, kind="01").json()["output"]["ODNO"]
    assert bench.sim.books()["fill_count"] == 1
    assert (bench.order_row(number), bench.balance().json()["output1"]) == ({}, [])
    bench.advance("10:00:30")
    assert bench.order_row(number)["tot_ccld_qty"] == "1"
    assert bench.balance().json()["output1"][0]["hldg_qty"] == "1"


# --- admin, determinism -----------------------------------------------------------------------


def test_admin_interface() -> None:
    """State, books, clock, faults, owner, market; never limited; mistakes are 400."""
    bench = Bench("10:00", requests_per_second=1)

    def call(method: str, name: str, sent: Any = None, **params: str) -> tuple[int, Any]:
        body = b"" if sent is None else json.dumps(sent).encode()
        reply = bench.sim.request(method, f"/simulator/{name}", params, {}, body)
        return reply.status, reply.json()

    assert call("GET", "clock")[1]["market_time"] == "2026-11-20T10:00:00+09:00"
    assert call("GET", "state")[1]["stocks"][STOCK]["state"] == "open"
    rule = {"match": {"nth": 99}, "effect": {"do": "empty"}}
    assert call("POST", "faults", [rule, rule])[1] == {"numbers": [1, 2]}
    assert len(call("GET", "faults")[1]) == 2
    assert call("DELETE", "faults", number="1")[1] == {"ok": True}
    order = {"symbol": STOCK, "side": "BUY", "quantity": 1, "kind": "01"}
    number = call("POST", "manual-order", order)[1]["order_no"]
    assert call("GET", "books")[1]["fills"][0]["order_no"] == number
    assert call("POST", "manual-cancel", {"order_no": number})[0] == 400
    assert call("POST", "cash", {"amount": 5})[1] == {"ok": True}
    assert call("POST", "market-event", {"type": "halt", "symbol": STOCK})[0] == 200
    assert call("POST", "market-event", {"type": "rain"})[0] == 400
    assert call("GET", "nonsense")[0] == 400
    assert call("POST", "second-client")[0] == call("POST", "drop-sessions")[0] == 200


def trace() -> str:
    """Return a digest of everything that leaves a simulator on an eventful day."""
    rule = {"match": {"probability": 0.3}, "effect": {"do": "notice_repeat", "times": 2}}
    bench = Bench("08:40", density=2.0, faults=(rule,), early_notice_share=0.4)
    hts_id = bench.sim.credentials.hts_id
    session = bench.listen(("H0STCNT0", STOCK), (ks.BOOK_TR, ETF), ("H0STCNI9", hts_id))
    seen = hashlib.sha256()
    for clock in ("08:50", "09:05", "11:00", "14:00", "15:40"):
        bench.advance(clock)
        replies = [bench.buy(2, kind="01"), bench.sell(1, kind="01"), bench.orders()]
        for reply in [*replies, bench.balance()]:
            seen.update(reply.body + str(sorted(reply.headers.items())).encode())
        bench.sim.advance(bench.sim.next_event())
        seen.update("".join(session.outbox).encode())
    seen.update(json.dumps(bench.sim.books()).encode())
    return seen.hexdigest()


def test_same_seed_same_bytes_under_any_hash_seed() -> None:
    """The same trace here and in processes with other hash seeds."""
    command = "import test_simulator; print(test_simulator.trace())"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "4711")
    ]
    expected = trace()
    assert [expected] * 2 == [process.communicate(timeout=60)[0].strip() for process in processes]


def test_time_in_steps_or_at_once_is_the_same() -> None:
    """Jumping from event to event gives the same frames as one jump."""
    texts = []
    for stepwise in (True, False):
        bench = Bench("09:30", density=3.0)
        session = bench.listen(("H0STCNT0", STOCK), (ks.BOOK_TR, STOCK))
        while stepwise and bench.sim.next_event() <= at("10:30"):
            bench.sim.advance(bench.sim.next_event())
        bench.advance("10:30")
        texts.append(list(session.outbox))
    assert texts[0] == texts[1]


# --- sockets ----------------------------------------------------------------------------------


async def _post(client: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> Any:
    async with client.post(url, json=body) as answer:
        return await answer.json()


def test_served_over_sockets() -> None:
    """REST and WebSocket on one port; every PINGPONG answer keeps the session; notices arrive."""

    async def scenario() -> None:
        config = SimulatorConfig(
            symbols=(STOCK,), pingpong_s=0.02, dead_session_s=0.2, requests_per_second=1000
        )
        async with ks.serve(config, at("10:00"), speed=20.0) as served:
            who = served.simulator.credentials
            async with aiohttp.ClientSession() as client:
                keys = {"grant_type": "client_credentials", "appkey": who.paper_key}
                url = f"{served.rest_url}/oauth2/"
                approval = await _post(
                    client, url + "Approval", {**keys, "secretkey": who.paper_secret}
                )
                token = await _post(client, url + "tokenP", {**keys, "appsecret": who.paper_secret})
                for way in ("text", "pong", "ping"):
                    await _keep_alive(served.ws_url, approval["approval_key"], way)
                await _trade(client, served, approval["approval_key"], token["access_token"])

    asyncio.run(asyncio.wait_for(scenario(), 120))


async def _keep_alive(url: str, approval: str, way: str) -> None:
    """Answer PINGPONG for longer than a silent session lives."""
    async with websockets.connect(f"{url}/tryitout", ping_interval=None) as socket:
        await socket.send(registration(approval, "H0STCNT0", STOCK))
        acknowledged, seen = False, 0
        while seen < 15:
            text = str(await asyncio.wait_for(socket.recv(), 60))
            acknowledged = acknowledged or "OPSP0000" in text
            if "PINGPONG" in text:
                seen += 1
                if way == "text":
                    await socket.send(text)
                else:
                    await (socket.pong(text) if way == "pong" else socket.ping(text))
        assert acknowledged


async def _trade(
    client: aiohttp.ClientSession, served: ks.Served, approval: str, token: str
) -> None:
    """Buy over REST and read the notices."""
    who = served.simulator.credentials
    async with websockets.connect(served.ws_url, ping_interval=None) as socket:
        await socket.send(registration(approval, "H0STCNI9", who.hts_id))
        answer: dict[str, Any] = {}
        while "body" not in answer:  # a PINGPONG may stand before it
            text = str(await asyncio.wait_for(socket.recv(), 60))
            answer = json.loads(text)
            if "PINGPONG" in text:
                await socket.send(text)
        assert answer["body"]["msg_cd"] == "OPSP0000"
        headers = {"authorization": f"Bearer {token}", "appkey": who.paper_key}
        headers |= {"appsecret": who.paper_secret, "tr_id": "VTTC0012U"}
        body = {"CANO": who.paper_account, "ACNT_PRDT_CD": "01", "PDNO": STOCK, "ORD_DVSN": "01"}
        body |= {"ORD_QTY": "1", "ORD_UNPR": "0", "EXCG_ID_DVSN_CD": "KRX", "SLL_TYPE": ""}
        url = f"{served.rest_url}{TRADING}order-cash"
        async with client.post(url, json={**body, "CNDT_PRIC": ""}, headers=headers) as reply:
            assert (await reply.json())["rt_cd"] == "0"
        count = 0
        while count < 2:
            text = str(await asyncio.wait_for(socket.recv(), 60))
            count += text.startswith("1|H0STCNI9|001|")
            if "PINGPONG" in text:
                await socket.send(text)
        served.simulator.faults.add({"match": {}, "effect": {"do": "lose", "executed": True}})
        with pytest.raises(aiohttp.ClientError):
            await client.post(url, json={**body, "CNDT_PRIC": ""}, headers=headers)
        assert served.simulator.books()["order_count"] == 2
        served.simulator.drop_sessions()
        with pytest.raises(websockets.ConnectionClosedError):
            while True:
                await asyncio.wait_for(socket.recv(), 60)


def test_only_loopback() -> None:
    """Any other address is refused before a socket is opened."""
    for host in ("0.0.0.0", "192.168.0.1", "::"):
        with pytest.raises(ValueError, match="loopback"):
            ks.require_loopback(host)
    assert ks.main(["--host", "0.0.0.0"]) == 2


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run the command line until READY."""
    command = [sys.executable, "-m", "companions.simulator", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            word, _, text = process.stdout.readline().partition(" ")
            assert word == "READY"
            yield process, json.loads(text)
        finally:
            process.kill()


def test_command_line_writes_a_configuration_and_ends_cleanly(tmp_path: Path) -> None:
    """READY line, kis_devlp.yaml with mode 0600, SIGTERM gives exit code 0."""
    yaml = pytest.importorskip("yaml")
    with running("--density", "1", "--hold", "60", "--write-config", str(tmp_path)) as (
        process,
        ready,
    ):
        path = Path(ready["config"])
        settings = yaml.safe_load(path.read_text("utf-8"))
        assert oct(path.stat().st_mode & 0o777) == "0o600"
        assert (ready["rest"], ready["ws"]) == (settings["vps"], settings["vops"])
        lengths = {"paper_app": 36, "paper_sec": 180, "my_paper_stock": 8, "my_prod": 2}
        assert {name: len(settings[name]) for name in lengths} == lengths
        assert settings["bot"]["market_clock"]["market"] == ready["market"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_command_line_shows_tokens_alive_on_a_day_of_the_past() -> None:
    """A client on the clock on the wall would else ask for a new one on every call."""
    who = ks.Credentials.from_seed(ks.DEFAULT_SEED)
    body = {"grant_type": "client_credentials", "appkey": who.paper_key}
    data = json.dumps(body | {"appsecret": who.paper_secret}).encode()
    with running("--density", "1", "--hold", "60", "--date", "2025-11-20") as (_, ready):
        answer = urllib.request.urlopen(f"{ready['rest']}/oauth2/tokenP", data, timeout=60)
        shown = json.loads(answer.read())["access_token_token_expired"]
    left = datetime.strptime(shown, "%Y-%m-%d %H:%M:%S").replace(tzinfo=KST) - datetime.now(KST)
    assert timedelta(hours=23) < left < timedelta(hours=25)


@pytest.mark.parametrize(
    ("given", "korean", "english"),
    [
        ("--sped 3", "--sped: 그런 옵션은 없습니다. 혹시 --speed입니까?", "Did you mean --speed?"),
        ("--speed x", "--speed 'x': 쓸 수 없는 값입니다.", "--speed 'x' cannot be used."),
        ("--speed 0", "--speed 0: 0보다 크고", "--speed 0: above 0"),
        ("--start 25:00", "'25:00': 시각은 HH:MM", "'25:00' is no time"),
        ("--lag much", "none, typical, wild 가운데 하나", "is none of none, typical, wild."),
        ("--port", "--port 뒤에 값이 있어야 합니다.", "--port needs a value."),
        ("--set nothing=1", "그런 이름은 없습니다: nothing", "--set knows no nothing"),
        ("--host 8.8.8.8", "이 컴퓨터 안의 주소", "on loopback only"),
        ("--csv /no/file", "/no/file: 그런 파일이 없습니다.", "/no/file: there is no such file."),
        ("--faults /dev/null", "JSON이 아닙니다", "That is no JSON"),
    ],
)
def test_command_line_tells_a_mistake_in_both_languages(
    given: str, korean: str, english: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and what to write in its place; Korean unless --language says otherwise."""
    for more, said in ((), korean), (("--language", "en"), english):
        try:
            code: Any = command_line.main([*given.split(), *more])
        except SystemExit as ended:
            code = ended.code
        told = capsys.readouterr()
        assert (code, told.out) == (2, "") and said in told.err, told.err


@pytest.mark.parametrize(
    ("more", "said"),
    [((), "사용법:"), (("--language=en",), "usage:"), (("--language", "de"), "사용법")],
)
def test_command_line_helps_in_both_languages(
    more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every option has its words in both."""
    with pytest.raises(SystemExit):
        command_line.main(["--help", *more])
    told = capsys.readouterr().out
    assert told.startswith(said) and all(f"--{name}" in told for name in words.HELP)


def test_command_line_ends_at_a_market_time() -> None:
    """--until, at a high speed."""
    arguments = ("--symbols", STOCK, "--density", "1", "--start", "15:20", "--until", "15:40")
    with running(*arguments, "--speed", "20000", "--date", "2026-11-19") as (process, ready):
        assert ready["date"] == "2026-11-19"
        assert process.wait(60) == 0


@pytest.mark.parametrize("place", [os.devnull, __file__, None])
def test_an_input_that_cannot_be_watched_has_ended(
    place: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--until-eof in a job without a terminal: nothing, a file, or no input at all; exit code 0."""
    with open(place or os.devnull) as file:
        monkeypatch.setattr(sys, "stdin", file if place else None)
        code = ks.main(["--symbols", STOCK, "--density", "1", "--until-eof"])
    told = capsys.readouterr()
    assert (code, told.out[:6], told.err) == (0, "READY ", "")


def test_wrong_arguments_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line."""
    wrong = tmp_path / "faults.json"
    wrong.write_text('[{"effect": {"do": "x"}}]')
    assert ks.main(["--faults", str(wrong)]) == 2
    assert "effect.do" in capsys.readouterr().err


def test_configuration_is_checked() -> None:
    """Unknown words raise."""
    with pytest.raises(ValueError, match="environment"):
        SimulatorConfig(environment="mock")
    with pytest.raises(ValueError, match="after_close"):
        SimulatorConfig(after_close="x")
    with pytest.raises(ValueError, match="event type"):
        Simulator(SimulatorConfig(events=({"at": "10:00", "type": "rain"},)))


@pytest.mark.parametrize(
    ("effect", "expected"),
    [("spelling", [("A005930", "10")]), ("lines", [("005930", "3"), ("005930", "7")]),
     ("stranger", [("005930", "10"), ("Q99999K", "")])],
)  # fmt: skip
def test_odd_rows_of_other_people_can_be_asked_for(effect, expected):
    """Codes with an A, several lines of one stock, a row of another stock with blanks."""
    from companions.simulator.gateway import edit_payload

    rows = {"output1": [{"pdno": "005930", "hldg_qty": "10", "ord_psbl_qty": "9"}]}
    edited = edit_payload(rows, {"do": effect})["output1"]
    assert [(row["pdno"], row["hldg_qty"]) for row in edited] == expected


@pytest.mark.parametrize(
    ("price", "shares", "held"),
    [(Fraction(1, 5), Fraction(5), 50), (Fraction(5), Fraction(1, 5), 2), (Fraction(1, 2), 1, 10)],
    ids=["split", "reverse split", "bonus"],
)
def test_an_ex_day_has_another_base_price_and_count_of_shares(
    price: Fraction, shares: int, held: int
) -> None:
    """The close times the factor, to a tick; the cost stays; days after it go on in the new scale."""
    night, day = date(2026, 11, 17), date(2026, 11, 18)
    action = ks.ExDay("005930", day, price, Fraction(shares))
    config = SimulatorConfig(
        day=night, symbols=("005930",), holdings={"005930": (10, 70_000)}, ex_days=(action,)
    )
    sim = Simulator(config)
    sim.advance(datetime.combine(night, time(16, 0), KST))
    close = sim.state()["stocks"]["005930"]["last"]
    sim.advance(datetime.combine(day, time(8, 30), KST))
    base = sim.state()["stocks"]["005930"]["base"]
    assert 0 <= close * price - base < ks.tick_size(round(close * price), False)
    position = sim.books()["positions"]["005930"]
    assert (position["quantity"], position["cost_krw"]) == (held, 700_000)
    sim.advance(datetime.combine(day, time(16, 0), KST))
    last = sim.state()["stocks"]["005930"]["last"]
    assert base * 0.7 <= last <= base * 1.3
