// A run while it goes on: asks for figures once a second, draws them, and gives way to the report when there is one.
"use strict";
(() => {
  const WIDTH = 1000, HEIGHT = 180, LEFT = 46, BOTTOM = 160, TOP = 8;
  const svg = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const byId = (id) => document.getElementById(id);

  // Draws axes and fault bands, and returns how moments and values become places.
  const frame = (root, look, most, unit) => {
    const end = Math.max(look.seconds, look.bins.length * look.step, 1);
    const x = (seconds) => LEFT + (WIDTH - LEFT) * Math.min(seconds / end, 1);
    const y = (value) => BOTTOM - (BOTTOM - TOP) * (value / most);
    root.replaceChildren();
    for (const fault of look.faults) {
      if (fault.outcome.startsWith("skipped")) continue;
      const from = x(fault.from), to = x(fault.to ?? end);
      const band = svg("rect", { class: "band " + fault.family, x: from, y: TOP, width: Math.max(to - from, 1), height: BOTTOM - TOP });
      band.append(svg("title", {}, fault.text));
      root.append(band);
    }
    root.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: BOTTOM, y2: BOTTOM }));
    root.append(svg("text", { x: 0, y: TOP + 10 }, most.toPrecision(3) * 1 + " " + unit));
    root.append(svg("text", { x: LEFT, y: HEIGHT - 4 }, "0 s"));
    root.append(svg("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, end.toFixed(0) + " s"));
    return { x, y };
  };

  const rate = (look) => {
    const most = Math.max(1, ...look.bins.map((bin) => (bin.ok + bin.fail + bin.info) / look.step));
    const root = byId("rate"), place = frame(root, look, most, "/s");
    look.bins.forEach((bin, n) => {
      let below = 0;
      for (const kind of ["ok", "fail", "info"]) {
        const from = place.x(n * look.step), to = place.x((n + 1) * look.step);
        const low = place.y(below / look.step), high = place.y((below + bin[kind]) / look.step);
        below += bin[kind];
        if (low > high) root.append(svg("rect", { class: kind, x: from, y: high, width: Math.max(to - from - 0.5, 0.5), height: low - high }));
      }
    });
  };

  const latency = (look) => {
    const most = Math.max(1, ...look.bins.map((bin) => bin.p99 ?? 0));
    const root = byId("latency"), place = frame(root, look, most, "ms");
    for (const name of ["p50", "p99"]) {
      let path = "", pen = "M";
      look.bins.forEach((bin, n) => {
        if (bin[name] === null) { pen = "M"; return; }
        path += pen + place.x((n + 0.5) * look.step).toFixed(1) + " " + place.y(bin[name]).toFixed(1);
        pen = "L";
      });
      root.append(svg("path", { class: name, d: path }));
    }
  };

  const faults = (look) => {
    const rows = look.faults.slice(-30).reverse().map((fault) => {
      const row = document.createElement("tr");
      const to = fault.to === null ? "in force" : fault.to.toFixed(3) + " s";
      for (const text of [fault.text, fault.from.toFixed(3) + " s", to, fault.outcome]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    });
    byId("faults").replaceChildren(...rows);
  };

  const state = (look) => {
    const sum = (kind) => look.bins.reduce((all, bin) => all + bin[kind], 0);
    let says = look.state + ", " + look.seconds.toFixed(1) + " s" + (look.limit ? " of " + look.limit : "");
    says += ": " + sum("ok") + " ok, " + sum("fail") + " fail, " + sum("info") + " info";
    if (look.state === "running" && look.silent > 10) says += "; nothing was recorded for " + look.silent.toFixed(0) + " s: it is being judged, or was cut off";
    if (look.why) says += "; " + look.why;
    byId("state").textContent = says;
    document.title = says + " · squall";
  };

  const ask = async () => {
    let wait = 1000;
    try {
      const answer = await fetch(document.body.dataset.from);
      if (!answer.ok) throw new Error(await answer.text());
      const look = await answer.json();
      if (look.judged && look.state !== "running") { location.reload(); return; }
      for (const draw of [state, rate, latency, faults]) draw(look);
    } catch (error) {
      byId("state").textContent = "No answer: " + error.message;
      wait = 5000;
    }
    setTimeout(ask, wait);
  };
  ask();
})();
