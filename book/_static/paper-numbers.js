/* A long table with search, filters, sorting, pages and a download: the paper's numbers, or, with
   `plain`, any table of words such as the hyperparameters. */
(() => {
  "use strict";

  const PAGE = 40;
  const root = document.querySelector(".paper-numbers[id]");
  const source = document.getElementById(`${root?.id}-data`);
  if (!root || !source) return;
  const { text, numbers, kinds, rows, plain } = JSON.parse(source.textContent);
  const NOTES = text.length + numbers.length;
  const FILTERS = plain ? plain.filters : [0, 1, 2, 4, NOTES]; // table, data set, paradigm, method, findings
  const BACKBONES = ["ViT", "VGG-16"]; // the others go without saying
  const setting = (row) =>
    [row[1], row[2], BACKBONES.includes(row[3]) ? row[3] : "", row[5]].filter(Boolean).join(", ");
  const isNumber = (cell) => Array.isArray(cell);
  const measured = numbers.map((title, index) => ({
    title,
    cell: (row) => row[text.length + index],
    key: (row) => {
      const cell = row[text.length + index];
      return isNumber(cell) ? cell[0] : null;
    },
  }));
  const FIRST = ["Avg. Gap", "Recomputed"]; // beside the method, as in every table of the book
  const words = text.map((title, index) => ({ title, key: (row) => row[index] }));
  const columns = plain ? words : [
    { title: text[4], key: (row) => row[4] },
    ...measured.filter(({ title }) => FIRST.includes(title)),
    { title: text[0], key: (row) => row[0] },
    { title: "Setting", key: setting },
    ...measured.filter(({ title }) => !FIRST.includes(title)),
  ];
  const state = { words: [], chosen: {}, sort: null, down: false, page: 0 };

  const element = (tag, options = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), options);
    made.append(...children);
    return made;
  };
  const shown = (cell) => {
    if (cell === null) return "";
    if (!isNumber(cell)) return "–";
    const [mean, spread, unit] = cell;
    const digits = spread === undefined ? 3 : 2; // recomputed gaps have one more
    const number = mean.toFixed(digits);
    return (spread == null ? number : `${number} ± ${spread.toFixed(2)}`) + (unit ? ` ${unit}` : "");
  };
  const tokens = (string) => string.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const haystack = rows.map((row) => tokens([plain ? "" : "table", ...row.slice(0, text.length)].join(" ")));
  /* A number has to be a word of its own: “table 1” is not Table 10. */
  const has = (words, wanted) =>
    words.some((word) => (/^\d+$/.test(wanted) ? word === wanted : word.includes(wanted)));

  const isOne = (cell, value) =>
    Array.isArray(cell) ? cell.includes(value) : String(cell) === value;
  const found = () => {
    const kept = rows
      .map((row, index) => ({ row, index }))
      .filter(
        ({ row, index }) =>
          state.words.every((word) => has(haystack[index], word)) &&
          Object.entries(state.chosen).every(([column, value]) => isOne(row[column], value)),
      );
    if (state.sort === null) return kept.map(({ row }) => row);
    const key = columns[state.sort].key;
    const order = (a, b) =>
      typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    kept.sort((a, b) => {
      const [first, second] = [key(a.row), key(b.row)];
      if (first === null || second === null) return (first === null) - (second === null); // last
      return (state.down ? -1 : 1) * order(first, second) || a.index - b.index;
    });
    return kept.map(({ row }) => row);
  };

  /* Controls */
  const search = element("input", { type: "search", id: "numbers-search", autocomplete: "off" });
  search.placeholder = plain?.example ?? "for example: svhn ugradsl";
  const controls = element(
    "div",
    { className: "numbers-controls" },
    element("div", {}, element("label", { htmlFor: search.id, textContent: "Search" }), search),
  );
  const selects = FILTERS.map((column) => {
    const id = `numbers-filter-${column}`;
    const select = element("select", { id });
    select.append(element("option", { value: "", textContent: "all" }));
    for (const value of new Set(rows.flatMap((row) => row[column]).map(String))) {
      select.append(element("option", { value, textContent: kinds[value] ?? value }));
    }
    select.addEventListener("change", () => {
      if (select.value) state.chosen[column] = select.value;
      else delete state.chosen[column];
      update(0);
    });
    controls.append(
      element(
        "div",
        {},
        element("label", { htmlFor: id, textContent: text[column] ?? "The audit says" }),
        select,
      ),
    );
    return select;
  });
  search.addEventListener("input", () => {
    state.words = tokens(search.value);
    update(0);
  });

  /* Table */
  const head = element("tr");
  const buttons = columns.map(({ title, cell }, column) => {
    const button = element("button", { type: "button", textContent: title });
    button.addEventListener("click", () => {
      state.down = state.sort === column && !state.down;
      state.sort = column;
      update(0);
    });
    const made = element("th", { scope: "col", className: cell ? "number" : "" }, button);
    head.append(made);
    return made;
  });
  if (!plain) head.append(element("th", { scope: "col", textContent: "The audit says" }));
  const body = element("tbody");
  const caption = element("caption", {
    textContent: plain?.caption ??
      "Every row of the paper's result tables. UA, MIA, RA and TA in percent, gaps in percentage " +
      "points; “Recomputed” is the mean distance of the printed means to Retrain's. A dash is a " +
      "number that is not reported or not legible.",
  });
  const region = element(
    "div",
    { className: "results-table numbers-table", tabIndex: 0 },
    element("table", { className: "cards" }, caption, element("thead", {}, head), body),
  );
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", plain?.label ?? "The paper's numbers");

  /* Pages and download */
  const count = element("p", { className: "numbers-count" });
  count.setAttribute("aria-live", "polite");
  const step = (title, by) => {
    const button = element("button", { type: "button", textContent: title });
    button.addEventListener("click", () => update(state.page + by));
    return button;
  };
  const [before, after] = [step("Previous", -1), step("Next", 1)];
  const download = element("a", { textContent: "Download these rows as CSV", href: "#" });
  download.download = `${root.id}-selected.csv`;
  download.addEventListener("click", () => {
    URL.revokeObjectURL(download.href);
    download.href = URL.createObjectURL(new Blob([asCsv(found())], { type: "text/csv" }));
  });
  const asCsv = (kept) => {
    const quoted = (value) => {
      const cell = value === null || value === undefined ? "" : String(value);
      return /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
    };
    const heads = [...text, ...numbers.flatMap((title) => [title, `${title} ±`]), ...(plain ? [] : ["audit"])];
    const lines = kept.map((row) => [
      ...row.slice(0, text.length),
      ...row.slice(text.length, NOTES).flatMap((cell) => (isNumber(cell) ? [cell[0], cell[1]] : ["", ""])),
      ...(plain ? [] : [row[NOTES].join("; ")]),
    ]);
    return [heads, ...lines].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
  };

  const line = (row) => {
    const made = element("tr");
    columns.forEach(({ title, cell, key }, column) => {
      const value = cell ? cell(row) : key(row);
      const words = element("span", { textContent: cell ? shown(value) : value });
      const part = element(column ? "td" : "th", {}, words);
      part.dataset.label = title;
      if (cell && value === null) part.classList.add("empty");
      if (!cell && title === "Setting") part.classList.add("long");
      if (!column) part.scope = "row";
      if (cell) part.classList.add("number");
      if (cell && typeof value === "string") part.title = value; // why there is no number
      made.append(part);
    });
    if (plain) return made;
    const notes = row[NOTES].map((kind) => kinds[kind]).join("; ");
    const remark = element("td", { className: "notes long" }, element("span", { textContent: notes }));
    remark.dataset.label = "The audit says";
    if (!notes) remark.classList.add("empty");
    made.append(remark);
    return made;
  };

  const update = (page) => {
    const kept = found();
    const last = Math.max(0, Math.ceil(kept.length / PAGE) - 1);
    state.page = Math.min(Math.max(page, 0), last);
    const first = state.page * PAGE;
    const part = kept.slice(first, first + PAGE);
    body.replaceChildren(...part.map(line));
    buttons.forEach((cell, column) => {
      const sorted = state.down ? "descending" : "ascending";
      cell.setAttribute("aria-sort", state.sort === column ? sorted : "none");
    });
    before.disabled = state.page === 0;
    after.disabled = state.page === last;
    count.textContent = kept.length
      ? `Rows ${first + 1} to ${first + part.length} of ${kept.length}`
      : "No row has all of these words.";
  };

  /* An address such as paper-numbers.html#table=18 opens the page at one table. */
  const wanted = new URLSearchParams(window.location.hash.slice(1));
  if (!plain && wanted.get("table")) {
    selects[0].value = wanted.get("table");
    if (selects[0].value) state.chosen[0] = selects[0].value;
  }
  if (wanted.get("q")) {
    search.value = wanted.get("q");
    state.words = tokens(search.value);
  }

  root.replaceChildren(
    controls,
    count,
    region,
    element("div", { className: "numbers-pages" }, before, after, download),
  );
  update(0);
})();
