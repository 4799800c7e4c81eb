// The comparator: two models of a setting from what they said of every sample.
// What a model said is a script that is loaded when it is chosen, so a page opened as a file works.
(() => {
  "use strict";
  const { node, svgNode, format, slider, canvasOf, fresh, path, mount, frame } = window.UGS;
  const SETS = { retain: "D_r, retained", forget: "D_f, forgotten", test: "D_te, test" };
  const NAMES = ["A", "B"];
  const here = document.currentScript ? document.currentScript.src : "../_static/comparator.js";
  const root = here.slice(0, here.lastIndexOf("/") + 1);

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  // Deflated: all low bytes, then all high bytes of 16-bit words.
  const words = async (text) => {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const count = planes.length >> 1;
    return Uint16Array.from({ length: count }, (_, i) => planes[i] | (planes[count + i] << 8));
  };
  const half = (bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  };

  // Labels, predictions, confidences (p of the true class) and losses (nats) of one set.
  const decode = async (raw) => {
    const [labels, wrong, bits] = await Promise.all(
      [raw.labels, raw.predictions, raw.margins].map(words),
    );
    const margins = Float64Array.from(bits, half);
    return {
      labels,
      predictions: labels.map((label, i) => label ^ wrong[i]),
      confidence: margins.map((m) => 1 / (1 + Math.exp(-m))),
      loss: margins.map((m) => (m > 0 ? Math.log1p(Math.exp(-m)) : -m + Math.log1p(Math.exp(m)))),
    };
  };
  const loaded = new Map();
  const load = (file) => {
    if (!loaded.has(file)) {
      loaded.set(file, new Promise((resolve, reject) => {
        const script = node("script", { src: `${root}outputs/${file}` });
        script.addEventListener("load", () => {
          const sets = window.ugsOutputs[file];
          Promise.all(Object.keys(SETS).map(async (name) => [name, await decode(sets[name])]))
            .then(Object.fromEntries)
            .then(resolve, () => reject(new Error(file)));
        });
        script.addEventListener("error", () => reject(new Error(file)));
        document.head.append(script);
      }));
    }
    return loaded.get(file);
  };

  const share = (values, test) => {
    let count = 0;
    for (let i = 0; i < values.length; i += 1) if (test(values[i], i)) count += 1;
    return values.length ? (100 * count) / values.length : NaN;
  };
  const accuracy = ({ labels, predictions }) => share(labels, (label, i) => label === predictions[i]);
  const median = (values) => {
    const sorted = Float64Array.from(values).sort();
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  };
  const byClass = ({ labels, predictions }, classes) => {
    const right = new Float64Array(classes);
    const all = new Float64Array(classes);
    labels.forEach((label, i) => {
      all[label] += 1;
      right[label] += label === predictions[i];
    });
    return right.map((n, i) => (all[i] ? (100 * n) / all[i] : NaN));
  };
  const matrixOf = ({ labels, predictions }, classes) => {
    const rows = Array.from({ length: classes }, () => new Float64Array(classes));
    labels.forEach((label, i) => { rows[label][predictions[i]] += 1; });
    return rows.map((row) => {
      const total = row.reduce((a, b) => a + b, 0);
      return total ? row.map((n) => (100 * n) / total) : null;
    });
  };
  const density = (values, low, high, bins) => {
    const counts = new Float64Array(bins);
    values.forEach((v) => {
      const bin = Math.floor(((v - low) / (high - low)) * bins);
      counts[Math.min(bins - 1, Math.max(0, bin))] += 1;
    });
    return counts.map((n) => (100 * n) / values.length);
  };

  mount("comparator", (box, { settings }) => {
    const query = new URLSearchParams(window.location.hash.slice(1));
    const state = { setting: settings[0], models: [null, null], threshold: 0.5 };
    const select = (parent, label, key) => {
      const row = node("div", { class: "ugs-control" }, parent);
      const id = `ugs-comparator-${key}`;
      node("label", { for: id }, row, label);
      return node("select", { id, "data-key": key }, row);
    };
    const controls = node("div", { class: "ugs-controls" }, box);
    const chooseSetting = select(controls, "Setting", "setting");
    for (const { name, title } of settings) node("option", { value: name }, chooseSetting, title);
    const choose = NAMES.map((name) => select(controls, `Model ${name}`, name.toLowerCase()));
    const status = node("p", { class: "ugc-status", role: "status" }, box);
    const body = node("div", { class: "ugc-panels" }, box);
    let sets = null;

    const fill = (wanted) => {
      choose.forEach((list, i) => {
        list.replaceChildren();
        for (const { key, title, seed } of state.setting.models)
          node("option", { value: key }, list, `${title}, seed ${seed}`);
        const known = state.setting.models.map(({ key }) => key);
        const usual = [/^retrain-\d+$/, /^ugradsl\+-\d+$/][i];
        list.value = known.includes(wanted[i]) ? wanted[i]
          : known.find((key) => usual.test(key)) ?? known[Math.min(i, known.length - 1)];
      });
    };
    const remember = () => {
      const kept = new URLSearchParams({
        setting: state.setting.name, a: choose[0].value, b: choose[1].value,
        t: state.threshold.toFixed(2),
      });
      window.history.replaceState(null, "", `#${kept}`);
    };

    const heading = (text) => node("h2", { class: "ugc-heading" }, body, text);
    const table = (caption, head, rows) => {
      const place = node("div", { class: "ugc-scroll", tabindex: "0", role: "region", "aria-label": caption }, body);
      const made = node("table", { class: "ugc-table" }, place);
      node("caption", {}, made, caption);
      const first = node("tr", {}, node("thead", {}, made));
      head.forEach((text) => node(text ? "th" : "td", text ? { scope: "col" } : {}, first, text));
      const lines = node("tbody", {}, made);
      rows.forEach(([name, ...cells]) => {
        const line = node("tr", {}, lines);
        node("th", { scope: "row" }, line, name);
        cells.forEach((cell) => node("td", {}, line, cell));
      });
      return made;
    };
    const legend = () => {
      const row = node("p", { class: "ugc-legend" }, body);
      NAMES.forEach((name, i) => {
        node("span", { class: `ugc-key ugs-model-${name}` }, row);
        const { title, seed } = state.models[i];
        row.append(` ${name}: ${title}, seed ${seed}  `);
      });
    };

    const metrics = () => {
      // what the outputs say: the accuracies; the attacks are those of the records
      const counted = { UA: (s) => 100 - accuracy(s.forget), RA: (s) => accuracy(s.retain), TA: (s) => accuracy(s.test) };
      const rows = ["UA", "MIA", "RA", "TA", "add_MIA"].map((name) => [
        `${name === "add_MIA" ? "additional MIA" : name}, %`,
        ...state.models.map((m, i) => {
          if (name in counted) return format(counted[name](sets[i]), 1);
          return name in m.metrics ? format(m.metrics[name], 1) : "–";
        }),
      ]);
      ["forget", "test"].forEach((name) => rows.push([
        `median loss, ${SETS[name].split(",")[0]}`, ...sets.map((s) => format(median(s[name].loss), 3)),
      ]));
      table("Accuracies of these outputs, and the attacks of the records", ["", ...NAMES], rows);
    };

    const classes = () => {
      heading("Accuracy by class");
      const K = state.setting.classes;
      for (const name of ["forget", "test"]) {
        const found = sets.map((s) => byClass(s[name], K));
        const far = found[0].map((v, k) => Math.abs(v - found[1][k]));
        const apart = [...far.keys()].filter((k) => !Number.isNaN(far[k])).sort((i, j) => far[j] - far[i])[0];
        const words = apart === undefined ? "no class" : `most apart: class ${apart}, ${format(found[0][apart], 0)} against ${format(found[1][apart], 0)} %`;
        node("p", {}, body, `${SETS[name]}: ${words}.`);
        const svg = canvasOf(body, `Accuracy by class on ${SETS[name]}; ${words}`);
        const width = fresh(svg, 190);
        const { X, Y } = frame(svg, { width, height: 190, x: [-0.6, K - 0.4], y: [0, 100], xLabel: "class", yLabel: "%", xTicks: K > 20 ? 6 : 0 });
        const step = (X(1) - X(0)) * 0.38;
        found.forEach((values, i) => values.forEach((v, k) => {
          if (Number.isNaN(v)) return;
          svgNode("rect", { class: `ugs-model-${NAMES[i]}`, x: X(k) - step + i * step, width: Math.max(1, step - 1), y: Y(v), height: Math.max(0.8, Y(0) - Y(v)) }, svg);
        }));
        if (K <= 20) for (let k = 0; k < K; k += 1) svgNode("text", { x: X(k), y: Y(0) + 16, "text-anchor": "middle" }, svg, String(k));
      }
    };

    const matrices = () => {
      heading("What the forgotten samples are taken for");
      const K = state.setting.classes;
      if (K > 20) {
        node("p", {}, body, `With ${K} classes a matrix is not readable; the shares of correct answers are above.`);
        return;
      }
      const pair = node("div", { class: "ugc-pair" }, body);
      const places = sets.map(() => node("div", {}, pair)); // both first: each has its final width
      sets.forEach((s, i) => {
        const rows = matrixOf(s.forget, K);
        const cell = places[i];
        node("p", {}, cell, `${NAMES[i]}: ${state.models[i].title}`);
        const svg = canvasOf(cell, `Predictions of ${state.models[i].title} on the forgotten samples, rows are true classes; ${format(accuracy(s.forget), 1)} % on the diagonal`);
        const width = fresh(svg, 280);
        const side = Math.min((width - 40) / K, 240 / K);
        rows.forEach((row, r) => {
          svgNode("text", { x: 28, y: 22 + (r + 0.7) * side, "text-anchor": "end" }, svg, String(r));
          svgNode("text", { x: 34 + (r + 0.5) * side, y: 14, "text-anchor": "middle" }, svg, String(r));
          (row ?? new Array(K).fill(0)).forEach((v, c) => {
            const rect = svgNode("rect", { class: "ugc-heat", x: 34 + c * side, y: 20 + r * side, width: side - 1, height: side - 1, "fill-opacity": (0.06 + 0.94 * (v / 100)).toFixed(3) }, svg);
            svgNode("title", {}, rect, `true ${r}, predicted ${c}: ${format(v, 1)} %`);
          });
        });
      });
    };

    const histograms = () => {
      for (const [key, name, low] of [["loss", "Loss (nats)", 0], ["confidence", "Confidence in the true class", 0]]) {
        heading(name);
        for (const part of ["forget", "test"]) {
          const high = key === "confidence" ? 1 : Math.max(1, ...sets.map((s) => Float64Array.from(s[part].loss).sort()[Math.floor(0.98 * (s[part].loss.length - 1))]));
          const bins = 40;
          const found = sets.map((s) => density(s[part][key], low, high, bins));
          const middle = sets.map((s) => median(s[part][key]));
          const words = `${SETS[part]}: median ${format(middle[0], 2)} with A, ${format(middle[1], 2)} with B`;
          node("p", {}, body, `${words}.`);
          const svg = canvasOf(body, `Histogram of ${name.toLowerCase()} on ${words}`);
          const width = fresh(svg, 170);
          const top = Math.max(...found.flatMap((f) => [...f]));
          const { X, Y } = frame(svg, { width, height: 170, x: [low, high], y: [0, top], xLabel: name, yLabel: "% of samples" });
          found.forEach((counts, i) => {
            const points = [[X(low), Y(0)]];
            counts.forEach((v, b) => {
              points.push([X(low + (b * (high - low)) / bins), Y(v)], [X(low + ((b + 1) * (high - low)) / bins), Y(v)]);
            });
            points.push([X(high), Y(0)]);
            svgNode("path", { class: `ugs-line ugs-model-${NAMES[i]}`, d: path(points) }, svg);
          });
        }
      }
    };

    const attack = () => {
      heading("An attack with a threshold");
      const place = node("div", {}, body);
      const result = node("div", {}, body);
      const show = () => {
        state.threshold = knob.get();
        const rows = Object.entries({ retain: "members found (D_r): true positive rate", test: "test samples taken for members: false positive rate", forget: "forgotten samples called members" })
          .map(([name, title]) => [title, ...sets.map((s) => `${format(share(s[name].confidence, (c) => c >= state.threshold), 1)} %`)]);
        rows.push(["balanced accuracy of the attack", ...sets.map((s) => {
          const hit = share(s.retain.confidence, (c) => c >= state.threshold);
          const wrong = share(s.test.confidence, (c) => c >= state.threshold);
          return `${format((hit + 100 - wrong) / 2, 1)} %`;
        })]);
        const made = table("What the attack says at this threshold", ["", ...NAMES], rows);
        result.replaceChildren(made.parentElement);
        remember();
      };
      const knob = slider(place, { label: "member if the confidence is at least", min: 0, max: 1, step: 0.01, value: state.threshold }, () => show());
      show();
    };

    const layers = () => {
      heading("Similarity of layers");
      const rows = [];
      const names = Object.keys(state.models.map((m) => m.similarity.retrain ?? m.similarity.original ?? {})[0]);
      for (const layer of names) {
        rows.push([layer, ...["original", "retrain"].flatMap((other) => state.models.map((m) => {
          const v = (m.similarity[other] ?? {})[layer];
          return v === undefined ? "–" : format(v, 2);
        }))]);
      }
      table("Linear CKA of each layer, on 256 test samples", ["Layer", "A to the original", "B to the original", "A to Retrain", "B to Retrain"], rows);
    };

    const draw = () => {
      if (!sets) return;
      body.replaceChildren();
      legend();
      metrics();
      classes();
      matrices();
      histograms();
      attack();
      layers();
    };
    const update = async () => {
      delete box.dataset.shown;
      state.models = choose.map((list) => state.setting.models.find(({ key }) => key === list.value));
      status.textContent = "Loading the models' answers …";
      const asked = state.models.map(({ file }) => file).join(" ");
      try {
        const found = await Promise.all(state.models.map(({ file }) => load(file)));
        if (asked !== state.models.map(({ file }) => file).join(" ")) return; // another choice since
        sets = found;
      } catch (error) {
        status.textContent = `The file ${error.message} could not be loaded.`;
        return;
      }
      status.textContent = `${sets[0].forget.labels.length} forgotten, ${sets[0].retain.labels.length} retained and ${sets[0].test.labels.length} test samples.`;
      draw();
      remember();
      box.dataset.shown = asked;
    };

    const begin = settings.find(({ name }) => name === query.get("setting"));
    if (begin) state.setting = begin;
    const t = Number(query.get("t"));
    if (query.has("t") && t >= 0 && t <= 1) state.threshold = t;
    chooseSetting.value = state.setting.name;
    fill([query.get("a"), query.get("b")]);
    chooseSetting.addEventListener("change", () => {
      state.setting = settings.find(({ name }) => name === chooseSetting.value);
      fill([null, null]);
      update();
    });
    choose.forEach((list) => list.addEventListener("change", update));
    update();
    return draw;
  });
})();
