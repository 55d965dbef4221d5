"use strict";

// Sort a table by a column: the first press takes the column's better end first, the next turns it round.
function sortBy(header) {
  const table = header.closest("table");
  const first = header.dataset.first;
  const other = first === "ascending" ? "descending" : "ascending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  for (const sorted of table.querySelectorAll("th[aria-sort]")) sorted.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const column = header.cellIndex;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => compare(a.cells[column], b.cells[column], order === "ascending" ? 1 : -1));
  table.tBodies[0].append(...rows);
  document.getElementById("sorted").textContent = `Sorted by ${header.textContent.trim()}, ${order}.`;
}

// Cells without a value go last either way.
function compare(a, b, sign) {
  const [x, y] = [a.dataset.order, b.dataset.order];
  if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
  const difference = Number(x) - Number(y);
  return sign * (Number.isNaN(difference) ? x.localeCompare(y) : difference);
}

// Show only the metrics whose name holds the words typed.
function filterMetrics(words) {
  const wanted = words.trim().toLowerCase().split(/\s+/);
  const matches = (name) => wanted.some((word) => name.toLowerCase().includes(word));
  for (const item of document.querySelectorAll("[data-metric]")) {
    const shown = matches(item.dataset.metric);
    if (item instanceof SVGElement) item.classList.toggle("dim", !shown);
    else item.hidden = !shown;
  }
  const rows = [...document.querySelectorAll("#leaderboard tbody tr")];
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("shown").textContent = `${shown} of ${rows.length} metrics`;
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
const filter = document.getElementById("filter");
if (filter) filter.addEventListener("input", () => filterMetrics(filter.value));

// Paper cannot be unfolded: everything is open while printing, and as it was afterwards.
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const item of closed) item.open = true;
});
addEventListener("afterprint", () => {
  for (const item of closed) item.open = false;
});
