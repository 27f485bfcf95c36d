// A small chart: two axes, curves, bands, points with whiskers, a guide under the pointer.
// spec: { x: {label, low, high, kind}, y: {...}, layers: [...], onPick, tip, guide }
const CHART_MARGIN = { left: 62, right: 16, top: 12, bottom: 46 };

const chartHeight = (width) => Math.max(220, Math.min(320, width * 0.55));

function buildChart(host, specOf, heightOf = chartHeight) {
  const drawing = svg("svg", { "aria-hidden": "true" });
  const tip = el("div", { class: "tip", hidden: "" });
  host.classList.add("chart");
  host.append(drawing, tip);
  const chart = { host, drawing, tip, heightOf, spec: null, frame: null };
  const hold = (width) => drawing.setAttribute("viewBox", viewBoxOf({ width, height: heightOf(width) }));
  chart.redraw = whenSeen(host, (width) => drawChart(chart, specOf(width), width), hold);
  bindChart(chart);
  return chart;
}

function drawChart(chart, spec, width) {
  chart.spec = spec;
  chart.drawing.replaceChildren();
  if (!spec) return;
  const margin = { ...CHART_MARGIN, ...spec.margin };
  const height = chart.heightOf(width);
  const box = { left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
  const x = axisScale(spec.x.kind, spec.x.low, spec.x.high, box.left, box.right, spec.x.within);
  const y = axisScale(spec.y.kind, spec.y.low, spec.y.high, box.bottom, box.top);
  const frame = (chart.frame = { box, width, height, x, y });
  const clip = freshId("clip");
  const inside = svg("g", { "clip-path": `url(#${clip})` });
  const over = svg("g");
  chart.drawing.setAttribute("viewBox", viewBoxOf(frame));
  chart.drawing.append(
    svg("clipPath", { id: clip }, svg("rect", { x: box.left, y: box.top - 2, width: box.right - box.left, height: box.bottom - box.top + 4 })),
    chartAxes(frame, spec), inside, over);
  for (const layer of spec.layers) LAYERS[layer.type](frame, layer, inside, over);
  chart.guide = svg("g");
  chart.drawing.append(chart.guide);
  if (spec.guide) spec.guide(frame, chart.guide);
}

function chartAxes(frame, spec) {
  const { box, x, y } = frame, group = svg("g");
  for (const t of y.ticks(5)) {
    const at = y.place(t);
    group.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }),
      svg("text", { x: box.left - 8, y: at, dy: "0.35em", "text-anchor": "end" }, plain(t)));
  }
  for (const t of roomyTicks(spec.x.ticks ?? x.ticks(frame.width < 420 ? 4 : 7), x)) {
    const at = x.place(t);
    group.append(svg("line", { class: "tick", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 5 }),
      svg("text", { x: at, y: box.bottom + 19, "text-anchor": "middle" }, plain(t)));
  }
  if (spec.zero) group.append(svg("line", { class: "zero", x1: x.place(0), x2: x.place(0), y1: box.top, y2: box.bottom }));
  group.append(
    svg("text", { class: "axis-name", x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" }, fittingName(spec.x.label, frame.width - 24)),
    svg("text", { class: "axis-name", "text-anchor": "middle",
      transform: `translate(13 ${(box.top + box.bottom) / 2}) rotate(-90)` }, spec.y.label));
  return group;
}

// An axis name without its first words where they do not fit.
function fittingName(name, width) {
  return 7.4 * name.length > width ? name.replace(/^distance along (the )?/, "") : name;
}

// The ticks whose labels do not touch; zero first, then the largest.
function roomyTicks(ticks, scale) {
  const kept = [];
  const half = (t) => 3.8 * plain(t).length + 4;
  const order = [...ticks].sort((a, b) => (a === 0 ? -1 : b === 0 ? 1 : Math.abs(b) - Math.abs(a)));
  for (const t of order) {
    if (kept.every((k) => Math.abs(scale.place(k) - scale.place(t)) > half(k) + half(t))) kept.push(t);
  }
  return kept;
}

// On a log axis what lies below it is drawn at its lower end.
const placed = (scale, values) => Array.from(values, (v) => {
  if (!Number.isFinite(v)) return NaN;
  return scale.place(scale.kind === "log" ? Math.max(v, scale.low) : v);
});

const LAYERS = {
  line(frame, layer, inside) {
    const d = brokenPath(placed(frame.x, layer.x), placed(frame.y, layer.y));
    inside.append(svg("path", { d, class: `curve ${layer.class ?? ""}`, "stroke-dasharray": layer.dash ?? "" }));
  },
  band(frame, layer, inside) {
    const x = placed(frame.x, layer.x), low = placed(frame.y, layer.low), high = placed(frame.y, layer.high);
    let run = [];
    const flush = () => {
      if (run.length > 1) {
        const edge = [...run.map((k) => [x[k], high[k]]), ...run.reverse().map((k) => [x[k], low[k]])];
        inside.append(svg("path", { d: `${pathOf(edge)}Z`, class: layer.class ?? "band" }));
      }
      run = [];
    };
    for (let k = 0; k < x.length; k++) {
      if ([x[k], low[k], high[k]].every(Number.isFinite)) run.push(k);
      else flush();
    }
    flush();
  },
  points(frame, layer, inside, over) {
    const x = placed(frame.x, layer.x), y = placed(frame.y, layer.y);
    x.forEach((at, k) => {
      const group = svg("g", { class: layer.classes?.[k] ?? layer.class ?? "" });
      if (layer.error) {
        const [a, b] = [-1, 1].map((s) => frame.y.place(layer.y[k] + s * layer.error[k]));
        group.append(svg("path", { class: "whisker", fill: "none", d: `M${at} ${a}V${b}M${at - 4} ${a}h8M${at - 4} ${b}h8` }));
      }
      group.append(layer.square?.[k]
        ? svg("rect", { class: "point", x: at - 4, y: y[k] - 4, width: 8, height: 8 })
        : svg("circle", { class: "point", cx: at, cy: y[k], r: 4.5 }));
      over.append(group);
    });
  },
  missing(frame, layer, inside, over) {
    const y = frame.box.top + 6;
    for (const v of layer.x) {
      const at = frame.x.place(v);
      over.append(svg("path", { class: `cross-mark ${layer.class ?? ""}`, d: `M${at - 3} ${y - 3}l6 6m0 -6l-6 6` }));
    }
  },
  labels(frame, layer, inside, over) {
    for (const { x, y, text, anchor, dx, dy, className } of layer.items) {
      over.append(svg("text", { class: className ?? "direct", x: frame.x.place(x) + (dx ?? 0), y: frame.y.place(y) + (dy ?? 0),
        "text-anchor": anchor ?? "start" }, text));
    }
  },
  // Numbers above a curve, from the largest down, as long as they do not touch.
  peaks(frame, layer, inside, over) {
    let last = Infinity;
    for (const { x, text } of layer.items) {
      const at = frame.x.place(x), half = 3.6 * text.length;
      if (last - at < 2 * half + 8) continue;
      last = at;
      const inner = Math.max(frame.box.left + half, Math.min(frame.box.right - half, at));
      const y = layer.above(frame.x.back(inner - half), frame.x.back(inner + half)); // clear of the curve below
      over.append(svg("text", { class: "named", x: inner, y: frame.y.place(y) - 10, "text-anchor": "middle" }, text));
    }
  },
  marks(frame, layer, inside, over) {
    for (const v of layer.x) {
      const at = frame.x.place(v), y = frame.box.bottom;
      over.append(svg("path", { class: `point ${v < 0 ? "minus" : "plus"}`, d: `M${at} ${y - 9}l5 9h-10Z` }));
    }
  },
};

function bindChart(chart) {
  const move = (event, click) => {
    const { spec, frame, tip, drawing } = chart;
    if (!spec || !frame) return;
    const bounds = drawing.getBoundingClientRect();
    const px = ((event.clientX - bounds.left) * frame.width) / bounds.width;
    const inside = px >= frame.box.left - 4 && px <= frame.box.right + 4;
    const value = frame.x.back(px);
    if (inside && spec.onPick) spec.onPick(value, click);
    const found = inside && spec.tip ? spec.tip(value) : null;
    tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren(...found.lines.map((line) => el("div", {}, line)));
    const half = tip.offsetWidth / 2;
    tip.style.left = `${Math.max(half, Math.min(frame.width - half, frame.x.place(found.x)))}px`;
    tip.style.top = `${frame.box.top + 4}px`;
    tip.style.transform = "translate(-50%, -100%)";
  };
  chart.host.addEventListener("pointermove", (event) => move(event, false));
  chart.host.addEventListener("click", (event) => move(event, true));
  chart.host.addEventListener("pointerleave", () => (chart.tip.hidden = true));
}

// The range of finite values, widened a little; positive on a log axis.
function rangeOf(arrays, kind) {
  let low = Infinity, high = -Infinity;
  for (const values of arrays) {
    for (const v of values) {
      if (!Number.isFinite(v) || (kind === "log" && !(v > 0))) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  if (!(high >= low)) return { low: kind === "log" ? 0.1 : 0, high: 1, kind };
  if (kind === "log") return { low: low / 1.25, high: Math.max(high * 1.25, low * 1.6), kind };
  const pad = (high - low || Math.abs(high) || 1) * 0.05;
  return { low: low - pad, high: high + pad, kind };
}
