// Small makers of elements. Text is always set as text, never parsed.
const SVG = "http://www.w3.org/2000/svg";

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const DASHES = ["", "7 3", "2 2.5", "7 3 2 3"];
const seriesClass = (index) => `s${(index % 4) + 1}`;
const seriesDash = (index) => DASHES[(index + Math.floor(index / 4)) % 4];

const viewBoxOf = ({ width, height }) => `0 0 ${width} ${height}`;

function swatch(index) {
  const line = svg("line", { x1: 0, y1: 6, x2: 26, y2: 6, "stroke-dasharray": seriesDash(index) });
  return svg("svg", { class: `swatch ${seriesClass(index)}`, viewBox: "0 0 26 12", "aria-hidden": "true" }, line);
}

function pathOf(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

// Path of a curve that breaks where a value is missing.
function brokenPath(xs, ys) {
  let out = "", pen = false;
  for (let i = 0; i < xs.length; i++) {
    const ok = Number.isFinite(xs[i]) && Number.isFinite(ys[i]);
    if (ok) out += `${pen ? "L" : "M"}${xs[i].toFixed(1)} ${ys[i].toFixed(1)}`;
    pen = ok;
  }
  return out;
}

let serial = 0;
const freshId = (stem) => `${stem}-${++serial}`;

const onFrame = (draw) => {
  let waiting = false;
  return (...args) => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(...args);
    });
  };
};

// Calls act once the calls have paused: for what is too slow to follow a moving pointer.
const afterPause = (act, milliseconds) => {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
};

// Calls draw when the element first comes near the screen, and again when its width changes.
// Until then reserve(width) gives it the room it will take: nothing moves while one reads or clicks.
// What is returned draws or reserves again, after a change of what is shown.
function whenSeen(node, draw, reserve) {
  let width = 0, held = 0, seen = false;
  const hold = () => {
    if (seen || node.clientWidth === 0 || node.clientWidth === held) return;
    held = node.clientWidth;
    reserve(held);
  };
  const redraw = onFrame(() => {
    if (!seen || node.clientWidth === 0 || node.clientWidth === width) return;
    width = node.clientWidth;
    draw(width);
  });
  new IntersectionObserver((entries, watcher) => {
    if (!entries.some((e) => e.isIntersecting)) return;
    watcher.disconnect();
    seen = true;
    redraw();
  }, { rootMargin: "400px" }).observe(node);
  new ResizeObserver(() => (hold(), redraw())).observe(node);
  return () => (seen ? width && draw(width) : held && reserve(held));
}
