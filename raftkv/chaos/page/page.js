"use strict";
// Draws the document in #run; its format is described in raftkv/chaos/page/__init__.py. Texts reach the page as
// text nodes only, never as markup.
(() => {
const run = JSON.parse(document.getElementById("run").textContent);
const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function html(name, text, kind) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function draw(name, attributes, text, title) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (title !== undefined) element.append(draw("title", {}, title));
  return element;
}

const line = (x1, y1, x2, y2, kind) => draw("line", { x1, y1, x2, y2, class: kind });
const clipped = (text, most) => (text.length > most ? `${text.slice(0, Math.max(0, most - 1))}\u2026` : text);

function table(id, head, rows) {
  const header = html("tr");
  header.append(...head.map((text) => html("th", text)));
  const thead = html("thead"), body = html("tbody");
  thead.append(header);
  for (const cells of rows) {
    const row = html("tr");
    row.append(...cells.map(([text, kind]) => html("td", text, kind)));
    body.append(row);
  }
  at(id).append(thead, body);
}

function pairs(id, list) {
  for (const [label, text] of list) {
    const group = html("div");
    group.append(html("dt", label), html("dd", text));
    at(id).append(group);
  }
}

// ---------------------------------------------------------------- what came out

at("title").textContent = run.title;
at("verdict").className = run.verdict;
at("word").textContent = run.verdict;
at("sentence").textContent = run.sentence;
at("reasons").append(...run.reasons.map((text) => html("li", text)));
pairs("facts", run.facts);
pairs("commands", run.commands);
const KINDS = { valid: "valid", invalid: "invalid", unknown: "doubt" };
const badFirst = [...run.findings].sort((a, b) => (a.verdict === "valid") - (b.verdict === "valid"));
table("findings", ["check", "verdict", "operations", "what was seen"], badFirst.map((one) =>
  [[one.model], [one.verdict, KINDS[one.verdict]], [String(one.operations), "number"], [one.text, "text"]]));
table("faults", ["fault", "targets", "from", "to", "what it did", "proof"], run.faults.map((one) =>
  [[one.kind], [one.targets], [`${one.begun.toFixed(1)} s`, "number"], [`${one.ended.toFixed(1)} s`, "number"],
    [one.detail], [one.error ? `failed: ${one.error}` : one.effects || "none"]]));

// ---------------------------------------------------------------- the run over time

const GUTTER = 136, RIGHT = 8, FAULT_ROW = 16, BAND = 90, LANE = 20, GAP = 22;
let width = 900;
const x = (t) => GUTTER + (Math.max(0, t) / (run.end || 1)) * (width - GUTTER - RIGHT);

function ticks(begin, end, room) {
  const wanted = ((end - begin) / room) * 80;
  const power = 10 ** Math.floor(Math.log10(wanted || 1));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= wanted) ?? power;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let i = Math.ceil(begin / step); i * step <= end; i++) found.push([i * step, `${(i * step).toFixed(digits)} s`]);
  return found;
}

// Faults in as few rows as leave none on top of another.
function packed(faults) {
  const ends = [];
  return faults.map((fault) => {
    let row = ends.findIndex((end) => end <= fault.begun);
    if (row < 0) row = ends.push(0) - 1;
    ends[row] = fault.ended;
    return row;
  });
}

const kinds = [...new Set(run.faults.map((fault) => fault.kind))];
const rows = packed(run.faults);

function drawFaults(svg, top) {
  run.faults.forEach((fault, i) => {
    const left = x(fault.begun), long = Math.max(2, x(fault.ended) - left), y = top + rows[i] * FAULT_ROW;
    const nothing = fault.effects ? "" : " nothing";
    svg.append(draw("rect", { x: left, y, width: long, height: FAULT_ROW - 2, class: `fault f${kinds.indexOf(fault.kind) % 6}${nothing}` },
      undefined, `${fault.kind} ${fault.targets}: ${fault.detail}\n${fault.effects || fault.error || "no effect"}`));
    if (long > 30) svg.append(draw("text", { x: left + 3, y: y + 11 }, clipped(`${fault.kind} ${fault.targets}`, long / 6.2)));
  });
}

function drawThroughput(svg, top, one) {
  const sums = one.ok.map((count, i) => count + one.unknown[i] + one.fail[i]);
  const most = Math.max(1, ...sums), y = (count) => top + BAND - (count / most) * BAND;
  one.ok.forEach((count, i) => {
    let from = 0;
    for (const [name, more] of [["ok", count], ["unknown", one.unknown[i]], ["fail", one.fail[i]]]) {
      if (more) svg.append(draw("rect", { x: x(i), y: y(from + more), width: Math.max(0.5, x(i + 1) - x(i) - 0.5), height: (more / most) * BAND, class: name }));
      from += more;
    }
  });
  frame(svg, top, "operations/s", [[most, y(most)], [0, y(0)]]);
}

function drawLatency(svg, top, one) {
  const values = [...one.p50, ...one.p99, ...one.max].filter((value) => value !== null && value > 0.5);
  const low = Math.log10(Math.max(0.5, Math.min(...values, 1e9))), high = Math.log10(Math.max(1, ...values));
  const y = (value) => top + BAND - ((Math.max(Math.log10(Math.max(value, 0.1)), low) - low) / (high - low || 1)) * BAND;
  for (const name of ["max", "p99", "p50"]) {
    let path = "", last = -2;
    one[name].forEach((value, i) => {
      if (value === null) return;
      path += `${last === i - 1 ? "L" : "M"}${x(i + 0.5).toFixed(1)} ${y(value).toFixed(1)}`;
      if (last !== i - 1) path += "h1.5";
      last = i;
    });
    svg.append(draw("path", { d: path, class: name }));
  }
  const marks = [];
  for (let power = Math.ceil(low); power <= high; power++) marks.push([10 ** power, y(10 ** power)]);
  frame(svg, top, "latency, ms", values.length ? marks : []);
}

function frame(svg, top, name, marks) {
  svg.append(line(GUTTER, top + BAND, width - RIGHT, top + BAND, "edge"), draw("text", { x: 4, y: top + 12, class: "name" }, name));
  for (const [value, y] of marks) {
    svg.append(line(GUTTER, y, width - RIGHT, y, "grid"), draw("text", { x: GUTTER - 6, y: y + 4, class: "dim end" }, String(value)));
  }
}

function drawLanes(svg, top) {
  run.lanes.forEach((lane, i) => {
    const y = top + i * LANE;
    svg.append(draw("text", { x: 4, y: y + 12, class: "name" }, clipped(lane.name, 12)));
    for (const [begin, end, role, term] of lane.stretches) {
      const left = x(begin), long = Math.max(1, x(end) - left);
      const known = ["leader", "follower", "candidate", "learner", "down", "silent"].includes(role) ? role : "silent";
      svg.append(draw("rect", { x: left, y, width: long, height: LANE - 4, class: known }, undefined, `${lane.name}: ${role} in term ${term}, ${begin} s to ${end} s`));
      if (long > 26 && term && role === "leader") svg.append(draw("text", { x: left + 3, y: y + 12 }, `term ${term}`));
    }
  });
}

function paint() {
  const svg = at("picture"), one = run.series[at("kind").selectedIndex] ?? run.series[0];
  width = Math.max(320, svg.clientWidth || 900);
  const faultRows = Math.max(1, ...rows.map((row) => row + 1));
  const faults = 18, throughput = faults + faultRows * FAULT_ROW + GAP, latency = throughput + BAND + GAP;
  const lanes = latency + BAND + GAP, bottom = lanes + run.lanes.length * LANE;
  svg.setAttribute("viewBox", `0 0 ${width} ${bottom + 22}`);
  svg.setAttribute("height", bottom + 22);
  svg.replaceChildren();
  for (const [begin, end] of run.unavailable) {
    svg.append(draw("rect", { x: x(begin), y: throughput - 4, width: Math.max(1, x(end) - x(begin)), height: BAND + 4, class: "gap" }, undefined, `nothing was acknowledged from ${begin} s to ${end} s`));
  }
  for (const [t, label] of ticks(0, run.end, width - GUTTER)) {
    const edge = x(t) > width - 24 ? "end" : "middle";
    svg.append(line(x(t), 14, x(t), bottom + 4, "grid"), draw("text", { x: x(t), y: bottom + 17, class: `dim ${edge}` }, label));
  }
  svg.append(line(x(run.work), 14, x(run.work), bottom + 4, "work"));
  svg.append(draw("text", { x: 4, y: faults + 12, class: "name" }, "faults"));
  drawFaults(svg, faults);
  drawThroughput(svg, throughput, one);
  drawLatency(svg, latency, one);
  drawLanes(svg, lanes);
  const cursor = line(-9, 14, -9, bottom, "cursor");
  svg.append(cursor);
  svg.onpointermove = (event) => {
    const place = event.clientX - svg.getBoundingClientRect().left;
    const t = ((place - GUTTER) / (width - GUTTER - RIGHT)) * run.end;
    if (t < 0 || t > run.end) return;
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    tell(t, one);
  };
}

function tell(t, one) {
  const i = Math.floor(t), ms = (value) => (value === null || value === undefined ? "-" : `${value} ms`);
  const active = run.faults.filter((fault) => fault.begun <= t && t <= fault.ended).map((fault) => fault.kind);
  at("readout").textContent = `${t.toFixed(1)} s: ${one.ok[i] ?? 0} ok, ${one.unknown[i] ?? 0} unknown, ${one.fail[i] ?? 0} turned down; `
    + `p50 ${ms(one.p50[i])}, p99 ${ms(one.p99[i])}, max ${ms(one.max[i])}; ${active.join(", ") || "no fault"}`;
}

for (const one of run.series) at("kind").append(html("option", one.name));
at("kind").addEventListener("change", paint);

for (const [kind, text] of [["ok", "acknowledged"], ["unknown", "unknown"], ["fail", "turned down"], ["p50", "p50"], ["p99", "p99"], ["max", "longest"],
  ["leader", "leader"], ["follower", "follower"], ["candidate", "knows no leader"], ["learner", "learner"], ["down", "does not run"], ["silent", "no answer"], ["gap", "nothing acknowledged for a second or more"]]) {
  const item = html("li"), sample = draw("svg", { viewBox: "0 0 18 10" });
  sample.append(["p50", "p99", "max"].includes(kind) ? line(0, 5, 18, 5, kind) : draw("rect", { x: 1, y: 1, width: 16, height: 8, class: kind }));
  item.append(sample, text);
  at("legend").append(item);
}

// ---------------------------------------------------------------- around the first wrong operation

function paintWrong() {
  const found = run.wrong;
  if (!found) return;
  at("wrong-section").hidden = false;
  at("wrong-title").textContent = found.title;
  at("wrong-text").textContent = found.text;
  const svg = at("wrong"), wide = Math.max(320, svg.clientWidth || 900), row = 22, gutter = 110;
  const bottom = 8 + found.rows.length * row, span = found.end - found.begin || 1;
  const place = (t) => gutter + (Math.min(Math.max(t - found.begin, 0), span) / span) * (wide - gutter - 6);
  svg.setAttribute("viewBox", `0 0 ${wide} ${bottom + 22}`);
  svg.setAttribute("height", bottom + 22);
  svg.replaceChildren();
  for (const [t, label] of ticks(found.begin, found.end, wide - gutter)) {
    const edge = place(t) > wide - 24 ? "end" : "middle";
    svg.append(line(place(t), 4, place(t), bottom, "grid"), draw("text", { x: place(t), y: bottom + 15, class: `dim ${edge}` }, label));
  }
  found.rows.forEach((name, i) => svg.append(draw("text", { x: 4, y: 20 + i * row }, clipped(name, 17))));
  const ordered = [...found.operations].sort((a, b) => a.wrong - b.wrong);
  for (const one of ordered) {
    const left = place(one.call), long = Math.max(2, place(one.returned ?? found.end) - left), y = 8 + one.row * row;
    const until = one.returned === null ? "no answer" : `to ${one.returned.toFixed(4)} s`;
    const text = `${one.text}, ${one.outcome}, from ${one.call.toFixed(4)} s ${until}`;
    const box = draw("rect", { x: left, y, width: long, height: row - 5, class: `op ${one.outcome}${one.wrong ? " wrong" : ""}` }, undefined, text);
    box.addEventListener("pointerenter", () => { at("wrong-said").textContent = text; });
    svg.append(box);
    if (long > 40) svg.append(draw("text", { x: left + 3, y: y + 12 }, clipped(one.text, long / 6.4)));
  }
}

// ---------------------------------------------------------------- a cycle of transactions

function paintCycle() {
  const found = run.cycle;
  if (!found) return;
  at("cycle-section").hidden = false;
  at("cycle-title").textContent = `${found.name}: a cycle of transactions`;
  at("cycle-text").textContent = found.text;
  at("cycle-nodes").replaceChildren(...found.nodes.map((text) => html("li", text)));
  const svg = at("cycle"), size = found.nodes.length, radius = 60 + 8 * size, wide = 2 * radius + 90;
  svg.setAttribute("viewBox", `0 0 ${wide} ${wide}`);
  svg.setAttribute("height", Math.min(wide, 420));
  const middle = wide / 2;
  const spot = (i) => {
    const angle = (2 * Math.PI * i) / size - Math.PI / 2;
    return [middle + radius * Math.cos(angle), middle + radius * Math.sin(angle)];
  };
  svg.replaceChildren();
  for (let i = 0; i < size; i++) {
    const [x1, y1] = spot(i), [x2, y2] = spot((i + 1) % size), long = Math.hypot(x2 - x1, y2 - y1) || 1;
    const ux = (x2 - x1) / long, uy = (y2 - y1) / long, bend = size === 2 ? 24 : 0;
    const [ax, ay, bx, by] = [x1 + ux * 18, y1 + uy * 18, x2 - ux * 18, y2 - uy * 18];
    svg.append(draw("path", { d: `M${ax} ${ay}Q${(ax + bx) / 2 - uy * bend} ${(ay + by) / 2 + ux * bend} ${bx} ${by}`, class: "arrow" }));
    svg.append(draw("path", { d: `M${bx} ${by}l${-ux * 9 - uy * 5} ${-uy * 9 + ux * 5}l${uy * 10} ${-ux * 10}z`, class: "head" }));
  }
  found.nodes.forEach((text, i) => {
    const [cx, cy] = spot(i);
    svg.append(draw("circle", { cx, cy, r: 16, class: "node" }, undefined, text), draw("text", { x: cx, y: cy + 4, class: "middle name" }, `T${i + 1}`));
  });
}

function paintAll() {
  paint();
  paintWrong();
  paintCycle();
}

window.addEventListener("resize", paintAll);
paintAll();
})();
