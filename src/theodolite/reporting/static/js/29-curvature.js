// Overlays from the fitted surface: how it curves, and where it goes down.
const CURVES = [
  null,
  { name: "up both ways", path: "M-4 0H4M0 -4V4", class: "up" },
  { name: "up and down: saddle", path: "M-3.2 -3.2L3.2 3.2M-3.2 3.2L3.2 -3.2", class: "saddle" },
  { name: "down both ways", path: "M-4.5 0H4.5", class: "down" },
];

// Each kind has its own glyph: color tells nothing that the shape does not.
function mapSigns(frame, plane, variable) {
  const group = svg("g", { "data-overlay": "curvature" });
  const packed = overlayOf(plane, variable);
  if (!packed) return group;
  const codes = bytesOf(packed.signs), rows = plane.beta.length;
  const a = cellBorders(plane.alpha).map(frame.x.place), b = cellBorders(plane.beta).map(frame.y.place);
  const stride = (n, room) => Math.max(1, Math.ceil(15 / (room / n)));
  const si = stride(plane.alpha.length, frame.inner), sj = stride(rows, frame.tall);
  const cells = ["", "", "", ""], glyphs = ["", "", "", ""], counts = [0, 0, 0, 0];
  codes.forEach((code, k) => {
    if (plane.status[k] !== 1) return;
    counts[code]++;
    if (!code) return;
    const i = Math.floor(k / rows), j = k % rows;
    cells[code] += `M${a[i].toFixed(1)} ${b[j].toFixed(1)}H${a[i + 1].toFixed(1)}V${b[j + 1].toFixed(1)}H${a[i].toFixed(1)}Z`;
    if (i % si === Math.floor(si / 2) && j % sj === Math.floor(sj / 2)) {
      glyphs[code] += glyphAt(CURVES[code].path, frame.x.place(plane.alpha[i]), frame.y.place(plane.beta[j]));
    }
  });
  CURVES.forEach((kind, code) => {
    if (!kind || !counts[code]) return;
    group.append(svg("path", { d: cells[code], class: `tint ${kind.class}` }),
      svg("path", { d: glyphs[code], class: "glyph under" }), svg("path", { d: glyphs[code], class: `glyph ${kind.class}` }));
  });
  const total = counts.reduce((m, n) => m + n, 0) || 1;
  const share = (n) => `${plain(Number(((100 * n) / total).toPrecision(2)))} %`;
  const lines = CURVES.flatMap((kind, code) => (kind && counts[code] ? [{ text: `${kind.name}: ${share(counts[code])}`, glyph: kind.path }] : []));
  if (counts[0]) lines.push({ text: `sign undetermined: ${share(counts[0])}`, glyph: "" });
  group.append(overlayKey(frame, lines));
  return group;
}

// Arrows point downhill; their length grows with the root of the slope.
function mapArrows(frame, plane, variable) {
  const group = svg("g", { "data-overlay": "gradient" });
  const packed = overlayOf(plane, variable);
  if (!packed) return group;
  const [is, js] = packed.at, slopes = floats(packed.slopes), count = is.length * js.length;
  const size = (k) => Math.hypot(slopes[k], slopes[count + k]);
  let largest = 0;
  for (let k = 0; k < count; k++) if (size(k) > largest) largest = size(k);
  if (!(largest > 0)) return group;
  const room = 0.92 * Math.min(frame.inner / is.length, frame.tall / js.length);
  const perX = frame.inner / (plane.alpha.at(-1) - plane.alpha[0]), perY = frame.tall / (plane.beta.at(-1) - plane.beta[0]);
  let path = "", dots = "";
  is.forEach((i, m) => js.forEach((j, n) => {
    const k = m * js.length + n, x = frame.x.place(plane.alpha[i]), y = frame.y.place(plane.beta[j]);
    if (!Number.isFinite(size(k))) return void (dots += `M${x.toFixed(1)} ${y.toFixed(1)}h0`);
    const dx = -slopes[k] * perX, dy = slopes[count + k] * perY;
    path += arrowAt(x, y, Math.atan2(dy, dx), Math.max(3, room * Math.sqrt(size(k) / largest)));
  }));
  group.append(svg("path", { d: path, class: "arrow under" }), svg("path", { d: path, class: "arrow" }), svg("path", { d: dots, class: "arrow dot" }));
  const text = `downhill; longest: slope ${rounded(largest)}, length \u221d \u221aslope`;
  group.append(overlayKey(frame, [{ text, glyph: "M-4 0H4M1 -3L4 0L1 3" }]));
  return group;
}

const overlayOf = (plane, variable) => plane.overlays?.[variable.replace("accuracy", "loss")] ?? null;

// A path of moves, lines and horizontal or vertical strokes, moved to a place.
function glyphAt(path, x, y) {
  return path.replace(/([MLHV])(-?[\d.]+)(?: (-?[\d.]+))?/g, (_, c, p, q) => {
    if (c === "H") return `H${(x + Number(p)).toFixed(1)}`;
    if (c === "V") return `V${(y + Number(p)).toFixed(1)}`;
    return `${c}${(x + Number(p)).toFixed(1)} ${(y + Number(q)).toFixed(1)}`;
  });
}

function arrowAt(x, y, angle, length) {
  const c = Math.cos(angle), s = Math.sin(angle), head = Math.min(4.5, 0.45 * length);
  const at = (u, v) => `${(x + u * c - v * s).toFixed(1)} ${(y + u * s + v * c).toFixed(1)}`;
  const half = length / 2;
  return `M${at(-half, 0)}L${at(half, 0)}M${at(half - head, -0.6 * head)}L${at(half, 0)}L${at(half - head, 0.6 * head)}`;
}

// The key inside the map, a line each with its glyph.
function overlayKey(frame, lines) {
  const group = svg("g");
  if (!lines.length) return group;
  const wide = Math.min(frame.inner - 16, 6.2 * Math.max(...lines.map((l) => l.text.length)) + 36);
  group.append(svg("rect", { class: "bar-back", x: frame.box.left + 8, y: frame.box.top + 8, width: wide, height: 8 + 16 * lines.length, rx: 4 }));
  lines.forEach(({ text, glyph }, k) => {
    const y = frame.box.top + 20 + 16 * k;
    if (glyph) group.append(svg("path", { class: "glyph key-glyph", d: glyphAt(glyph, frame.box.left + 20, y) }));
    group.append(svg("text", { class: "bar-text", x: frame.box.left + 32, y: y + 4 }, text));
  });
  return group;
}
