// Chapter 6: ε of Theorem 3 over the smoothing rate, as `ugradsl_core.privacy` computes it.
(() => {
  "use strict";
  const { node, svgNode, format, slider, frame, canvasOf, describe, fresh, path, mount } = window.UGS;

  const bestAlpha = (gamma1, gamma2) => 1 - gamma1 / gamma2;
  const lowestAlpha = (gamma1, gamma2, K) => (K / (K - 1)) * bestAlpha(gamma1, gamma2);

  // NaN outside the theorem's domain, where Python raises an error.
  const labelLdpEpsilon = (alpha, gamma1, gamma2, K) => {
    const valid = gamma2 > 0 && gamma1 > gamma2 && K >= 2 && Number.isInteger(K) && alpha < 0;
    const surplus = gamma1 - gamma2 * (1 + ((1 - K) / K) * alpha);
    const less = (K * (bestAlpha(gamma1, gamma2) - alpha)) / alpha;
    return valid && surplus > 0 && less > -1 ? Math.abs(Math.log1p(less)) : NaN;
  };

  // Probability of the label itself, and of each other one, where the risk is smallest.
  const bestPrediction = (alpha, gamma1, gamma2, K) => {
    const rate = alpha / bestAlpha(gamma1, gamma2);
    return [1 - ((K - 1) / K) * rate, rate / K];
  };

  Object.assign(window.UGS, { bestAlpha, lowestAlpha, labelLdpEpsilon, bestPrediction });

  mount("label-ldp", (box, data) => {
    const TOP = 8;
    const controls = node("div", { class: "ugs-controls" }, box);
    const redraw = () => draw();
    const ratio = slider(
      controls,
      { label: "γ₁/γ₂", key: "ratio", min: 1.1, max: data.largest_ratio, step: 0.05, value: data.ratio },
      redraw,
    );
    const K = slider(controls, { label: "K", key: "K", min: 2, max: 100, step: 1, value: data.K, digits: 0 }, redraw);
    const alpha = slider(controls, { label: "α", key: "alpha", min: -9, max: -0.005, step: 0.005, value: data.alpha, digits: 3 }, redraw);
    const svg = canvasOf(box, "ε over the smoothing rate α");
    const words = node("p", { class: "ugs-words", "aria-live": "polite" }, box);

    const draw = () => {
      const [r, k] = [ratio.get(), K.get()];
      const [best, end] = [bestAlpha(r, 1), lowestAlpha(r, 1, k)];
      const [low, high] = [Math.floor(130 * end) / 100, 0]; // the domain, and a part of the outside
      alpha.input.min = low;
      alpha.show();
      const a = alpha.get();
      const height = 300;
      const width = fresh(svg, height);
      const { X, Y } = frame(svg, {
        width, height, x: [low, high], y: [0, TOP], xLabel: "smoothing rate α", yLabel: "ε (nats)",
      });
      const band = (from, to, name) => {
        const x = X(Math.max(from, low));
        const size = { x, y: Y(TOP), width: Math.max(0, X(to) - x), height: Y(0) - Y(TOP) };
        svgNode("rect", { class: name, ...size }, svg);
      };
      band(low, Math.max(end, low), "ugs-outside");
      band(end, best, "ugs-reversed");
      const points = [];
      for (let i = 1; i < 600; i += 1) {
        const at = (end * (1 - Math.cos((Math.PI * i) / 600))) / 2; // dense at both ends
        const value = labelLdpEpsilon(at, r, 1, k);
        if (value <= TOP && at >= low) points.push([X(at), Y(value)]);
      }
      svgNode("path", { class: "ugs-line", d: path(points), stroke: data.colours.nls }, svg);
      if (best >= low) {
        svgNode("line", { class: "ugs-mark", x1: X(best), x2: X(best), y1: Y(TOP), y2: Y(0) }, svg);
        const left = best < (low + high) / 2;
        const at = { x: X(best) + (left ? 6 : -6), y: Y(TOP) - 5, "text-anchor": left ? "start" : "end" };
        svgNode("text", at, svg, `1 − γ₁/γ₂ = ${format(best)}`);
      }
      const value = labelLdpEpsilon(a, r, 1, k);
      const place = Number.isNaN(value) ? TOP : Math.min(value, TOP);
      const dot = { cx: X(a), cy: Y(place), r: 6, fill: Number.isNaN(value) ? "none" : data.colours.nls };
      svgNode("circle", { class: "ugs-dot", stroke: data.colours.nls, ...dot }, svg);
      const here = Number.isNaN(value) ? "is outside the domain" : `has ε = ${format(value)}`;
      describe(
        svg,
        `ε over the smoothing rate α for γ₁/γ₂ = ${format(r)} and K = ${format(k, 0)}: ` +
          `0 at α = ${format(best)}, growing to both sides; α = ${format(a, 3)} ${here}`,
      );
      words.textContent = sentence(r, k, a, value, best, end);
    };

    const sentence = (r, k, a, value, best, end) => {
      const domain = `The domain is ${format(end, 3)} < α < 0.`;
      if (Number.isNaN(value)) {
        return `α = ${format(a, 3)} is outside: the weight of the true label is not positive, and the risk has no minimum. ${domain}`;
      }
      const [own, other] = bestPrediction(a, r, 1, k);
      const trend = a > best ? "A more negative α lowers ε here." : "A more negative α raises ε here.";
      const turn = Math.abs(a - best) < 0.005 ? "This is the minimiser: all labels look alike." : trend;
      return `ε = ${format(value)}. Best prediction: ${format(own, 3)} for the label itself, ${format(other, 4)} for each other one. ${turn} ${domain}`;
    };
    return draw;
  });
})();
