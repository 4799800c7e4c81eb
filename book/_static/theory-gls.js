// Chapter 4: the smoothed label, and where a step of gradient ascent moves the logits.
(() => {
  "use strict";
  const { node, svgNode, format, slider, frame, canvasOf, describe, fresh, mount } = window.UGS;

  // Entries of y^{GLS,α}: of the true class, and of each other one.
  const glsLabel = (alpha, K) => [1 + ((1 - K) / K) * alpha, alpha / K];

  // softmax − y^{GLS,α} where the true class has probability p and the others share the rest.
  const ascent = (alpha, K, p) => {
    const [own, other] = glsLabel(alpha, K);
    return [p - own, (1 - p) / (K - 1) - other];
  };

  const lengthOf = ([own, other], K) => Math.hypot(own, other * Math.sqrt(K - 1));

  Object.assign(window.UGS, { glsLabel, ascent, lengthOf });

  mount("gls", (box, data) => {
    const controls = node("div", { class: "ugs-controls" }, box);
    const redraw = () => draw();
    const alpha = slider(controls, { label: "α", key: "alpha", min: -2, max: 1, step: 0.05, value: data.alpha }, redraw);
    const K = slider(controls, { label: "K", key: "K", min: 2, max: 20, step: 1, value: data.K, digits: 0 }, redraw);
    const sure = slider(
      controls,
      { label: "probability of the true class", key: "p", min: 0.01, max: 0.999, step: 0.001, value: data.p, digits: 3 },
      redraw,
    );
    const plots = ["entries of the smoothed label", "ascent: change of the logits"].map((name) => [
      canvasOf(box, name), name,
    ]);
    const words = node("p", { class: "ugs-words", "aria-live": "polite" }, box);

    const bars = (svg, name, K, [own, other], [own0, other0], limits) => {
      const height = 190;
      const width = fresh(svg, height);
      const { X, Y } = frame(svg, {
        width, height, x: [-0.6, K - 0.4], y: limits, xLabel: "class; 0 is the true one", yLabel: name, xTicks: 0, yTicks: 4,
      });
      const wide = X(0.36) - X(-0.36);
      const every = K > 12 && width < 500 ? 2 : 1;
      for (let k = 0; k < K; k += 1) {
        const box = (value) => ({
          x: X(k - 0.36), width: wide, y: Y(Math.max(value, 0)), height: Math.abs(Y(value) - Y(0)),
        });
        const value = k ? other : own;
        svgNode("rect", { fill: value < 0 ? data.colours.nls : data.colours.pls, ...box(value) }, svg);
        svgNode("rect", { class: "ugs-ghost", ...box(k ? other0 : own0) }, svg);
        if (k % every === 0) {
          svgNode("text", { x: X(k), y: Y(limits[0]) + 18, "text-anchor": "middle" }, svg, String(k));
        }
      }
      svgNode("line", { class: "ugs-axis", x1: X(-0.6), x2: X(K - 0.4), y1: Y(0), y2: Y(0) }, svg);
    };

    const draw = () => {
      const [a, k, p] = [alpha.get(), K.get(), sure.get()];
      const label = glsLabel(a, k);
      const push = ascent(a, k, p);
      const plain = ascent(0, k, p);
      bars(plots[0][0], plots[0][1], k, label, glsLabel(0, k), [-1, 3]);
      const most = Math.max(...[...push, ...plain].map(Math.abs));
      const limit = [0.25, 0.5, 1, 3].find((size) => size >= most);
      const upper = Math.max(...push, ...plain) > limit / 2 ? limit : limit / 2;
      bars(plots[1][0], plots[1][1], k, push, plain, [-limit, upper]);
      const state = (name, [own, other], digits) =>
        `${name}, α = ${format(a)}, K = ${format(k, 0)}: ${format(own, digits)} at the true class, ` +
        `${format(other, digits)} at each other one`;
      describe(plots[0][0], state(plots[0][1], label, 3));
      describe(plots[1][0], state(plots[1][1], push, 3));
      words.textContent =
        `Label: ${format(label[0])} at the true class, ${format(label[1], 3)} elsewhere; the sum is 1. ` +
        `Length of the ascent direction: ${format(lengthOf(push, k), 3)} with α = ${format(a)}, ` +
        `${format(lengthOf(plain, k), 3)} with α = 0 (outlined).`;
    };
    return draw;
  });
})();
