"""`venues.yaml`: what is watched, when an alert is told, what may be ordered; all faults at once.

Secrets never stand in the file, only in the environment. Without a file the defaults hold: the
premium of four coins, no key, no order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from kis_realtime_trading import (
    TELEGRAM_API,
    TELEGRAM_KEYS,
    BadData,
    Both,
    Fault,
    Secret,
    SettingsError,
    near_words,
    parse_yaml,
    placed,
)
from venues.common import amount
from venues.kimchi import LEAST_RATE, MOST_RATE, AlertRule, Figure

FILE = Path("venues.yaml")
SECRETS = (
    "UPBIT_ACCESS_KEY", "UPBIT_SECRET_KEY", "BINANCE_API_KEY", "BINANCE_SECRET_KEY",
    "KIWOOM_APP_KEY", "KIWOOM_SECRET_KEY",
)  # fmt: skip
UPBIT_MARKET, BINANCE_SYMBOL = r"^[A-Z]{3,4}-[A-Z0-9]{1,12}$", r"^[A-Z0-9]{5,20}$"
ORDERING = ("dry", "testnet", "demo", "live")  # what `use` says where orders are sent


def _number(value: object) -> Decimal:
    """Read a number as it is written; YAML has made 0.5 a float, whose text is what was written."""
    try:
        return amount(repr(value) if isinstance(value, float) else value)
    except BadData as error:
        raise ValueError("no number") from error


Number = Annotated[Decimal, BeforeValidator(_number)]


class _Strict(BaseModel):
    """Unknown keys are faults, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MoneyLimits(_Strict):
    """What may leave at most, in the quote currency (won at Kiwoom). Money limits have no default."""

    max_order: Number = Field(gt=0)
    max_coin: Number = Field(gt=0)
    max_total: Number = Field(gt=0)
    max_day: Number = Field(gt=0, description="bought in a day (00:00 UTC)")
    orders_a_minute: int = Field(default=6, ge=1, le=60)
    collar_pct: Number = Field(default=Decimal(3), gt=0, le=10)


class UpbitSettings(_Strict):
    """What is done at Upbit."""

    use: Literal["off", "watch", "dry", "live"] = "watch"
    markets: tuple[Annotated[str, Field(pattern=UPBIT_MARKET)], ...] = (
        "KRW-BTC", "KRW-ETH", "KRW-XRP", "KRW-SOL", "KRW-USDT",
    )  # fmt: skip
    limits: MoneyLimits | None = None
    live_pin: str = Field(default="", description="made by `orders pin`")


class BinanceSettings(_Strict):
    """What is done at Binance."""

    use: Literal["off", "watch", "testnet", "demo", "live"] = "watch"
    markets: tuple[Annotated[str, Field(pattern=BINANCE_SYMBOL)], ...] = (
        "BTCUSDT", "ETHUSDT", "XRPUSDT", "SOLUSDT",
    )  # fmt: skip
    limits: MoneyLimits | None = None
    live_pin: str = Field(default="", description="made by `orders pin`")


class KiwoomSettings(_Strict):
    """What is done at Kiwoom. Even its prices need a key; without limits nothing is ordered."""

    use: Literal["off", "mock", "live"] = "off"
    stocks: tuple[Annotated[str, Field(pattern=r"^[0-9A-Z]{6}(_NX|_AL)?$")], ...] = ("005930",)
    conditions: tuple[Annotated[str, Field(min_length=1, max_length=40)], ...] = Field(
        default=(), max_length=10, description="names, as made in the HTS"
    )
    limits: MoneyLimits | None = None
    live_pin: str = Field(default="", description="made by `orders pin`")


class KimchiSettings(_Strict):
    """Which coins, and when an alert is told."""

    coins: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]{1,12}$")], ...] = Field(
        default=("BTC", "ETH", "XRP", "SOL"), min_length=1, max_length=40
    )
    figure: Figure = Figure.USDT
    high_pct: Number = Field(default=Decimal(5), ge=-50, le=100)
    low_pct: Number = Field(default=Decimal(-3), ge=-50, le=100)
    hysteresis_pct: Number = Field(default=Decimal("0.5"), ge=0, le=20)
    hold_s: int = Field(default=10, ge=0, le=600)
    cooldown_s: int = Field(default=900, ge=0, le=86_400)
    step_pct: Number = Field(default=Decimal(1), gt=0, le=50)
    repeat_s: int = Field(default=3_600, ge=0, le=86_400)
    confirmed: tuple[str, ...] = ()

    def rule(self) -> AlertRule:
        """Return when an alert is told."""
        return AlertRule(
            self.high_pct, self.low_pct, self.hysteresis_pct, self.hold_s, self.cooldown_s,
            self.step_pct, self.repeat_s,
        )  # fmt: skip


class BankRate(_Strict):
    """A bank's won rate of the dollar, as somebody read it."""

    source: str = Field(min_length=1, max_length=40)
    krw: Number = Field(ge=LEAST_RATE, le=MOST_RATE)
    at: datetime


class VenueSettings(_Strict):
    """The file, whole."""

    language: Literal["ko", "en"] = "ko"
    state_dir: Path = Path("venue_state")
    upbit: UpbitSettings = UpbitSettings()
    binance: BinanceSettings = BinanceSettings()
    kiwoom: KiwoomSettings = KiwoomSettings()
    kimchi: KimchiSettings = KimchiSettings()
    bank_rates: tuple[BankRate, ...] = ()


class Environment(_Strict):
    """What comes from the environment: keys and the chat."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    keys: Mapping[str, Secret] = Field(default_factory=dict)
    telegram_token: Secret = Secret("")
    telegram_chat: str = ""
    telegram_api: str = TELEGRAM_API

    def secrets(self) -> list[Secret]:
        """Return everything that must not be shown."""
        return [*self.keys.values(), *([self.telegram_token] if self.telegram_token else [])]


def read_settings(text: str, environ: Mapping[str, str]) -> tuple[VenueSettings, Environment]:
    """Read the file's text and the environment. Raises SettingsError with every fault."""
    data, faults = parse_yaml(text)
    settings, wrong = VenueSettings(), []
    try:
        settings = VenueSettings.model_validate(data)
    except ValidationError as error:
        wrong = [_fault_of(item) for item in error.errors()]
        settings = _rest_of(data, error)
    known = tuple(fault.key for fault in wrong)
    faults += wrong + [
        fault
        for fault in _contradictions(settings)
        if not any(key.startswith(fault.key) or fault.key.startswith(key) for key in known)
    ]
    given = {key: value.strip() for key, value in environ.items() if value.strip()}
    faults += _environment_faults(settings, given)
    if faults:
        raise SettingsError(placed(dict.fromkeys(faults), text))
    keys = {name: Secret(given[name]) for name in SECRETS if name in given}
    token, chat = (given.get(name, "") for name in TELEGRAM_KEYS)
    return settings, Environment(keys=keys, telegram_token=Secret(token), telegram_chat=chat)


_TEXT_FILE = Both("a text file (UTF-8) that you may read", "읽을 수 있는 UTF-8 텍스트 파일")


def _unreadable(error: OSError | UnicodeDecodeError) -> Both:
    """Return what is wrong with a file."""
    kinds = {
        FileNotFoundError: Both("no such file", "없는 파일"), IsADirectoryError: Both("a folder", "폴더"),
        PermissionError: Both("no right to read it", "읽을 권한이 없음"),
        UnicodeDecodeError: Both("no UTF-8 text", "UTF-8 글자가 아님"),
    }  # fmt: skip
    name = type(error).__name__
    return next((told for kind, told in kinds.items() if isinstance(error, kind)), Both(name, name))


def load_settings(path: Path | None, environ: Mapping[str, str]) -> tuple[VenueSettings, Environment]:  # fmt: skip
    """Read the file given, or `venues.yaml` here when there is one. Raises SettingsError."""
    file = path or FILE
    if path is None and not file.exists():
        return read_settings("", environ)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Fault(str(file), _unreadable(error), _TEXT_FILE)]) from None
    return read_settings(text, environ)


def _rest_of(data: Any, error: ValidationError) -> VenueSettings:
    """Return what is left when all that is wrong is taken out, to judge the rest as well."""
    rest: dict[str, Any] = {name: dict(each) if isinstance(each, dict) else each
                            for name, each in data.items()}  # fmt: skip
    for item in error.errors():
        first, *inner = item["loc"]
        section = rest.get(str(first))
        if isinstance(section, dict) and inner:
            section.pop(inner[0], None)
        else:
            rest.pop(str(first), None)
    try:
        return VenueSettings.model_validate(rest)
    except ValidationError:
        return VenueSettings()


MISSING = Both("nothing", "없음")
NO_DEFAULT = Both("a value; there is no default on purpose", "값을 적으십시오. 기본값이 없습니다")
ORDER_OF_LIMITS = Both(
    "max_order <= max_coin <= max_total", "max_order <= max_coin <= max_total 순"
)


def _contradictions(settings: VenueSettings) -> list[Fault]:
    """Return what each key allows and all together do not."""
    kimchi, found = settings.kimchi, []
    if not kimchi.low_pct < kimchi.high_pct:
        text = Both("below high_pct", "high_pct보다 작은 값")
        found.append(Fault("kimchi.low_pct", f"{kimchi.low_pct}", text))
    elif kimchi.hysteresis_pct * 2 >= kimchi.high_pct - kimchi.low_pct:
        text = Both("less than half of high_pct - low_pct", "high_pct - low_pct의 절반 미만")
        found.append(Fault("kimchi.hysteresis_pct", f"{kimchi.hysteresis_pct}", text))
    for name, values in (
        ("kimchi.coins", kimchi.coins), ("upbit.markets", settings.upbit.markets),
        ("binance.markets", settings.binance.markets), ("kiwoom.stocks", settings.kiwoom.stocks),
        ("kiwoom.conditions", settings.kiwoom.conditions),
    ):  # fmt: skip
        doubled = ", ".join(sorted({each for each in values if values.count(each) > 1}))
        if doubled:
            twice = Both(f"{doubled} twice", f"{doubled} 두 번")
            found.append(Fault(name, twice, Both("each once", "하나씩만")))
    if "USDT" in kimchi.coins:
        text = Both("coins; USDT is what they are compared in", "코인. USDT는 비교 기준입니다")
        found.append(Fault("kimchi.coins", "USDT", text))
    strangers = ", ".join(sorted(set(kimchi.confirmed) - set(kimchi.coins)))
    if strangers:
        text = Both("names of kimchi.coins", "kimchi.coins에 있는 이름")
        found.append(Fault("kimchi.confirmed", strangers, text))
    if kimchi.figure is Figure.FX and not settings.bank_rates:
        text = Both("usdt, or a rate in bank_rates", "usdt, 아니면 bank_rates에 환율을 적으십시오")
        found.append(Fault("kimchi.figure", "fx", text))
    for number, rate in enumerate(settings.bank_rates):
        if rate.at.tzinfo is None:
            found.append(Fault(f"bank_rates.{number}.at", _safe(str(rate.at)), A_TIME))
    return found + _limit_faults(settings)


def _limit_faults(settings: VenueSettings) -> list[Fault]:
    found = []
    sections = (
        ("upbit", settings.upbit),
        ("binance", settings.binance),
        ("kiwoom", settings.kiwoom),
    )
    for venue, section in sections:
        limits = section.limits
        if (
            section.use in ORDERING and limits is None and venue != "kiwoom"
        ):  # its prices need keys too
            found.append(Fault(f"{venue}.limits", MISSING, NO_DEFAULT))
        if limits and not limits.max_order <= limits.max_coin <= limits.max_total:
            shown = f"{limits.max_order}, {limits.max_coin}, {limits.max_total}"
            found.append(Fault(f"{venue}.limits", shown, ORDER_OF_LIMITS))
    return found


def _environment_faults(settings: VenueSettings, given: Mapping[str, str]) -> list[Fault]:
    found = []
    for first, second in (SECRETS[:2], SECRETS[2:4], SECRETS[4:], TELEGRAM_KEYS):
        if (first in given) != (second in given):
            missing = second if first in given else first
            text = Both("both of the pair, or neither", "둘 다 적거나 둘 다 비우십시오")
            found.append(Fault(missing, MISSING, text))
    for venue, section, pair in (
        ("upbit", settings.upbit, SECRETS[:2]), ("binance", settings.binance, SECRETS[2:4]),
        ("kiwoom", settings.kiwoom, SECRETS[4:]),
    ):  # fmt: skip
        ordering = section.use in (*ORDERING, "mock")
        if ordering and not any(name in given for name in pair):
            use = f"{venue}.use: {section.use}"
            text = Both(f"in the environment, for {use}", f"환경 변수로 ({use}에 필요)")
            found.append(Fault(" ".join(pair), MISSING, text))
    for name in (*SECRETS, *TELEGRAM_KEYS):
        value = given.get(name, "")
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            odd = Both("blanks or letters no key has", "빈칸이나 키에 없는 글자")
            found.append(Fault(name, odd, Both("the key as it was shown", "발급된 그대로의 키")))
    return found


A_NAME = Both(
    "the venue's spelling: KRW-BTC at Upbit, BTCUSDT at Binance, 005930 at Kiwoom, BTC for a coin",
    "거래소 표기: 업비트 KRW-BTC, 바이낸스 BTCUSDT, 키움 005930, 코인 BTC",
)
A_NUMBER = Both("a number, such as 1.5", "숫자, 예: 1.5")
A_TIME = Both("a time with zone: 2026-11-27T09:00:00+09:00", "시간대가 있는 시각: 2026-11-27T09:00:00+09:00")  # fmt: skip
_BOUNDS = {
    "greater_than": ("gt", "above {}", "{} 초과"), "less_than": ("lt", "below {}", "{} 미만"),
    "greater_than_equal": ("ge", "at least {}", "{} 이상"),
    "less_than_equal": ("le", "at most {}", "{} 이하"),
    "too_short": ("min_length", "at least {} of them", "{}개 이상"),
    "too_long": ("max_length", "at most {} of them", "{}개 이하"),
    "literal_error": ("expected", "one of {}", "{} 중 하나"), "enum": ("expected", "one of {}", "{} 중 하나"),
}  # fmt: skip


def _fault_of(item: Any) -> Fault:
    """Turn one error of pydantic into a fault; a value that may be a secret is not shown."""
    key, kind = ".".join(str(part) for part in item["loc"]) or "(file)", item["type"]
    if kind == "missing":
        return Fault(key, MISSING, NO_DEFAULT)
    if kind == "extra_forbidden":
        known = _known(item["loc"][:-1])
        known = ", ".join(near_words(str(item["loc"][-1]), known.split(", "))) or known
        unknown = Both("an unknown key", "모르는 항목")
        return Fault(_safe(key), unknown, Both(f"one of {known}", f"{known} 중 하나"))
    expected: str = item["msg"]
    if bound := _BOUNDS.get(kind):
        name, english, korean = bound
        value = str(item["ctx"].get(name, "")).replace(" or ", ", ")
        expected = Both(english.format(value), korean.format(value))
    elif kind == "string_pattern_mismatch":
        expected = A_NAME
    elif kind.startswith("datetime"):
        expected = A_TIME
    elif kind == "value_error":
        expected = A_NUMBER
    shown = item["input"]
    return Fault(
        key, repr(shown) if isinstance(shown, int | float) else _safe(str(shown)), expected
    )


def _safe(text: str) -> str:
    """Return a short printable text; what may be a key is counted only (Upbit's have 40 letters)."""
    short = len(text) <= 40 and re.fullmatch(r"[\w .,:+%\-\[\]']*", text)
    runs = re.findall(r"[A-Za-z0-9_\-]{16,}", text)
    keylike = any(re.search("[0-9]", run) or not (run.islower() or run.isupper()) for run in runs)
    return text if short and not keylike else f"(text of {len(text)} characters)"


def _known(path: tuple[Any, ...]) -> str:
    """Return the keys that may stand at a place of the file."""
    model: Any = VenueSettings
    for part in path:
        kind = model.model_fields[part].annotation if isinstance(part, str) else model
        kinds = [kind, *get_args(kind)]
        model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), model)
    return ", ".join(model.model_fields)
