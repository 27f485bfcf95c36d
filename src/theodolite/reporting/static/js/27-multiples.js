// Small multiples: one contour panel a model, all on one span, one color scale and one cursor.
const PANEL_MARGIN = { left: 34, right: 8, top: 6, bottom: 22 };
const PANEL_LEVELS = 8;

// The span that holds the planes of all models, so that equal distances look equal.
function sharedSpan() {
  const shown = models.map((m) => shownPlane(m.index)).filter(Boolean);
  const ends = (key) => [Math.min(...shown.map((p) => p[key][0])), Math.max(...shown.map((p) => p[key].at(-1)))];
  return shown.length ? { alpha: ends("alpha"), beta: ends("beta") } : null;
}

function panelFrame(panel, span) {
  const { left, right, top, bottom } = PANEL_MARGIN;
  const width = panel.host.clientWidth, inner = width - left - right;
  const [a, b] = [span.alpha, span.beta];
  const tall = Math.min((inner * (b[1] - b[0])) / (a[1] - a[0] || 1) || inner, 2 * inner);
  const box = { left, top, right: left + inner, bottom: top + tall };
  return {
    box, width, height: tall + top + bottom, inner, tall,
    x: axisScale("linear", a[0], a[1], box.left, box.right), y: axisScale("linear", b[0], b[1], box.bottom, box.top),
  };
}

function buildPanel(host, model) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const drawing = svg("svg", { "aria-hidden": "true" });
  host.append(canvas, drawing);
  const panel = { host, model, canvas, drawing, frame: null };
  panel.redraw = whenSeen(host, () => drawPanel(panel), () => holdPanel(panel));
  panel.moveCursor = () => panel.frame && drawCursor(panel);
  bindMap(panel);
  listen(FIELD_KEYS, () => panel.redraw());
  listen([...CURSOR_KEYS, "pinned"], panel.moveCursor);
  return panel;
}

function holdPanel(panel) {
  if (shownPlane(panel.model)) panel.drawing.setAttribute("viewBox", viewBoxOf(panelFrame(panel, sharedSpan())));
}

function drawPanel(panel) {
  const plane = shownPlane(panel.model), scale = heightScale(state), span = sharedSpan();
  panel.drawing.replaceChildren();
  panel.frame = null;
  panel.canvas.hidden = !plane || !scale;
  if (!plane || !scale) return;
  const frame = (panel.frame = panelFrame(panel, span));
  const shown = shownValues(plane, variableOf(state.metric, state.split), scale);
  drawPanelField(panel, plane, shown, scale);
  const stride = Math.ceil(scale.levels.length / PANEL_LEVELS) || 1;
  const lines = mapLines(frame, plane, shown, { ...scale, levels: scale.levels.filter((_, k) => k % stride === 0) });
  for (const text of lines.querySelectorAll(".level")) text.remove();
  panel.drawing.setAttribute("viewBox", viewBoxOf(frame));
  panel.cursor = svg("g");
  panel.drawing.append(...mapGaps(frame, plane), lines, panelAxes(frame, span), mapMarks(frame, plane), panel.cursor);
  drawCursor(panel);
}

function drawPanelField(panel, plane, shown, scale) {
  const { x, y } = panel.frame, ratio = Math.min(window.devicePixelRatio || 1, 2);
  const left = x.place(plane.alpha[0]), top = y.place(plane.beta.at(-1));
  const width = x.place(plane.alpha.at(-1)) - left, height = y.place(plane.beta[0]) - top;
  Object.assign(panel.canvas, { width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(height * ratio)) });
  panel.canvas.style.cssText = `left:${left}px;top:${top}px;width:${width}px;height:${height}px`;
  drawField(panel.canvas, plane, shown, scale);
}

// Only the ends and the start are named: the panels share what lies between.
function panelAxes(frame, span) {
  const { box } = frame, group = svg("g");
  const named = ([low, high]) => (low < 0 && high > 0 ? [low, 0, high] : [low, high]);
  group.append(svg("rect", { class: "edge", x: box.left, y: box.top, width: frame.inner, height: frame.tall }));
  named(span.alpha).forEach((t, k, all) => {
    const anchor = k === 0 ? "start" : k === all.length - 1 ? "end" : "middle";
    group.append(svg("text", { x: frame.x.place(t), y: box.bottom + 16, "text-anchor": anchor }, plain(tidy(t))));
  });
  named(span.beta).forEach((t) => {
    const y = Math.max(box.top + 6, Math.min(box.bottom - 5, frame.y.place(t)));
    group.append(svg("text", { x: box.left - 6, y, dy: "0.35em", "text-anchor": "end" }, plain(tidy(t))));
  });
  return group;
}

// What lies under the shared cursor, beneath each panel, and once what the axes are.
function buildPanelTexts(places) {
  if (!places.length) return;
  const note = document.querySelector("[data-span]");
  const show = () => {
    for (const place of places) {
      const reading = readingOf(Number(place.dataset.at));
      place.replaceChildren(...(reading ? [el("span", {}, `${metricName()} at the cursor `), el("b", {}, reading.text)] : []));
    }
    const plane = models.map((m) => shownPlane(m.index)).find(Boolean);
    if (note && plane) note.textContent = `Across: ${plane.labels[0]}; up: ${plane.labels[1]}. All panels share span, colors and contour lines.`
      + (state.overlay === "none" ? "" : " The overlay is drawn on the maps at full size, below.");
  };
  listen([...FIELD_KEYS, ...CURSOR_KEYS, "overlay"], onFrame(show));
  show();
}
