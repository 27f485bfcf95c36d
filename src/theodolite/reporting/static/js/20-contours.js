// Contour lines by marching squares, and places for their labels.

// Crossings are keyed by the grid edge they lie on, so segments of neighboring cells join exactly.
function segmentsOf(value, columns, rows, level) {
  const segments = [];
  const cross = (i1, j1, i2, j2) => {
    const a = value(i1, j1), b = value(i2, j2);
    const t = (level - a) / (b - a);
    const key = i1 === i2 ? `v${i1},${Math.min(j1, j2)}` : `h${Math.min(i1, i2)},${j1}`;
    return { key, at: [i1 + (i2 - i1) * t, j1 + (j2 - j1) * t] };
  };
  for (let i = 0; i + 1 < columns; i++) {
    for (let j = 0; j + 1 < rows; j++) {
      const c = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
      const v = c.map(([p, q]) => value(p, q));
      if (!v.every(Number.isFinite)) continue;
      const above = v.map((x) => x > level);
      const cut = [0, 1, 2, 3].filter((k) => above[k] !== above[(k + 1) % 4]);
      const points = cut.map((k) => cross(...c[k], ...c[(k + 1) % 4]));
      if (points.length === 2) segments.push(points);
      if (points.length === 4) {
        const middle = (v[0] + v[1] + v[2] + v[3]) / 4 > level;
        const turn = middle === above[0] ? [[0, 1], [2, 3]] : [[3, 0], [1, 2]];
        for (const [p, q] of turn) segments.push([points[p], points[q]]);
      }
    }
  }
  return segments;
}

// Polylines in grid coordinates.
function contourLines(value, columns, rows, level) {
  const segments = segmentsOf(value, columns, rows, level);
  const ends = new Map();
  segments.forEach((s, k) => s.forEach((p) => ends.set(p.key, [...(ends.get(p.key) ?? []), k])));
  const used = new Uint8Array(segments.length);
  const walk = (start, from) => {
    const line = [start.at];
    let point = start, k = from;
    while (k !== undefined) {
      used[k] = 1;
      const [a, b] = segments[k];
      point = a.key === point.key ? b : a;
      line.push(point.at);
      k = ends.get(point.key).find((other) => !used[other]);
    }
    return line;
  };
  const lines = [];
  const open = segments.flatMap((s, k) => s.filter((p) => ends.get(p.key).length === 1).map((p) => [p, k]));
  for (const [p, k] of open) if (!used[k]) lines.push(walk(p, k));
  segments.forEach((s, k) => {
    if (!used[k]) lines.push(walk(s[0], k));
  });
  return lines;
}

// Length along a line up to each of its points.
function arcLengths(line) {
  const out = [0];
  for (let k = 1; k < line.length; k++) {
    out.push(out[k - 1] + Math.hypot(line[k][0] - line[k - 1][0], line[k][1] - line[k - 1][1]));
  }
  return out;
}

// A straight stretch for a label of the given width, away from the border and from other labels.
function labelPlace(line, width, box, taken) {
  const arc = arcLengths(line);
  let best = null;
  for (let k = 1, a = 0, b = 0; k + 1 < line.length; k++) {
    while (arc[k] - arc[a + 1] >= width / 2) a++;
    while (b + 1 < line.length && arc[b] - arc[k] < width / 2) b++;
    if (arc[k] - arc[a] < width / 2 || arc[b] - arc[k] < width / 2) continue;
    const [x, y] = line[k];
    const edge = Math.min(x - box.left, box.right - x, y - box.top, box.bottom - y);
    if (edge < 14 || taken.some(([p, q]) => Math.hypot(p - x, q - y) < 34)) continue;
    const dx = line[b][0] - line[a][0], dy = line[b][1] - line[a][1];
    const score = Math.hypot(dx, dy) / (arc[b] - arc[a]) + Math.min(edge, 40) / 400;
    if (best && score <= best.score) continue;
    const angle = (Math.atan2(dy, dx) * 180) / Math.PI;
    best = { x, y, score, angle: angle > 90 ? angle - 180 : angle < -90 ? angle + 180 : angle };
  }
  return best && best.score > 0.85 ? best : null;
}
