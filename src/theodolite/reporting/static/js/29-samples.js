// The samples overlay: where the plane was measured, and the points held out to test its fit.
function mapSamples(frame, plane) {
  const group = svg("g", { "data-overlay": "samples" });
  const packed = plane.samples[state.split] || plane.samples.train;
  if (!packed) return group;
  const codes = bytesOf(packed), rows = plane.beta.length;
  let measured = 0, held = 0;
  for (let k = 0; k < codes.length; k++) {
    if (!codes[k]) continue;
    const x = frame.x.place(plane.alpha[Math.floor(k / rows)]), y = frame.y.place(plane.beta[k % rows]);
    if (codes[k] === 1) {
      measured++;
      group.append(svg("circle", { class: "sample-dot", r: 2, cx: x.toFixed(1), cy: y.toFixed(1) }));
    } else {
      held++;
      const arm = 3.2;
      group.append(svg("path", { class: "sample-cross",
        d: `M${(x - arm).toFixed(1)} ${(y - arm).toFixed(1)}l${2 * arm} ${2 * arm}m0 ${-2 * arm}l${-2 * arm} ${2 * arm}` }));
    }
  }
  const all = measured === codes.length;
  const text = all ? "every point was measured" : `dots: ${measured} measured; crosses: ${held} held out`;
  const wide = 6.3 * text.length + 16;
  group.append(
    svg("rect", { class: "bar-back", x: frame.box.left + 8, y: frame.box.top + 8, width: wide, height: 22, rx: 4 }),
    svg("text", { class: "bar-text", x: frame.box.left + 16, y: frame.box.top + 23 }, text));
  return group;
}
