/* Formulas, figures and code are no stops of the tab key, but for those that are wider than the
   page: they scroll. */
(() => {
  "use strict";

  const KINDS = {
    'mjx-container[display="true"], .formula': "Formula",
    ".drawing": "Figure",
    ".bd-article .highlight pre": "Code",
  };

  const reach = () => {
    for (const [selector, name] of Object.entries(KINDS)) {
      const parts = Array.from(document.querySelectorAll(selector));
      const wide = parts.map((part) => part.scrollWidth > part.clientWidth + 1);
      parts.forEach((part, at) => {
        part.toggleAttribute("data-scrolls", wide[at]);
        if (wide[at]) {
          part.tabIndex = 0;
          part.setAttribute("role", "group");
          part.setAttribute("aria-label", `${name}, scrolls sideways`);
        } else if (part.tabIndex === 0) {
          part.removeAttribute("tabindex");
          part.removeAttribute("role");
          part.removeAttribute("aria-label");
        }
      });
    }
  };
  window.addEventListener("load", () => {
    const typeset = window.MathJax?.startup?.promise ?? Promise.resolve();
    typeset.then(reach);
    window.addEventListener("resize", reach);
  });
})();
