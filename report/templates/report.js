// Draws the whole run on one canvas: who led, the indices of each node, every operation, latency and rate, with the faults
// behind them. Reads the data that stands in the page, and asks nobody for more.
"use strict";
(() => {
  const canvas = document.getElementById("run-canvas");
  const source = document.getElementById("run-data");
  if (!canvas || !source) return;
  const run = JSON.parse(source.textContent);
  if (!run) return;
  const tip = document.getElementById("run-tip");
  const says = document.getElementById("run-says");

  // --- the operations, unpacked -----------------------------------------------------------------------------------
  function unpack(packed, count) {
    const text = atob(packed);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    let at = 0;
    const varint = () => {
      let value = 0, scale = 1, byte;
      do { byte = bytes[at++]; value += (byte & 127) * scale; scale *= 128; } while (byte & 128);
      return value;
    };
    const ops = {
      from: new Float64Array(count), to: new Float64Array(count), f: new Uint8Array(count), outcome: new Uint8Array(count),
      node: new Uint8Array(count), process: new Float64Array(count), line: new Uint32Array(count), row: new Uint16Array(count),
    };
    let time = 0, line = 0;
    for (let i = 0; i < count; i++) {
      time += varint();
      const took = varint(), kind = bytes[at++];
      ops.from[i] = time / 1e6;
      ops.to[i] = took ? (time + took - 1) / 1e6 : Infinity;
      ops.f[i] = kind & 31;
      ops.outcome[i] = kind >> 5;
      ops.node[i] = bytes[at++];
      ops.process[i] = varint();
      line += varint();
      ops.line[i] = line;
    }
    return ops;
  }

  // A process that was left in doubt never asks again, so the next new one takes its row.
  function rows(ops, count) {
    const last = new Map();
    for (let i = 0; i < count; i++) last.set(ops.process[i], i);
    const row = new Map(), free = [];
    let most = 0;
    for (let i = 0; i < count; i++) {
      const process = ops.process[i];
      if (!row.has(process)) row.set(process, free.length ? free.pop() : most++);
      ops.row[i] = row.get(process);
      if (last.get(process) === i) free.push(row.get(process));
    }
    return most;
  }

  const count = run.ops.here;
  const ops = unpack(run.ops.packed, count);
  const rowCount = Math.max(1, rows(ops, count));
  const core = new Set(run.ops.core);
  // How long an operation may reach back into the view: answers take less than this for all but a few.
  let longest = 0;
  for (let i = 0; i < count; i++) if (ops.to[i] !== Infinity) longest = Math.max(longest, ops.to[i] - ops.from[i]);
  let topIndex = 1;
  for (const node of run.nodes) for (const [, index] of node.commit) topIndex = Math.max(topIndex, index);
  for (const node of run.nodes) for (const [, index] of node.applied) topIndex = Math.max(topIndex, index);

  // --- what is seen -----------------------------------------------------------------------------------------------
  const LEFT = 84, RIGHT = 12, LANE = 30;
  const OPS_ROW = Math.max(2, Math.min(11, Math.floor(260 / rowCount)));
  const tracks = [];
  let height = 22;
  const track = (name, size) => { tracks.push({ name, top: height, size }); height += size + 14; return tracks[tracks.length - 1]; };
  const laneTrack = track("nodes", run.nodes.length * LANE);
  const opsTrack = track("operations", rowCount * OPS_ROW);
  const latencyTrack = track("latency", 110);
  const rateTrack = track("rate", 80);
  height += 8;

  const whole = { from: 0, to: Math.max(run.end, 0.001) };
  let view = { ...whole };
  let colours = {}, dark = false, width = 0, ratio = 1, wanted = 0;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["bg", "fg", "soft", "line", "ok", "fail", "info", "bad", "kill", "pause", "partition", "leader", "candidate", "follower", "commit", "other"])
      colours[name] = style.getPropertyValue("--" + name).trim() || "#888";
    dark = matchMedia("(prefers-color-scheme: dark)").matches;
  }

  const x = (seconds) => LEFT + (seconds - view.from) / (view.to - view.from) * (width - LEFT - RIGHT);
  const seconds = (px) => view.from + (px - LEFT) / (width - LEFT - RIGHT) * (view.to - view.from);
  const clip = (px) => Math.max(LEFT, Math.min(width - RIGHT, px));
  const format = (value, span) => value.toFixed(span < 0.02 ? 5 : span < 2 ? 3 : span < 20 ? 2 : 1) + " s";

  function show(from, to) {
    const least = 0.0002;
    if (to - from < least) { const middle = (from + to) / 2; from = middle - least / 2; to = middle + least / 2; }
    const span = Math.min(to - from, whole.to - whole.from);
    from = Math.max(whole.from, Math.min(from, whole.to - span));
    view = { from, to: from + span };
    later();
  }
  const zoom = (factor, about = (view.from + view.to) / 2) =>
    show(about - (about - view.from) * factor, about + (view.to - about) * factor);
  const pan = (part) => { const by = (view.to - view.from) * part; show(view.from + by, view.to + by); };
  const later = () => { if (!wanted) wanted = requestAnimationFrame(() => { wanted = 0; draw(); }); };

  // Returns the first operation that begins at or after a moment.
  function firstFrom(moment) {
    let low = 0, high = count;
    while (low < high) { const middle = (low + high) >> 1; if (ops.from[middle] < moment) low = middle + 1; else high = middle; }
    return low;
  }

  // --- drawing ----------------------------------------------------------------------------------------------------
  function draw() {
    ratio = Math.min(devicePixelRatio || 1, 2);
    width = Math.max(320, canvas.parentElement.clientWidth);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.bg;
    pen.fillRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    drawFaults(pen);
    drawAxis(pen);
    drawLanes(pen);
    drawOps(pen);
    drawLatency(pen);
    drawRate(pen);
    drawMoment(pen);
    const span = view.to - view.from;
    says.textContent = `${format(view.from, span)} to ${format(view.to, span)}, ${format(span, span)} of ${format(whole.to, whole.to)}`;
    canvas.setAttribute("aria-label", "The whole run over time; shown: " + says.textContent);
  }

  const familyColour = (family) => colours[family] || colours.other;

  function drawFaults(pen) {
    for (const fault of run.faults) {
      if (fault.to < view.from || fault.from > view.to) continue;
      const left = clip(x(fault.from)), right = clip(x(fault.to));
      pen.fillStyle = familyColour(fault.family);
      pen.globalAlpha = 0.13;
      pen.fillRect(left, 18, Math.max(1, right - left), height - 40);
      pen.globalAlpha = 1;
      pen.fillRect(left, 14, Math.max(1, right - left), 3);
      if (right - left > 46) { pen.save(); pen.beginPath(); pen.rect(left, 0, right - left, 14); pen.clip(); pen.textAlign = "left"; pen.fillStyle = colours.fg; pen.fillText(fault.text, left + 2, 8); pen.restore(); }
    }
  }

  function drawAxis(pen) {
    const span = view.to - view.from, raw = span / Math.max(3, width / 130);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => power * factor >= raw);
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    pen.strokeStyle = colours.line;
    pen.fillStyle = colours.soft;
    pen.textAlign = "center";
    pen.lineWidth = 0.7;
    pen.beginPath();
    for (let n = Math.ceil(view.from / step); n * step <= view.to; n++) {
      const at = x(n * step);
      pen.moveTo(at, 18); pen.lineTo(at, height - 20);
      pen.fillText((n * step).toFixed(digits) + " s", at, height - 10);
    }
    pen.stroke();
  }

  function label(pen, text, y) {
    pen.fillStyle = colours.soft;
    pen.textAlign = "right";
    pen.fillText(text.length > 12 ? text.slice(0, 11) + "…" : text, LEFT - 8, y);
  }

  function drawLanes(pen) {
    run.nodes.forEach((node, n) => {
      const top = laneTrack.top + n * LANE;
      label(pen, node.name, top + 8);
      for (const [from, until, role, term] of node.roles) {
        const to = until < 0 ? whole.to : until;
        if (to < view.from || from > view.to) continue;
        const left = clip(x(from)), right = clip(x(to));
        pen.fillStyle = role === "l" ? colours.leader : role === "c" ? colours.candidate : colours.follower;
        // Height tells the role as well as colour does.
        pen.fillRect(left, top + (role === "l" ? 1 : role === "c" ? 4 : 6), Math.max(0.6, right - left), role === "l" ? 14 : role === "c" ? 9 : 4);
        if (role === "l" && right - left > 16) {
          pen.fillStyle = "#fff"; pen.textAlign = "center";
          pen.fillText(right - left > 60 ? "term " + term : term, (left + right) / 2, top + 8.5);
        }
      }
      index(pen, node.commit, top, colours.commit, []);
      index(pen, node.applied, top, colours.soft, [3, 2]);
      pen.fillStyle = colours.fg;
      for (const at of node.boots.slice(1)) if (at >= view.from && at <= view.to) pen.fillRect(x(at) - 1, top, 2, LANE - 3);
      for (const [at] of node.snapshots) {
        if (at < view.from || at > view.to) continue;
        pen.beginPath(); pen.moveTo(x(at), top + 17); pen.lineTo(x(at) + 4, top + 24); pen.lineTo(x(at) - 4, top + 24); pen.fill();
      }
    });
  }

  // An index over time, as a line that rises through the lane of its node.
  function index(pen, points, top, colour, dash) {
    if (!points.length) return;
    const y = (value) => top + LANE - 3 - value / topIndex * (LANE - 18);
    pen.strokeStyle = colour; pen.lineWidth = 1.3; pen.setLineDash(dash);
    pen.beginPath();
    let before = null;
    for (const [at, value] of points) {
      if (at < view.from) { before = value; continue; }
      if (before === null && pen.begun !== points) { pen.moveTo(clip(x(at)), y(value)); }
      else if (pen.begun !== points) { pen.moveTo(LEFT, y(before)); pen.lineTo(clip(x(at)), y(before)); }
      pen.begun = points;
      pen.lineTo(clip(x(at)), y(before === null ? value : before));
      pen.lineTo(clip(x(at)), y(value));
      before = value;
      if (at > view.to) break;
    }
    if (pen.begun !== points && before !== null) { pen.moveTo(LEFT, y(before)); pen.lineTo(width - RIGHT, y(before)); }
    pen.begun = null;
    pen.stroke(); pen.setLineDash([]);
  }

  function drawOps(pen) {
    label(pen, "operations", opsTrack.top + 8);
    const paint = [colours.ok, colours.fail, colours.info];
    const begin = firstFrom(view.from - longest);
    for (let pass = 0; pass < 3; pass++) {
      pen.fillStyle = paint[pass];
      for (let i = pass === 2 ? 0 : begin; i < count && ops.from[i] <= view.to; i++) {
        if (ops.outcome[i] !== pass || (ops.to[i] < view.from)) continue;
        const left = clip(x(ops.from[i])), right = clip(x(Math.min(ops.to[i], whole.to)));
        const top = opsTrack.top + ops.row[i] * OPS_ROW;
        // In doubt is thinner, failed has a gap above: shape tells what colour tells.
        const inset = pass === 2 ? OPS_ROW * 0.35 : pass === 1 ? OPS_ROW * 0.15 : 0;
        pen.fillRect(left, top + inset, Math.max(0.8, right - left), OPS_ROW - 1 - 2 * inset);
      }
    }
    pen.strokeStyle = colours.bad; pen.lineWidth = 2;
    if (core.size) for (let i = begin; i < count && ops.from[i] <= view.to; i++) {
      if (!core.has(ops.line[i]) || ops.to[i] < view.from) continue;
      const left = clip(x(ops.from[i])), right = clip(x(Math.min(ops.to[i], whole.to)));
      pen.strokeRect(left - 2, opsTrack.top + ops.row[i] * OPS_ROW - 2, Math.max(4, right - left + 4), OPS_ROW + 3);
    }
    if (run.ops.texts.length) drawTexts(pen, begin);
  }

  // Names the operations where there is room for it.
  function drawTexts(pen, begin) {
    if (OPS_ROW < 9) return;
    pen.textAlign = "left"; pen.fillStyle = dark ? "#000" : "#fff"; pen.font = "9px system-ui, sans-serif";
    for (let i = begin; i < count && ops.from[i] <= view.to; i++) {
      const left = clip(x(ops.from[i])), right = clip(x(Math.min(ops.to[i], whole.to)));
      if (right - left < 40 || ops.outcome[i] === 2 || ops.to[i] < view.from) continue;
      pen.save(); pen.beginPath(); pen.rect(left, opsTrack.top + ops.row[i] * OPS_ROW, right - left - 2, OPS_ROW); pen.clip();
      pen.fillText(run.ops.texts[i], left + 2, opsTrack.top + ops.row[i] * OPS_ROW + OPS_ROW / 2 - 0.5);
      pen.restore();
    }
    pen.font = "11px system-ui, sans-serif";
  }

  const LEAST_MS = 0.05;
  function drawLatency(pen) {
    const { top, size } = latencyTrack, most = Math.max(1, longest * 1000);
    const y = (ms) => top + size - Math.log10(Math.max(ms, LEAST_MS) / LEAST_MS) / Math.log10(most / LEAST_MS) * size;
    label(pen, "latency", top + 6);
    pen.strokeStyle = colours.line; pen.lineWidth = 0.7;
    for (let ms = 0.1; ms <= most; ms *= 10) {
      pen.beginPath(); pen.moveTo(LEFT, y(ms)); pen.lineTo(width - RIGHT, y(ms)); pen.stroke();
      if (y(ms) > top + 14) label(pen, ms >= 1000 ? ms / 1000 + " s" : +ms.toPrecision(1) + " ms", y(ms));
    }
    const begin = firstFrom(view.from - longest), paint = [colours.ok, colours.fail, colours.info];
    let end = begin;
    while (end < count && ops.from[end] <= view.to) end++;
    const every = Math.max(1, Math.floor((end - begin) / 30000));
    const dot = end - begin > 5000 ? 1.6 : 2.6;
    pen.globalAlpha = end - begin > 5000 ? 0.35 : 0.75;
    for (let i = begin; i < end; i += every) {
      if (ops.to[i] === Infinity || ops.to[i] < view.from || ops.to[i] > view.to) continue;
      pen.fillStyle = paint[ops.outcome[i]];
      const px = x(ops.to[i]), py = y((ops.to[i] - ops.from[i]) * 1000);
      if (ops.outcome[i] === 0) pen.fillRect(px - dot / 2, py - dot / 2, dot, dot);
      else if (ops.outcome[i] === 1) { pen.fillRect(px - 2.5, py - 0.5, 5, 1); }
      else { pen.fillRect(px - 2.5, py - 0.5, 5, 1); pen.fillRect(px - 0.5, py - 2.5, 1, 5); }
    }
    pen.globalAlpha = 1;
    curve(pen, run.bins.p50, (us) => y(us / 1000), colours.fg, [], true);
    curve(pen, run.bins.p99, (us) => y(us / 1000), colours.fg, [4, 3], true);
  }

  function drawRate(pen) {
    const { top, size } = rateTrack, step = run.bins.step;
    // As many bins together as make a column of two pixels.
    const group = Math.max(1, Math.round(2 * (view.to - view.from) / (width - LEFT - RIGHT) / step));
    const sum = (bins) => {
      const sums = [];
      for (let i = 0; i < bins.length; i += group) { let n = 0; for (let k = i; k < Math.min(bins.length, i + group); k++) n += bins[k]; sums.push(n / step / group); }
      return sums;
    };
    const curves = [sum(run.bins.ok), sum(run.bins.fail), sum(run.bins.info)];
    let most = 1;
    const first = Math.floor(view.from / step / group), last = Math.ceil(view.to / step / group);
    for (const values of curves) for (let i = Math.max(0, first); i < Math.min(values.length, last); i++) most = Math.max(most, values[i]);
    const y = (value) => top + size - value / most * size;
    label(pen, "rate", top + 2);
    label(pen, Math.round(most) + " /s", top + 14);
    label(pen, "0 /s", top + size - 4);
    [[colours.ok, []], [colours.fail, [5, 3]], [colours.info, [2, 2]]].forEach(([colour, dash], n) => curve(pen, curves[n], y, colour, dash, false, step * group));
    pen.fillStyle = colours.bad;
    for (const [from, to] of run.gaps) {
      if (to < view.from || from > view.to) continue;
      pen.fillRect(clip(x(from)), top + size, clip(x(to)) - clip(x(from)), 4);
    }
  }

  function curve(pen, values, y, colour, dash, gaps, step = run.bins.step) {
    pen.strokeStyle = colour; pen.lineWidth = 1.2; pen.setLineDash(dash);
    pen.beginPath();
    let open = false;
    const begin = Math.max(0, Math.floor(view.from / step) - 1), end = Math.min(values.length, Math.ceil(view.to / step) + 1);
    for (let i = begin; i < end; i++) {
      if (gaps && !values[i]) { open = false; continue; }
      const px = x((i + 0.5) * step);
      if (px < LEFT || px > width - RIGHT) continue;
      if (open) pen.lineTo(px, y(values[i])); else pen.moveTo(px, y(values[i]));
      open = true;
    }
    pen.stroke(); pen.setLineDash([]);
  }

  function drawMoment(pen) {
    if (!run.moment) return;
    pen.strokeStyle = colours.bad; pen.lineWidth = 1.4;
    const at = run.moment[1];
    if (at < view.from || at > view.to) return;
    pen.setLineDash([2, 3]); pen.beginPath(); pen.moveTo(x(at), 18); pen.lineTo(x(at), height - 20); pen.stroke(); pen.setLineDash([]);
  }

  // --- asking and moving --------------------------------------------------------------------------------------------
  function describe(px, py) {
    const at = seconds(px);
    if (px < LEFT) return "";
    const lines = [];
    if (py >= opsTrack.top && py < opsTrack.top + opsTrack.size) {
      const row = Math.floor((py - opsTrack.top) / OPS_ROW), slack = (view.to - view.from) / width * 3;
      let best = -1;
      for (let i = firstFrom(at - longest - slack); i < count && ops.from[i] <= at + slack; i++)
        if (ops.row[i] === row && ops.to[i] >= at - slack) best = i;
      if (best >= 0) {
        const took = ops.to[best] === Infinity ? "never answered" : ((ops.to[best] - ops.from[best]) * 1000).toFixed(2) + " ms";
        const node = ops.node[best] ? " at " + run.nodes[ops.node[best] - 1].name : "";
        const what = run.ops.texts[best] || run.ops.functions[ops.f[best]] + " " + ["ok", "failed", "in doubt"][ops.outcome[best]];
        lines.push(`process ${ops.process[best]}${node}: ${what}`, `${ops.from[best].toFixed(6)} s, ${took}, history.jsonl:${ops.line[best]}`);
      }
    }
    if (py >= laneTrack.top && py < laneTrack.top + laneTrack.size) {
      const node = run.nodes[Math.floor((py - laneTrack.top) / LANE)];
      const role = node && node.roles.findLast(([from, to]) => from <= at && (to < 0 || at <= to));
      const last = (points) => { const p = points.findLast(([t]) => t <= at); return p ? p[1] : "?"; };
      if (node) lines.push(`${node.name}: ${role ? { l: "leader", c: "candidate", f: "follower" }[role[2]] + ", term " + role[3] : "down or silent"}; commit ${last(node.commit)}, applied ${last(node.applied)}`);
    }
    for (const fault of run.faults) if (fault.from <= at && at <= fault.to) lines.push("fault: " + fault.text);
    lines.unshift(at.toFixed(4) + " s");
    return lines.slice(0, 8).join("\n");
  }

  let drag = null;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => { drag = { px: place(event)[0], ...view, select: event.shiftKey }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = place(event);
    if (drag && !drag.select) {
      const by = (drag.px - px) / (width - LEFT - RIGHT) * (drag.to - drag.from);
      show(drag.from + by, drag.to + by);
    }
    tip.textContent = describe(px, py);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && drag.select) { const a = seconds(drag.px), b = seconds(place(event)[0]); if (Math.abs(a - b) > 0) show(Math.min(a, b), Math.max(a, b)); }
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => { tip.textContent = ""; });
  canvas.addEventListener("dblclick", (event) => zoom(0.25, seconds(place(event)[0])));
  canvas.addEventListener("wheel", (event) => {
    // A page that is scrolled past must scroll: the wheel zooms once the drawing was clicked, or with Ctrl.
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, seconds(place(event)[0]));
  }, { passive: false });

  const first = () => run.moment && show(run.moment[1] - 0.15, run.moment[1] + 0.1);
  const keys = {
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => show(whole.from, whole.to),
    ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), Home: () => show(whole.from, whole.from + view.to - view.from),
    End: () => show(whole.to - (view.to - view.from), whole.to), e: first,
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const [id, act] of [["run-in", keys["+"]], ["run-out", keys["-"]], ["run-whole", keys["0"]], ["run-first", first]]) {
    const button = document.getElementById(id);
    if (button) button.addEventListener("click", act);
  }

  // `#t=12.4` shows that moment.
  function follow() {
    const moment = /^#t=([0-9.]+)$/.exec(location.hash);
    if (!moment) return;
    const at = Math.min(Number(moment[1]), whole.to), half = Math.min(0.25, whole.to / 8);
    if (!Number.isFinite(at)) return;
    show(at - half, at + half);
    canvas.scrollIntoView({ block: "center" });
  }
  addEventListener("hashchange", follow);
  addEventListener("resize", later);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
  // On paper everything is open, and the drawing is as wide as the page and light.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((one) => { one.open = true; });
    readColours(); draw();
  });
  addEventListener("afterprint", () => { closed.forEach((one) => { one.open = false; }); readColours(); draw(); });

  readColours();
  draw();
  follow();
})();
