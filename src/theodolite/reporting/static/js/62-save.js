// Saving: the plane as CSV, the pictures as one PNG.
function download(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// Which plane a file holds, and under which policy where there are two.
const planeName = () => `plane-${state.plane + 1}${page.variants ? `-${state.norm}` : ""}`;

const fileStem = () => page.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "theodolite";

// A spreadsheet reads a cell that begins like a formula as one; a quote in front keeps it text.
function csvCell(value) {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function planeCsv() {
  const names = [...new Set(models.flatMap(({ index }) => Object.keys(shownPlane(index)?.fields ?? {})))];
  const rows = [["model", "plane", "alpha", "beta", "status", ...names]];
  for (const { label, index } of models) {
    const plane = shownPlane(index);
    if (!plane) continue;
    plane.alpha.forEach((a, i) => plane.beta.forEach((b, j) => {
      const values = names.map((n) => tidyValue(valueAt(plane, n, i, j)));
      rows.push([label, state.plane, tidy(a), tidy(b), STATUS[plane.status[i * plane.beta.length + j]], ...values]);
    }));
  }
  return rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

const tidyValue = (value) => (Number.isFinite(value) ? Number(value.toPrecision(7)) : NaN);

async function imageOf(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

// A map as a picture of its own: the styles that the page gives it are written into the copy.
async function mapImage(map) {
  const { width, height, box } = map.frame;
  const copy = map.drawing.cloneNode(true);
  const originals = [...map.drawing.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((node, k) => {
    const style = getComputedStyle(originals[k]);
    for (const key of ["fill", "stroke", "stroke-width", "opacity", "font-size", "font-weight", "paint-order", "stroke-linejoin"]) {
      node.style.setProperty(key, style.getPropertyValue(key));
    }
    node.style.fontFamily = "system-ui, sans-serif";
  });
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", width * 2);
  copy.setAttribute("height", height * 2);
  const lines = await imageOf(`data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`);
  return { width, height, draw: (pen, x, y) => {
    pen.drawImage(map.canvas, x + box.left, y + box.top, box.right - box.left, box.bottom - box.top);
    pen.drawImage(lines, x, y, width, height);
  } };
}

async function surfaceImage(viewer, width) {
  if (!viewer.plot) return null;
  const height = Math.round(width * 0.8);
  const image = await imageOf(await window.Plotly.toImage(viewer.plot, { format: "png", width, height, scale: 2 }));
  return { width, height, draw: (pen, x, y) => pen.drawImage(image, x, y, width, height) };
}

async function savePicture(maps, viewers3d) {
  const parts = [];
  for (const map of maps.filter((m) => m.frame)) {
    const flat = await mapImage(map);
    const tall = await surfaceImage(viewers3d[map.model], flat.width);
    parts.push({ label: page.labels[map.model], pieces: [tall, flat].filter(Boolean) });
  }
  const gap = 32, head = 84;
  const width = parts.reduce((w, p) => w + p.pieces[0].width + gap, gap);
  const height = head + 40 + Math.max(...parts.map((p) => p.pieces.reduce((h, q) => h + q.height + 12, 0)));
  const canvas = el("canvas", { width: width * 2, height: height * 2 });
  const css = getComputedStyle(document.documentElement);
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  pen.fillStyle = css.getPropertyValue("--paper");
  pen.fillRect(0, 0, width, height);
  const write = (text, x, y, font, color) => {
    Object.assign(pen, { font, fillStyle: css.getPropertyValue(color) });
    pen.fillText(text, x, y, width - x);
  };
  write(page.title, gap, 36, "650 20px system-ui, sans-serif", "--ink");
  write(`plane ${state.plane + 1}; ${scaleNote(heightScale(state))}`, gap, 60, "14px system-ui, sans-serif", "--muted");
  let x = gap;
  for (const { label, pieces } of parts) {
    write(label, x, head + 20, "600 16px system-ui, sans-serif", "--ink");
    let y = head + 32;
    for (const piece of pieces) {
      piece.draw(pen, x, y);
      y += piece.height + 12;
    }
    x += pieces[0].width + gap;
  }
  canvas.toBlob((blob) => download(`${fileStem()}-${planeName()}.png`, blob), "image/png");
}

function buildSaving(maps, viewers3d) {
  document.querySelector("[data-do=save-data]")?.addEventListener("click", () => {
    download(`${fileStem()}-${planeName()}.csv`, new Blob([planeCsv()], { type: "text/csv" }));
  });
  document.querySelector("[data-do=save-picture]")?.addEventListener("click", () => savePicture(maps, viewers3d));
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select the text to copy it";
      }
    });
  }
}
