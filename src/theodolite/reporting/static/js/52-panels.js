// Random lines, spectra, eigenvalues and training: charts that do not follow the cursor.
const unpackAll = (fields) => Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, Array.from(floats(v))]));

function legendFor(host, indices) {
  host.replaceChildren(...indices.map((k) => el("span", {}, swatch(k), el("span", {}, page.labels[k]))));
}

function extentOf(arrays) {
  const all = arrays.flat();
  return { low: Math.min(...all), high: Math.max(...all), kind: "linear" };
}

function buildLines(host) {
  const lines = page.lines.flatMap((list, index) => list.map((line) => ({
    index, label: line.label, x: Array.from(floats(line.alpha)), fields: unpackAll(line.fields) })));
  if (!lines.length) return;
  const chart = buildChart(host, () => {
    const name = lines.every((l) => l.fields[variableOf("loss", state.split)]) ? variableOf("loss", state.split) : "loss";
    const kind = state.scale === "log" ? "log" : "linear";
    const y = rangeOf(lines.map((l) => l.fields[name]), kind);
    const x = extentOf(lines.map((l) => l.x));
    return {
      x: { label: lines[0].label, ...x }, y: { label: name.replace("_", " "), ...y },
      layers: lines.flatMap((l) => [
        ...bandLayers(l.x, l.fields[name], l.fields[`${name}_error`] ?? null, l.index),
        { type: "line", x: l.x, y: l.fields[name], class: `thin ${seriesClass(l.index)}`, dash: seriesDash(l.index) },
        { type: "missing", x: l.x.filter((_, k) => !Number.isFinite(l.fields[name][k])), class: seriesClass(l.index) },
      ]),
      tip: (value) => {
        const k = nearest(lines[0].x, value);
        const text = (l) => `${page.labels[l.index]}: ${numberText(l.fields[name][nearest(l.x, value)], l.fields[`${name}_error`]?.[nearest(l.x, value)])}`;
        return { x: lines[0].x[k], lines: [`at ${plain(tidy(lines[0].x[k]))}`, ...lines.map(text)] };
      },
    };
  }, () => 340);
  listen(["scale", "split"], () => chart.redraw());
}

function buildEigenvalues(host, index) {
  const packed = page.eigenvalues[index];
  if (!packed) return;
  const value = Array.from(floats(packed.value)), error = Array.from(floats(packed.residual));
  const rank = value.map((_, k) => k + 1);
  buildChart(host, () => {
    const all = page.eigenvalues.filter(Boolean).flatMap((p) => Array.from(floats(p.value)));
    const y = rangeOf([all, [0]], "linear");
    return {
      x: { label: "rank", kind: "linear", low: 0.4, high: value.length + 0.6, ticks: rank.filter((k) => rank.length <= 12 || k % 5 === 1) },
      y: { label: "eigenvalue (bar: residual)", ...y },
      layers: [{ type: "points", x: rank, y: value, error, classes: value.map((v) => (v < 0 ? "minus" : "plus")), square: value.map((v) => v < 0) }],
      tip: (at) => {
        const k = Math.max(0, Math.min(value.length - 1, Math.round(at) - 1));
        return { x: rank[k], lines: [`\u03bb${k + 1} = ${numberText(value[k], error[k])}`] };
      },
    };
  });
}

function buildTraining(host, metric) {
  const runs = page.training.flatMap((run, index) => (run ? [{ index, epoch: Array.from(floats(run.epoch)), fields: unpackAll(run.fields) }] : []));
  const curves = runs.flatMap((run) => ["train", "test"].flatMap((split) => {
    const y = run.fields[variableOf(metric, split)];
    return y ? [{ ...run, split, y, error: run.fields[`${variableOf(metric, split)}_error`] ?? null }] : [];
  }));
  if (!curves.length) return;
  buildChart(host, () => {
    const plainRange = rangeOf(curves.map((c) => c.y), "linear");
    const positive = curves.every((c) => c.y.every((v) => v > 0 || !Number.isFinite(v)));
    const wide = metric === "loss" && positive && rangeOf(curves.map((c) => c.y), "log").high > 100 * rangeOf(curves.map((c) => c.y), "log").low;
    const y = wide ? rangeOf(curves.map((c) => c.y), "log") : plainRange;
    return {
      x: { label: "epoch", ...extentOf(curves.map((c) => c.epoch)) }, y: { label: metric, ...y },
      layers: curves.flatMap((c) => [
        ...bandLayers(c.epoch, c.y, c.error, c.index),
        { type: "line", x: c.epoch, y: c.y, class: seriesClass(c.index), dash: c.split === "test" ? "4 3" : "" },
      ]),
      tip: (value) => {
        const k = nearest(curves[0].epoch, value);
        return { x: curves[0].epoch[k], lines: [`epoch ${curves[0].epoch[k]}`, ...curves.map((c) => `${page.labels[c.index]}, ${c.split}: ${numberText(c.y[k], c.error?.[k])}`)] };
      },
    };
  });
}
