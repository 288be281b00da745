"use strict";

// Tables: a click on a column's title sorts by it, the best first; another turns it round. What is unknown stays last,
// and controls stay apart.
for (const table of document.querySelectorAll(".scroll table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const turned = { ascending: "descending", descending: "ascending" };
      const order = turned[head.getAttribute("aria-sort")] ?? head.dataset.first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const compare = (a, b) => {
        const [first, second] = [a.cells[place], b.cells[place]];
        if (first.dataset.value === undefined) return sign * first.textContent.localeCompare(second.textContent);
        if (!first.dataset.value || !second.dataset.value) return !first.dataset.value - !second.dataset.value;
        return sign * (first.dataset.value - second.dataset.value);
      };
      for (const body of table.tBodies) body.append(...[...body.rows].sort(compare));
    });
  });
}

// Plots: a line, or its name in the legend, stands out while the pointer is on it.
for (const plot of document.querySelectorAll(".plot")) {
  const parts = [...plot.querySelectorAll("[data-method]")];
  const show = (name) => parts.forEach((part) => part.classList.toggle("faded", name && part.dataset.method !== name));
  for (const part of parts) {
    part.addEventListener("pointerenter", () => show(part.dataset.method));
    part.addEventListener("pointerleave", () => show(""));
  }
}

// Paper cannot be clicked: settings are printed.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
