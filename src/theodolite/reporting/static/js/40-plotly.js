// The 3-D library travels compressed in the page; it is unpacked when the first surface is near.
// The policy of the page allows exactly this text and the page's own script, by their hashes.
let plotlyLoading = null;

function hasWebGL() {
  try {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") ?? canvas.getContext("webgl"));
  } catch {
    return false;
  }
}

async function unpackPlotly() {
  const holder = document.getElementById("plotly-code");
  const packed = new Blob([bytesOf(holder.textContent)]);
  holder.textContent = "";
  const code = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text();
  window.PlotlyConfig = { MathJaxConfig: "local" };
  const script = document.createElement("script");
  script.textContent = code;
  document.head.append(script);
  if (!window.Plotly) throw new Error("the 3-D library did not start");
  return window.Plotly;
}

function plotly() {
  plotlyLoading ??= unpackPlotly();
  return plotlyLoading;
}
