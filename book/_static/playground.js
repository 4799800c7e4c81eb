// The playground's numbers: points in the plane, a 2–16–3 network, and the updates of `ugradsl_core` in
// float64. Nothing here draws; tests take the same steps in Python.
(() => {
  "use strict";

  const K = 3;
  const HIDDEN = 16;
  const SIZE = 2 * HIDDEN + HIDDEN + HIDDEN * K + K;
  // Where W1 (HIDDEN × 2), b1, W2 (K × HIDDEN) and b2 begin in the vector of weights.
  const AT = { W1: 0, b1: 2 * HIDDEN, W2: 3 * HIDDEN, b2: 3 * HIDDEN + K * HIDDEN };
  const EPOCHS = 60; // of the original model and of Retrain
  const DEFAULTS = {
    method: "ugradsl+",
    alpha: -0.4,
    p: 0.9,
    lr: 0.02,
    momentum: 0.9,
    weightDecay: 5e-4,
    batchSize: 5,
    seed: 1,
  };
  // What each method has of Eq. (8), and the set whose end is the end of an epoch.
  const METHODS = {
    ga: { title: "GA", over: "forget", uses: [] },
    "neggrad+": { title: "NegGrad+", over: "retain", uses: ["p"] },
    ugradsl: { title: "UGradSL", over: "forget", uses: ["alpha", "p"] },
    "ugradsl+": { title: "UGradSL+", over: "retain", uses: ["alpha", "p"] },
    retrain: { title: "Retrain", over: "retain", uses: [] },
  };

  // mulberry32: integers only, so that every browser draws the same numbers.
  const random = (seed) => {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  };

  // Nearly normal, from additions alone: logarithms and cosines differ between machines.
  const normal = (draw) => {
    let sum = -6;
    for (let i = 0; i < 12; i += 1) sum += draw();
    return sum;
  };

  const permutation = (size, draw) => {
    const order = Array.from({ length: size }, (_, i) => i);
    for (let i = size - 1; i > 0; i -= 1) {
      const j = Math.floor(draw() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };

  // Class, centre, spread and number of each cloud; the last one is the island to forget.
  const CLOUDS = [
    [0, 0, 1.25, 0.62, 0.42, 50],
    [1, -1.3, -0.85, 0.5, 0.52, 50],
    [2, 1.3, -0.85, 0.5, 0.52, 50],
    [0, 0, -1.1, 0.17, 0.27, 20],
  ];

  const cloudPoints = (clouds, draw, share) => {
    const points = [];
    clouds.forEach(([label, cx, cy, sx, sy, count], cloud) => {
      for (let i = 0; i < count * share; i += 1) {
        const [x, y] = [cx + sx * normal(draw), cy + sy * normal(draw)];
        points.push({ x: Math.round(x * 100) / 100, y: Math.round(y * 100) / 100, label, cloud });
      }
    });
    return points;
  };

  // D_tr, and a test set of the same clouds without the island: nobody's data are like it.
  const data = (seed = DEFAULTS.seed) => ({
    train: cloudPoints(CLOUDS, random(seed), 1),
    test: cloudPoints(CLOUDS.slice(0, 3), random(seed + 1000), 2),
  });

  // The samples that a name stands for: the island, a tenth at random, or the whole third class.
  const forgetSets = {
    island: ({ train }) => train.flatMap((point, i) => (point.cloud === 3 ? [i] : [])),
    random: ({ train }) =>
      permutation(train.length, random(77)).slice(0, Math.round(train.length / 10)).sort((a, b) => a - b),
    class: ({ train }) => train.flatMap((point, i) => (point.label === 2 ? [i] : [])),
  };

  // Fresh weights, uniform in ±1/√(inputs of the layer), as `torch.nn.Linear` draws them.
  const fresh = (seed) => {
    const draw = random(seed);
    return Float64Array.from({ length: SIZE }, (_, i) => (2 * draw() - 1) / Math.sqrt(i < AT.W2 ? 2 : HIDDEN));
  };

  // The logits at a point into `z`, the hidden layer into `h`.
  const logits = (w, x, y, h, z) => {
    for (let j = 0; j < HIDDEN; j += 1) {
      h[j] = Math.tanh(w[2 * j] * x + w[2 * j + 1] * y + w[AT.b1 + j]);
    }
    for (let k = 0; k < K; k += 1) {
      z[k] = w[AT.b2 + k];
      for (let j = 0; j < HIDDEN; j += 1) z[k] += w[AT.W2 + k * HIDDEN + j] * h[j];
    }
  };

  // Logits to probabilities, in place.
  const softmax = (z) => {
    const most = Math.max(...z);
    let sum = 0;
    for (let k = 0; k < K; k += 1) sum += z[k] = Math.exp(z[k] - most);
    for (let k = 0; k < K; k += 1) z[k] /= sum;
  };

  const forward = (w, x, y, h, p) => {
    logits(w, x, y, h, p);
    softmax(p);
  };

  // y^{GLS,α} of Section 3.1: 1 + (1−K)/K·α at the label, α/K elsewhere.
  const glsLabel = (k, label, alpha) => (k === label ? 1 - alpha : 0) + alpha / K;

  // Add `weight` times the gradient of the batch's mean of Eq. (6).
  const addGradient = (g, w, batch, weight, alpha, { h, p, d }) => {
    const share = weight / batch.length;
    for (const { x, y, label } of batch) {
      forward(w, x, y, h, p);
      for (let k = 0; k < K; k += 1) {
        d[k] = share * (p[k] - glsLabel(k, label, alpha));
        g[AT.b2 + k] += d[k];
      }
      for (let j = 0; j < HIDDEN; j += 1) {
        let back = 0;
        for (let k = 0; k < K; k += 1) {
          g[AT.W2 + k * HIDDEN + j] += d[k] * h[j];
          back += d[k] * w[AT.W2 + k * HIDDEN + j];
        }
        back *= 1 - h[j] * h[j];
        g[2 * j] += back * x;
        g[2 * j + 1] += back * y;
        g[AT.b1 + j] += back;
      }
    }
  };

  // A random order in batches; a last batch of one joins the one before (`training.shuffled`).
  const shuffled = (size, batchSize, permute) => {
    const order = permute(size);
    const batches = [];
    for (let i = 0; i < size; i += batchSize) batches.push(order.slice(i, i + batchSize));
    if (batches.length > 1 && batches.at(-1).length === 1) batches.at(-2).push(...batches.pop());
    return batches;
  };

  // Batches of the other set from an endless sequence of random orders (`training.cycled`).
  const cycle = (size, permute) => {
    let order = [];
    return (wanted) => {
      while (order.length < wanted) order = order.concat(permute(size));
      return order.splice(0, wanted);
    };
  };

  // Share of points that are right, and mean probability of the true class, in percent.
  const judge = (w, points, { h, p }) => {
    let [right, sure] = [0, 0];
    for (const { x, y, label } of points) {
      forward(w, x, y, h, p);
      let best = 0;
      for (let k = 1; k < K; k += 1) if (p[k] > p[best]) best = k;
      right += best === label;
      sure += p[label];
    }
    return { accuracy: (100 * right) / points.length, confidence: (100 * sure) / points.length };
  };

  const scratch = () => ({ h: new Float64Array(HIDDEN), p: new Float64Array(K), d: new Float64Array(K) });

  // A run of a method from its first weights; `set` changes α, p or the step size on the way.
  const start = (params, weights, retain, forget) => {
    const settings = { ...DEFAULTS, ...params };
    const { over } = METHODS[settings.method];
    const work = scratch();
    const w = Float64Array.from(weights);
    const velocity = new Float64Array(SIZE);
    const orders = { retain: [], forget: [] };
    const stream = (name, seed) => {
      const draw = random(seed);
      return (size) => {
        const order = permutation(size, draw);
        if (settings.record) orders[name].push([...order]);
        return order;
      };
    };
    const permute = { retain: stream("retain", settings.seed + 11), forget: stream("forget", settings.seed + 12) };
    const sets = { retain, forget };
    const other = over === "retain" ? "forget" : "retain";
    const alone = settings.method === "ga" || settings.method === "retrain";
    const perEpoch = shuffled(sets[over].length, settings.batchSize, (n) => Array(n).fill(0)).length;
    let step = 0;
    let queue = [];
    let follow = null;

    const batchesOfStep = () => {
      if (!queue.length) {
        queue = shuffled(sets[over].length, settings.batchSize, permute[over]);
        follow = cycle(sets[other].length, permute[other]);
      }
      const rows = queue.shift();
      const found = { [over]: rows.map((i) => sets[over][i]) };
      if (!alone) found[other] = follow(rows.length).map((i) => sets[other][i]);
      return found;
    };

    const gradient = (batches) => {
      const g = new Float64Array(SIZE);
      const { method, p, alpha } = settings;
      if (method === "retrain") addGradient(g, w, batches.retain, 1, 0, work);
      else if (method === "ga") addGradient(g, w, batches.forget, -1, 0, work);
      else {
        // Eq. (8) with means; NegGrad+ has plain labels.
        addGradient(g, w, batches.retain, p, 0, work);
        addGradient(g, w, batches.forget, -(1 - p), method === "neggrad+" ? 0 : alpha, work);
      }
      return g;
    };

    return {
      perEpoch,
      orders,
      weights: w,
      get steps() {
        return step;
      },
      set(changes) {
        Object.assign(settings, changes);
      },
      // SGD as in PyTorch: weight decay joins the gradient before the momentum.
      step(count = 1) {
        for (let n = 0; n < count; n += 1) {
          const g = gradient(batchesOfStep());
          for (let i = 0; i < SIZE; i += 1) {
            const slope = g[i] + settings.weightDecay * w[i];
            velocity[i] = settings.momentum * velocity[i] + slope;
            w[i] -= settings.lr * velocity[i];
          }
          step += 1;
        }
      },
    };
  };

  const whole = (run) => {
    run.step(EPOCHS * run.perEpoch);
    return run.weights;
  };

  const worlds = new Map();

  // The data of a seed and the model trained on all of them, which is the same for every run.
  const world = (seed) => {
    if (!worlds.has(seed)) {
      const sets = data(seed);
      const original = whole(start({ method: "retrain", seed }, fresh(seed + 21), sets.train, []));
      worlds.set(seed, { ...sets, original });
    }
    return worlds.get(seed);
  };

  // A run with what it is judged by: `forget` is a list of training samples or a name of a set.
  const init = (params = {}) => {
    const { seed } = { ...DEFAULTS, ...params };
    const { train, test, original } = world(seed);
    const wanted = params.forget ?? "island";
    const rows = typeof wanted === "string" ? forgetSets[wanted]({ train }) : [...wanted].sort((a, b) => a - b);
    const chosen = new Set(rows);
    const forget = train.filter((_, i) => chosen.has(i));
    const retain = train.filter((_, i) => !chosen.has(i));
    const first = fresh(seed + 22);
    const reference = params.reference ?? whole(start({ method: "retrain", seed }, first, retain, forget));
    const run = start(params, params.method === "retrain" ? first : original, retain, forget);
    const work = scratch();

    const metrics = (w) => {
      const [f, r, t] = [forget, retain, test].map((points) => judge(w, points, work));
      return { confidence: f.confidence, UA: 100 - f.accuracy, RA: r.accuracy, TA: t.accuracy };
    };
    const goal = metrics(reference);

    // The run so far: percentages, and the mean distance to Retrain in UA, RA and TA.
    const state = () => {
      const found = metrics(run.weights);
      const gap = ["UA", "RA", "TA"].reduce((sum, name) => sum + Math.abs(found[name] - goal[name]), 0) / 3;
      return { ...found, gap, step: run.steps, epoch: run.steps / run.perEpoch };
    };

    return Object.assign(run, { rows, retain, forget, test, goal, reference, state });
  };

  window.UGradSLPlayground = {
    K, HIDDEN, AT, EPOCHS, trainingSize: CLOUDS.reduce((sum, cloud) => sum + cloud[5], 0),
    DEFAULTS, METHODS, forgetSets, world, logits, softmax, scratch, init,
  };
})();
