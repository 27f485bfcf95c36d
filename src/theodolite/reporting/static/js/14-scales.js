// Axes and colors: from values to places and back.
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  for (const factor of [1, 2, 5, 10]) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

function linearTicks(low, high, most) {
  if (!(high > low)) return [low];
  const step = roundStep((high - low) / most);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(tidy(k * step));
  return ticks;
}

function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  for (const mantissas of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let e = first; e <= last; e++) {
      for (const m of mantissas) {
        const tick = Number(`${m}e${e}`);
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push(tick);
      }
    }
    if (ticks.length <= most) return ticks;
  }
  const ticks = [];
  const stride = Math.ceil((last - first + 1) / most);
  for (let e = first; e <= last; e += stride) ticks.push(Number(`1e${e}`));
  return ticks.filter((t) => t >= low && t <= high);
}

// Linear within a range around zero, logarithmic beyond: decades on both sides, thinned to fit.
function wideTicks(low, high, within, most) {
  const decades = [];
  for (let e = Math.ceil(Math.log10(within) - 1e-9); 10 ** e <= Math.max(-low, high); e++) decades.push(Number(`1e${e}`));
  const below = decades.filter((d) => -d >= low).map((d) => -d).reverse(), above = decades.filter((d) => d <= high);
  const stride = Math.ceil((below.length + above.length + 1) / most);
  const keep = (list) => list.filter((_, k) => (list.length - 1 - k) % stride === 0);
  return [...keep([...below].reverse()).reverse(), 0, ...keep(above)];
}

const TRANSFORMS = {
  linear: () => [(v) => v, (u) => u],
  log: () => [Math.log10, (u) => 10 ** u],
  wide: (within) => [(v) => Math.asinh(v / within), (u) => within * Math.sinh(u)],
};

function axisScale(kind, low, high, from, to, within) {
  const [f, inverse] = TRANSFORMS[kind](within);
  const a = f(low), span = f(high) - a || 1;
  const place = (value) => from + ((f(value) - a) / span) * (to - from);
  const back = (pixel) => inverse(a + ((pixel - from) / (to - from)) * span);
  const ticks = (most) => {
    if (kind === "wide") return wideTicks(low, high, within, most);
    return (kind === "log" && high / low > 5 ? logTicks : linearTicks)(low, high, most);
  };
  return { place, back, ticks, kind, low, high };
}

// 256 colors from the 64 in the data.
const palette = (() => {
  const stops = page.colormap.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1);
    const k = Math.min(Math.floor(at), stops.length - 2);
    return stops[k].map((c, n) => Math.round(c + (stops[k + 1][n] - c) * (at - k)));
  });
})();

const palette32 = (() => {
  const bytes = new Uint8Array(256 * 4);
  palette.forEach((rgb, i) => bytes.set([...rgb, 255], 4 * i));
  return new Uint32Array(bytes.buffer);
})();

const colorAt = (t) => `rgb(${palette[Math.max(0, Math.min(255, Math.round(255 * t)))].join(",")})`;

// The scale of heights and colors now in force: how a value is shown, and where between 0 and 1.
function heightScale(state) {
  const found = page.scales[state.plane]?.[variableOf(state.metric, state.split)];
  if (!found) return null;
  const log = state.scale === "log" && found.log !== null;
  const set = log ? found.log : found.linear;
  const show = log ? (v) => (v > 0 ? Math.log10(v) : NaN) : (v) => v;
  const back = log ? (u) => 10 ** u : (u) => u;
  const bottom = show(set.low), span = show(set.high) - bottom;
  const low = bottom + state.low * span, high = bottom + state.high * span;
  const unit = (u) => (high > low ? (u - low) / (high - low) : 0.5);
  return { ...set, log, show, back, unit, from: low, to: high, lowValue: back(low), highValue: back(high) };
}
