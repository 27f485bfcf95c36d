// The contour map of one model: field, lines, marks, scale bar and the shared cursor.
const MAP_MARGIN = { left: 54, right: 10, top: 8, bottom: 46 };

function buildMap(host, model) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const drawing = svg("svg", { "aria-hidden": "true" });
  host.append(canvas, drawing);
  const map = { host, model, canvas, drawing, frame: null };
  map.redraw = whenSeen(host, () => drawMap(map), () => holdMap(map, drawing));
  map.moveCursor = () => map.frame && drawCursor(map);
  bindMap(map);
  listen([...FIELD_KEYS, "overlay"], () => map.redraw());
  listen([...CURSOR_KEYS, "pinned"], map.moveCursor);
  return map;
}

function mapFrame(map, plane) {
  const width = map.host.clientWidth;
  const { left, right, top, bottom } = MAP_MARGIN;
  const spanA = plane.alpha.at(-1) - plane.alpha[0] || 1;
  const spanB = plane.beta.at(-1) - plane.beta[0] || 1;
  const inner = width - left - right;
  const tall = Math.min(inner * (spanB / spanA), 720);
  const box = { left, top, right: left + inner, bottom: top + tall };
  return {
    box, width, height: tall + top + bottom, inner, tall,
    x: axisScale("linear", plane.alpha[0], plane.alpha.at(-1), box.left, box.right),
    y: axisScale("linear", plane.beta[0], plane.beta.at(-1), box.bottom, box.top),
  };
}

function holdMap(map, drawing) {
  const plane = shownPlane(map.model);
  if (plane) drawing.setAttribute("viewBox", viewBoxOf(mapFrame(map, plane)));
}

function drawMap(map) {
  const plane = shownPlane(map.model);
  const scale = heightScale(state);
  map.drawing.replaceChildren();
  map.frame = null;
  map.host.hidden = !plane || !scale;
  if (!plane || !scale) return;
  const frame = (map.frame = mapFrame(map, plane));
  const variable = variableOf(state.metric, state.split);
  const shown = shownValues(plane, variable, scale);
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  Object.assign(map.canvas, { width: Math.round(frame.inner * ratio), height: Math.round(frame.tall * ratio) });
  map.canvas.style.cssText = `left:${frame.box.left}px;top:${frame.box.top}px;width:${frame.inner}px;height:${frame.tall}px`;
  drawField(map.canvas, plane, shown, scale);
  map.drawing.setAttribute("viewBox", viewBoxOf(frame));
  map.drawing.append(...mapGaps(frame, plane), mapLines(frame, plane, shown, scale), mapAxes(frame, plane));
  map.drawing.append(...mapOverlay(frame, plane, variable));
  map.drawing.append(mapMarks(frame, plane), mapBar(frame, plane));
  map.cursor = svg("g");
  map.drawing.append(map.cursor);
  drawCursor(map);
}

function mapGaps(frame, plane) {
  const a = cellBorders(plane.alpha).map(frame.x.place), b = cellBorders(plane.beta).map(frame.y.place);
  return [[2, "M0 8 L8 0"], [3, "M0 0 L8 8 M0 8 L8 0"]].flatMap(([code, stroke]) => {
    let cells = "";
    plane.status.forEach((s, k) => {
      if (s !== code) return;
      const i = Math.floor(k / plane.beta.length), j = k % plane.beta.length;
      cells += `M${a[i]} ${b[j]}H${a[i + 1]}V${b[j + 1]}H${a[i]}Z`;
    });
    if (!cells) return [];
    const id = freshId("hatch");
    const pattern = svg("pattern", { id, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      svg("path", { d: stroke, stroke: "var(--gap)", "stroke-width": 1.4 }));
    return [pattern, svg("path", { d: cells, class: "hatched" }), svg("path", { d: cells, fill: `url(#${id})` })];
  });
}

function mapLines(frame, plane, shown, scale) {
  const group = svg("g"), labels = svg("g"), taken = [];
  if (plane.bar) for (let dx = 10; dx < 200; dx += 24) taken.push([frame.box.right - dx, frame.box.bottom - 24]);
  const rows = plane.beta.length;
  const value = (i, j) => shown[i * rows + j];
  const at = ([p, q]) => {
    const i = Math.min(Math.floor(p), plane.alpha.length - 2), j = Math.min(Math.floor(q), rows - 2);
    const a = plane.alpha[i] + (p - i) * (plane.alpha[i + 1] - plane.alpha[i]);
    const b = plane.beta[j] + (q - j) * (plane.beta[j + 1] - plane.beta[j]);
    return [frame.x.place(a), frame.y.place(b)];
  };
  if (plane.alpha.length < 2 || rows < 2) return group;
  for (const level of scale.levels) {
    const u = scale.show(level), t = scale.unit(u);
    const lines = contourLines(value, plane.alpha.length, rows, u).map((line) => line.map(at));
    const light = t < 0.5;
    const color = light ? "rgb(255 255 255 / 0.8)" : "rgb(16 24 36 / 0.75)";
    group.append(svg("path", { d: lines.map(pathOf).join(""), class: "line", stroke: color }));
    const text = plain(level);
    const long = lines.map((line) => [arcLengths(line).at(-1), line]).filter(([n]) => n > 70);
    for (const [, line] of long.sort((p, q) => q[0] - p[0]).slice(0, 3)) {
      const place = labelPlace(line, 8 * text.length + 10, frame.box, taken);
      if (!place) continue;
      taken.push([place.x, place.y]);
      labels.append(svg("text", {
        class: "level", "text-anchor": "middle", dy: "0.35em",
        transform: `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)}) rotate(${place.angle.toFixed(1)})`,
        style: `fill:${light ? "#fff" : "#101824"};stroke:${colorAt(t)}`,
      }, text));
    }
  }
  group.append(labels);
  return group;
}

function mapAxes(frame, plane) {
  const { box } = frame, group = svg("g");
  group.append(svg("rect", { class: "edge", x: box.left, y: box.top, width: frame.inner, height: frame.tall }));
  for (const t of frame.x.ticks(frame.inner < 300 ? 4 : 6)) {
    const x = frame.x.place(t);
    group.append(svg("line", { class: "tick", x1: x, x2: x, y1: box.bottom, y2: box.bottom + 5 }),
      svg("text", { x, y: box.bottom + 18, "text-anchor": "middle" }, plain(t)));
  }
  for (const t of frame.y.ticks(frame.tall < 300 ? 4 : 6)) {
    const y = frame.y.place(t);
    group.append(svg("line", { class: "tick", x1: box.left - 5, x2: box.left, y1: y, y2: y }),
      svg("text", { x: box.left - 8, y, dy: "0.35em", "text-anchor": "end" }, plain(t)));
  }
  const [nameX, nameY] = plane.labels;
  group.append(
    svg("text", { class: "axis-name", x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" }, fittingName(nameX, frame.width - 24)),
    svg("text", { class: "axis-name", "text-anchor": "middle",
      transform: `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)` }, fittingName(nameY, frame.tall)));
  return group;
}

function lowestNode(plane) {
  const field = plane.fields[variableOf("loss", state.split)];
  let best = -1;
  plane.status.forEach((s, k) => {
    if (field && s === 1 && Number.isFinite(field[k]) && (best < 0 || field[k] < field[best])) best = k;
  });
  return best < 0 ? null : [Math.floor(best / plane.beta.length), best % plane.beta.length];
}

function mapMarks(frame, plane) {
  const group = svg("g");
  const lowest = lowestNode(plane);
  if (lowest) {
    group.append(svg("circle", { class: "lowest", r: 5,
      cx: frame.x.place(plane.alpha[lowest[0]]), cy: frame.y.place(plane.beta[lowest[1]]) }));
  }
  if (plane.start) {
    const x = frame.x.place(0), y = frame.y.place(0);
    group.append(svg("path", { class: "start", d: `M${x} ${y - 6}l6 6l-6 6l-6 -6Z` }));
  }
  return group;
}

function mapBar(frame, plane) {
  const group = svg("g");
  if (!plane.bar) return group;
  const length = frame.x.place(plane.alpha[0] + plane.bar.length) - frame.box.left;
  const text = `${plain(plane.bar.percent)} % of the weights\u2019 norm`;
  const wide = Math.max(length, 6.4 * text.length) + 16;
  const right = frame.box.right - 8, bottom = frame.box.bottom - 8;
  group.append(
    svg("rect", { class: "bar-back", x: right - wide, y: bottom - 32, width: wide, height: 32, rx: 4 }),
    svg("text", { class: "bar-text", x: right - 8, y: bottom - 17, "text-anchor": "end" }, text),
    svg("path", { class: "bar-line", fill: "none",
      d: `M${right - 8 - length} ${bottom - 10}v4h${length}v-4` }));
  return group;
}
