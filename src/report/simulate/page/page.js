"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  // Light or dark: as the system says until the button is pressed. Nothing is stored.
  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  system.addEventListener("change", showTheme);
  showTheme();

  // Tables: a button in each head sorts the groups of rows below it.
  const valueOf = (body, column) => {
    const cell = body.rows[0].cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en");
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = Array.from(table.tBodies).map((body, at) => [valueOf(body, column), at, body]);
        rows.sort((a, b) => (down ? compare(b[0], a[0]) : compare(a[0], b[0])) || a[1] - b[1]);
        const foot = table.tFoot;
        rows.forEach(([, , body]) => table.insertBefore(body, foot));
      });
    });
  }

  // Events: folded until opened.
  const events = all("tbody.event");
  const opener = (event) => event.querySelector("button.toggle");
  const toggle = (event, open) => {
    opener(event).setAttribute("aria-expanded", String(open));
    event.rows[1].hidden = !open;
  };
  const isOpen = (event) => opener(event).getAttribute("aria-expanded") === "true";
  for (const event of events) {
    toggle(event, false);
    event.rows[0].addEventListener("click", () => {
      if (String(getSelection()) === "") toggle(event, !isOpen(event));
    });
    event.addEventListener("keydown", (key) => {
      if (key.key === "Escape" && isOpen(event)) {
        toggle(event, false);
        opener(event).focus();
        key.preventDefault();
      }
      if (key.target !== opener(event)) return;
      const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[key.key];
      if (!step) return;
      let next = event[step];
      while (next && (next.hidden || !next.matches("tbody.event"))) next = next[step];
      if (next) opener(next).focus();
      key.preventDefault();
    });
  }

  const filter = document.getElementById("filter");
  if (filter) {
    const chips = all(".chip");
    const count = document.getElementById("shown-count");
    const texts = new Map(events.map((event) => [event, event.textContent.toLowerCase()]));
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kinds = new Set(chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.kind));
      let shown = 0;
      for (const event of events) {
        const fits = kinds.has(event.dataset.kind) && words.every((word) => texts.get(event).includes(word));
        event.hidden = !fits;
        if (fits) shown += 1;
      }
      const noun = events.length === 1 ? "event" : "events";
      count.textContent = shown === events.length ? `${shown} ${noun}` : `${shown} of ${events.length} ${noun}`;
      document.getElementById("no-events").hidden = shown > 0;
    };
    filter.addEventListener("input", apply);
    filter.addEventListener("keydown", (key) => {
      if (key.key === "Escape") {
        filter.value = "";
        apply();
        key.preventDefault();
      }
    });
    for (const chip of chips) {
      chip.addEventListener("click", () => {
        chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
        apply();
      });
    }
    document.addEventListener("keydown", (key) => {
      const typing = key.target.closest && key.target.closest("input, textarea");
      if (key.key !== "/" || typing || key.ctrlKey || key.metaKey || key.altKey) return;
      key.preventDefault();
      filter.focus();
      filter.select();
    });
    document.querySelector(".controls").hidden = false;
  }

  // What is folded is printed.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
})();
