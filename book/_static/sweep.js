// A sweep: one number of every method over the recorded grid, the paper's and ours side by side.
(() => {
  "use strict";
  if (window.UGS.sweepPoints) return; // a page with several sweeps brings this script several times
  const { node, svgNode, format, frame, canvasOf, fresh, path, mount } = window.UGS;

  const finite = (value) => value !== null && Number.isFinite(value);

  // The points of a series that have that number, by the swept value.
  const pointsOf = (series, metric) =>
    series.points.filter((point) => finite(point[metric])).sort((a, b) => a.x - b.x);

  const range = (panels, metric) => {
    const found = panels.flatMap((panel) => [
      ...panel.series.flatMap((series) => pointsOf(series, metric).map((point) => point[metric])),
      ...panel.levels.map((level) => level[metric]).filter(finite),
    ]);
    if (!found.length) return [0, 1];
    const [low, high] = [metric === "gap" ? 0 : Math.min(...found), Math.max(...found)];
    const pad = 0.05 * (high - low || 1);
    return [metric === "gap" ? 0 : low - pad, high + pad];
  };

  Object.assign(window.UGS, { sweepPoints: pointsOf, sweepRange: range });

  let count = 0;

  mount("sweep", (box, data) => {
    const controls = node("div", { class: "ugs-controls" }, box);
    const id = `ugs-sweep-${(count += 1)}`;

    const first = node("div", { class: "ugs-control" }, controls);
    const name = node("label", { for: `${id}-value` }, first, `${data.name} `);
    const shown = node("output", { for: `${id}-value` }, name);
    const start = Math.max(0, data.values.indexOf(data.start));
    const value = node(
      "input",
      { type: "range", id: `${id}-value`, min: 0, max: data.values.length - 1, step: 1, value: start },
      first,
    );

    const second = node("div", { class: "ugs-control" }, controls);
    node("label", { for: `${id}-metric` }, second, "What is shown");
    const metric = node("select", { id: `${id}-metric` }, second);
    for (const [key, text] of Object.entries(data.metrics)) node("option", { value: key }, metric, text);

    const panels = node("div", { class: "ugs-panels" }, box);
    const drawings = data.panels.map((panel) => {
      const part = node("div", {}, panels);
      node("p", { class: "ugs-panel-title" }, part, panel.title);
      return canvasOf(part, `${panel.title}, over ${data.name}`);
    });
    const legend = node("p", { class: "ugs-legend" }, box);
    const seen = new Map(data.panels.flatMap((panel) => panel.series.map((s) => [s.title, s.colour])));
    for (const [title, colour] of seen) {
      const item = node("span", {}, legend);
      node("span", { class: "ugs-key", style: `background:${colour}` }, item);
      item.append(` ${title} `);
    }
    const words = node("p", { class: "ugs-words", "aria-live": "polite" }, box);

    const number = (x) => format(x, data.digits);

    const sentence = (panel, key, x) => {
      const parts = panel.series.map((series) => {
        const found = series.points.find((point) => Math.abs(point.x - x) < 1e-9);
        return found && finite(found[key]) ? `${series.title} ${format(found[key], 1)}` : null;
      });
      const known = parts.filter((part) => part !== null);
      if (!panel.series.length) return `${panel.title}: not run yet.`;
      return `${panel.title}: ${known.length ? known.join(", ") : "no number at this value"}.`;
    };

    const draw = () => {
      const [x, key] = [data.values[Number(value.value)], metric.value];
      shown.textContent = number(x);
      value.setAttribute("aria-valuetext", `${data.name} ${number(x)}`);
      const [low, high] = [Math.min(...data.values), Math.max(...data.values)];
      const side = 0.03 * (high - low || 1);
      const y = range(data.panels, key);
      data.panels.forEach((panel, i) => {
        const svg = drawings[i];
        const height = 260;
        const width = fresh(svg, height);
        const { X, Y } = frame(svg, {
          width, height, x: [low - side, high + side], y, xLabel: data.name,
          yLabel: data.metrics[key], xTicks: 4,
        });
        svgNode("line", { class: "ugs-mark", x1: X(x), x2: X(x), y1: Y(y[0]), y2: Y(y[1]) }, svg);
        for (const level of panel.levels.filter((one) => finite(one[key]))) {
          const at = { x1: X(low - side), x2: X(high + side), y1: Y(level[key]), y2: Y(level[key]) };
          svgNode("line", { class: "ugs-tick", "stroke-dasharray": "2 3", ...at }, svg);
          const place = { x: X(high + side) - 2, y: Y(level[key]) - 4, "text-anchor": "end" };
          svgNode("text", place, svg, level.title);
        }
        for (const series of panel.series) {
          const points = pointsOf(series, key);
          const line = points.map((point) => [X(point.x), Y(point[key])]);
          if (line.length) {
            svgNode("path", { class: "ugs-line", d: path(line), stroke: series.colour }, svg);
          }
          points.forEach((point, j) => {
            const here = Math.abs(point.x - x) < 1e-9;
            const dot = { cx: line[j][0], cy: line[j][1], r: here ? 6 : 2.5 };
            svgNode("circle", { class: "ugs-dot", fill: series.colour, stroke: series.colour, ...dot }, svg);
          });
        }
        if (!panel.series.length) {
          const middle = { x: width / 2, y: height / 2, "text-anchor": "middle" };
          svgNode("text", middle, svg, "not run yet");
        }
        svg.setAttribute("aria-label", `${data.metrics[key]} over ${data.name}. ${sentence(panel, key, x)}`);
      });
      const parts = data.panels.map((panel) => sentence(panel, key, x));
      words.textContent = `${data.metrics[key]} at ${data.name} = ${number(x)}. ${parts.join(" ")}`;
    };
    value.addEventListener("input", draw);
    metric.addEventListener("change", draw);
    return draw;
  });
})();
