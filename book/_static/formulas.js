/* Formulas are no stops of the tab key, but for those that are wider than the page: they scroll. */
(() => {
  "use strict";

  const reach = () => {
    const formulas = Array.from(document.querySelectorAll('mjx-container[display="true"], .formula'));
    const wide = formulas.map((formula) => formula.scrollWidth > formula.clientWidth);
    formulas.forEach((formula, at) => {
      if (wide[at]) {
        formula.tabIndex = 0;
        formula.setAttribute("role", "group");
        formula.setAttribute("aria-label", "Formula, scrolls sideways");
      } else if (formula.tabIndex === 0) {
        formula.removeAttribute("tabindex");
        formula.removeAttribute("role");
        formula.removeAttribute("aria-label");
      }
    });
  };
  window.addEventListener("load", () => {
    const typeset = window.MathJax?.startup?.promise ?? Promise.resolve();
    typeset.then(reach);
    window.addEventListener("resize", reach);
  });
})();
