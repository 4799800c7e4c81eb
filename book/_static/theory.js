// What the interactive figures of the theory share: controls, axes, and where they are put.
// Classic scripts and inline data: they also work from a page that is opened as a file.
(() => {
  "use strict";
  if (window.UGS) return;

  const node = (tag, attributes = {}, parent = null, text = null) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== null) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  const svgNode = (tag, attributes = {}, parent = null, text = null) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== null) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  // A number as it is printed in the book: a true minus sign, a fixed number of digits.
  const format = (value, digits = 2) => {
    if (Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const text = Math.abs(value).toFixed(digits);
    return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
  };

  let count = 0;

  // A labelled range input, with its value beside the label; `changed` is called on every move.
  // Its place is kept in the page's address under `key`.
  const slider = (box, { label, key, min, max, step, value, digits = 2 }, changed) => {
    const id = `ugs-control-${(count += 1)}`;
    const row = node("div", { class: "ugs-control" }, box);
    const name = node("label", { for: id }, row, `${label} `);
    const shown = node("output", { for: id }, name);
    const input = node("input", { type: "range", id, min, max, step, value }, row);
    if (key) input.dataset.state = key;
    const show = () => {
      shown.textContent = format(Number(input.value), digits);
      input.setAttribute("aria-valuetext", `${label} ${shown.textContent}`);
    };
    input.addEventListener("input", () => {
      show();
      changed();
    });
    show();
    return { input, show, get: () => Number(input.value) };
  };

  const checkbox = (box, { label, key, checked }, changed) => {
    const row = node("div", { class: "ugs-control" }, box);
    const name = node("label", {}, row);
    const input = node("input", { type: "checkbox" }, name);
    input.checked = checked;
    if (key) input.dataset.state = key;
    name.append(` ${label}`);
    input.addEventListener("change", changed);
    return { get: () => input.checked };
  };

  const ticks = (low, high, wanted) => {
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
    return { places: found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  };

  // A plot's frame: axes with ticks and names; returns functions from values to places.
  const frame = (svg, { width, height, x, y, xLabel, yLabel, xTicks = 6, yTicks = 5 }) => {
    const edge = { left: 46, right: 12, top: 26, bottom: 42 };
    const X = (v) => edge.left + ((v - x[0]) / (x[1] - x[0])) * (width - edge.left - edge.right);
    const Y = (v) => height - edge.bottom - ((v - y[0]) / (y[1] - y[0])) * (height - edge.top - edge.bottom);
    const horizontal = ticks(y[0], y[1], yTicks);
    for (const v of horizontal.places) {
      svgNode("line", { class: "ugs-grid", x1: X(x[0]), x2: X(x[1]), y1: Y(v), y2: Y(v) }, svg);
      const at = { x: edge.left - 6, y: Y(v) + 4, "text-anchor": "end" };
      svgNode("text", at, svg, format(v, horizontal.digits));
    }
    const vertical = xTicks ? ticks(x[0], x[1], xTicks) : { places: [], digits: 0 };
    for (const v of vertical.places) {
      svgNode("line", { class: "ugs-tick", x1: X(v), x2: X(v), y1: Y(y[0]), y2: Y(y[0]) + 4 }, svg);
      const at = { x: X(v), y: Y(y[0]) + 18, "text-anchor": "middle" };
      svgNode("text", at, svg, format(v, vertical.digits));
    }
    svgNode("line", { class: "ugs-axis", x1: X(x[0]), x2: X(x[1]), y1: Y(y[0]), y2: Y(y[0]) }, svg);
    const middle = { x: (X(x[0]) + X(x[1])) / 2, y: height - 6, "text-anchor": "middle" };
    svgNode("text", middle, svg, xLabel);
    svgNode("text", { x: 4, y: 14 }, svg, yLabel);
    return { X, Y };
  };

  const canvasOf = (box, label) => svgNode("svg", { class: "ugs-plot", role: "img", "aria-label": label }, box);

  // What a drawing shows at the moment, for those who do not see it.
  const describe = (svg, text) => svg.setAttribute("aria-label", text);

  // Empty the drawing and give it the width that there is: text keeps its size on a phone.
  const fresh = (svg, height) => {
    const width = Math.max(260, Math.floor(svg.parentElement.clientWidth));
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    return width;
  };

  const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");

  // A screen reader hears where a slider came to rest, and not every place on its way.
  const speakAtRest = (box) => {
    const words = box.querySelector(".ugs-words[aria-live]");
    let timer = 0;
    if (!words) return;
    box.addEventListener(
      "input",
      () => {
        clearTimeout(timer);
        words.setAttribute("aria-live", "off");
        timer = setTimeout(() => {
          words.setAttribute("aria-live", "polite");
          words.textContent = words.textContent.trim(); // new text, which is read
        }, 500);
      },
      { capture: true },
    );
  };

  // The state of a figure is part of the page's address, so that a view can be linked and cited:
  // #gls?alpha=-0.4&K=10&p=0.95
  const keepState = (box, name) => {
    const inputs = [...box.querySelectorAll("[data-state]")];
    if (!inputs.length) return;
    const isBox = (input) => input.type === "checkbox";
    const fits = (input, value) =>
      input.tagName === "SELECT"
        ? [...input.options].some((option) => option.value === value)
        : isBox(input) || (value !== "" && Number.isFinite(Number(value)));
    const restore = () => {
      const [figure, query] = window.location.hash.slice(1).split("?");
      if (figure !== name || query === undefined) return;
      const kept = new URLSearchParams(query);
      for (const input of inputs) {
        const value = kept.get(input.dataset.state);
        if (value === null || !fits(input, value)) continue;
        if (isBox(input)) input.checked = value === "1";
        else input.value = value;
        input.dispatchEvent(new Event(input.type === "range" ? "input" : "change", { bubbles: true }));
      }
      box.scrollIntoView();
    };
    let timer = 0;
    const keep = (event) => {
      if (!event.isTrusted) return; // set by an address, not by a reader
      clearTimeout(timer);
      timer = setTimeout(() => {
        const values = inputs.map((input) => [
          input.dataset.state,
          isBox(input) ? String(Number(input.checked)) : input.value,
        ]);
        window.history.replaceState(window.history.state, "", `#${name}?${new URLSearchParams(values)}`);
      }, 300);
    };
    box.addEventListener("input", keep);
    box.addEventListener("change", keep);
    window.addEventListener("hashchange", restore);
    restore();
  };

  // Build every figure of that name; `build` returns the function that draws it anew.
  const mount = (name, build) => {
    const start = () => {
      const boxes = document.querySelectorAll(`.ugs-figure[data-figure="${name}"]`);
      for (const [number, box] of boxes.entries()) {
        const data = JSON.parse(box.querySelector("script").textContent);
        box.querySelector(".ugs-fallback").remove();
        const draw = build(box, data);
        let last = 0;
        new ResizeObserver(() => {
          if (box.clientWidth !== last) draw();
          last = box.clientWidth;
        }).observe(box);
        draw();
        keepState(box, number ? `${name}-${number + 1}` : name);
        speakAtRest(box);
        box.dataset.ready = "true";
      }
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
    else start();
  };

  window.UGS = { node, svgNode, format, slider, checkbox, frame, canvasOf, describe, fresh, path, mount };
})();
