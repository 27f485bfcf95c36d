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

function lengthOf(line) {
  let total = 0;
  for (let k = 1; k < line.length; k++) total += Math.hypot(line[k][0] - line[k - 1][0], line[k][1] - line[k - 1][1]);
  return total;
}

// A straight stretch for a label of the given width, away from the border and from other labels.
function labelPlace(line, width, box, taken) {
  let best = null;
  for (let k = 1; k + 1 < line.length; k++) {
    let a = k, b = k, left = 0, right = 0;
    while (a > 0 && left < width / 2) left += Math.hypot(line[a][0] - line[a - 1][0], line[a][1] - line[--a][1]);
    while (b + 1 < line.length && right < width / 2) right += Math.hypot(line[b][0] - line[b + 1][0], line[b][1] - line[++b][1]);
    if (left < width / 2 || right < width / 2) continue;
    const chord = Math.hypot(line[b][0] - line[a][0], line[b][1] - line[a][1]);
    const [x, y] = line[k];
    const edge = Math.min(x - box.left, box.right - x, y - box.top, box.bottom - y);
    if (edge < 14) continue;
    if (taken.some(([p, q]) => Math.hypot(p - x, q - y) < 34)) continue;
    const score = chord / (left + right) + Math.min(edge, 40) / 400;
    if (!best || score > best.score) {
      let angle = (Math.atan2(line[b][1] - line[a][1], line[b][0] - line[a][0]) * 180) / Math.PI;
      if (angle > 90) angle -= 180;
      if (angle < -90) angle += 180;
      best = { x, y, angle, score };
    }
  }
  return best && best.score > 0.85 ? best : null;
}
