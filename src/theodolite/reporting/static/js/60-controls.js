// Switches, ranges, buttons. Each is a native input; names in the page say what they change.
function buildControls() {
  for (const input of document.querySelectorAll("input[type=radio][data-set]")) {
    input.checked = String(state[input.dataset.set]) === input.value;
    input.addEventListener("change", () => {
      if (!input.checked) return;
      const key = input.dataset.set;
      change({ [key]: key === "plane" ? Number(input.value) : input.value });
    });
  }
  listen(Object.keys(DEFAULTS), syncControls);
  buildRange();
  buildTheme();
  document.querySelector("[data-do=reset]")?.addEventListener("click", () => {
    change({ ...DEFAULTS });
    turnView({ ...HOME_VIEW });
  });
  syncControls();
}

function syncControls() {
  for (const input of document.querySelectorAll("input[type=radio][data-set]")) {
    input.checked = String(state[input.dataset.set]) === input.value;
  }
  const found = page.scales[state.plane]?.[variableOf(state.metric, state.split)];
  const log = document.querySelector("input[data-set=scale][value=log]");
  if (log) log.disabled = !found?.log;
  const section = document.getElementById("surface");
  const scale = heightScale(state);
  if (!section || !scale) return;
  Object.assign(section.dataset, {
    metric: state.metric, split: state.split, plane: state.plane, scale: scale.log ? "log" : "linear",
    overlay: state.overlay, norm: state.norm, low: scale.lowValue, high: scale.highValue, alpha: state.alpha, beta: state.beta, pinned: state.pinned,
  });
  const note = section.querySelector("[data-scale-note]");
  if (note) note.textContent = scaleNote(scale);
}

function buildRange() {
  const low = document.querySelector("[data-range=low]"), high = document.querySelector("[data-range=high]");
  if (!low || !high) return;
  const show = () => {
    const scale = heightScale(state);
    low.value = Math.round(100 * state.low);
    high.value = Math.round(100 * state.high);
    if (!scale) return;
    for (const [input, value] of [[low, scale.lowValue], [high, scale.highValue]]) {
      input.nextElementSibling.textContent = rounded(value);
      input.setAttribute("aria-valuetext", `${metricName()} ${rounded(value)}`);
    }
  };
  low.addEventListener("input", () => change({ low: Math.min(low.value / 100, state.high - 0.05) }));
  high.addEventListener("input", () => change({ high: Math.max(high.value / 100, state.low + 0.05) }));
  listen(FIELD_KEYS, show);
  show();
}

function buildTheme() {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const inputs = document.querySelectorAll("input[name=theme]");
  const sync = () => {
    for (const input of inputs) input.checked = input.value === now();
    change({ theme: now() });
  };
  for (const input of inputs) {
    input.addEventListener("change", () => {
      root.dataset.theme = input.value;
      sync();
    });
  }
  system.addEventListener("change", sync);
  sync();
}

function markSection() {
  const links = new Map([...document.querySelectorAll(".bar nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target.id);
    for (const [id, link] of links) {
      if (seen.has(id)) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-35% 0px -64% 0px" });
  for (const id of links.keys()) {
    const target = document.getElementById(id);
    if (target) watcher.observe(target);
  }
}
