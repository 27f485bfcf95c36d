// What the reader has chosen. Every view listens; nothing else is shared.
const firstScale = page.scales[0]?.loss;
const DEFAULTS = {
  metric: "loss", split: "train", plane: 0, scale: firstScale?.default ?? "linear",
  overlay: "none", norm: "frozen", spectrum: page.wide_within ? "wide" : "linear", low: 0, high: 1, alpha: 0, beta: 0, pinned: false,
};
const state = { ...DEFAULTS };
const listeners = [];

function listen(keys, react) {
  listeners.push({ keys, react });
}

function change(next) {
  const keys = Object.keys(next).filter((k) => state[k] !== next[k]);
  if (!keys.length) return;
  Object.assign(state, next);
  for (const { keys: wanted, react } of listeners) {
    if (keys.some((k) => wanted.includes(k))) react(keys);
  }
}

const FIELD_KEYS = ["metric", "split", "plane", "norm", "scale", "low", "high"];
const CURSOR_KEYS = ["alpha", "beta"];

// The plane of a model now shown, null when it has none of that number or was not measured again
// with recomputed statistics; a model without BatchNorm is the same either way.
function shownPlane(model) {
  const plane = planes[model][state.plane] ?? null;
  if (!plane || state.norm === "frozen") return plane;
  return plane.recomputed ?? (plane.normed ? null : plane);
}

function cursorNode(plane) {
  return [nearest(plane.alpha, state.alpha), nearest(plane.beta, state.beta)];
}
