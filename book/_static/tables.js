/* Every table of the book: sorting by a column, cards on a phone; and filters for a leaderboard.
   Without this script a table is whole and scrolls. */
(() => {
  "use strict";

  const PHONE = window.matchMedia("(max-width: 600px)");
  const LONG = 18; // characters that half a card's width cannot hold
  const WIDE = 24; // characters of a name and its cell that it cannot hold side by side
  const element = (tag, options = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), options);
    made.append(...children);
    return made;
  };
  const textOf = (cell) => (cell ? cell.textContent.replace(/\s+/g, " ").trim() : "");

  /* Scopes of head cells, which Markdown and pandas leave out. */
  const scope = (table) => {
    for (const cell of table.querySelectorAll("th:not([scope])")) {
      const row = cell.closest("tbody");
      cell.scope = row ? "row" : cell.colSpan > 1 ? "colgroup" : "col";
    }
  };

  /* Cards: one for each row, the column's name beside each cell. */
  const simple = (table) =>
    table.tHead &&
    table.tHead.rows.length === 1 &&
    table.tHead.rows[0].cells.length > 2 &&
    !table.querySelector("[rowspan]") &&
    !table.closest(".methods-table, .numbers-table");
  const label = (table) => {
    if (table.dataset.labelled) return;
    table.dataset.labelled = "yes";
    const names = Array.from(table.tHead.rows[0].cells, textOf);
    for (const body of table.tBodies)
      for (const row of body.rows)
        Array.from(row.cells).forEach((cell, column) => {
          if (!column) return;
          cell.dataset.label = names[column];
          const length = textOf(cell).length;
          if (length > LONG || (length && length + names[column].length > WIDE))
            cell.classList.add("long");
          cell.replaceChildren(element("span", {}, ...cell.childNodes));
        });
  };
  /* All widths are read before anything is changed, so the page is laid out once. */
  const lay = (tables) => {
    const chosen = Array.from(tables).filter(simple);
    chosen.forEach((table) => table.classList.remove("cards"));
    if (!PHONE.matches) return;
    const wide = chosen.filter((table) => table.offsetWidth > table.parentElement.clientWidth + 1);
    wide.forEach((table) => {
      label(table);
      table.classList.add("cards");
    });
  };

  /* Sorting: a row and the paper's line below it stay together. */
  const groups = (body) => {
    const found = [];
    for (const row of body.rows) {
      if (row.classList.contains("paper") && found.length) found.at(-1).push(row);
      else found.push([row]);
    }
    return found;
  };
  /* A cell's text without its second line. */
  const mainText = (cell) => {
    const small = cell.querySelector("small");
    return textOf(cell).slice(0, small ? -textOf(small).length || undefined : undefined).trim();
  };
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell || (column && cell.colSpan > 1)) return null;
    const text = mainText(cell);
    const number = parseFloat(text.replace(/,/g, "").replace("−", "-"));
    if (!Number.isNaN(number)) return number;
    return ["", "–"].includes(text) ? null : text;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b);
  };
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const keyed = groups(body).map((rows) => ({ rows, key: valueOf(rows[0], column) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null); // last
      return (down ? -1 : 1) * compare(a.key, b.key);
    });
    body.append(...keyed.flatMap(({ rows }) => rows));
    Array.from(table.tHead.rows[0].cells).forEach((cell, at) =>
      at === column
        ? cell.setAttribute("aria-sort", down ? "descending" : "ascending")
        : cell.removeAttribute("aria-sort"),
    );
  };
  const sortable = (table) => {
    if (!table.tHead || table.tHead.rows.length !== 1 || !table.tBodies.length) return;
    if (groups(table.tBodies[0]).length < 3) return;
    Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
      if (!textOf(cell) || cell.querySelector("button, a")) return;
      const button = element("button", { type: "button" }, ...cell.childNodes);
      button.addEventListener("click", () =>
        sort(table, column, cell.getAttribute("aria-sort") === "ascending"),
      );
      cell.append(button);
    });
  };

  /* A leaderboard: filters by the columns that it names, a choice of order, and a download. */
  const board = (root) => {
    const table = root.querySelector("table");
    const heads = Array.from(table.tHead.rows[0].cells, textOf);
    const rows = Array.from(table.tBodies[0].rows);
    const whole = root.querySelector("a[download]").href.split(",")[1];
    const bytes = Uint8Array.from(window.atob(whole), (letter) => letter.charCodeAt(0));
    const raw = new TextDecoder().decode(bytes).trim().split("\n");
    rows.forEach((row, at) => (row.csv = raw[at + 1]));
    const chosen = new Map();
    const wanted = new URLSearchParams(window.location.hash.slice(1));
    const controls = element("div", { className: "numbers-controls" });
    const count = element("p", { className: "numbers-count" });
    count.setAttribute("aria-live", "polite");
    const kept = () =>
      rows.filter((row) =>
        Array.from(chosen).every(([column, value]) => mainText(row.cells[column]) === value),
      );
    const update = () => {
      const shown = new Set(kept());
      for (const row of rows) row.hidden = !shown.has(row);
      count.textContent = `${shown.size} of ${rows.length} rows`;
      const state = new URLSearchParams();
      for (const [column, value] of chosen) state.set(heads[column].toLowerCase(), value);
      if (order.value) state.set("sort", heads[order.value]);
      const address = state.size ? `#${state}` : window.location.pathname + window.location.search;
      if (window.location.hash || state.size) window.history.replaceState(null, "", address);
    };
    const choice = (title, options, act) => {
      const select = element("select", { id: `board-${title.toLowerCase().replace(" ", "-")}` });
      select.append(...options.map(([value, text]) => element("option", { value, textContent: text })));
      select.addEventListener("change", () => act(select.value));
      controls.append(
        element("div", {}, element("label", { htmlFor: select.id, textContent: title }), select),
      );
      return select;
    };
    for (const title of root.dataset.filters.split(";")) {
      const column = heads.indexOf(title);
      const values = [...new Set(rows.map((row) => mainText(row.cells[column])))];
      const select = choice(title, [["", "all"], ...values.map((v) => [v, v])], (value) => {
        if (value) chosen.set(column, value);
        else chosen.delete(column);
        update();
      });
      const start = wanted.get(title.toLowerCase());
      if (values.includes(start)) {
        select.value = start;
        chosen.set(column, start);
      }
    }
    const arrange = (at) => {
      if (at) sort(table, Number(at), false);
      else table.tBodies[0].append(...rows);
    };
    const order = choice(
      "Sort by",
      [["", "as published"], ...heads.map((head, at) => [String(at), head])],
      (at) => {
        arrange(at);
        update();
      },
    );
    if (heads.includes(wanted.get("sort"))) {
      order.value = String(heads.indexOf(wanted.get("sort")));
      arrange(order.value);
    }
    const download = element("a", { textContent: "Download these rows as CSV", href: "#" });
    download.download = "leaderboard-selected.csv";
    download.addEventListener("click", () => {
      URL.revokeObjectURL(download.href);
      const lines = [raw[0], ...kept().map((row) => row.csv)].join("\n");
      download.href = URL.createObjectURL(new Blob([`${lines}\n`], { type: "text/csv" }));
    });
    root.prepend(controls, count);
    root.append(element("p", { className: "table-download" }, download));
    update();
  };

  const start = () => {
    const tables = document.querySelectorAll(".bd-article table");
    tables.forEach(scope);
    document
      .querySelectorAll(".bd-article .results-table:not(.numbers-table, .methods-table, .words) table")
      .forEach(sortable);
    document.querySelectorAll(".bd-article .leaderboard").forEach(board);
    const all = () => lay(tables);
    all();
    PHONE.addEventListener("change", all);
    /* A table that was folded away has a width now. */
    document.addEventListener("toggle", (event) => lay(event.target.querySelectorAll("table")), true);
    window.MathJax?.startup?.promise?.then(all);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
