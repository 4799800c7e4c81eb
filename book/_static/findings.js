/* The findings of the audit: a choice by table and by severity. Without this script all are listed. */
(() => {
  "use strict";

  const ALL = "";
  const start = () => {
    const root = document.getElementById("choose-findings");
    const status = document.getElementById("chosen-findings");
    const items = Array.from(document.querySelectorAll(".findings > li"));
    if (!root || !items.length) return;
    const { tables, severities } = JSON.parse(root.dataset.choices);
    const address = new URL(window.location.href);
    const folds = new Map(
      Array.from(document.querySelectorAll("details.folded"), (fold) => [
        fold,
        fold.querySelector("summary").textContent,
      ]),
    );
    const choices = {};
    const choose = (key, title, options) => {
      const select = document.createElement("select");
      select.id = `findings-${key}`;
      for (const [value, text] of options) select.add(new Option(text, value));
      select.value = address.searchParams.get(key) ?? ALL;
      if (select.selectedIndex < 0) select.value = ALL;
      select.addEventListener("change", () => {
        if (select.value) address.searchParams.set(key, select.value);
        else address.searchParams.delete(key);
        address.hash = window.location.hash;
        window.history.replaceState(null, "", address);
        update();
      });
      const label = document.createElement("label");
      label.htmlFor = select.id;
      label.textContent = title;
      const box = document.createElement("div");
      box.append(label, select);
      root.append(box);
      choices[key] = select;
    };
    const update = () => {
      const table = choices.table.value;
      const severity = choices.severity.value;
      const chosen = Boolean(table || severity);
      let count = 0;
      for (const item of items) {
        const fits =
          (!table || item.dataset.tables.split(" ").includes(table)) &&
          (!severity || item.dataset.severity === severity);
        item.hidden = !fits;
        count += fits;
      }
      for (const [fold, words] of folds) {
        const left = fold.querySelectorAll("li[data-severity]:not([hidden])").length;
        fold.hidden = !left;
        fold.open = chosen && left > 0;
        fold.querySelector("summary").textContent = chosen ? `${left} of ${words}` : words;
      }
      status.textContent = chosen
        ? `${count} of ${items.length} findings on this page`
        : `${items.length} findings on this page; those that matter little are folded.`;
    };
    choose("table", "Table", [[ALL, "all"], ...tables.map((n) => [String(n), `Table ${n}`])]);
    choose("severity", "Severity", [[ALL, "all"], ...severities.map((name) => [name, name])]);
    update();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
