// Builds every view from what the page holds.
buildControls();
markSection();
const maps = [...document.querySelectorAll(".map[data-model]")].map((host) => buildMap(host, Number(host.dataset.model)));
const panels = [...document.querySelectorAll("[data-panel]")].map((host) => buildPanel(host, Number(host.dataset.panel)));
buildPanelTexts([...document.querySelectorAll("[data-at]")]);
const viewers3d = [...document.querySelectorAll(".gl[data-model]")].map((host) => buildViewer(host, Number(host.dataset.model)));
for (const host of document.querySelectorAll("[data-colorbar]")) buildColorbar(host);
for (const host of document.querySelectorAll("[data-readout]")) buildReadout(host);
for (const figure of document.querySelectorAll("[data-cut]")) buildCut(figure, Number(figure.dataset.cut));
for (const host of document.querySelectorAll("[data-lines]")) buildLines(host);
for (const host of document.querySelectorAll("[data-spectrum]")) buildSpectrum(host, Number(host.dataset.spectrum));
for (const host of document.querySelectorAll("[data-eigenvalues]")) buildEigenvalues(host, Number(host.dataset.eigenvalues));
for (const host of document.querySelectorAll("[data-training]")) buildTraining(host, host.dataset.training);
for (const host of document.querySelectorAll("[data-legend]")) legendFor(host, models.map((m) => m.index));
buildSaving(panels.length ? panels : maps, viewers3d);

// Folded explanations are unfolded on paper.
const folded = () => document.querySelectorAll("details.misleads:not([open])");
window.addEventListener("beforeprint", () => folded().forEach((d) => d.setAttribute("open", "print")));
window.addEventListener("afterprint", () => {
  for (const d of document.querySelectorAll("details.misleads[open=print]")) d.removeAttribute("open");
});
document.documentElement.dataset.ready = "yes";
})();
