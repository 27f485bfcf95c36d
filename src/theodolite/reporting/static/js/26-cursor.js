// The cursor all views share: drawn on every map, moved by pointer and keyboard.
function drawCursor(map) {
  const plane = shownPlane(map.model);
  if (!plane || !map.frame) return;
  const { box, x: xs, y: ys } = map.frame;
  const [i, j] = cursorNode(plane);
  const x = xs.place(plane.alpha[i]), y = ys.place(plane.beta[j]);
  const cross = `M${box.left} ${y}H${box.right}M${x} ${box.top}V${box.bottom}`;
  map.cursor.replaceChildren(
    svg("path", { d: cross, class: "cross-under" }),
    svg("path", { d: cross, class: "cross" }),
    svg("circle", { cx: x, cy: y, r: 8, class: "ring-under" }),
    svg("circle", { cx: x, cy: y, r: 8, class: "ring", ...(state.pinned ? { style: "stroke-width:3.5" } : {}) }),
  );
}

function moveCursorTo(plane, i, j, more = {}) {
  change({ alpha: tidy(plane.alpha[i]), beta: tidy(plane.beta[j]), ...more });
}

function bindMap(map) {
  const at = (event) => {
    const plane = shownPlane(map.model);
    if (!plane || !map.frame) return null;
    const bounds = map.drawing.getBoundingClientRect();
    const zoom = map.frame.width / bounds.width;
    const x = (event.clientX - bounds.left) * zoom, y = (event.clientY - bounds.top) * zoom;
    const { box } = map.frame;
    if (x < box.left - 6 || x > box.right + 6 || y < box.top - 6 || y > box.bottom + 6) return null;
    return [plane, nearest(plane.alpha, map.frame.x.back(x)), nearest(plane.beta, map.frame.y.back(y))];
  };
  map.host.addEventListener("pointermove", (event) => {
    const found = state.pinned ? null : at(event);
    if (found) moveCursorTo(...found);
  });
  map.host.addEventListener("click", (event) => {
    const found = at(event);
    if (found) moveCursorTo(...found, { pinned: !state.pinned });
  });
  map.host.addEventListener("keydown", (event) => {
    const plane = shownPlane(map.model);
    if (plane && mapKey(plane, event.key)) event.preventDefault();
  });
}

// True when the key meant something.
function mapKey(plane, key) {
  const [i, j] = cursorNode(plane);
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  if (steps[key]) {
    const clamp = (k, axis) => Math.max(0, Math.min(axis.length - 1, k));
    moveCursorTo(plane, clamp(i + steps[key][0], plane.alpha), clamp(j + steps[key][1], plane.beta), { pinned: true });
  } else if (key === "Home") {
    change({ alpha: 0, beta: 0 });
  } else if (key === "m" || key === "M") {
    const lowest = lowestNode(plane);
    if (lowest) moveCursorTo(plane, ...lowest, { pinned: true });
  } else if (key === "Enter" || key === " ") {
    change({ pinned: !state.pinned });
  } else if (key === "Escape") {
    change({ pinned: false });
  } else {
    return false;
  }
  return true;
}

const metricName = () => (state.split === "test" ? "test " : "") + state.metric;

// "loss 1.23 ± 0.05" of one model at the cursor, or why there is none.
function readingOf(model) {
  const plane = shownPlane(model);
  if (!plane) return null;
  const [i, j] = cursorNode(plane);
  const variable = variableOf(state.metric, state.split);
  if (!plane.fields[variable]) return { text: "not measured", value: NaN, error: NaN };
  const value = valueAt(plane, variable, i, j);
  const status = STATUS[plane.status[i * plane.beta.length + j]];
  if (!Number.isFinite(value)) return { text: status === "ok" ? "not finite" : status, value, error: NaN };
  const error = plane.fields[`${variable}_error`] ? valueAt(plane, `${variable}_error`, i, j) : null;
  return { text: numberText(value, error), value, error };
}

function buildReadout(host) {
  const seen = host.querySelector("[data-seen]"), spoken = host.querySelector("[data-spoken]");
  let timer = 0;
  const show = () => {
    const plane = models.map((m) => shownPlane(m.index)).find(Boolean);
    if (!plane) return;
    const [i, j] = cursorNode(plane);
    const place = `(${plain(tidy(plane.alpha[i]))}, ${plain(tidy(plane.beta[j]))})`;
    const words = [`At ${place}${state.pinned ? ", pinned" : ""}: ${metricName()}`];
    seen.replaceChildren(el("span", { class: "where" }, words[0]));
    for (const { label, index } of models) {
      const reading = readingOf(index);
      if (!reading) continue;
      const node = el("span", { class: "reading", "data-model": index, "data-value": reading.value, "data-error": reading.error },
        swatch(index), el("span", {}, `${label} `, el("b", {}, reading.text)));
      seen.append(node);
      words.push(`${label} ${reading.text}`);
    }
    clearTimeout(timer);
    timer = setTimeout(() => (spoken.textContent = words.join("; ")), 400);
  };
  listen([...CURSOR_KEYS, "metric", "split", "plane", "norm", "pinned"], onFrame(show));
  show();
}
