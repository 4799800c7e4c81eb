// What the tests look at on a page that is open in the browser.
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colours = new Map();
  const rgba = (colour) => {
    if (!colours.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      colours.set(colour, [r, g, b, a / 255]);
    }
    return colours.get(colour);
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = (e) => {
    if (!e) return [255, 255, 255];
    const paint = rgba(getComputedStyle(e).backgroundColor);
    return paint[3] === 1 ? paint.slice(0, 3) : over(paint, behind(e.parentElement));
  };
  const ownText = (e) =>
    [...e.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data).join("").trim();
  return {
    theme: () => document.documentElement.dataset.theme,

    links: () => [...document.querySelectorAll("a[href]")].map((a) => a.href),

    stamp: () => ({
      words: document.querySelector(".stamp")?.innerText ?? "",
      links: [...document.querySelectorAll(".stamp a")].map((a) => a.getAttribute("href") || ""),
    }),

    images: () =>
      [
        ...[...document.images].map((image) => ({
          alt: (image.getAttribute("alt") || "").trim(),
          file: image.src.split("/").pop(),
          loaded: image.complete && image.naturalWidth > 0,
        })),
        ...[...document.querySelectorAll(".drawing")].map((box) => ({
          alt: (box.firstElementChild.getAttribute("aria-label") || "").trim(),
          file: ".svg",
          loaded: box.firstElementChild.children.length > 0,
        })),
      ],

    mathematics: () => {
      const sources = [...document.querySelectorAll(".math")];
      const prose = ".bd-article :is(p, li, dd, td, th, figcaption, h1, h2, h3)";
      const tex = /\\[([]|\\(frac|alpha|theta|mathcal|sum)\b|\$[^$]+\$/;
      return {
        sources: sources.length,
        typeset: sources.filter((math) => math.querySelector("mjx-container")).length,
        errors: [...document.querySelectorAll("mjx-merror, [data-mjx-error]")].map(
          (e) => e.textContent,
        ),
        raw: [...document.querySelectorAll(prose)]
          .filter((e) => !e.closest("pre, code, .cell_input"))
          .map((e) => e.innerText)
          .filter((text) => tex.test(text)),
      };
    },

    // Parts that stick out to the right and cannot be scrolled inside a container of their own.
    overflow: () => {
      const width = document.documentElement.clientWidth;
      const held = (e) =>
        !e.matches(".bd-article") &&
        (getComputedStyle(e).overflowX !== "visible" || held(e.parentElement));
      return {
        page: document.documentElement.scrollWidth - width,
        parts: [...document.querySelectorAll(".bd-article *")]
          .filter((e) => e.getBoundingClientRect().right > width + 1 && !held(e))
          .slice(0, 3)
          .map((e) => e.outerHTML.slice(0, 120)),
        tables: [...document.querySelectorAll(".bd-article table")]
          .filter((e) => !e.closest("pre, .highlight") && e.offsetParent)
          .filter((e) => {
            const box = e.closest(".results-table, .pst-scrollable-table-container, .output");
            return (box ?? e).scrollWidth > (box ?? e).clientWidth + 1;
          })
          .map((e) => e.innerText.slice(0, 80)),
      };
    },

    // The lowest contrast of any text in the article with what is painted behind it (WCAG 2).
    contrast: () => {
      const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      const luminance = ([r, g, b]) =>
        0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
      return [...document.querySelectorAll(".bd-article *")]
        .filter((e) => ownText(e) && e.getClientRects().length)
        .filter((e) => !e.closest("svg, .headerlink, button, mjx-container"))
        .map((e) => {
          const paper = behind(e);
          const ink = over(rgba(getComputedStyle(e).color), paper);
          const [high, low] = [luminance(ink), luminance(paper)].sort((a, b) => b - a);
          return [(high + 0.05) / (low + 0.05), ownText(e).slice(0, 60)];
        })
        .reduce((worst, next) => (next[0] < worst[0] ? next : worst), [21, "no text"]);
    },

    // One element of each look: axe takes ten milliseconds to judge the contrast of a single one.
    probes: () => {
      const seen = new Set();
      for (const e of document.querySelectorAll("[data-probe]")) delete e.dataset.probe;
      for (const e of document.querySelectorAll("body *")) {
        if (!ownText(e) || !e.getClientRects().length) continue;
        const style = getComputedStyle(e);
        const ground = behind(e).map(Math.round);
        const look = [style.color, style.fill, ground, style.fontSize, style.fontWeight, e.localName];
        if (seen.size < seen.add(look.join()).size) e.dataset.probe = "";
      }
      return seen.size;
    },
  };
})()
