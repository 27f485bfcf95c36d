// One camera for all surfaces: drag and arrow keys turn it, wheel, pinch and +/- move it, R resets.
const HOME_VIEW = { turn: -56, lift: 28, far: 1.62 };
const view = { ...HOME_VIEW };
const viewers = new Set();

const eyeOf = ({ turn, lift, far }) => {
  const a = (turn * Math.PI) / 180, b = (lift * Math.PI) / 180;
  return { x: far * Math.cos(b) * Math.cos(a), y: far * Math.cos(b) * Math.sin(a), z: far * Math.sin(b) };
};

// The library's field of view is vertical: in a narrow frame the camera stands farther back.
const camera = (frame) => ({
  eye: eyeOf({ ...view, far: view.far * (frame.clientWidth < 420 ? 1.42 : 1.27) * ((1.25 * frame.clientHeight) / Math.max(frame.clientWidth, 1)) ** 0.4 }),
  up: { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: -0.14 }, projection: { type: "perspective" },
});

const applyView = onFrame(() => {
  for (const viewer of viewers) viewer.setCamera();
  document.documentElement.dataset.view = [view.turn, view.lift, view.far].map((v) => v.toFixed(2)).join(" ");
});

function turnView(next) {
  if ("turn" in next) view.turn = ((next.turn + 540) % 360) - 180;
  if ("lift" in next) view.lift = Math.max(-10, Math.min(89, next.lift));
  if ("far" in next) view.far = Math.max(0.7, Math.min(4, next.far));
  applyView();
}

function viewKey(key) {
  const moves = {
    ArrowLeft: { turn: view.turn - 6 }, ArrowRight: { turn: view.turn + 6 },
    ArrowUp: { lift: view.lift + 4 }, ArrowDown: { lift: view.lift - 4 },
    "+": { far: view.far / 1.1 }, "=": { far: view.far / 1.1 }, "-": { far: view.far * 1.1 },
    r: { ...HOME_VIEW }, R: { ...HOME_VIEW },
  };
  if (!moves[key]) return false;
  turnView(moves[key]);
  return true;
}

function bindCamera(host) {
  const touches = new Map();
  let apart = 0;
  const spread = () => {
    const [a, b] = [...touches.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  host.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (touches.size === 2) apart = spread();
    host.setPointerCapture(event.pointerId);
  });
  host.addEventListener("pointermove", (event) => {
    const last = touches.get(event.pointerId);
    if (!last) return;
    const dx = event.clientX - last.x, dy = event.clientY - last.y;
    touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (touches.size === 2) {
      const now = spread();
      turnView({ far: view.far * (apart / Math.max(now, 1)) });
      apart = now;
    } else {
      turnView({ turn: view.turn - dx * 0.45, lift: view.lift + dy * 0.35 });
    }
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
    host.addEventListener(kind, (event) => touches.delete(event.pointerId));
  }
  host.addEventListener("wheel", (event) => {
    if (document.activeElement !== host && !event.ctrlKey) return;
    event.preventDefault();
    turnView({ far: view.far * Math.exp(event.deltaY * 0.0012) });
  }, { passive: false });
  host.addEventListener("keydown", (event) => {
    if (event.target === host && !event.ctrlKey && !event.metaKey && viewKey(event.key)) event.preventDefault();
  });
}
