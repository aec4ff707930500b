"use strict";
// Data: {start, at[], equity[], drawdown[], prices[{symbol, closes[]}], trades[][]}; times are milliseconds UTC.
const data = JSON.parse(document.getElementById("data").textContent);
const [ID, SIDE, ENTRY_AT, EXIT_AT, ENTRY, EXIT, SIZE, PNL, PNL_PCT, FEES, MINUTES, REASON, MAE, MFE, SYMBOL] =
  Array(15).keys();
const DAY = 86400000;

const number = (value, digits) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
// As many decimals as the size of what is shown asks for: an account may be 10,000 USDT or 0.05 BTC.
const money = (value) => value.toLocaleString("en-US", {
  minimumFractionDigits: 2,
  maximumFractionDigits: value ? Math.min(20, Math.max(2, 4 - Math.floor(Math.log10(Math.abs(value))))) : 2,
}).replace("-", "−");
const percent = (value) => number(value * 100, 2) + "%";
const price = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 8 });
const time = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
const duration = (minutes) =>
  minutes < 60 ? `${minutes}m` : minutes < 1440 ? `${number(minutes / 60, 1)}h` : `${number(minutes / 1440, 1)}d`;

// ── Curves ──────────────────────────────────────────────────────────────────────────────────────────────────────

const canvas = document.getElementById("curves");
const readout = document.getElementById("readout");
const pen = canvas.getContext("2d");
const last = data.at.length - 1;
const RIGHT = 76, BOTTOM = 24, GAP = 26;
let view = [data.at[0], data.at[last]];
let cursor = null; // index of the point under the pointer
let drag = null; // [time where it began, time now]
let route = data.prices[0]; // the route whose price is shown

const pricePanel = { share: 5, format: price };
const panels = [
  ...(route ? [pricePanel] : []),
  { name: "equity", share: 4, values: data.equity, format: money, base: data.start },
  { name: "drawdown", share: 2, values: data.drawdown.map((d) => -d), format: percent, base: 0 },
];

function showPrice(one) {
  route = one;
  pricePanel.name = one.symbol + "   ▲ long  ▼ short  ● exit";
  pricePanel.values = one.closes;
}
if (route) showPrice(route);

/** First index with at[index] >= ms. */
function indexAt(ms) {
  let low = 0, high = data.at.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data.at[middle] < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

function shownRange() {
  return [Math.max(0, indexAt(view[0]) - 1), Math.min(last, indexAt(view[1]))];
}

function roundStep(span, count) {
  const wanted = span / count, power = 10 ** Math.floor(Math.log10(wanted));
  return power * [1, 2, 2.5, 5, 10].find((factor) => power * factor >= wanted);
}

function timeTicks(width) {
  const wanted = ((view[1] - view[0]) / Math.max(2, width / 110)) / 60000;
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440];
  const step = minutes.find((each) => each >= wanted);
  const ticks = [];
  if (step) {
    const length = step * 60000;
    for (let at = Math.ceil(view[0] / length) * length; at <= view[1]; at += length) ticks.push(at);
    return [ticks, (at) => (step < 1440 && at % DAY ? time(at).slice(11) : time(at).slice(5, 10))];
  }
  const months = [1, 2, 3, 6, 12, 24, 60].find((each) => each * 30 * 1440 >= wanted) || 120;
  const first = new Date(view[0]);
  for (let n = 0; ; n += months) {
    const at = Date.UTC(first.getUTCFullYear(), Math.ceil((first.getUTCMonth() + 1) / months) * months + n);
    if (at > view[1]) return [ticks, (ms) => time(ms).slice(0, 7)];
    ticks.push(at);
  }
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  if (last < 1) {
    pen.fillStyle = colour("muted");
    pen.fillText("Too few samples for a curve.", 8, 24);
    return;
  }
  const plot = width - RIGHT;
  const x = (ms) => ((ms - view[0]) / (view[1] - view[0])) * plot;
  const shares = panels.reduce((sum, panel) => sum + panel.share, 0);
  const free = height - BOTTOM - GAP * panels.length;
  const [first, end] = shownRange();
  const [ticks, tickText] = timeTicks(plot);
  let top = 0;
  for (const panel of panels) {
    panel.top = top + GAP;
    panel.height = (free * panel.share) / shares;
    top = panel.top + panel.height;
    drawPanel(panel, x, plot, first, end, ticks, colour);
  }
  pen.fillStyle = colour("muted");
  pen.textAlign = "center";
  for (const at of ticks) pen.fillText(tickText(at), Math.min(Math.max(x(at), 18), plot - 18), height - 6);
  if (drag) {
    pen.globalAlpha = 0.15;
    pen.fillStyle = colour("up");
    pen.fillRect(x(Math.min(...drag)), GAP, Math.abs(x(drag[0]) - x(drag[1])), height - BOTTOM - GAP);
    pen.globalAlpha = 1;
  }
  if (cursor !== null) {
    pen.strokeStyle = colour("muted");
    line([[x(data.at[cursor]), GAP], [x(data.at[cursor]), height - BOTTOM]]);
  }
  const at = cursor === null ? last : cursor;
  readout.textContent = [time(data.at[at]), `equity ${money(data.equity[at])}`, `drawdown ${percent(data.drawdown[at])}`]
    .concat(route ? [`${route.symbol} ${price(route.closes[at])}`] : []).join(" · ");
}

function drawPanel(panel, x, plot, first, end, ticks, colour) {
  let low = Infinity, high = -Infinity;
  for (let i = first; i <= end; i++) {
    low = Math.min(low, panel.values[i]);
    high = Math.max(high, panel.values[i]);
  }
  const drawdown = panel.name === "drawdown";
  if (drawdown) high = 0;
  const margin = (high - low || Math.abs(high) * 0.01 || 0.01) * 0.06;
  low -= margin;
  high += drawdown ? 0 : margin;
  const y = (value) => panel.top + panel.height * (1 - (value - low) / (high - low));
  pen.textAlign = "left";
  pen.fillStyle = colour("muted");
  pen.fillText(panel.name, 0, panel.top - 8);
  pen.lineWidth = 1;
  pen.strokeStyle = colour("rule");
  for (const at of ticks) line([[x(at), panel.top], [x(at), panel.top + panel.height]]);
  const step = roundStep(high - low, panel.height / 45);
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    line([[0, y(value)], [plot, y(value)]]);
    pen.fillText(panel.format(Math.abs(value) < step / 1e6 ? 0 : value), plot + 8, y(value) + 4);
  }
  pen.save();
  pen.beginPath();
  pen.rect(0, panel.top - 4, plot, panel.height + 8);
  pen.clip();
  const points = [];
  for (let i = first; i <= end; i++) points.push([x(data.at[i]), y(panel.values[i])]);
  if (panel.base !== undefined) {
    const base = y(panel.base);
    for (const [side, name] of [[-1, "up"], [1, "down"]]) {
      pen.save();
      pen.beginPath();
      pen.rect(0, side < 0 ? panel.top - 4 : base, plot, side < 0 ? base - panel.top + 4 : panel.height + panel.top - base);
      pen.clip();
      pen.globalAlpha = drawdown ? 0.55 : 0.15;
      pen.fillStyle = colour(name);
      pen.beginPath();
      pen.moveTo(points[0][0], base);
      for (const [px, py] of points) pen.lineTo(px, py);
      pen.lineTo(points[points.length - 1][0], base);
      pen.fill();
      pen.restore();
    }
    if (!drawdown) {
      pen.setLineDash([4, 4]);
      pen.strokeStyle = colour("muted");
      line([[0, base], [plot, base]]);
      pen.setLineDash([]);
    }
  }
  if (!drawdown) {
    pen.strokeStyle = colour(panel.base === undefined ? "line" : "up");
    pen.lineWidth = 1.3;
    line(points);
  }
  if (panel === pricePanel) drawTrades(x, y, colour);
  pen.restore();
}

function drawTrades(x, y, colour) {
  const visible = data.trades.filter((trade) =>
    trade[SYMBOL] === route.symbol && trade[EXIT_AT] >= view[0] && trade[ENTRY_AT] <= view[1]);
  const size = visible.length > 400 ? 3 : 5;
  for (const trade of visible) {
    const from = [x(trade[ENTRY_AT]), y(trade[ENTRY])], to = [x(trade[EXIT_AT]), y(trade[EXIT])];
    const up = trade[SIDE] === "long" ? -1 : 1;
    pen.strokeStyle = pen.fillStyle = colour(trade[PNL] > 0 ? "up" : "down");
    pen.lineWidth = 1.5;
    line([from, to]);
    pen.beginPath();
    pen.moveTo(from[0], from[1] + up * size);
    pen.lineTo(from[0] - size, from[1] - up * size);
    pen.lineTo(from[0] + size, from[1] - up * size);
    pen.fill();
    pen.beginPath();
    pen.arc(to[0], to[1], size * 0.7, 0, 7);
    pen.fill();
  }
}

function line(points) {
  pen.beginPath();
  for (const [px, py] of points) pen.lineTo(px, py);
  pen.stroke();
}

function show(from, to) {
  const [begin, end] = [data.at[0], data.at[last]];
  const span = Math.min(Math.max(to - from, Math.min(5 * 60000, end - begin)), end - begin);
  const start = Math.min(Math.max(from, begin), end - span);
  view = [start, start + span];
  for (const button of document.querySelectorAll("#ranges button"))
    button.classList.toggle("on", Number(button.value) === span || (button.value === "0" && span === end - begin));
  draw();
}

const timeUnder = (event) => {
  const share = event.offsetX / (canvas.clientWidth - RIGHT);
  return view[0] + Math.min(Math.max(share, 0), 1) * (view[1] - view[0]);
};

canvas.addEventListener("pointermove", (event) => {
  const ms = timeUnder(event), after = Math.min(indexAt(ms), last);
  cursor = after > 0 && ms - data.at[after - 1] < data.at[after] - ms ? after - 1 : after;
  if (drag) drag[1] = ms;
  draw();
});
canvas.addEventListener("pointerdown", (event) => {
  drag = [timeUnder(event), timeUnder(event)];
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointerup", () => {
  const [from, to] = drag ? drag.slice().sort((a, b) => a - b) : [0, 0];
  drag = null;
  if (to - from > (view[1] - view[0]) / 100) show(from, to);
  else draw();
});
canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
canvas.addEventListener("pointerleave", () => { cursor = null; draw(); });
canvas.addEventListener("dblclick", () => show(data.at[0], data.at[last]));
canvas.addEventListener("keydown", (event) => {
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!move) return;
  event.preventDefault();
  cursor = Math.min(Math.max((cursor === null ? last : cursor) + move, 0), last);
  const span = view[1] - view[0], at = data.at[cursor];
  if (at < view[0] || at > view[1]) show(at - span / 2, at + span / 2);
  draw();
});

const life = last > 0 ? data.at[last] - data.at[0] : 0;
for (const [name, days] of [["1d", 1], ["1w", 7], ["1m", 30], ["3m", 91], ["1y", 365], ["All", 0]]) {
  if (days * DAY >= life && days) continue;
  const button = document.createElement("button");
  button.textContent = name;
  button.value = days * DAY;
  button.addEventListener("click", () => show(days ? data.at[last] - days * DAY : data.at[0], data.at[last]));
  document.getElementById("ranges").append(button);
}
const symbols = document.getElementById("symbols");
symbols.append(...data.prices.map(({ symbol }) => new Option(symbol)));
symbols.hidden = data.prices.length < 2;
symbols.addEventListener("change", () => { showPrice(data.prices[symbols.selectedIndex]); draw(); });
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
if (last > 0) show(data.at[0], data.at[last]);

// ── Trades ──────────────────────────────────────────────────────────────────────────────────────────────────────

const PAGE = 50;
const COLUMNS = [
  ["trade", ID, String, "word"], ["symbol", SYMBOL, String, "word"], ["side", SIDE, String, "word"],
  ["entry", ENTRY_AT, time, "word"], ["exit", EXIT_AT, time, "word"], ["held", MINUTES, duration],
  ["entry price", ENTRY, price], ["exit price", EXIT, price], ["size", SIZE, price],
  ["net result", PNL, money, "sign"], ["on margin", PNL_PCT, percent, "sign"], ["fees", FEES, money],
  ["against", MAE, percent], ["for", MFE, percent], ["exit by", REASON, String, "word"],
];
const table = document.getElementById("trades");
const rows = data.trades.slice();
const closing = new Map(rows.map((trade, n) => [trade, n]));
let sorted = { column: 0, descending: false };
let page = 0;

function cell(kind, text, name) {
  const element = document.createElement(kind);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function list() {
  const header = document.createElement("tr");
  COLUMNS.forEach(([name, , , kind], column) => {
    const button = cell("button", name, sorted.column === column ? "on" : "");
    if (sorted.column === column) button.textContent += sorted.descending ? " ↓" : " ↑";
    button.addEventListener("click", () => sort(column));
    const head = cell("th", "", "");
    if (kind === "word") head.style.textAlign = "left";
    head.append(button);
    header.append(head);
  });
  const shown = rows.slice(page * PAGE, (page + 1) * PAGE).map((trade) => {
    const row = document.createElement("tr");
    for (const [, field, text, kind] of COLUMNS)
      row.append(cell("td", text(trade[field]), kind === "sign" ? (trade[field] > 0 ? "up" : "down") : kind));
    return row;
  });
  table.replaceChildren(header, ...shown);
  const from = rows.length ? page * PAGE + 1 : 0;
  document.getElementById("shown").textContent = `${from} to ${page * PAGE + shown.length} of ${rows.length}`;
  document.getElementById("older").disabled = page === 0;
  document.getElementById("newer").disabled = (page + 1) * PAGE >= rows.length;
}

function sort(column) {
  sorted = { column, descending: sorted.column === column ? !sorted.descending : false };
  // By name is by number: the trades come in the order of closing.
  const value = (trade) => (column === 0 ? closing.get(trade) : trade[COLUMNS[column][1]]);
  const keys = new Map(rows.map((trade) => [trade, value(trade)]));
  rows.sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : 0) * (sorted.descending ? -1 : 1));
  page = 0;
  list();
}

document.getElementById("older").addEventListener("click", () => { page--; list(); });
document.getElementById("newer").addEventListener("click", () => { page++; list(); });
list();

// A definition that is linked to must be seen.
addEventListener("hashchange", () => { document.querySelector("details").open = true; });
document.addEventListener("click", (event) => {
  if (event.target.matches?.('a[href^="#def-"]')) document.querySelector("details").open = true;
});
