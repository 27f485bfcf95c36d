// The two cuts through the cursor, all models in one chart, with bands of two standard errors.
const BAND = 2;

function cutOf(plane, axis, name) {
  const [i, j] = cursorNode(plane);
  const along = axis === 1 ? plane.alpha : plane.beta;
  const at = (k) => (axis === 1 ? [k, j] : [i, k]);
  const read = (field) => Array.from(along, (_, k) => valueAt(plane, field, ...at(k)));
  const gone = Array.from(along, (_, k) => {
    const [p, q] = at(k);
    return plane.status[p * plane.beta.length + q] > 1;
  });
  return { along: Array.from(along), y: read(name), error: plane.fields[`${name}_error`] ? read(`${name}_error`) : null, gone };
}

function bandLayers(x, y, error, index) {
  if (!error) return [];
  const edge = (sign) => y.map((v, k) => v + sign * BAND * error[k]);
  return [{ type: "band", x, low: edge(-1), high: edge(1), class: `band ${seriesClass(index)}` }];
}

function cutSpec(axis) {
  const name = variableOf(state.metric, state.split), scale = heightScale(state);
  const own = models.map(({ index }) => ({ index, plane: shownPlane(index) })).filter(({ plane }) => plane?.fields[name]);
  if (!own.length || !scale) return null;
  const cuts = own.map(({ index, plane }) => ({ index, plane, ...cutOf(plane, axis, name) }));
  const kind = scale.log ? "log" : "linear";
  const low = scale.lowValue, high = scale.highValue;
  const y = scale.log ? { low: low / 1.15, high: high * 1.15, kind } : { low: low - 0.04 * (high - low), high: high + 0.04 * (high - low), kind };
  const ends = cuts.flatMap((c) => [c.along[0], c.along.at(-1)]);
  const plane = cuts[0].plane, [i, j] = cursorNode(plane);
  const other = tidy(axis === 1 ? plane.beta[j] : plane.alpha[i]);
  return {
    x: { label: plane.labels[axis - 1], low: Math.min(...ends), high: Math.max(...ends), kind: "linear" },
    y: { label: metricName(), ...y },
    title: `Along direction ${axis}, at ${plain(other)} on direction ${3 - axis}`,
    layers: cuts.flatMap((c) => [
      ...bandLayers(c.along, c.y, c.error, c.index),
      { type: "line", x: c.along, y: c.y, class: seriesClass(c.index), dash: seriesDash(c.index) },
      { type: "missing", x: c.along.filter((_, k) => c.gone[k]), class: seriesClass(c.index) },
    ]),
    guide: (frame, group) => {
      const at = frame.x.place(axis === 1 ? state.alpha : state.beta);
      group.append(svg("line", { class: "guide", x1: at, x2: at, y1: frame.box.top, y2: frame.box.bottom }));
      for (const c of cuts) {
        const k = nearest(c.along, axis === 1 ? state.alpha : state.beta);
        const v = c.y[k];
        if (Number.isFinite(v)) {
          group.append(svg("circle", { class: `point ${seriesClass(c.index)}`, r: 4.5, cx: frame.x.place(c.along[k]),
            cy: Math.max(frame.box.top, Math.min(frame.box.bottom, frame.y.place(v))) }));
        }
      }
    },
    onPick: (value, click) => {
      if (state.pinned && !click) return;
      const [a, b] = cursorNode(plane);
      if (axis === 1) moveCursorTo(plane, nearest(plane.alpha, value), b, { pinned: click || state.pinned });
      else moveCursorTo(plane, a, nearest(plane.beta, value), { pinned: click || state.pinned });
    },
  };
}

function buildCut(figure, axis) {
  const host = figure.querySelector(".chart-host"), title = figure.querySelector("[data-title]");
  const chart = buildChart(host, () => {
    const spec = cutSpec(axis);
    if (spec) title.textContent = spec.title;
    return spec;
  });
  listen([...FIELD_KEYS, ...CURSOR_KEYS], onFrame(() => chart.redraw()));
}
