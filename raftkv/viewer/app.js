"use strict";
// Draws the document in #trace; its format is described in raftkv/viewer/__init__.py. Texts reach the page as
// text nodes only, never as markup.
(() => {
const trace = JSON.parse(document.getElementById("trace").textContent);
const { lanes, steps, messages, entries, failure } = trace;
const at = (id) => document.getElementById(id);
const weight = (one) => one.weight ?? 1;

// ---------------------------------------------------------------- what the members are after each step

const CHECKPOINT_EVERY = 200;
const NOTHING = { state: "", role: "", term: 0, vote: "", leader: "", commit: 0, applied: 0, durable: 0, first: 1, last: 0, snapshot: 0 };
const checkpoints = [lanes.map(() => ({ ...NOTHING, log: [] }))];

const copied = (states) => states.map((one) => ({ ...one, log: one.log.slice() }));

function apply(states, step) {
  if (step.lane === null) return;
  const state = states[step.lane];
  Object.assign(state, step.set);
  for (const entry of step.add ?? []) state.log[entries[entry][0]] = entry;
  state.log.length = Math.min(state.log.length, state.last + 1);
}

// The states after step `number`; -1: before the first.
function statesAfter(number) {
  const passed = Math.floor((number + 1) / CHECKPOINT_EVERY);
  while (checkpoints.length <= passed) {
    const states = copied(checkpoints.at(-1));
    const from = (checkpoints.length - 1) * CHECKPOINT_EVERY;
    for (let i = from; i < from + CHECKPOINT_EVERY; i++) apply(states, steps[i]);
    checkpoints.push(states);
  }
  const states = copied(checkpoints[passed]);
  for (let i = passed * CHECKPOINT_EVERY; i <= number; i++) apply(states, steps[i]);
  return states;
}

// Stretches of time in which a member's state, role and term stay.
function stretches() {
  const found = lanes.map(() => []);
  const known = lanes.map(() => ({ state: "", role: "", term: 0 }));
  for (const step of steps) {
    const news = step.set;
    if (!news || !("state" in news || "role" in news || "term" in news)) continue;
    const list = found[step.lane], now = known[step.lane];
    Object.assign(now, { state: news.state ?? now.state, role: news.role ?? now.role, term: news.term ?? now.term });
    if (list.length) list.at(-1).end = step.t;
    list.push({ ...now, begin: step.t, end: trace.end });
  }
  return found;
}

const byLane = stretches();
const termColour = (term) => `t${term % 6}`;

// ---------------------------------------------------------------- where we are

const view = { from: trace.begin, to: trace.end };
const shortest = 0.0005;
let current = 0;
let stops = [];

function chooseStops() {
  const least = at("beats").checked ? 0 : 1;
  stops = [...steps.keys()].filter((i) => weight(steps[i]) >= least || i === failure?.step);
  if (!stops.length) stops = [...steps.keys()];
  at("position").max = Math.max(0, stops.length - 1);
}

// The position in `stops` of the last one that is not after step `number`.
function placeOf(number) {
  let low = 0, high = stops.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stops[middle] <= number) low = middle + 1; else high = middle;
  }
  return Math.max(0, low - 1);
}

function go(number) {
  if (number === undefined) return;
  current = number;
  const t = steps[current].t, span = view.to - view.from;
  if (t < view.from + 0.06 * span || t > view.to - 0.06 * span) show(t - span / 2, t + span / 2);
  paint();
}

const move = (by) => go(stops[Math.min(stops.length - 1, Math.max(0, placeOf(current) + by))]);

function moveBig(by) {
  for (let place = placeOf(current) + by; place >= 0 && place < stops.length; place += by) {
    if (weight(steps[stops[place]]) >= 2) return go(stops[place]);
  }
}

function show(from, to) {
  const whole = trace.end - trace.begin || 1;
  const span = Math.min(Math.max(to - from, shortest), whole * 1.04);
  const middle = (from + to) / 2, edge = 0.02 * whole;
  view.from = Math.max(trace.begin - edge, Math.min(middle - span / 2, trace.end + edge - span));
  view.to = view.from + span;
}

function zoom(factor, around) {
  const share = (around - view.from) / (view.to - view.from);
  const span = (view.to - view.from) * factor;
  show(around - share * span, around + (1 - share) * span);
  paint();
}

// ---------------------------------------------------------------- the diagram

const svg = at("picture");
const GUTTER = 92, AXIS = 20, ROW = 14;
const MOST_MESSAGES = 1200, MOST_DOTS = 1500, MOST_FAULT_ROWS = 5;
const laneHeight = lanes.length > 5 ? 46 : 60;
let width = 800;

const x = (t) => GUTTER + ((t - view.from) / (view.to - view.from)) * (width - GUTTER);
const y = (lane) => AXIS + laneHeight * (lane + 0.5);
const isVisible = (begin, end) => begin <= view.to && end >= view.from;

function draw(name, attributes, text, title) {
  const element = document.createElementNS(svg.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (title !== undefined) element.append(draw("title", {}, title));
  return element;
}

const clipped = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);
const line = (x1, y1, x2, y2, kind) => draw("line", { x1, y1, x2, y2, class: kind });

function box(begin, end, top, height, kind, title) {
  const left = Math.max(GUTTER - 2, x(begin)), right = Math.min(width + 2, x(end));
  return draw("rect", { x: left, y: top, width: Math.max(1.5, right - left), height, class: kind }, undefined, title);
}

function ticks() {
  const wanted = ((view.to - view.from) / (width - GUTTER)) * 90;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= wanted);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let i = Math.ceil(view.from / step); i * step <= view.to; i++) found.push([i * step, `${(i * step).toFixed(digits)} s`]);
  return found;
}

function drawAxis(into, height) {
  for (const [t, label] of ticks()) {
    into.push(line(x(t), AXIS - 4, x(t), height, "grid"));
    into.push(draw("text", { x: x(t) + 2, y: 11, class: "tick" }, label));
  }
}

function drawLane(into, lane) {
  into.push(line(GUTTER, y(lane), width, y(lane), "lane"));
  for (const one of byLane[lane]) {
    if (!isVisible(one.begin, one.end)) continue;
    const what = one.state === "up" ? one.role || "down" : one.state;
    const title = `${lanes[lane]}: ${what}, term ${one.term}`;
    into.push(box(one.begin, one.end, y(lane) - 6, 12, `role ${what}`, title));
    if (!one.term) continue;
    into.push(box(one.begin, one.end, y(lane) + 7, 5, termColour(one.term), title));
    const room = Math.min(width, x(one.end)) - Math.max(GUTTER, x(one.begin));
    if (room > 44) into.push(draw("text", { x: Math.max(GUTTER, x(one.begin)) + 2, y: y(lane) + 22, class: "dim" }, `term ${one.term}`));
  }
}

const FAMILIES = [
  ["beat", /^Heartbeat/], ["vote", /Vote|TimeoutNow/], ["read", /^Read|Forward/], ["snap", /Snapshot/],
];
const family = (message) => FAMILIES.find(([, pattern]) => pattern.test(message.kind))?.[0] ?? "append";

function arrowHead(x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1), length = 6;
  const side = (turn) => `M${x2} ${y2}L${x2 - length * Math.cos(angle + turn)} ${y2 - length * Math.sin(angle + turn)}`;
  return side(0.4) + side(-0.4);
}

function drawMessage(into, message, isCurrent) {
  const down = message.to > message.from ? 1 : -1;
  const x1 = x(message.sent), y1 = y(message.from) + 6 * down;
  const kinds = ["message", family(message)];
  let x2 = x(message.arrived ?? message.lost ?? trace.end), y2 = y(message.to) - 6 * down;
  if (message.arrived === undefined) {
    y2 = y1 + laneHeight * 0.4 * down; // short of the next lane, which may not be the target
    x2 = message.lost === undefined ? x2 : Math.max(x1 + 8, (x1 + x2) / 2);
    kinds.push(message.lost === undefined ? "open" : "lost");
  }
  if (isCurrent) kinds.push("current");
  const head = message.arrived === undefined ? "" : arrowHead(x1, y1, x2, y2);
  into.push(draw("path", { d: `M${x1} ${y1}L${x2} ${y2}${head}`, class: kinds.join(" ") }, undefined, messageText(message)));
  if (message.lost !== undefined) into.push(draw("path", { d: `M${x2 - 4} ${y2 - 4}l8 8m0 -8l-8 8`, class: "cross" }));
}

function drawMessages(into) {
  const least = at("beats").checked ? 0 : 1;
  let seen = messages.filter((one) => isVisible(one.sent, one.arrived ?? one.lost ?? trace.end) && weight(one) >= least);
  let hint = "";
  if (seen.length > MOST_MESSAGES) {
    const matter = seen.filter((one) => weight(one) >= 2);
    hint = `${seen.length - matter.length} more messages: zoom in to see them (+)`;
    seen = matter.slice(0, MOST_MESSAGES);
  }
  const mine = messages[steps[current].message];
  for (const one of seen) if (one !== mine) drawMessage(into, one, false);
  if (mine) drawMessage(into, mine, true);
  at("hint").textContent = hint;
}

function drawDots(into) {
  const seen = stops.filter((i) => steps[i].lane !== null && isVisible(steps[i].t, steps[i].t));
  const few = seen.length > MOST_DOTS ? seen.filter((i) => weight(steps[i]) >= 2) : seen;
  for (const i of few) {
    const big = weight(steps[i]) >= 2;
    into.push(draw("circle", { cx: x(steps[i].t), cy: y(steps[i].lane), r: big ? 3.2 : 1.8, class: big ? "dot big" : "dot" }));
  }
}

// Puts bars into as few rows as they need; the end of what has no end is the end of the run.
function rowsOf(bars) {
  const ends = [];
  return bars.map((bar) => {
    let row = ends.findIndex((end) => end <= bar.begin);
    if (row < 0) row = ends.length;
    ends[row] = bar.end;
    return { ...bar, row };
  });
}

// Links that are cut together are one bar.
function faultBars() {
  const together = new Map();
  for (const cut of trace.cuts) {
    const key = `${cut.begin} ${cut.end}`;
    if (!together.has(key)) together.set(key, { begin: cut.begin, end: cut.end, links: [] });
    together.get(key).links.push([cut.from, cut.to]);
  }
  const cuts = [...together.values()].map((one) => ({ ...one, text: `cut: ${linksText(one.links)}` }));
  return rowsOf([...cuts, ...trace.spans].sort((a, b) => a.begin - b.begin));
}

function linksText(links) {
  const isCut = (from, to) => links.some((one) => one[0] === from && one[1] === to);
  return links.filter(([from, to]) => from < to || !isCut(to, from))
    .map(([from, to]) => `${lanes[from]}${isCut(to, from) ? "\u21ce" : "\u219b"}${lanes[to]}`).join(" ");
}

const bars = faultBars();
const faultRows = Math.min(MOST_FAULT_ROWS, Math.max(0, ...bars.map((bar) => bar.row + 1)));
const clients = [...new Set(trace.operations.map((one) => one.client))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
const faultsTop = AXIS + lanes.length * laneHeight + 4;
const clientsTop = faultsTop + faultRows * ROW + (faultRows ? 6 : 0);
const height = clientsTop + clients.length * ROW + 6;

function drawBar(into, bar, top, kind, text, title) {
  into.push(box(bar.begin, bar.end ?? trace.end, top, ROW - 3, kind, title));
  const left = Math.max(GUTTER, x(bar.begin)), room = Math.min(width, x(bar.end ?? trace.end)) - left;
  const most = Math.floor(room / 6.2);
  if (most >= 3) into.push(draw("text", { x: left + 3, y: top + 9 }, clipped(text, most)));
}

function drawFaults(into) {
  for (const bar of bars) {
    if (bar.row < MOST_FAULT_ROWS && isVisible(bar.begin, bar.end)) drawBar(into, bar, faultsTop + bar.row * ROW, "fault", bar.text, bar.text);
  }
}

function requestText(one) {
  const outcome = one.outcome === "ok" ? one.answer : one.outcome || "open";
  return `${one.text} \u2192 ${outcome}`;
}

function drawRequests(into) {
  for (const one of trace.operations) {
    if (!isVisible(one.begin, one.end ?? trace.end)) continue;
    const top = clientsTop + clients.indexOf(one.client) * ROW;
    drawBar(into, one, top, one.outcome || "pending", requestText(one), `${one.client} asks ${lanes[one.lane]}: ${requestText(one)}`);
  }
}

function drawGutter(into, states) {
  into.push(draw("rect", { x: 0, y: 0, width: GUTTER - 2, height, class: "gutter" }));
  lanes.forEach((name, lane) => {
    const state = states[lane], what = state.state === "up" ? state.role || "starting" : state.state || "not there yet";
    into.push(draw("text", { x: 2, y: y(lane) - 2, class: "name" }, clipped(name, 11)));
    into.push(draw("text", { x: 2, y: y(lane) + 12, class: "dim" }, clipped(state.term ? `${what} ${state.term}` : what, 16)));
  });
  if (faultRows) into.push(draw("text", { x: 2, y: faultsTop + 9, class: "dim" }, "faults"));
  clients.forEach((client, row) => into.push(draw("text", { x: 2, y: clientsTop + row * ROW + 9, class: "dim" }, clipped(client, 14))));
}

function drawCursor(into) {
  if (failure) {
    const step = steps[failure.step], left = x(step.t);
    into.push(line(left, 14, left, height, "failure"));
    const flip = left > width - 120;
    into.push(draw("text", { x: left + (flip ? -4 : 4), y: AXIS + 8, class: "alarm", "text-anchor": flip ? "end" : "start" }, failure.rule ? "rule broken" : "check failed"));
    if (step.lane !== null) into.push(draw("circle", { cx: left, cy: y(step.lane), r: 11, class: "ring failure" }));
  }
  const { t, lane } = steps[current];
  into.push(line(x(t), 14, x(t), height, "cursor"));
  if (lane !== null) into.push(draw("circle", { cx: x(t), cy: y(lane), r: 7, class: "ring" }));
}

function drawPicture(states) {
  width = Math.max(320, svg.clientWidth || svg.parentElement.clientWidth);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  const drawn = [];
  drawAxis(drawn, height);
  lanes.forEach((_, lane) => drawLane(drawn, lane));
  drawFaults(drawn);
  drawRequests(drawn);
  drawMessages(drawn);
  drawDots(drawn);
  drawCursor(drawn);
  drawGutter(drawn, states);
  svg.replaceChildren(...drawn);
}

// ---------------------------------------------------------------- texts and tables

function make(name, kind, ...children) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  element.append(...children);
  return element;
}

const who = (step) => (step.lane === null ? "" : `${lanes[step.lane]} `);
const seconds = (t) => `${t.toFixed(6)} s`;

function messageText(message) {
  const fate = message.arrived !== undefined ? `arrived ${seconds(message.arrived)}` : message.lost !== undefined ? `lost: ${message.why}` : "on its way";
  return `${message.kind} ${lanes[message.from]} \u2192 ${lanes[message.to]}, sent ${seconds(message.sent)}, ${fate}: ${message.text}`;
}

function changeTexts(step, before) {
  if (step.lane === null) return [];
  const old = before[step.lane];
  const changes = Object.entries(step.set ?? {}).map(([name, value]) => `${name} ${old[name] || "\u2013"} \u2192 ${value || "\u2013"}`);
  const added = (step.add ?? []).map((entry) => entries[entry][0]);
  if (added.length) changes.push(added.length > 1 ? `entries ${added[0]}\u2013${added.at(-1)}` : `entry ${added[0]}`);
  return changes;
}

function writeStep(before) {
  const step = steps[current], failed = current === failure?.step;
  at("where").textContent = `Step ${current + 1} of ${steps.length}, ${seconds(step.t)}`;
  at("what").textContent = who(step) + step.text + (failed && failure.rule ? ` \u2013 against ${failure.source}: ${failure.rule}` : "");
  at("what").className = failed ? "failed" : "";
  at("carried").textContent = step.message === undefined ? "" : messageText(messages[step.message]);
  at("changes").replaceChildren(...changeTexts(step, before).map((text) => make("li", "", text)));
}

function writeAround() {
  const place = placeOf(current), rows = [];
  for (let i = Math.max(0, place - 7); i <= Math.min(stops.length - 1, place + 7); i++) {
    const number = stops[i], step = steps[number];
    const button = make("button", number === failure?.step ? "failed" : weight(step) >= 2 ? "big" : "", `${step.t.toFixed(4)} ${who(step)}${step.text}`);
    button.title = step.text;
    button.tabIndex = -1;
    if (number === current) button.setAttribute("aria-current", "step");
    button.addEventListener("click", () => go(number));
    rows.push(make("li", "", button));
  }
  at("around").replaceChildren(...rows);
}

function laneHead(lane, state) {
  const what = state.state === "up" ? state.role || "starting" : state.state || "not there yet";
  const chip = make("span", `chip ${state.state === "up" ? state.role : state.state}`);
  const detail = `term ${state.term}, vote ${state.vote || "\u2013"}, follows ${state.leader || "\u2013"}`;
  const marks = `commit ${state.commit}, applied ${state.applied}, on disk ${state.durable}` + (state.snapshot ? `, snapshot ${state.snapshot}` : "");
  return make("th", state.state === "up" ? "" : "off", chip, `${lanes[lane]} ${what}`, make("small", "", detail), make("small", "", marks));
}

function cell(state, index, changed) {
  if (index > state.last) return make("td", "");
  if (index < state.first) return make("td", "gone", index <= state.snapshot ? "in the snapshot" : "given up");
  const entry = entries[state.log[index]];
  if (!entry) return make("td", "gone", "not kept here");
  const [, term, kind, text] = entry;
  const kinds = ["entry", termColour(term)];
  if (index <= state.commit) kinds.push("committed");
  if (changed.has(state.log[index])) kinds.push("changed");
  if (state.state !== "up") kinds.push("off");
  const marks = (index <= state.applied ? "\u2713" : "") + (index > state.durable ? "~" : "") + (index === state.snapshot ? "S" : "");
  const found = make("td", kinds.join(" "), make("b", "", String(term)));
  if (marks) found.append(make("em", "", marks));
  if (kind !== "command") found.append(make("em", "", kind));
  found.append(text);
  found.title = `index ${index}, term ${term}, ${kind}${text ? `: ${text}` : ""}`;
  return found;
}

const MOST_ROWS = 120;

function writeLogs(states) {
  const step = steps[current], changed = new Set(step.add ?? []);
  const last = Math.max(0, ...states.map((one) => one.last));
  const low = Math.max(1, last - MOST_ROWS + 1, Math.min(...states.filter((one) => one.last).map((one) => one.commit), last) - 20);
  const head = make("thead", "", make("tr", "", make("th", "index", "index"), ...states.map((state, lane) => laneHead(lane, state))));
  const body = make("tbody", "");
  for (let index = last; index >= low; index--) {
    const held = new Set(states.filter((one) => index <= one.last && index >= one.first).map((one) => one.log[index]));
    const cells = states.map((state, lane) => cell(state, index, lane === step.lane ? changed : new Set()));
    body.append(make("tr", held.size > 1 ? "differs" : "", make("th", "index", held.size > 1 ? `\u2260 ${index}` : String(index)), ...cells));
  }
  if (low > 1) body.append(make("tr", "", make("th", "index", "\u2026")));
  at("log").replaceChildren(head, body);
  at("log").style.minWidth = `${48 + lanes.length * 108}px`;
}

function writeClients() {
  const t = steps[current].t, rows = [];
  for (const client of clients) {
    const begun = trace.operations.filter((one) => one.client === client && one.begin <= t);
    const one = begun.at(-1);
    if (!one) continue;
    const ended = one.end !== null && one.end <= t;
    const outcome = ended ? one.outcome : "waits";
    rows.push(make("tr", "", make("th", "", client), make("td", "", `asks ${lanes[one.lane]}`), make("td", "", one.text),
      make("td", `outcome-${outcome}`, outcome), make("td", "", ended ? one.answer : ""), make("td", "", `since ${seconds(ended ? one.end : one.begin)}`)));
  }
  at("requests").replaceChildren(make("tbody", "", ...rows));
  at("clients").hidden = !clients.length;
}

let asked = false;

// Paints once a frame, however often it is asked to.
function paint() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paintNow();
  });
}

function paintNow() {
  if (!steps.length) return;
  const before = statesAfter(current - 1), states = copied(before);
  apply(states, steps[current]);
  drawPicture(states);
  writeStep(before);
  writeAround();
  writeLogs(states);
  writeClients();
  at("position").value = placeOf(current);
  at("position").setAttribute("aria-valuetext", `step ${current + 1}`);
  document.body.dataset.step = current;
}

// ---------------------------------------------------------------- what stays

function writeHead() {
  at("title").textContent = trace.title;
  at("facts").textContent = trace.facts.map(([label, text]) => `${label}: ${text}`).join(" \u00b7 ");
  at("notes").replaceChildren(...trace.notes.map((note) => make("li", "", note)));
  at("verdict").className = failure ? "failed" : "";
  at("verdict").append(make("strong", "", failure ? `Failed: ${failure.check}. ` : "No check failed."));
  if (!failure) return;
  if (failure.rule) at("verdict").append(make("strong", "", `${failure.source} ${failure.rule} `));
  at("verdict").append(failure.detail);
  at("failing").hidden = false;
}

function writeLegend() {
  const items = [
    ["leader", "leader"], ["candidate", "candidate"], ["pre-candidate", "pre-candidate"], ["follower", "follower"],
    ["paused", "stands still"], ["down", "down"],
    ["stroke append", "entries"], ["stroke vote", "votes"], ["stroke read", "reads, forwarded"], ["stroke snap", "snapshot"], ["stroke beat", "heartbeat"],
  ].map(([kind, text]) => make("li", "", make("i", kind), text));
  for (const text of [
    "strip below a lane: its colour is the term", "red cross: lost", "large dot: role, crash, fault",
    "requests: green = answered, yellow = outcome unknown, dashed = failed",
  ]) items.push(make("li", "", text));
  at("legend").replaceChildren(...items);
  at("log-legend").textContent = "Number and colour: term. Frame: solid = committed here, dashed = not. " +
    "\u2713 applied, ~ not on disk yet, S the snapshot ends here, \u2260 logs differ at this index, bright frame: new in this step.";
}

const KEYS = {
  ArrowLeft: () => move(-1), ArrowRight: () => move(1), PageUp: () => moveBig(-1), PageDown: () => moveBig(1),
  Home: () => go(stops[0]), End: () => go(stops.at(-1)), f: () => go(failure?.step),
  "+": () => zoom(0.5, steps[current].t), "=": () => zoom(0.5, steps[current].t), "-": () => zoom(2, steps[current].t),
  0: () => { show(trace.begin, trace.end); paint(); },
};

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    const action = KEYS[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  const buttons = { first: "Home", "previous-big": "PageUp", previous: "ArrowLeft", next: "ArrowRight", "next-big": "PageDown", last: "End", failing: "f", out: "-", in: "+", all: "0" };
  for (const [id, key] of Object.entries(buttons)) at(id).addEventListener("click", KEYS[key]);
  at("position").addEventListener("input", (event) => go(stops[Number(event.target.value)]));
  at("beats").addEventListener("change", () => { chooseStops(); paint(); });
}

function nearest(event) {
  const frame = svg.getBoundingClientRect();
  const left = event.clientX - frame.left, top = event.clientY - frame.top;
  let best, least = Infinity;
  for (const i of stops) {
    const { t, lane } = steps[i];
    if (!isVisible(t, t)) continue;
    const distance = Math.hypot(x(t) - left, lane === null ? 40 : (y(lane) - top) * 0.7);
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

function listenToPointer() {
  let drag = null;
  const timeOf = (pixels) => (pixels / (width - GUTTER)) * (view.to - view.from);
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = timeOf(event.deltaX || event.deltaY);
      show(view.from + by, view.to + by);
      return paint();
    }
    zoom(1.0015 ** event.deltaY, view.from + timeOf(event.clientX - svg.getBoundingClientRect().left - GUTTER));
  }, { passive: false });
  svg.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, from: view.from, to: view.to, moved: false };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!drag || (!drag.moved && Math.abs(event.clientX - drag.x) < 4)) return;
    drag.moved = true;
    const by = timeOf(drag.x - event.clientX);
    show(drag.from + by, drag.to + by);
    paint();
  });
  svg.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) go(nearest(event));
    drag = null;
  });
  svg.addEventListener("pointercancel", () => { drag = null; });
}

// Opens at the failing step, with the last things before it; without one, with the whole run.
function begin() {
  chooseStops();
  if (failure) {
    const place = placeOf(failure.step), t = steps[failure.step].t;
    const span = Math.min(0.5, Math.max(0.03, t - steps[stops[Math.max(0, place - 25)]].t));
    current = failure.step;
    show(t - span, t + span / 8);
  } else {
    show(trace.begin, trace.end);
  }
}

writeHead();
writeLegend();
listenToKeys();
listenToPointer();
begin();
paintNow();
window.addEventListener("resize", paint);
})();
