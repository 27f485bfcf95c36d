// The colored field: between four measured points it is interpolated, elsewhere it keeps its cells.

function gridPlaces(axis, count, from, to) {
  const index = new Int32Array(count), part = new Float32Array(count), cell = new Int32Array(count);
  let k = 0;
  for (let p = 0; p < count; p++) {
    const value = from + ((p + 0.5) / count) * (to - from);
    while (k + 2 < axis.length && value > axis[k + 1]) k++;
    const a = axis[k], b = axis[Math.min(k + 1, axis.length - 1)];
    index[p] = k;
    part[p] = b > a ? Math.max(0, Math.min(1, (value - a) / (b - a))) : 0;
    cell[p] = part[p] > 0.5 ? Math.min(k + 1, axis.length - 1) : k;
  }
  return { index, part, cell };
}

function drawField(canvas, plane, shown, scale) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const { alpha, beta } = plane;
  const rows = beta.length;
  const x = gridPlaces(alpha, width, alpha[0], alpha[alpha.length - 1]);
  const y = gridPlaces(beta, height, beta[0], beta[rows - 1]);
  const factor = 255 / (scale.to - scale.from || 1);
  for (let q = 0; q < height; q++) {
    const r = height - 1 - q;
    const j = y.index[r], v = y.part[r], nj = y.cell[r];
    const up = Math.min(j + 1, rows - 1);
    for (let p = 0; p < width; p++) {
      const i = x.index[p], u = x.part[p];
      const right = Math.min(i + 1, alpha.length - 1);
      const a = shown[i * rows + j], b = shown[right * rows + j];
      const c = shown[i * rows + up], d = shown[right * rows + up];
      let value = (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v;
      if (!(value === value)) value = shown[x.cell[p] * rows + nj];
      if (!(value === value)) continue;
      const t = (value - scale.from) * factor;
      pixels[q * width + p] = palette32[t <= 0 ? 0 : t >= 255 ? 255 : t | 0];
    }
  }
  context.putImageData(image, 0, 0);
}

// The values of a plane as they are drawn: NaN where there is none.
function shownValues(plane, variable, scale) {
  const field = plane.fields[variable];
  const out = new Float32Array(plane.status.length).fill(NaN);
  if (!field) return out;
  for (let k = 0; k < out.length; k++) if (plane.status[k] === 1) out[k] = scale.show(field[k]);
  return out;
}

// Borders between neighboring points, the first and last at the ends of the axis.
function cellBorders(axis) {
  const out = [axis[0]];
  for (let k = 1; k < axis.length; k++) out.push((axis[k] + axis[k - 1]) / 2);
  out.push(axis[axis.length - 1]);
  return out;
}
