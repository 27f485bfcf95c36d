// The figure of one model's surface, as plain data for the 3-D library.
const INK_DARK = "#17212b";

function surfaceFigure(model, frame) {
  const plane = shownPlane(model), scale = heightScale(state);
  if (!plane || !scale) return null;
  const rows = plane.beta.length;
  const shown = shownValues(plane, variableOf(state.metric, state.split), scale);
  const top = Math.max(scale.to, scale.from + 1e-9);
  const height = (i, j) => {
    const u = shown[i * rows + j];
    return Number.isFinite(u) ? Math.max(scale.from, Math.min(top, u)) : null;
  };
  const z = Array.from({ length: rows }, (_, j) => Array.from(plane.alpha, (_, i) => height(i, j)));
  const traces = [
    {
      type: "surface", x: Array.from(plane.alpha), y: Array.from(plane.beta), z, showscale: false,
      cmin: scale.from, cmax: top, colorscale: page.colormap.map((c, k, all) => [k / (all.length - 1), c]),
      lighting: { ambient: 0.7, diffuse: 0.7, specular: 0.18, roughness: 0.55, fresnel: 0.1 },
      lightposition: { x: -1200, y: -400, z: 2400 }, hoverinfo: "none",
      contours: { x: { highlight: false }, y: { highlight: false }, z: { highlight: false } },
    },
    ...surfaceLines(plane, scale, shown, top),
    ...surfaceMarks(plane, height),
    ...cursorTraces(model, plane, scale, height),
  ];
  return { traces, layout: surfaceLayout(plane, scale, top, frame) };
}

// Contour lines lie on the surface at their own height: white where it is dark, dark where light.
function surfaceLines(plane, scale, shown, top) {
  const rows = plane.beta.length;
  const value = (i, j) => shown[i * rows + j];
  if (plane.alpha.length < 2 || rows < 2) return [];
  const lift = (top - scale.from) * 0.016;
  const pens = [true, false].map((light) => ({ light, x: [], y: [], z: [] }));
  for (const level of scale.levels) {
    const u = scale.show(level);
    if (u >= top || u <= scale.from) continue;
    const on = pens[scale.unit(u) < 0.55 ? 0 : 1];
    for (const line of contourLines(value, plane.alpha.length, rows, u)) {
      for (const [p, q] of line) {
        const i = Math.min(Math.floor(p), plane.alpha.length - 2), j = Math.min(Math.floor(q), rows - 2);
        on.x.push(plane.alpha[i] + (p - i) * (plane.alpha[i + 1] - plane.alpha[i]));
        on.y.push(plane.beta[j] + (q - j) * (plane.beta[j + 1] - plane.beta[j]));
        on.z.push(u + lift);
      }
      for (const axis of ["x", "y", "z"]) on[axis].push(null);
    }
  }
  const base = { type: "scatter3d", mode: "lines", hoverinfo: "skip", connectgaps: false };
  return pens.map(({ light, ...on }) => ({
    ...base, ...on, line: { width: 2.5, color: light ? "rgba(255,255,255,0.7)" : "rgba(16,24,36,0.55)" } }));
}

function surfaceMarks(plane, height) {
  const base = { type: "scatter3d", mode: "markers", hoverinfo: "skip" };
  const marks = [];
  const add = (i, j, symbol) => {
    const u = height(i, j);
    if (u === null) return;
    marks.push({ ...base, x: [plane.alpha[i]], y: [plane.beta[j]], z: [u],
      marker: { symbol, size: 5, color: "#ffffff", line: { color: INK_DARK, width: 1.5 } } });
  };
  const lowest = lowestNode(plane);
  if (lowest) add(...lowest, "circle");
  if (plane.start) add(nearest(plane.alpha, 0), nearest(plane.beta, 0), "diamond");
  return marks;
}

// A pin: a stalk from the surface upward and a head, so that it is seen from every side.
function cursorPin(plane, scale, height) {
  const [i, j] = cursorNode(plane);
  const u = height(i, j);
  const foot = u ?? scale.from;
  const head = Math.max(foot + (scale.to - scale.from) * 0.25, scale.from + (scale.to - scale.from) * 0.8);
  const a = plane.alpha[i], b = plane.beta[j];
  return { x: [a, a], y: [b, b], z: [foot, head] };
}

function cursorTraces(model, plane, scale, height) {
  const color = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  const pin = cursorPin(plane, scale, height);
  return [{ type: "scatter3d", mode: "lines+markers", hoverinfo: "skip", ...pin, name: "cursor",
    line: { width: 4, color }, marker: { size: [0, 6], color, line: { width: 0 } } }];
}

function surfaceLayout(plane, scale, top, frame) {
  const css = getComputedStyle(document.documentElement);
  const [ink, muted, rule] = ["--ink", "--muted", "--rule-strong"].map((v) => css.getPropertyValue(v).trim());
  const font = { family: "system-ui, sans-serif", size: 12, color: muted };
  const axis = {
    showgrid: false, zeroline: false, showbackground: false, showspikes: false, showline: true,
    linecolor: rule, linewidth: 1, ticks: "outside", tickcolor: rule, ticklen: 4, tickfont: { ...font, size: 11 },
  };
  const title = (text) => ({ text, font: { ...font, color: ink } });
  const ends = (values) => [values[0], 0, values.at(-1)].filter((v, k, all) => all.indexOf(v) === k && v >= values[0] && v <= values.at(-1));
  const levels = scale.levels.filter((v) => scale.show(v) <= top && scale.show(v) >= scale.from);
  const kept = levels.filter((_, k) => levels.length <= 5 || k % 2 === 0);
  const tick = (v) => plain(tidy(v));
  const span = Math.max(plane.alpha.at(-1) - plane.alpha[0], plane.beta.at(-1) - plane.beta[0]) || 1;
  return {
    autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", showlegend: false, font,
    scene: {
      domain: { x: [0, 1], y: [0, 1] }, bgcolor: "rgba(0,0,0,0)", dragmode: false, hovermode: "closest", camera: camera(frame),
      aspectmode: "manual",
      aspectratio: {
        x: Math.max((plane.alpha.at(-1) - plane.alpha[0]) / span, 0.2),
        y: Math.max((plane.beta.at(-1) - plane.beta[0]) / span, 0.2), z: 0.72,
      },
      xaxis: { ...axis, title: title("direction 1"), tickvals: ends(plane.alpha), ticktext: ends(plane.alpha).map(tick) },
      yaxis: { ...axis, title: title("direction 2"), tickvals: ends(plane.beta), ticktext: ends(plane.beta).map(tick) },
      zaxis: { ...axis, title: title(metricName()), range: [scale.from, top + (top - scale.from) * 0.02],
        tickvals: kept.map(scale.show), ticktext: kept.map(plain) },
    },
  };
}
