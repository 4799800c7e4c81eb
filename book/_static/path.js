// Recorded runs of a method in the plane of UA and RA, and a slider from one to the next.
(() => {
  "use strict";
  const { node, svgNode, format, frame, canvasOf, fresh, path, mount } = window.UGS;

  const choice = (box, id, label, options) => {
    const part = node("div", { class: "ugs-control" }, box);
    node("label", { for: id }, part, label);
    const select = node("select", { id }, part);
    options.forEach((text, i) => node("option", { value: i }, select, text));
    return select;
  };

  // Hyperparameters span orders of magnitude: three digits that count, as in the tables.
  const short = (value) =>
    value === null ? "self-adaptive" : `${Number(value.toPrecision(3))}`.replace("-", "−");

  mount("path", (box, { series }) => {
    const controls = node("div", { class: "ugs-controls" }, box);
    const which = choice(controls, "ugs-path-runs", "Runs", series.map(({ title }) => title));
    const order = choice(controls, "ugs-path-order", "In the order of", []);
    const part = node("div", { class: "ugs-control" }, controls);
    const name = node("label", { for: "ugs-path-run" }, part);
    const run = node("input", { type: "range", id: "ugs-path-run", min: 0, step: 1 }, part);
    const svg = canvasOf(box, "");
    const words = node("p", { class: "ugs-words", "aria-live": "polite" }, box);

    const everything = series.flatMap(({ rows, retrain }) => [
      ...rows.map((row) => row.slice(-3, -1)),
      ...retrain,
    ]);
    const reach = (place) => {
      const values = everything.map((point) => point[place]);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const pad = 0.05 * (high - low || 1);
      return [low - pad, high + pad];
    };
    const [x, y] = [reach(0), reach(1)];

    // Rows from far to near Retrain, or by a hyperparameter.
    const sorted = () => {
      const { rows, names } = series[which.value];
      const column = Number(order.value) - 1;
      const key = (row) => (column < 0 ? -row.at(-1) : (row[column] ?? Infinity));
      return rows.slice().sort((a, b) => key(a) - key(b) || a.at(-1) - b.at(-1));
    };

    const draw = () => {
      const shown = series[which.value];
      const rows = sorted();
      const row = rows[run.value];
      const [ua, ra, gap] = row.slice(-3);
      const values = shown.names.map((title, i) => `${title} ${short(row[i])}`).join(", ");
      const about =
        `${values}: UA ${format(ua, 1)} %, RA ${format(ra, 1)} %, ` +
        `Avg. Gap ${format(gap, 1)} points`;
      name.textContent = `${shown.what[0].toUpperCase()}${shown.what.slice(1)} ${Number(run.value) + 1} of ${rows.length}`;
      run.setAttribute("aria-valuetext", `${name.textContent}: ${about}`);
      const height = 300;
      const width = fresh(svg, height);
      const { X, Y } = frame(svg, {
        width, height, x, y, xLabel: "UA (%)", yLabel: "RA (%)", xTicks: 5,
      });
      const places = rows.map((own) => [X(own.at(-3)), Y(own.at(-2))]);
      if (shown.line) svgNode("path", { class: "ugs-line", d: path(places), stroke: shown.colour }, svg);
      for (const [cx, cy] of places) {
        svgNode("circle", { cx, cy, r: 4.5, fill: shown.colour, opacity: 0.55 }, svg);
      }
      shown.retrain.forEach(([a, b], i) => {
        const diamond = `M${X(a)} ${Y(b) - 8}l8 8l-8 8l-8 -8Z`;
        svgNode("path", { class: "ugs-line", d: diamond, stroke: "currentColor", opacity: i ? 0.45 : 1 }, svg);
      });
      const [a, b] = shown.retrain[0];
      svgNode("line", { class: "ugs-mark", x1: X(ua), y1: Y(ra), x2: X(a), y2: Y(b) }, svg);
      svgNode("circle", { class: "ugs-dot", cx: X(ua), cy: Y(ra), r: 8, fill: "none", stroke: "currentColor" }, svg);
      const end = X(a) > width - 90;
      const place = { x: X(a) + (end ? -8 : 8), y: Y(b) - 12, "text-anchor": end ? "end" : "start" };
      svgNode("text", place, svg, "Retrain");
      svg.setAttribute("aria-label", shown.words);
      words.textContent = `${about}. Retrain: UA ${format(a, 1)} %, RA ${format(b, 1)} % (${shown.where}).`;
    };

    const choose = () => {
      const { names, rows, line } = series[which.value];
      order.replaceChildren();
      ["distance to Retrain", ...names].forEach((text, i) => node("option", { value: i }, order, text));
      order.value = line ? 1 : 0;
      run.max = rows.length - 1;
      run.value = line ? 0 : rows.length - 1;
    };
    which.addEventListener("change", () => {
      choose();
      draw();
    });
    order.addEventListener("change", draw);
    run.addEventListener("input", draw);
    choose();
    return draw;
  });
})();
