// What can be laid over a map, by the switch's value; another overlay is one more entry.
const OVERLAYS = { error: mapErrors, curvature: mapSigns, gradient: mapArrows, samples: mapSamples };

function mapOverlay(frame, plane, variable) {
  const draw = OVERLAYS[state.overlay];
  return draw ? [draw(frame, plane, variable)] : [];
}

// The error overlay: dots whose area is the standard error relative to the value.
function mapErrors(frame, plane, variable) {
  const group = svg("g", { "data-overlay": "error" });
  const errors = plane.fields[`${variable}_error`];
  if (!errors) return group;
  const field = plane.fields[variable], rows = plane.beta.length;
  const stride = (n) => Math.max(1, Math.ceil(n / 17));
  const places = [];
  const si = stride(plane.alpha.length), sj = stride(rows);
  for (let i = Math.ceil(si / 2); i + 1 < plane.alpha.length; i += si) {
    for (let j = Math.ceil(sj / 2); j + 1 < rows; j += sj) {
      const k = i * rows + j;
      const share = plane.status[k] === 1 ? errors[k] / Math.abs(field[k]) : NaN;
      if (Number.isFinite(share)) places.push([i, j, share]);
    }
  }
  const largest = Math.max(...places.map((p) => p[2]), 1e-12);
  const room = Math.min((frame.inner / plane.alpha.length) * si, (frame.tall / rows) * sj) / 3.4;
  for (const [i, j, share] of places) {
    group.append(svg("circle", { class: "error-dot", r: Math.max(room * Math.sqrt(share / largest), 0.8).toFixed(2),
      cx: frame.x.place(plane.alpha[i]).toFixed(1), cy: frame.y.place(plane.beta[j]).toFixed(1) }));
  }
  const text = `largest dot: \u00b1 ${numberText(100 * largest, null)} % of the ${metricName()}`;
  const wide = 6.3 * text.length + 16;
  group.append(
    svg("rect", { class: "bar-back", x: frame.box.left + 8, y: frame.box.top + 8, width: wide, height: 22, rx: 4 }),
    svg("text", { class: "bar-text", x: frame.box.left + 16, y: frame.box.top + 23 }, text));
  return group;
}

// The color bar all maps share, with the clip and the gaps named beside it.
function buildColorbar(host) {
  const draw = whenSeen(host, (width) => {
    const scale = heightScale(state);
    host.replaceChildren();
    if (!scale) return;
    const id = freshId("ramp"), left = 4, right = width - 4;
    const ramp = svg("linearGradient", { id });
    for (let k = 0; k <= 32; k++) ramp.append(svg("stop", { offset: k / 32, "stop-color": colorAt(k / 32) }));
    const drawing = svg("svg", { viewBox: `0 0 ${width} 32`, height: 32, role: "img", "aria-label": colorbarText(scale) },
      svg("defs", {}, ramp), svg("rect", { x: left, y: 0, width: right - left, height: 12, rx: 3, fill: `url(#${id})` }));
    let last = -Infinity;
    for (const level of scale.levels) {
      const t = scale.unit(scale.show(level));
      const x = left + t * (right - left);
      if (t < 0 || t > 1) continue;
      drawing.append(svg("line", { x1: x, x2: x, y1: 0, y2: 12, stroke: t < 0.5 ? "#fff" : "#101824", "stroke-opacity": 0.7 }));
      if (x - last < 42) continue;
      last = x;
      drawing.append(svg("text", { x: Math.max(12, Math.min(width - 16, x)), y: 28, "text-anchor": "middle" }, plain(level)));
    }
    host.append(drawing);
  }, (width) => host.replaceChildren(...(heightScale(state) ? [svg("svg", { viewBox: `0 0 ${width} 32`, height: 32 })] : [])));
  listen(FIELD_KEYS, () => draw());
}

const rounded = (value) => plain(Number(value.toPrecision(2)));

function colorbarText(scale) {
  return `Colors: ${metricName()} from ${rounded(scale.lowValue)} to ${rounded(scale.highValue)}, ${scale.log ? "log" : "linear"} scale`;
}

// One line on what the scale does with the extremes.
function scaleNote(scale) {
  const parts = [`${metricName()}, ${scale.log ? "log" : "linear"} scale`];
  if (page.variants) parts.push(`BatchNorm ${state.norm}; ${page.variants}`);
  if (scale.top > scale.highValue * (1 + 1e-6)) {
    parts.push(`heights and colors stop at ${rounded(scale.highValue)}; the highest point reaches ${rounded(scale.top)}`);
  }
  return parts.join("; ");
}
