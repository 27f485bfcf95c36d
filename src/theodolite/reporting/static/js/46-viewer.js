// The live 3-D views: at most two at a time, since browsers keep only a few WebGL contexts.
const MOST_LIVE = 2;
const live = [];

function buildViewer(host, model) {
  const viewer = { host, model, stage: host.querySelector(".stage"), plot: null, clicked: null };
  const note = host.querySelector(".note");
  viewer.setCamera = () => viewer.plot && window.Plotly.relayout(viewer.plot, { "scene.camera": camera(host) });
  bindCamera(host);
  if (!hasWebGL() || !("DecompressionStream" in window)) {
    host.dataset.state = "still";
    note.textContent = "Still picture: this browser has no WebGL. The map carries the same numbers.";
    host.removeAttribute("tabindex");
    return viewer;
  }
  const button = el("button", { class: "action", type: "button" }, "Turn this surface");
  button.addEventListener("click", () => {
    button.remove();
    startViewer(viewer).catch((cause) => failViewer(viewer, cause));
  });
  if (model < MOST_LIVE) {
    whenNear(host, () => startViewer(viewer).catch((cause) => failViewer(viewer, cause)));
  } else {
    host.append(button);
  }
  viewer.button = button;
  // The event does not bubble, so it is caught on its way down to the canvas.
  host.addEventListener("webglcontextlost", () => failViewer(viewer, new Error("the browser gave up this 3-D view")), true);
  return viewer;
}

function whenNear(node, act) {
  new IntersectionObserver((entries, watcher) => {
    if (!entries.some((e) => e.isIntersecting)) return;
    watcher.disconnect();
    // a page that is never idle, on a busy machine, is not waited for
    if (window.requestIdleCallback) window.requestIdleCallback(act, { timeout: 1000 });
    else setTimeout(act);
  }, { rootMargin: "1200px" }).observe(node);
}

function failViewer(viewer, cause) {
  if (!live.includes(viewer)) return;
  live.splice(live.indexOf(viewer), 1);
  stopViewer(viewer);
  viewer.host.querySelector(".note").textContent = `Still picture: ${cause.message}. The map carries the same numbers.`;
}

async function startViewer(viewer) {
  while (live.length >= MOST_LIVE) stopViewer(live.shift());
  live.push(viewer);
  const Plotly = await plotly();
  const figure = surfaceFigure(viewer.model, viewer.host);
  if (!figure) return;
  const options = { displayModeBar: false, showSendToCloud: false, modeBarButtonsToRemove: ["sendChartToCloud"], responsive: true, scrollZoom: false };
  const plot = await Plotly.newPlot(viewer.stage, figure.traces, figure.layout, options);
  if (!live.includes(viewer)) return void Plotly.purge(viewer.stage);
  viewer.plot = plot;
  viewers.add(viewer);
  bindViewer(viewer);
  viewer.host.querySelector(".note").textContent = "";
  viewer.host.classList.add("ready");
  viewer.host.dataset.state = "live";
}

function stopViewer(viewer) {
  viewers.delete(viewer);
  window.Plotly?.purge(viewer.stage);
  viewer.plot = null;
  viewer.host.classList.remove("ready");
  viewer.host.dataset.state = "still";
  viewer.host.append(viewer.button);
}

function bindViewer(viewer) {
  let over = null;
  viewer.plot.on("plotly_hover", ({ points }) => {
    const point = points?.find((p) => p.curveNumber === 0);
    if (point) over = [point.x, point.y];
  });
  viewer.plot.on("plotly_unhover", () => (over = null));
  if (viewer.bound) return;
  viewer.bound = true;
  viewer.host.addEventListener("dblclick", () => {
    const plane = shownPlane(viewer.model);
    if (over && plane) moveCursorTo(plane, nearest(plane.alpha, over[0]), nearest(plane.beta, over[1]), { pinned: true });
  });
  const whole = onFrame(() => redrawViewer(viewer));
  listen([...FIELD_KEYS, "theme"], whole);
  listen(CURSOR_KEYS, afterPause(() => movePin(viewer), 90));
}

function redrawViewer(viewer) {
  if (!viewer.plot) return;
  const figure = surfaceFigure(viewer.model, viewer.host);
  viewer.stage.hidden = !figure;
  if (figure) window.Plotly.react(viewer.plot, figure.traces, figure.layout);
}

function movePin(viewer) {
  const plane = shownPlane(viewer.model), scale = heightScale(state);
  if (!viewer.plot || !plane || !scale) return;
  const shown = shownValues(plane, variableOf(state.metric, state.split), scale);
  const height = (i, j) => {
    const u = shown[i * plane.beta.length + j];
    return Number.isFinite(u) ? Math.max(scale.from, Math.min(scale.to, u)) : null;
  };
  const pin = cursorPin(plane, scale, height);
  const last = viewer.plot.data.length - 1;
  window.Plotly.restyle(viewer.plot, { x: [pin.x], y: [pin.y], z: [pin.z] }, [last]);
}
