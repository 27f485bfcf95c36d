// The page's data: JSON in the document, arrays as base64 of little-endian float32.
const page = JSON.parse(document.getElementById("page-data").textContent);

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function floats(packed) {
  return packed ? new Float32Array(bytesOf(packed.f32).buffer) : null;
}

// A grid keeps its values in (alpha, beta) order; status 1 is the only one with a value.
function unpackPlane(packed) {
  const alpha = floats(packed.alpha);
  const beta = floats(packed.beta);
  const fields = {};
  for (const [name, values] of Object.entries(packed.fields)) fields[name] = floats(values);
  const statuses = Object.fromEntries(Object.entries(packed.status).map(([k, v]) => [k, bytesOf(v)]));
  const recomputed = packed.recomputed ? unpackPlane(packed.recomputed) : null;
  return { ...packed, recomputed, alpha, beta, fields, statuses, get status() { return statuses[state.split]; } };
}

const planes = page.planes.map((list) => list.map(unpackPlane));
const models = page.labels.map((label, index) => ({ label, index }));

const variableOf = (metric, split) => (split === "train" ? metric : `test_${metric}`);

function valueAt(plane, name, i, j) {
  const k = i * plane.beta.length + j;
  const field = plane.fields[name];
  const status = plane.statuses[name.startsWith("test_") ? "test" : "train"];
  return field && status[k] === 1 ? field[k] : NaN;
}

function nearest(axis, value) {
  let best = 0;
  for (let i = 1; i < axis.length; i++) {
    if (Math.abs(axis[i] - value) < Math.abs(axis[best] - value)) best = i;
  }
  return best;
}

const STATUS = ["not computed", "ok", "diverged", "failed"];

// Clean decimals for coordinates that went through float32.
const tidy = (value) => Number(value.toPrecision(6));
