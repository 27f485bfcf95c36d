// The spectrum of each model, all on one pair of axes; the horizontal one linear or wide.
const SUBSCRIPTS = "\u2081\u2082\u2083\u2084";
const short3 = (value) => plain(Number(value.toPrecision(3)));

const spectra = page.spectra.map((packed) => packed && Object.fromEntries(
  Object.entries(packed).map(([axis, s]) => [axis, {
    ...s, ...Object.fromEntries(["value", "mean", "low", "high"].map((k) => [k, Array.from(floats(s[k]))])),
  }])));

function spectrumRange(axis) {
  const all = spectra.filter(Boolean).map((s) => s[axis]);
  const exact = page.eigenvalues.filter(Boolean).flatMap((p) => Array.from(floats(p.value)));
  return {
    x: { low: Math.min(...all.map((s) => s.value[0]), ...exact), high: Math.max(...all.map((s) => s.value.at(-1)), ...exact) },
    y: { low: Math.min(...all.map((s) => s.floor)), high: 6 * Math.max(...all.map((s) => Math.max(...s.high))) },
  };
}

function buildSpectrum(host, index) {
  if (!spectra[index]) return;
  const pairs = page.eigenvalues[index];
  const exact = pairs ? Array.from(floats(pairs.value)) : [];
  const chart = buildChart(host, () => {
    const axis = spectra[index][state.spectrum] ? state.spectrum : "linear";
    const { value: x, mean, low, high, kernel } = spectra[index][axis];
    const range = spectrumRange(axis);
    const named = exact.filter((v) => v > 0).slice(0, 4);
    return {
      x: { label: `eigenvalue (${kernel})`, kind: axis, within: page.wide_within, ...range.x },
      y: { label: axis === "wide" ? "density per decade" : "spectral density", kind: "log", ...range.y }, zero: true,
      layers: [
        { type: "band", x, low: low.map((v) => Math.max(v, range.y.low)), high, class: "band ink" },
        { type: "band", x, low: x.map(() => range.y.low), high: x.map((v, k) => (v <= 0 ? mean[k] : NaN)), class: "shade" },
        { type: "line", x, y: mean, class: "ink" },
        { type: "marks", x: exact },
        {
          type: "peaks", items: named.map((v, k) => ({ x: v, text: `\u03bb${SUBSCRIPTS[k]} = ${short3(v)}` })),
          above: (from, to) => Math.max(range.y.low, ...high.slice(nearest(x, from), nearest(x, to) + 1)),
        },
      ],
      tip: (value) => {
        const k = nearest(x, value);
        return { x: x[k], lines: [`eigenvalue ${short3(x[k])}`, `density ${plain(Number(mean[k].toPrecision(2)))}`, `probes ${plain(Number(low[k].toPrecision(2)))} to ${plain(Number(high[k].toPrecision(2)))}`] };
      },
    };
  }, () => 320);
  listen(["spectrum"], () => chart.redraw());
}
