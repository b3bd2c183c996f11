"use strict";
// The page of the bot. State comes by server-sent events; everything else is asked for when a tab opens.
const WORDS = {
  ko: { overview: "현황", stock: "종목", orders: "주문", results: "성과", journal: "저널", health: "상태 점검", today: "당일손익", realised: "실현", open: "평가", equity: "평가금액", cash: "현금", limit: "손실 한도", entries: "진입 / 청산", name: "종목", price: "현재가", change: "등락", shares: "보유", average: "평단가", stop: "손절", target: "목표", gain: "손익", stocks: "종목", fills: "체결 내역", messages: "최근 알림", holds: "신규 진입을 막고 있는 것", none: "없음", noData: "아직 보여 드릴 것이 없습니다.", stale: "봇이 상태를 쓰지 않고 있습니다. 꺼져 있거나 멈춘 것 같습니다. 마지막: ", time: "시각", side: "구분", qty: "수량", filled: "체결", orderPrice: "주문가", fillPrice: "체결가", status: "상태", reason: "이유", number: "주문번호", openOrders: "미체결 주문", lastOrders: "주문 내역", buy: "매수", sell: "매도", days: "일자별", trips: "매매 내역", total: "청산 손익", period: "기간 손익", start: "시작", winRate: "승률", factor: "손익비(PF)", expectancy: "1회 기대손익", drawdown: "최대 낙폭(종가 기준)", fees: "수수료·세금(청산)", day: "날짜", net: "순손익", equityCurve: "평가금액 추이", byReason: "청산 이유별", bySymbol: "종목별", byMonth: "월별", month: "월", costs: "수수료·세금", count: "횟수", refused: "규칙에 막힌 주문", duration: "보유 시간", all: "전체", search: "종목·주문번호·검색어", kind: "종류", row: "내용", calls: "증권사 호출", budget: "1분 호출 여유", tooMany: "초당 한도 초과", service: "서비스", errors: "오류", median: "중앙값 ms", p99: "99% ms", feed: "실시간 시세", connected: "연결됨", down: "끊김", trades: "받은 체결", lost: "유실", memory: "메모리", journalSize: "저널 크기", uptime: "가동 시간", stopEntries: "신규 중지", reduce: "축소만", flatten: "전량 매도", off: "멈추기", askStop: "새로 사지 않습니다. 보유 종목의 손절·청산은 계속합니다.", askReduce: "새로 사지 않고 미체결 매수 주문을 취소합니다.", askFlatten: "봇이 보유한 주식을 모두 팝니다. 되돌릴 수 없습니다.", type: "확인하려면 입력:", cancel: "닫기", go: "실행", sent: "봇에 전했습니다.", wrongWord: "입력한 말이 다릅니다.", failed: "전하지 못했습니다: ", again: "다시 매매하려면 텔레그램의 /resume이나 터미널의 --level ACTIVE를 쓰십시오. 이 화면에서는 할 수 없습니다.", atMarket: "시장가·최유리", account: "계좌", ago: "초 전 갱신", other: "English", phases: { waiting: "장 시작 대기", preparing: "준비 중", before_open: "개장 전 동시호가", trading: "장중", closing: "마감 동시호가", after: "장 마감", closed: "휴장", stopping: "종료 중" }, levels: { ACTIVE: "매매 중", ENTRIES_OFF: "신규 중지", REDUCE_ONLY: "축소만", FLATTEN_AND_HALT: "전량 매도 후 정지" }, modes: { paper: "모의투자", real: "실전투자" }, simulated: "시뮬레이터", entryPrice: "매수가", exitPrice: "매도가", why: "이 주문은 왜 나갔나", rows: "저널에서 보기", tokenLeft: "접근토큰 남은 시간", feedAge: "마지막 체결", queues: "대기: 주문·텔레그램·로그", dropped: "버린 로그 줄", premium: "김치 프리미엄", book: "호가", level: "호가", ask: "매도잔량", bid: "매수잔량", back: "주문 내역으로", units: ["일", "시간", "분", "초"], kinds: { alert: "알림", decision: "판단", intent: "주문 결정", request: "전송", answer: "응답", notice: "통보", ledger: "장부", refusal: "내지 않은 주문", command: "지시", hold: "보류", feed: "시세 연결", instrument: "종목 정보", bar: "봉", day: "하루" }, services: { "tokenP": "접근토큰", "Approval": "웹소켓 접속키", "order-cash": "주문", "order-rvsecncl": "정정·취소", "inquire-price": "현재가", "inquire-balance": "잔고", "inquire-daily-ccld": "주문 내역", "inquire-psbl-order": "주문가능금액", "inquire-psbl-rvsecncl": "정정·취소 가능", "inquire-time-dailychartprice": "지난 분봉", "inquire-time-itemchartprice": "오늘 분봉", "inquire-daily-itemchartprice": "일봉", "inquire-asking-price-exp-ccn": "호가", "chk-holiday": "휴장일" }, states: { "submitting": "전송 중", "not sent": "보내지 못함", "rejected": "거부됨", "unknown": "결과 불명", "lost": "접수되지 않음", "quarantined": "확인 필요", "working": "대기 중", "partially filled": "일부 체결", "filled": "체결", "cancel pending": "취소 중", "cancel unknown": "취소 결과 불명", "replace pending": "정정 중", "replace unknown": "정정 결과 불명", "cancelled": "취소됨", "expired": "당일 만료" } },
  en: { overview: "Overview", stock: "Stock", orders: "Orders", results: "Results", journal: "Journal", health: "Health", today: "Today's result", realised: "Realised", open: "Open", equity: "Equity", cash: "Cash", limit: "Loss limit", entries: "Entries / exits", name: "Stock", price: "Price", change: "Change", shares: "Held", average: "Average", stop: "Stop", target: "Target", gain: "Gain", stocks: "Stocks", fills: "Fills", messages: "Latest messages", holds: "What holds entries back", none: "none", noData: "Nothing to show yet.", stale: "The bot writes no status: it is off, or it hangs. Last: ", time: "Time", side: "Side", qty: "Quantity", filled: "Filled", orderPrice: "Order price", fillPrice: "Fill price", status: "State", reason: "Reason", number: "Number", openOrders: "Open orders", lastOrders: "Latest orders", buy: "buy", sell: "sell", days: "By day", trips: "Round trips", total: "Closed trips", period: "Result", start: "start", winRate: "Win rate", factor: "Profit factor", expectancy: "Expectancy", drawdown: "Max drawdown (closes)", fees: "Costs of closed trips", day: "Day", net: "Net", equityCurve: "Equity", byReason: "By reason of exit", bySymbol: "By stock", byMonth: "By month", month: "Month", costs: "Costs", count: "Count", refused: "Wishes refused by a rule", duration: "Held for", all: "all", search: "stock, order number, word", kind: "Kind", row: "Content", calls: "Calls to the broker", budget: "Calls left in a minute", tooMany: "Refused as too many", service: "Service", errors: "Errors", median: "median ms", p99: "99 % ms", feed: "Realtime feed", connected: "connected", down: "down", trades: "Trades seen", lost: "Frames lost", memory: "Memory", journalSize: "Journal", uptime: "Running for", stopEntries: "Entries off", reduce: "Reduce only", flatten: "Flatten", off: "Stop it", askStop: "Nothing new is bought. Stops and exits of what is held go on.", askReduce: "Nothing new is bought and resting buys are cancelled.", askFlatten: "Everything the bot holds is sold. This cannot be undone.", type: "To confirm, type:", cancel: "Close", go: "Do it", sent: "The bot was told.", wrongWord: "The word differs.", failed: "Could not be told: ", again: "To trade again: /resume on the phone, or --level ACTIVE in a terminal; not from this page.", atMarket: "at market", account: "account", ago: "s old", other: "한국어", phases: { waiting: "waiting for the morning", preparing: "preparing", before_open: "before the open", trading: "trading", closing: "closing auction", after: "after the close", closed: "closed day", stopping: "stopping" }, levels: { ACTIVE: "ACTIVE", ENTRIES_OFF: "ENTRIES OFF", REDUCE_ONLY: "REDUCE ONLY", FLATTEN_AND_HALT: "FLATTEN AND HALT" }, modes: { paper: "paper", real: "REAL MONEY" }, simulated: "simulator", entryPrice: "Bought at", exitPrice: "Sold at", why: "Why this order", rows: "show in the journal", tokenLeft: "Token valid for", feedAge: "Last trade", queues: "Waiting (orders, Telegram, log)", dropped: "Log lines dropped", premium: "Kimchi premium", book: "Order book", level: "Price", ask: "ask size", bid: "bid size", back: "back to the orders", units: ["d", "h", "min", "s"], kinds: { alert: "message", decision: "decision", intent: "intent", request: "request", answer: "answer", notice: "notice", ledger: "ledger", refusal: "refusal", command: "command", hold: "hold", feed: "feed", instrument: "instrument", bar: "bar", day: "day" }, services: {}, states: {} },
};
const CONFIRM = { ENTRIES_OFF: { ko: "신규중지", en: "ENTRIES OFF" }, REDUCE_ONLY: { ko: "축소", en: "REDUCE" }, FLATTEN_AND_HALT: { ko: "전량매도", en: "FLATTEN" } };
const TABS = ["overview", "stock", "orders", "results", "journal", "health"];
let language = localStorage.getItem("language") || "", status = {}, chart = null, live = null, opened = 0;
const t = (key) => WORDS[language || "ko"][key];
const $ = (id) => document.getElementById(id);
const won = (n) => n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en-US");
const signed = (n) => (n > 0 ? "+" : "") + won(n);
const tone = (n) => n > 0 ? "up" : n < 0 ? "down" : "";
const asked = (price) => price ? won(price) : t("atMarket");
const pct = (n, digits = 2) => n === null || n === undefined ? "–" : `${n > 0 ? "+" : ""}${Number(n).toFixed(digits)}%`;
const span = (s) => { const [d, h, m, u] = t("units"), gap = language === "en" ? " " : "", parts = [[Math.floor(s / 86400), d], [Math.floor(s % 86400 / 3600), h], [Math.floor(s % 3600 / 60), m], [Math.floor(s % 60), u]], from = parts.findIndex(([n]) => n); return from < 0 ? `0${gap}${u}` : parts.slice(from, from + 2).filter(([n], at) => n || !at).map(([n, word]) => `${n}${gap}${word}`).join(" "); };

function el(tag, properties = {}, ...children) { // never innerHTML: a text from the broker stays a text
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null));
  return node;
}
function table(heads, rows, empty) {
  if (!rows.length) return el("p", { className: "soft", textContent: empty || t("none") });
  const left = (n) => rows[0][n] instanceof Node && /left|wrap/.test(rows[0][n].className);
  const head = el("tr", {}, ...heads.map((text, n) => el("th", { textContent: text, scope: "col", className: left(n) ? "left" : "" })));
  const lines = rows.map((cells) => el("tr", {}, ...cells.map((cell, n) => { const td = cell instanceof Node ? (cell.tagName === "TD" ? cell : el("td", {}, cell)) : el("td", { textContent: cell }); if (n) td.dataset.head = heads[n]; return td; })));
  return el("table", { className: heads.length > 4 ? "fold" : "" }, el("thead", {}, head), el("tbody", {}, ...lines));
}
const money = (n, text) => el("td", { className: tone(n), textContent: text ?? signed(n) });
const box = (title, ...nodes) => el("section", {}, el("h2", { textContent: title }), ...nodes);
const card = (label, value, cls = "", big = false, more = "") => el("div", { className: "card" + (big ? " big" : "") }, el("small", { textContent: label }), el("b", { className: cls, textContent: value }), more ? el("span", { className: cls, textContent: ` ${more}` }) : null);
const known = () => Object.fromEntries((status.symbols || []).map((s) => [s.symbol, s.name]));
const ask = async (path) => { const reply = await fetch(path); if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).error || reply.status); return reply.json(); };
const stateWord = (text) => t("states")[(text || "").toLowerCase().replaceAll("_", " ")] || text;
const nameOf = (symbol, name) => { name = name || known()[symbol]; return el("a", { href: `#stock/${symbol}` }, name || symbol, name ? el("small", { className: "code", textContent: " " + symbol }) : null); };

let foreign = { of: "", texts: [] }; // the messages in the language that the bot does not speak
function said() {
  const own = (status.messages || []).slice().reverse(), newest = `${language} ${own[0]}`;
  if (!own.length || (language || "ko") === status.language) return own;
  if (foreign.of !== newest) {
    foreign.of = newest;
    ask(`/api/journal?kind=alert&language=${language}`).then((rows) => { foreign.texts = rows.slice(0, own.length).map((r) => `${r.at.slice(11)} ${r.text}`); if ((location.hash.slice(1) || "overview") === "overview") show(); }).catch(() => undefined);
  }
  return foreign.texts;
}
function overview() {
  if (!status.day) return [el("p", { textContent: t("noData") })];
  const d = status.day, buttons = el("div", { className: "row" });
  for (const [level, label, text] of [["ENTRIES_OFF", "stopEntries", "askStop"], ["REDUCE_ONLY", "reduce", "askReduce"], ["FLATTEN_AND_HALT", "flatten", "askFlatten"]])
    buttons.append(el("button", { type: "button", id: `do-${level}`, className: level === "FLATTEN_AND_HALT" ? "danger" : "", textContent: t(label), onclick: () => confirmLevel(level, t(label), t(text)) }));
  return [
    el("div", { className: "cards" }, card(t("today"), signed(d.result_krw), tone(d.result_krw), true, pct(d.result_pct)), card(t("realised"), signed(d.realised_krw), tone(d.realised_krw)), card(t("open"), signed(d.open_krw), tone(d.open_krw)), card(t("equity"), won(status.equity_krw)), card(t("cash"), won(status.cash_krw)), card(t("limit"), won(d.limit_krw)), card(t("entries"), `${d.entries} / ${d.exits}`)),
    box(t("stocks"), table([t("name"), t("price"), t("change"), t("shares"), t("gain"), t("average"), t("stop"), t("target")], status.symbols.map((s) => [
      el("td", {}, nameOf(s.symbol, s.name)), money(s.change_pct, won(s.price)), money(s.change_pct, pct(s.change_pct)), s.position ? won(s.position) : "–", s.position ? el("td", { className: tone(s.gain_krw) }, signed(s.gain_krw), el("small", { className: "code", textContent: ` ${pct(s.gain_pct)}` })) : "", s.position ? won(s.average) : "", s.stop ? won(s.stop) : "", s.target ? won(s.target) : ""]))),
    box(t("openOrders"), openOrders()),
    status.holds.length ? box(t("holds"), table([t("name"), t("reason"), t("time")], status.holds.map((h) => [h.scope === "all" ? t("all") : (known()[h.scope] || h.scope), el("td", { className: "wrap", textContent: h.text }), (h.since || "").slice(11, 19)]))) : null,
    box(t("messages"), el("ul", { className: "messages" }, ...said().map((text) => el("li", { textContent: text })))),
    box(t("off"), buttons, el("p", { className: "soft", textContent: t("again") })),
  ];
}
const sideCell = (side) => el("td", { className: side.toUpperCase() === "BUY" ? "up" : "down", textContent: t(side.toLowerCase()) });
const openOrders = () => table([t("time"), t("name"), t("side"), t("qty"), t("filled"), t("orderPrice"), t("status"), t("number")], (status.orders || []).map((o) => [o.at.slice(11, 19), el("td", { className: "left" }, nameOf(o.symbol)), sideCell(o.side), won(o.quantity), won(o.filled), asked(o.price), stateWord(o.state), o.number]));

const quoteOf = (s) => s.price ? `${won(s.price)}  ${pct(s.change_pct)}` : "";
function bookOf(s) { // asks above, bids below, as a Korean order window has them
  const book = s.book;
  if (!book || !(book.asks.length + book.bids.length)) return el("p", { className: "soft", textContent: t("none") });
  const most = Math.max(...[...book.asks, ...book.bids].map(([, size]) => size), 1), base = s.prev_close;
  const line = (side) => ([price, size]) => { const share = el("meter", { max: most, value: size, ariaHidden: true }), cells = [el("td", { className: "left" }, side === "ask" ? share : null), el("td", { className: "down", textContent: side === "ask" ? won(size) : "" }), el("td", { className: `${tone(price - base)}${price === s.price ? " now" : ""}`, textContent: won(price) }), el("td", { className: tone(price - base), textContent: base ? pct(100 * (price / base - 1)) : "" }), el("td", { className: "up", textContent: side === "bid" ? won(size) : "" }), el("td", { className: "left" }, side === "bid" ? share : null)]; return el("tr", { className: side }, ...cells); };
  const time = (book.time || "").replace(/(..)(..)(..)/, "$1:$2:$3");
  return el("table", { className: "book" }, el("caption", { className: "soft", textContent: `${time} KST` }), el("thead", {}, el("tr", {}, ...["", t("ask"), t("level"), t("change"), t("bid"), ""].map((text) => el(text ? "th" : "td", { textContent: text })))), el("tbody", {}, ...book.asks.slice().reverse().map(line("ask")), ...book.bids.map(line("bid"))));
}
async function stock(symbol) {
  symbol = symbol || (status.symbols || [{}])[0].symbol;
  if (!symbol) return [el("p", { textContent: t("noData") })];
  const data = await ask(`/api/candles?symbol=${symbol}`), s = (status.symbols || []).find((each) => each.symbol === symbol) || {};
  const links = el("div", { className: "row" }, ...(status.symbols || []).map((each) => el("a", { href: `#stock/${each.symbol}`, textContent: each.name || each.symbol, className: each.symbol === symbol ? "" : "soft" })));
  const room = el("div", { className: "chart", id: "candles" });
  setTimeout(() => draw(room, data, s)); // once it stands in the page
  return [links, box(`${s.name || ""} ${symbol}`, el("p", { id: "quote", className: tone(s.change_pct), textContent: quoteOf(s) }), data.bars.length ? room : el("p", { textContent: t("noData") })),
    box(t("book"), el("div", { id: "book" }, bookOf(s))),
    box(t("fills"), el("div", { id: "fills" }, fillsOf(data)))];
}
function chartOf(room) {
  const css = getComputedStyle(document.documentElement), of = (name) => css.getPropertyValue(name).trim();
  return { css: of, chart: LightweightCharts.createChart(room, { autoSize: true, layout: { background: { color: of("--paper") }, textColor: of("--ink"), attributionLogo: false }, grid: { vertLines: { color: of("--line") }, horzLines: { color: of("--line") } }, timeScale: { timeVisible: true, secondsVisible: false, maxBarSpacing: 28 }, localization: { priceFormatter: won } }) };
}
function draw(room, data, s) {
  if (!data.bars.length) return;
  const made = chartOf(room), up = made.css("--up"), down = made.css("--down"), lines = [];
  chart = made.chart;
  const levels = () => { const now = (status.symbols || []).find((each) => each.symbol === data.symbol) || s; return [[now.position ? now.average : 0, t("average"), "#888"], [now.stop, t("stop"), down], [now.target, t("target"), up]].filter(([price]) => price); };
  const series = chart.addSeries(LightweightCharts.CandlestickSeries, { upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down,
    autoscaleInfoProvider: (usual) => { const info = usual(); if (info) for (const [price] of levels()) { info.priceRange.minValue = Math.min(info.priceRange.minValue, price); info.priceRange.maxValue = Math.max(info.priceRange.maxValue, price); } return info; } });
  const volume = chart.addSeries(LightweightCharts.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.85, bottom: 0 } });
  const vwap = chart.addSeries(LightweightCharts.LineSeries, { color: "#c08a1e", lineWidth: 1, lastValueVisible: false, priceLineVisible: false });
  const markers = LightweightCharts.createSeriesMarkers(series, []);
  const crowded = (now) => now.marks.length > (room.clientWidth < 600 ? 2 : 24); // the list below has them
  const fill = (now) => { // new data into the chart that stands, so that its zoom stays
    let day = "", value = 0, shares = 0;
    series.setData(now.bars);
    volume.setData(now.bars.map((bar) => ({ time: bar.time, value: bar.volume, color: (bar.close >= bar.open ? up : down) + "66" })));
    vwap.setData(now.bars.map((bar) => { const of = new Date(bar.time * 1000).toISOString().slice(0, 10); if (of !== day) { day = of; value = shares = 0; } value += bar.value; shares += bar.volume; return { time: bar.time, value: shares ? value / shares : bar.close }; }));
    const times = now.bars.map((bar) => bar.time), at = (time) => { let found = times[0]; for (const each of times) if (each <= time) found = each; return found; };
    markers.setMarkers(now.marks.map((m) => { const buy = m.side.toUpperCase() === "BUY"; return { time: at(m.time), position: buy ? "belowBar" : "aboveBar", shape: buy ? "arrowUp" : "arrowDown", color: buy ? up : down, text: crowded(now) ? "" : `${won(m.shares)}@${won(m.price)}${m.gain === null ? "" : " " + signed(m.gain)}` }; }));
    while (lines.length) series.removePriceLine(lines.pop());
    for (const [price, title, color] of levels()) lines.push(series.createPriceLine({ price, title, color, lineStyle: 2, lineWidth: 1 }));
  };
  fill(data);
  const day = (bar) => Math.floor(bar.time / 86400), newest = day(data.bars.at(-1)), first = data.bars.findIndex((bar) => day(bar) === newest), earlier = data.marks.some((m) => day(m) === newest) ? first : 0;
  // The newest day, or all when nothing was traded on it; earlier days are reached by dragging.
  if (data.bars.length - earlier > 12) chart.timeScale().setVisibleLogicalRange({ from: earlier - 0.5, to: data.bars.length + 1 }); else chart.timeScale().fitContent();
  // Between two questions the newest candle follows the price of the status.
  live = { symbol: data.symbol, fill, price: (price) => { const last = data.bars.at(-1); if (price) series.update({ ...last, close: price, high: Math.max(last.high, price), low: Math.min(last.low, price) }); }, keep: (now) => { data = now; } };
}
async function refresh() { // the candles and fills of the open stock, without drawing anew
  if (!live) return;
  const mine = live, now = await ask(`/api/candles?symbol=${mine.symbol}`);
  if (mine !== live || !now.bars.length) return;
  mine.keep(now); mine.fill(now); $("fills")?.replaceChildren(fillsOf(now));
}
const fillsOf = (data) => table([t("time"), t("side"), t("qty"), t("fillPrice"), t("gain")], data.marks.slice().reverse().map((m) => [new Date(m.time * 1000).toISOString().slice(5, 16).replace("T", " "), sideCell(m.side), won(m.shares), won(m.price), m.gain === null ? "" : money(m.gain)]));
async function why(ref) {
  const said = await ask(`/api/why?ref=${encodeURIComponent(ref || "last")}&language=${language || "ko"}`);
  return [box(t("why"), ...said.sentences.map((text) => el("p", { textContent: text })), el("p", { className: "row" }, el("a", { href: `#journal/${ref}`, textContent: t("rows") }), el("a", { href: "#orders", className: "soft", textContent: t("back") })))];
}
async function orders() {
  const r = await ask(`/api/results?language=${language || "ko"}`);
  return [box(t("openOrders"), openOrders()), box(t("lastOrders"), table([t("time"), t("name"), t("side"), t("filled"), t("orderPrice"), t("fillPrice"), t("status"), t("reason"), t("number")], r.orders.map((o) => [o.at.slice(5, 19).replace("T", " "), el("td", { className: "left" }, nameOf(o.symbol, o.name)), sideCell(o.side), `${won(o.filled)}/${won(o.quantity)}`, asked(o.price), o.filled ? won(o.fill_price) : "", stateWord(o.status), el("td", { className: "wrap", textContent: o.reason }), o.order_no ? el("td", {}, el("a", { href: `#why/${o.intent_id}`, textContent: o.order_no })) : ""])))];
}
async function results() {
  const r = await ask(`/api/results?language=${language || "ko"}`), sum = r.totals, room = el("div", { className: "chart low", id: "equity" });
  if (!r.days.length) return [el("p", { textContent: t("noData") })];
  setTimeout(() => {
    const made = chartOf(room); chart = made.chart;
    const tint = made.css(r.result_krw < 0 ? "--down" : "--up");
    const line = chart.addSeries(LightweightCharts.AreaSeries, { lineColor: tint, topColor: tint + "33", bottomColor: tint + "05" });
    const first = r.days[0], before = new Date(Date.parse(first.day) - 86400000).toISOString().slice(0, 10);
    chart.applyOptions({ timeScale: { timeVisible: false, maxBarSpacing: 400, tickMarkFormatter: (time) => { const day = typeof time === "string" ? time : [time.year, time.month, time.day].map((n) => String(n).padStart(2, "0")).join("-"); return day === before ? t("start") : day.slice(5); } } });
    line.setData([{ time: before, value: first.equity_krw - first.result_krw }, ...r.days.map((d) => ({ time: d.day, value: d.equity_krw }))]); chart.timeScale().fitContent();
  });
  const drawdown = sum.drawdown || {};
  return [el("div", { className: "cards" }, card(t("period"), signed(r.result_krw), tone(r.result_krw), true), card(t("total"), signed(sum.gain_krw), tone(sum.gain_krw)), card(t("winRate"), sum.win_rate_pct === null ? "–" : `${Number(sum.win_rate_pct).toFixed(1)}%`), card(t("factor"), sum.profit_factor === null || sum.profit_factor === undefined ? "–" : Number(sum.profit_factor).toFixed(2)), card(t("expectancy"), signed(sum.expectancy_krw), tone(sum.expectancy_krw)), card(t("drawdown"), won(drawdown.krw)), card(t("fees"), won(sum.costs_krw))),
    box(t("equityCurve"), room),
    box(t("days"), el("div", { className: "calendar" }, ...r.days.slice(-60).map((d) => el("span", { className: tone(d.result_krw) }, el("small", { textContent: d.day.slice(5) }), signed(d.result_krw))))),
    box(t("trips"), table([t("time"), t("name"), t("qty"), t("entryPrice"), t("exitPrice"), t("gain"), "%", t("duration"), t("reason")], r.trips.slice(0, 100).map((p) => [(p.closed_at || "").slice(5, 16).replace("T", " "), el("td", { className: "left" }, nameOf(p.symbol, p.name)), won(p.shares), won(p.entry_price), won(p.exit_price), money(p.gain_krw), money(p.gain_pct, pct(p.gain_pct)), span(p.duration_s), el("td", { className: "wrap", textContent: p.reason })]))),
    box(t("byReason"), table([t("reason"), t("count"), t("winRate"), t("gain")], r.by_reason.map((g) => [g.key, g.trips, `${Number(g.win_rate_pct).toFixed(0)}%`, money(g.gain_krw)]))),
    box(t("bySymbol"), table([t("name"), t("count"), t("winRate"), t("gain"), t("costs")], r.by_symbol.map((g) => [el("td", { className: "left" }, nameOf(g.key, g.name)), g.trips, `${Number(g.win_rate_pct).toFixed(0)}%`, money(g.gain_krw), won(g.fees_krw + g.taxes_krw)]))),
    ...(r.by_month.length > 1 ? [box(t("byMonth"), table([t("month"), t("count"), t("winRate"), t("gain"), t("costs")], r.by_month.map((g) => [g.key, g.trips, `${Number(g.win_rate_pct).toFixed(0)}%`, money(g.gain_krw), won(g.fees_krw + g.taxes_krw)])))] : []),
    box(t("refused"), table([t("reason"), t("count")], Object.entries(r.refused).map(([key, n]) => [key, n])))];
}
function rowsOf(rows) {
  const made = table([t("time"), t("kind"), t("row")], rows.map((r) => [r.at.slice(5).replace("T", " "), el("td", { className: "left", textContent: r.kind }), el("td", { className: "wrap", textContent: r.text, title: `#${r.seq}` })]));
  made.classList.add("lines"); return made;
}
async function journal(text) {
  const kinds = t("kinds");
  const kind = el("select", { id: "kind", ariaLabel: t("kind") }, el("option", { value: "", textContent: t("all") }), ...Object.entries(kinds).map(([k, word]) => el("option", { value: k, textContent: word })));
  const word = el("input", { id: "word", placeholder: t("search"), ariaLabel: t("search"), value: text || "" }), room = el("div", {});
  const fill = async () => { const rows = await ask(`/api/journal?kind=${kind.value}&text=${encodeURIComponent(word.value)}&language=${language || "ko"}`); room.replaceChildren(rowsOf(rows)); reach(); };
  kind.onchange = word.onchange = fill; await fill();
  return [el("div", { className: "row" }, kind, word), box(t("journal"), room)];
}
function health() {
  if (!status.calls) return [el("p", { textContent: t("noData") })];
  const f = status.feed, p = status.process;
  return [el("div", { className: "cards even" }, card(t("feed"), f.connected ? t("connected") : t("down"), f.connected ? "" : "down"), card(t("trades"), won(f.trades)), card(t("lost"), won(f.lost)), card(t("memory"), `${p.memory_mb} MB`), card(t("journalSize"), `${p.journal_mb} MB`), card(t("uptime"), span(p.uptime_s || 0)), card(t("feedAge"), f.age_s === null || f.age_s === undefined ? "–" : span(f.age_s)), card(t("tokenLeft"), status.token ? span(Math.max(0, status.token.left_s)) : "–"), card(t("queues"), `${status.queues.calls} · ${status.queues.telegram} · ${status.queues.log ?? "–"}`), card(t("dropped"), won(status.queues.log_dropped)), ...(status.budget ? [card(t("budget"), `${won(status.budget.left)} / ${won(status.budget.within_s * status.budget.per_s_now)}`), card(t("tooMany"), won(status.budget.too_many), status.budget.too_many ? "down" : "")] : [])),
    box(t("calls"), table([t("service"), t("count"), t("median"), t("p99"), t("errors")], Object.entries(status.calls).map(([name, c]) => [el("td", {}, t("services")[name] || name, t("services")[name] ? el("small", { className: "code", textContent: ` ${name}` }) : null), won(c.count), c.ms_median, c.ms_p99, el("td", { className: "wrap", textContent: Object.entries(c.errors).map(([code, n]) => `${code} × ${n}`).join(", ") })])))];
}
async function premium() { // what the monitor of venues/ wrote down; its tab shows only when there is something
  const found = await ask("/api/premium"), room = el("div", { className: "chart", id: "premium" }), colors = ["#c08a1e", "#1b8a6b", "#8250c4", "#c9302c", "#1b5fc1"];
  setTimeout(() => {
    chart = chartOf(room).chart;
    chart.applyOptions({ localization: { priceFormatter: (n) => `${n.toFixed(2)}%` } });
    Object.entries(found.coins).forEach(([coin, points], n) => chart.addSeries(LightweightCharts.LineSeries, { title: coin, color: colors[n % colors.length], lineWidth: 2 }).setData(points));
    chart.timeScale().fitContent();
  });
  const last = (points) => points.at(-1).value, range = (points) => points.map((each) => each.value);
  return [box(t("premium"), table([t("name"), "%", "min", "max"], Object.entries(found.coins).map(([coin, points]) => [coin, money(last(points), last(points).toFixed(2)), Math.min(...range(points)).toFixed(2), Math.max(...range(points)).toFixed(2)])), room)];
}
const VIEWS = { overview, stock, orders, why, results, journal, health, premium };
function reach() { // what scrolls sideways can be scrolled by keyboard too
  for (const each of document.querySelectorAll("section")) if (each.scrollWidth > each.clientWidth) { each.tabIndex = 0; each.setAttribute("role", "region"); each.ariaLabel = each.querySelector("h2").textContent; }
}
async function show() {
  const [tab, rest] = (location.hash.slice(1) || "overview").split("/"), mine = ++opened;
  const view = VIEWS[tab] || overview;
  let nodes;
  try { nodes = await view(rest); } catch (error) { nodes = [el("p", { textContent: `${t("noData")} ${error.message}` })]; }
  if (mine !== opened) return;
  if (chart) { chart.remove(); chart = null; live = null; }
  const focused = document.activeElement?.id; // who walks by keyboard stays where he is
  $("view").replaceChildren(...nodes.filter(Boolean));
  reach();
  $("tabs").replaceChildren(...TABS.map((name) => { const a = el("a", { href: `#${name}`, textContent: t(name) }); if (name === tab || (name === "orders" && tab === "why")) a.setAttribute("aria-current", "page"); return a; }));
  $("tabs").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (focused && focused !== "view") $(focused)?.focus({ preventScroll: true });
}
function head() {
  document.documentElement.lang = language || "ko";
  const [kind, note] = (status.mode || "").split(" ");
  $("mode").textContent = `${t("modes")[kind] || "KIS"}${note ? ` (${t("simulated")})` : ""} ${status.account_tail || ""}`;
  $("phase").textContent = t("phases")[status.phase] || "";
  $("level").textContent = t("levels")[status.level] || "";
  $("level").className = status.level && status.level !== "ACTIVE" ? "up" : "";
  $("language").textContent = t("other");
  $("age").textContent = status.at ? `${status.at.slice(11, 19)} KST` : "";
  const warn = $("warning");
  warn.hidden = !status.stale; if (status.stale) warn.textContent = t("stale") + (status.at || "–").slice(0, 19).replace("T", " ");
  const day = status.day; document.title = day ? `${signed(day.result_krw)} · KIS` : "KIS";
}
function confirmLevel(level, title, text) {
  const word = CONFIRM[level][language || "ko"], box = $("ask");
  $("ask-title").textContent = title; $("ask-text").textContent = text; $("ask-label").textContent = `${t("type")} ${word}`;
  $("ask-word").value = ""; $("ask-answer").textContent = ""; $("ask-no").textContent = t("cancel"); $("ask-yes").textContent = t("go");
  $("ask-no").onclick = () => box.close();
  $("ask-yes").onclick = async () => {
    if ($("ask-word").value.trim() !== word) { $("ask-answer").textContent = t("wrongWord"); return; }
    $("ask-yes").disabled = true;
    try {
      const reply = await fetch("/api/command", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ level, typed: word }) }), said = await reply.json();
      $("ask-answer").textContent = said.done ? t("sent") : t("failed") + (said.text || said.error || "");
    } catch (error) { $("ask-answer").textContent = t("failed") + error.message; }
    $("ask-yes").disabled = false;
  };
  box.showModal();
}
$("language").onclick = () => { language = (language || "ko") === "ko" ? "en" : "ko"; localStorage.setItem("language", language); head(); show(); };
addEventListener("hashchange", () => { show(); $("view").focus({ preventScroll: true }); });
const stream = new EventSource("/events");
const doings = () => JSON.stringify([(status.symbols || []).map((each) => [each.position, each.stop, each.target]), (status.orders || []).length, status.day?.entries, status.day?.exits]);
let done = "";
stream.addEventListener("status", (event) => {
  const first = !status.at; status = JSON.parse(event.data);
  if (!language && status.language) language = status.language;
  head();
  const [tab, symbol] = (location.hash.slice(1) || "overview").split("/"), now = doings(), acted = now !== done;
  done = now;
  if (first || tab === "overview" || tab === "health" || (acted && ["orders", "results"].includes(tab))) show();
  else if (acted && tab === "stock") refresh();
  const s = (status.symbols || []).find((each) => each.symbol === (live?.symbol || symbol));
  if (s && live) live.price(s.price);
  if (s && $("quote")) { $("quote").textContent = quoteOf(s); $("quote").className = tone(s.change_pct); }
  if (s && $("book")) $("book").replaceChildren(bookOf(s));
});
setInterval(() => { const tab = location.hash.slice(1).split("/")[0]; if (status.stale) return; if (tab === "stock") refresh(); else if (["orders", "results"].includes(tab)) show(); }, 15000);
head(); show();
ask("/api/premium").then((found) => { if (Object.keys(found.coins).length) { TABS.push("premium"); show(); } }).catch(() => undefined);
