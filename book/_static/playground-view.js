// The playground as a figure: the plane, controls, curves, and a link to what is shown.
(() => {
  "use strict";
  const { node, svgNode, format, frame, canvasOf, fresh, path, mount } = window.UGS;
  const P = window.UGradSLPlayground;

  const LETTERS = ["A", "B", "C"];
  const MARKS = ["M-4.4 0A4.4 4.4 0 1 0 4.4 0A4.4 4.4 0 1 0-4.4 0Z", "M0-5.3L5 3.8L-5 3.8Z", "M-4-4H4V4H-4Z"];
  const REACH = 3.1; // the plane is [−REACH, REACH]²
  const GRID = 72; // cells of the plane along each axis
  const SHADE = 0.37; // of the classes' colours over the page's
  const BUDGET = 10; // epochs after which a run pauses; Retrain has as many as the reference had
  const SECONDS = 7; // that a whole run takes to watch
  const SERIES = { confidence: "Confidence, forgotten", RA: "Accuracy, kept", gap: "Gap to Retrain" };
  const SETS = { island: "the island", random: "a random tenth", class: "all of class C" };
  const RANGES = { alpha: [-2, 1], p: [0, 1], lr: [0.001, 1] };
  const MOST_STEPS = 20000; // that a link may ask for
  // Runs to try: a button's text, and what it sets.
  const TRIES = [
    ["GA alone", { method: "ga" }],
    ["plain labels (NegGrad+)", { method: "neggrad+" }],
    ["α = −0.4 (UGradSL+)", { method: "ugradsl+", alpha: -0.4 }],
    ["α = +0.4", { method: "ugradsl+", alpha: 0.4 }],
    ["a random tenth, p = 0.6", { method: "ugradsl+", alpha: -0.4, p: 0.6, forget: "random" }],
  ];

  // ---- A link to what is shown: #playground?m=…&a=…&p=…&lr=…&f=…&run=steps,α,p,lr_steps,…

  const toText = (rows) => {
    const parts = [];
    for (const i of rows) {
      if (parts.length && parts.at(-1)[1] === i - 1) parts.at(-1)[1] = i;
      else parts.push([i, i]);
    }
    return parts.map(([a, b]) => (a === b ? a : `${a}-${b}`)).join(".");
  };

  const toRows = (text) => {
    const rows = new Set();
    for (const part of text.split(".")) {
      const [a, b = a] = part.split("-").map(Number);
      if (!(Number.isInteger(a) && Number.isInteger(b) && a >= 0 && b < P.trainingSize)) return undefined;
      for (let i = a; i <= b; i += 1) rows.add(i);
    }
    return rows.size && rows.size < P.trainingSize ? [...rows].sort((a, b) => a - b) : undefined;
  };

  const toNumber = (name, text) => {
    const [low, high] = RANGES[name];
    return text && Number(text) >= low && Number(text) <= high ? Number(text) : undefined;
  };

  const encode = ({ method, alpha, p, lr, forget }, segments) => {
    const set = typeof forget === "string" ? forget : toText(forget);
    const run = segments.map((s) => [s.steps, s.alpha, s.p, s.lr].join()).join("_");
    return `#playground?m=${method}&a=${alpha}&p=${p}&lr=${lr}&f=${set}${run && `&run=${run}`}`;
  };

  // What a link says; nonsense is left out.
  const decode = (hash) => {
    if (!hash.startsWith("#playground?")) return null;
    const said = Object.fromEntries(hash.slice(12).split("&").map((part) => part.split("=")));
    const found = {
      method: said.m in P.METHODS ? said.m : undefined,
      alpha: toNumber("alpha", said.a),
      p: toNumber("p", said.p),
      lr: toNumber("lr", said.lr),
      forget: said.f in SETS ? said.f : said.f && toRows(said.f),
    };
    const settings = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
    let left = MOST_STEPS;
    const segments = (said.run ? said.run.split("_") : []).map((text) => {
      const [count, a, p, lr] = text.split(",");
      const steps = Math.max(0, Math.min(left, Math.floor(Number(count)) || 0));
      left -= steps;
      return { steps, alpha: toNumber("alpha", a), p: toNumber("p", p), lr: toNumber("lr", lr) };
    });
    return { settings, segments: segments.filter((s) => !Object.values(s).includes(undefined)) };
  };

  // ---- The decision boundary, from logits on an n × n grid

  const onGrid = (w, n) => {
    const { h, p } = P.scratch();
    const z = new Float64Array(n * n * P.K);
    const at = (i) => ((2 * i + 1) / n - 1) * REACH;
    for (let c = 0; c < n * n; c += 1) {
      P.logits(w, at(c % n), -at(Math.floor(c / n)), h, p);
      z.set(p, c * P.K);
    }
    return z;
  };

  // Its lines, linked from end to end, in the unit square.
  const boundary = (z, n) => {
    const logit = (c, k) => z[c * P.K + k];
    const top = Array.from({ length: n * n }, (_, c) => {
      let best = 0;
      for (let k = 1; k < P.K; k += 1) if (logit(c, k) > logit(c, best)) best = k;
      return best;
    });
    const points = new Map();
    const near = new Map(); // point → the points that it is linked to
    const add = (key, x, y) => {
      points.set(key, [(x + 0.5) / n, (y + 0.5) / n]);
      if (!near.has(key)) near.set(key, []);
      return key;
    };
    const link = (a, b) => {
      near.get(a).push(b);
      near.get(b).push(a);
    };
    // Where two neighbours' classes change places on the way from one to the other.
    const crossing = (c, d) => {
      if (top[c] === top[d]) return [];
      const lead = (cell) => logit(cell, top[c]) - logit(cell, top[d]);
      const t = lead(c) / (lead(c) - lead(d));
      const [x, y] = [c % n, Math.floor(c / n)];
      return [d === c + 1 ? add(`${c},${d}`, x + t, y) : add(`${c},${d}`, x, y + t)];
    };
    for (let c = 0; c < n * (n - 1); c += 1) {
      if (c % n === n - 1) continue;
      const sides = [[c, c + 1], [c, c + n], [c + 1, c + n + 1], [c + n, c + n + 1]];
      const keys = sides.flatMap(([a, b]) => crossing(a, b));
      if (keys.length === 2) link(...keys);
      else if (keys.length) {
        const centre = add(`${c}`, (c % n) + 0.5, Math.floor(c / n) + 0.5);
        for (const key of keys) link(key, centre);
      }
    }
    const lines = [];
    const walk = (start) => {
      while (near.get(start).length) {
        const line = [points.get(start)];
        for (let at = start; near.get(at).length; ) {
          const next = near.get(at).pop();
          near.get(next).splice(near.get(next).indexOf(at), 1);
          line.push(points.get(next));
          at = next;
        }
        lines.push(line);
      }
    };
    for (const [key, others] of near) if (others.length !== 2) walk(key);
    for (const key of near.keys()) walk(key); // what is left are rings
    return lines;
  };

  const toRgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

  const percent = (value) => `${format(value, 1)}\u00a0%`;

  mount("playground", (box, { colours }) => {
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    const { method, alpha, p, lr } = P.DEFAULTS;
    const settings = { method, alpha, p, lr, forget: "island" };
    const rates = () => ({ alpha: settings.alpha, p: settings.p, lr: settings.lr });
    let model = null; // the run; null until the figure comes near the window
    let reference = null; // Retrain's weights for the present points to forget
    let train = [];
    let curve = []; // states of the run
    let segments = []; // its steps so far, and the rates that they were taken with
    let target = 0; // steps after which it pauses
    let playing = false;
    let last = {}; // method → its latest gap

    // ---- Parts

    const tries = node("p", { class: "pg-tries" }, box, "Try ");
    for (const [text, wanted] of TRIES) {
      node("button", { type: "button" }, tries, text).addEventListener("click", () => {
        change({ forget: "island", p, lr, ...wanted });
        play();
      });
    }
    const top = node("div", { class: "pg-top" }, box);
    const left = node("div", { class: "pg-left" }, top);
    const plane = node("div", { class: "pg-plane" }, left);
    const canvas = node("canvas", { "aria-hidden": "true" }, plane);
    const describes = "Training points: arrows move between them, space marks one to be forgotten";
    const svg = svgNode("svg", { role: "group", "aria-label": describes }, plane);
    const goalLine = svgNode("path", { class: "pg-goal" }, svg);
    const legend = node("p", { class: "pg-legend" }, left);
    const key = (text, box_, tag, attributes) => {
      const item = node("span", {}, legend);
      svgNode(tag, attributes, svgNode("svg", { viewBox: box_, "aria-hidden": "true" }, item));
      item.append(text);
    };
    LETTERS.forEach((letter, k) =>
      key(`class ${letter}`, "-7 -7 14 14", "path", { d: MARKS[k], fill: colours.classes[k] }));
    key("to be forgotten", "-7 -7 14 14", "circle", { class: "pg-ring", r: 5.5 });
    key("where Retrain ends", "-13 -7 26 14", "path", { class: "pg-goal", d: "M-13 0H13" });

    const side = node("div", { class: "pg-side" }, top);
    const drive = node("div", { class: "pg-drive" }, side);
    const addButton = (text, action) => {
      const made = node("button", { type: "button" }, drive, text);
      made.addEventListener("click", action);
      return made;
    };
    const playButton = addButton("Play", () => (playing ? pause() : play()));
    addButton("Step", () => {
      playing = false;
      advance(1);
      settle();
    });
    addButton("Reset", () => begin());
    const clock = node("p", { class: "pg-clock" }, drive);

    const choices = node("div", { class: "pg-choices" }, side);
    const methods = node("fieldset", {}, choices);
    node("legend", {}, methods, "method");
    const radios = Object.entries(P.METHODS).map(([name, about]) => {
      const label = node("label", {}, methods);
      const input = node("input", { type: "radio", name: "pg-method", value: name }, label);
      label.append(about.title);
      input.addEventListener("change", () => change({ method: name }));
      return { name, input, gap: node("span", {}, label) };
    });

    const addControl = (id, text, tag, attributes) => {
      const row = node("div", { class: "ugs-control" }, choices);
      const label = node("label", { for: id }, row, `${text} `);
      return { label, input: node(tag, { id, ...attributes }, row) };
    };
    const addSlider = (name, text, attributes, toValue = Number, toInput = Number) => {
      const { label, input } = addControl(`pg-${name}`, text, "input", { type: "range", ...attributes });
      const shown = node("output", {}, label);
      input.addEventListener("input", () => {
        settings[name] = toValue(input.value);
        model?.set(rates());
        show();
        save();
      });
      const show = () => {
        const used = name === "lr" || P.METHODS[settings.method].uses.includes(name);
        const value = name === "lr" ? String(settings.lr) : format(settings[name]);
        input.value = toInput(settings[name]);
        input.disabled = !used;
        shown.textContent = used ? value : settings.method === "neggrad+" ? "0" : "unused";
        input.setAttribute("aria-valuetext", shown.textContent);
      };
      return show;
    };
    const shows = [
      addSlider("alpha", "smoothing rate α", { min: -2, max: 1, step: 0.05 }),
      addSlider("p", "weight p of the kept points", { min: 0, max: 1, step: 0.01 }),
      addSlider("lr", "step size", { min: -30, max: 0, step: 1 },
        (value) => Number((10 ** (value / 10)).toPrecision(2)), (value) => Math.round(10 * Math.log10(value))),
    ];
    const { input: select } = addControl("pg-set", "points to forget", "select", {});
    for (const [value, text] of Object.entries(SETS)) node("option", { value }, select, text);
    const own = node("option", { value: "own", disabled: "", hidden: "" }, select, "your own choice");
    select.addEventListener("change", () => change({ forget: select.value }));

    const results = node("div", { class: "pg-results" }, top);
    const list = node("dl", {}, results);
    const readouts = Object.entries(SERIES).map(([name, text]) => {
      const item = node("div", { class: `pg-${name}` }, list);
      const term = node("dt", {}, item);
      node("span", { class: "pg-swatch" }, term);
      term.append(text);
      return { name, value: node("dd", {}, item) };
    });
    const chart = canvasOf(results, "Confidence, accuracy and gap over the steps of the run");
    chart.classList.add("pg-chart");
    const words = node("p", { class: "ugs-words", "aria-live": "polite" }, results);
    box.style.setProperty("--pg-forget", colours.forget);
    box.style.setProperty("--pg-retain", colours.retain);

    // ---- The points: one stop of the tabulator, from which arrow keys lead to their neighbours

    let points = [];
    let active = 0;
    const toPlane = ({ x, y }) => [(1 + x / REACH) / 2, (1 - y / REACH) / 2];

    const focusOn = (i) => {
      points[active].setAttribute("tabindex", -1);
      points[i].setAttribute("tabindex", 0);
      active = i;
    };

    const toggle = (i) => {
      focusOn(i);
      const rows = new Set(model.rows);
      if (!rows.delete(i)) rows.add(i);
      if (rows.size && rows.size < train.length) change({ forget: [...rows].sort((a, b) => a - b) });
      else words.textContent = `At least one point has to be ${rows.size ? "kept" : "forgotten"}.`;
    };

    const neighbour = (dx, dy) => {
      let [best, least] = [active, Infinity];
      train.forEach(({ x, y }, i) => {
        const [u, v] = [x - train[active].x, y - train[active].y];
        const [ahead, aside] = [u * dx + v * dy, Math.abs(u * dy) + Math.abs(v * dx)];
        if (ahead > 0 && ahead >= aside && ahead + 2 * aside < least) [best, least] = [i, ahead + 2 * aside];
      });
      return best;
    };

    svg.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (event.key in ways) {
        focusOn(neighbour(...ways[event.key]));
        points[active].focus({ preventScroll: true });
      } else if (event.key === " " || event.key === "Enter") toggle(active);
      else return;
      event.preventDefault();
    });
    svg.addEventListener("click", (event) => {
      const area = svg.getBoundingClientRect();
      const far = train.map((point) => {
        const [u, v] = toPlane(point);
        return Math.hypot(area.left + u * area.width - event.clientX, area.top + v * area.height - event.clientY);
      });
      const closest = far.indexOf(Math.min(...far));
      if (far[closest] <= 16) toggle(closest); // a finger's width
    });

    const makePoints = () => {
      ({ train } = P.world(P.DEFAULTS.seed));
      points = train.map(({ x, y, label }) => {
        const name = `forget the point of class ${LETTERS[label]} at ${format(x)}, ${format(y)}`;
        const made = svgNode("g", { role: "checkbox", tabindex: -1, "aria-label": name }, svg);
        svgNode("circle", { class: "pg-ring", r: 7.5 }, made);
        svgNode("path", { class: "pg-mark", d: MARKS[label], fill: colours.classes[label] }, made);
        return made;
      });
      focusOn(P.forgetSets.island({ train })[0]);
    };

    // ---- The run

    const epochs = () => (settings.method === "retrain" ? P.EPOCHS : BUDGET);
    const budget = () => model.perEpoch * epochs();

    // A new run from the first weights, with the settings as they are.
    const begin = () => {
      playing = false;
      model = P.init({ ...settings, reference });
      reference = model.reference;
      [curve, segments, target] = [[model.state()], [], budget()];
      drawSettings();
      settle();
    };

    const change = (changes) => {
      if (String(changes.forget ?? settings.forget) !== String(settings.forget)) [reference, last] = [null, {}];
      Object.assign(settings, changes);
      begin();
    };

    const advance = (steps) => {
      const now = rates();
      const latest = segments.at(-1);
      if (latest && Object.keys(now).every((name) => now[name] === latest[name])) latest.steps += steps;
      else segments.push({ steps, ...now });
      const every = Math.max(1, Math.round(target / 400)); // no curve has more points than pixels
      for (let n = 1; n <= steps; n += 1) {
        model.step();
        if (model.steps % every === 0 || n === steps) curve.push(model.state());
      }
      last[settings.method] = curve.at(-1).gap;
      target = Math.max(target, model.steps);
    };

    const pause = () => {
      playing = false;
      settle();
    };

    const play = () => {
      if (model.steps >= target) target = model.steps + budget();
      if (still.matches) {
        advance(target - model.steps);
        settle();
        return;
      }
      const run = model;
      const rate = Math.max(6, budget() / SECONDS);
      let before = null;
      let owed = 1;
      const tick = (now) => {
        if (!playing || run !== model) return;
        owed += (Math.min(now - (before ?? now), 250) / 1000) * rate;
        before = now;
        const due = Math.min(Math.floor(owed), target - model.steps);
        owed -= due;
        if (due) {
          advance(due);
          draw();
          say();
        }
        if (model.steps >= target) pause();
        else requestAnimationFrame(tick);
      };
      playing = true;
      settle();
      requestAnimationFrame(tick);
    };

    // ---- Drawing

    const small = node("canvas", { width: GRID, height: GRID });
    const tones = colours.classes.map(toRgb);

    const drawPlane = () => {
      const paper = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
      const z = onGrid(model.weights, GRID);
      const pixels = new ImageData(GRID, GRID);
      for (let c = 0; c < GRID * GRID; c += 1) {
        const q = z.slice(c * P.K, (c + 1) * P.K);
        P.softmax(q);
        for (let part = 0; part < 3; part += 1) {
          const tone = tones.reduce((sum, each, k) => sum + q[k] * each[part], 0);
          pixels.data[4 * c + part] = SHADE * tone + (1 - SHADE) * paper[part];
        }
        pixels.data[4 * c + 3] = 255;
      }
      small.getContext("2d").putImageData(pixels, 0, 0);
      const dense = Math.min(devicePixelRatio || 1, 2);
      const width = Math.round(plane.clientWidth * dense);
      canvas.width = canvas.height = width;
      const brush = canvas.getContext("2d");
      brush.imageSmoothingQuality = "high";
      brush.drawImage(small, 0, 0, width, width);
      brush.strokeStyle = `rgb(${paper.slice(0, 3)})`;
      brush.lineWidth = 2.2 * dense;
      brush.lineJoin = "round";
      brush.stroke(new Path2D(boundary(z, GRID).map((line) => scaled(line, width)).join("")));
    };

    const scaled = (line, width) => path(line.map(([x, y]) => [x * width, y * width]));

    // What a run does not change: settings, points and Retrain's boundary.
    const drawSettings = () => {
      for (const { name, input } of radios) input.checked = name === settings.method;
      for (const show of shows) show();
      own.hidden = typeof settings.forget === "string";
      select.value = own.hidden ? settings.forget : "own";
      const width = plane.clientWidth;
      const forgotten = new Set(model.rows);
      svg.setAttribute("viewBox", `0 0 ${width} ${width}`);
      goalLine.setAttribute("d", boundary(onGrid(reference, GRID), GRID).map((line) => scaled(line, width)).join(""));
      points.forEach((point, i) => {
        const [u, v] = toPlane(train[i]);
        point.setAttribute("transform", `translate(${(u * width).toFixed(1)} ${(v * width).toFixed(1)})`);
        point.setAttribute("aria-checked", forgotten.has(i));
      });
    };

    const drawChart = () => {
      const height = 190;
      const width = fresh(chart, height);
      const yLabel = "percent; the gap in points";
      const { X, Y } = frame(chart, {
        width, height, x: [0, target], y: [0, 100], xLabel: "steps", yLabel, yTicks: 4, xTicks: width < 420 ? 4 : 8,
      });
      for (const name in SERIES) {
        const aim = name in model.goal ? `M${X(0)} ${Y(model.goal[name])}H${X(target)}` : "";
        svgNode("path", { class: `pg-aim pg-${name}`, d: aim }, chart);
        const line = curve.map((s) => [X(s.step), Y(s[name])]);
        svgNode("path", { class: `ugs-line pg-${name}`, d: path(line) }, chart);
        svgNode("circle", { class: `pg-end pg-${name}`, cx: line.at(-1)[0], cy: line.at(-1)[1], r: 3.5 }, chart);
      }
    };

    const draw = () => {
      const now = curve.at(-1);
      drawPlane();
      drawChart();
      for (const { name, value } of readouts) {
        const unit = name === "gap" ? (gap) => `${format(gap, 1)} points` : percent;
        value.replaceChildren();
        node("b", {}, value, unit(now[name]));
        if (name in model.goal) value.append(` Retrain ${percent(model.goal[name])}`);
      }
      const planned = Math.max(epochs(), Math.ceil(target / model.perEpoch));
      clock.textContent = `step ${now.step}, epoch ${format(now.epoch, 1)} of ${planned}`;
      for (const { name, gap } of radios) gap.textContent = name in last ? `gap ${format(last[name], 1)}` : "";
    };

    let said = 0;
    const say = () => {
      if (playing && performance.now() - said < 2500) return; // no voice can follow every step
      said = performance.now();
      const now = curve.at(-1);
      const { title, over } = P.METHODS[settings.method];
      const set = over === "retain" ? "kept" : "forgotten";
      const first = settings.method === "retrain" ? "Fresh weights" : "The original model";
      const when = now.step
        ? `${title} after ${now.step} ${now.step === 1 ? "step" : "steps"} (${format(now.epoch, 1)} passes over the ${set} points)`
        : `${first}, before the first step`;
      const three = ["UA", "RA", "TA"].map((name) => `${name} ${percent(now[name])} (Retrain ${percent(model.goal[name])})`);
      words.textContent = `${when}: ${three.join(", ")}. The gap, their mean distance, is ${format(now.gap, 1)} points.`;
    };

    // After whatever begins or ends a movement: draw, say, and keep it in the address.
    const settle = () => {
      playButton.textContent = playing ? "Pause" : "Play";
      draw();
      say();
      save();
    };

    let touched = false; // the address stays as it is until a reader uses the figure
    let saving = 0;
    for (const kind of ["input", "click", "keydown"]) box.addEventListener(kind, () => (touched = true), true);
    const save = () => {
      clearTimeout(saving);
      saving = setTimeout(() => {
        if (!touched || playing) return;
        const link = encode(settings, segments.length <= 60 ? segments : []);
        history.replaceState(history.state, "", link);
      }, 200);
    };

    // ---- Beginning: the models are trained when the figure comes near the window

    const open = (link) => {
      Object.assign(settings, link?.settings);
      [reference, last] = [null, {}];
      const now = rates();
      begin();
      for (const { steps, ...then } of link?.segments ?? []) {
        Object.assign(settings, then);
        model.set(then);
        advance(steps);
      }
      Object.assign(settings, now);
      model.set(now);
      settle();
    };

    const link = () => decode(location.hash);
    const wake = () => {
      if (model) return;
      makePoints();
      open(link());
      box.dataset.trained = "true";
    };
    if (link()) box.scrollIntoView();
    const watch = (entries) => entries.some((entry) => entry.isIntersecting) && wake();
    new IntersectionObserver(watch, { rootMargin: "500px" }).observe(box);
    box.addEventListener("focusin", wake);
    window.addEventListener("beforeprint", wake);
    window.addEventListener("hashchange", () => link() && model && open(link()));
    new MutationObserver(() => model && draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });

    return () => {
      if (!model) return;
      drawSettings();
      draw();
    };
  });
})();
