// Chapter 8: the loss on a plane through θ_r, as a surface that can be turned.
(() => {
  "use strict";
  const { node, svgNode, format, slider, checkbox, canvasOf, describe, fresh, path, mount } = window.UGS;

  mount("landscape", (box, data) => {
    const n = data.coordinates.length;
    const middle = (n - 1) / 2;
    const controls = node("div", { class: "ugs-controls" }, box);
    const redraw = () => draw();
    const turn = slider(controls, { label: "turn (degrees)", key: "turn", min: 0, max: 360, step: 5, value: 35, digits: 0 }, redraw);
    const tilt = slider(controls, { label: "tilt (degrees)", key: "tilt", min: 10, max: 90, step: 5, value: 35, digits: 0 }, redraw);
    const first = slider(controls, { label: "step along d₁", key: "d1", min: -middle, max: middle, step: 1, value: 0, digits: 0 }, redraw);
    const second = slider(controls, { label: "step along d₂", key: "d2", min: -middle, max: middle, step: 1, value: 0, digits: 0 }, redraw);
    const logarithmic = checkbox(controls, { label: "logarithmic height", key: "log", checked: true }, redraw);
    const svg = canvasOf(box, "The loss as a surface over two directions in weight space");
    const words = node("p", { class: "ugs-words", "aria-live": "polite" }, box);

    const draw = () => {
      const scale = logarithmic.get() ? Math.log : (value) => value;
      const heights = data.plane.map((row) => row.map(scale));
      const [low, high] = [Math.min(...heights.flat()), Math.max(...heights.flat())];
      const height = 340;
      const width = fresh(svg, height);
      const [a, b] = [turn.get(), tilt.get()].map((degrees) => (degrees * Math.PI) / 180);
      const [flat, steep] = [Math.sin(b), 1.1 * Math.cos(b)];
      const reach = Math.SQRT2; // of the square's corners, however it is turned
      const size = Math.min((width - 16) / (2 * reach), (height - 16) / (2 * reach * flat + steep));
      const base = height / 2 + (steep * size) / 2;
      // [i, j] → place on the page and distance from the eye
      const place = (i, j) => {
        const [x, y] = [(j - middle) / middle, (i - middle) / middle];
        const z = (heights[i][j] - low) / (high - low || 1);
        const [u, v] = [x * Math.cos(a) - y * Math.sin(a), x * Math.sin(a) + y * Math.cos(a)];
        return [width / 2 + u * size, base + (v * flat - z * steep) * size, v];
      };
      const cells = [];
      for (let i = 0; i + 1 < n; i += 1) {
        for (let j = 0; j + 1 < n; j += 1) {
          const corners = [[i, j], [i, j + 1], [i + 1, j + 1], [i + 1, j]];
          const points = corners.map(([p, q]) => place(p, q));
          const mean = corners.reduce((sum, [p, q]) => sum + heights[p][q], 0) / 4;
          const shade = (mean - low) / (high - low || 1);
          const fill = data.colours[Math.min(data.colours.length - 1, Math.floor(shade * data.colours.length))];
          cells.push([points.reduce((sum, point) => sum + point[2], 0), points, fill]);
        }
      }
      cells.sort((p, q) => p[0] - q[0]);
      for (const [, points, fill] of cells) {
        svgNode("path", { class: "ugs-cell", d: `${path(points)}Z`, fill }, svg);
      }
      const [i, j] = [middle + second.get(), middle + first.get()];
      const [x, y] = place(i, j);
      svgNode("circle", { class: "ugs-pin", cx: x, cy: y, r: 6 }, svg);
      const [p, q] = [data.coordinates[j], data.coordinates[i]];
      const where = p === 0 && q === 0 ? "At θ_r itself" : `At θ_r ${sign(p)} d₁ ${sign(q)} d₂`;
      const [turned, tilted] = [turn, tilt].map((control) => format(control.get(), 0));
      const ground = logarithmic.get() ? "logarithmic" : "linear";
      words.textContent =
        `${where} the loss is ${format(data.plane[i][j], 4)}. ` +
        `Turned by ${turned} degrees, seen from ${tilted} degrees above; the height is ${ground}.`;
      describe(svg, `The loss as a surface over two directions in weight space. ${words.textContent}`);
    };
    const sign = (value) => `${value < 0 ? "−" : "+"} ${format(Math.abs(value))}`;
    return draw;
  });
})();
