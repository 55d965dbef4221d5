"use strict";

// What the page knows, what is asked for, and what a person has marked.
const byId = (id) => document.getElementById(id);
const { metrics, images, key, colours } = JSON.parse(byId("known").textContent);
const asked = { metric: 0, threshold: null, words: [], folder: "", group: "", show: "passing" };
const STORE = `maagiqa gallery ${key}`;
const marks = new Map(readMarks());

const scoreOf = (image) => image.scores[asked.metric];
const lowerIsBetter = () => metrics[asked.metric].lower;
const hasScore = (image) => scoreOf(image) !== null;

// Negative where a is better; images without a score go last.
function compareImages(a, b) {
  if (!hasScore(a) || !hasScore(b)) return hasScore(b) - hasScore(a);
  return lowerIsBetter() ? scoreOf(a) - scoreOf(b) : scoreOf(b) - scoreOf(a);
}

function passes(image) {
  if (asked.threshold === null) return true;
  if (!hasScore(image)) return false;
  return lowerIsBetter() ? scoreOf(image) <= asked.threshold : scoreOf(image) >= asked.threshold;
}

const WANTED = {
  passing: passes,
  below: (image) => !passes(image),
  all: () => true,
  kept: (image) => marks.get(image.image) === "keep",
  rejected: (image) => marks.get(image.image) === "reject",
  unmarked: (image) => !marks.has(image.image),
};

const described = new Map(
  images.map((image) => [image, `${image.name}\n${image.prompt}\n${image.folder}`.toLowerCase()]),
);

// The images that words and folder leave, best first.
function findImages() {
  const fits = (image) =>
    (!asked.folder || image.folder === asked.folder) &&
    asked.words.every((word) => described.get(image).includes(word));
  return images.filter(fits).sort(compareImages);
}

// Pairs of a group's name and its images; one without a name where no groups are asked for.
function groupImages(found) {
  if (!asked.group) return [["", found]];
  const groups = new Map();
  for (const image of found) {
    const name = image[asked.group];
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(image);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
}

// A browser may refuse to keep anything for a page from the disk: then marks last as long as the page is open.
function readMarks() {
  try {
    return Object.entries(JSON.parse(localStorage.getItem(STORE)) ?? {});
  } catch {
    return [];
  }
}

function setMark(image, mark) {
  if (marks.get(image.image) === mark) marks.delete(image.image);
  else marks.set(image.image, mark);
  keepMarks();
}

function keepMarks() {
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(marks)));
  } catch {
    // see readMarks
  }
}

// A person's mark comes before the machine's threshold.
const choiceOf = (image) => marks.get(image.image) ?? (passes(image) ? "keep" : "reject");

// As the package's own CSV files: what a spreadsheet would run gets an apostrophe before it.
function asCsv(rows) {
  const cell = (value) => {
    if (typeof value !== "string") return value === null ? "" : String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function exportChoices(name, wanted) {
  const header = ["image", "choice", "by", ...metrics.map((metric) => metric.name)];
  const row = (image) => [
    image.image, choiceOf(image), marks.has(image.image) ? "person" : "threshold", ...image.scores,
  ];
  const rows = images.filter(wanted).sort(compareImages).map(row);
  const url = URL.createObjectURL(new Blob([asCsv([header, ...rows])], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
