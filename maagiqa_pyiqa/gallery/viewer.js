// Large pictures, alone or one beside another, and the keyboard.
const viewer = byId("viewer");
let at = 0; // of what is shown
let held = null; // the image that others are compared with
const mapped = images.some((image) => image.regions); // whether there is anything for the button

function open(index) {
  at = Math.max(0, Math.min(index, shown.length - 1));
  const sides = held && held !== shown[at] ? [held, shown[at]] : [shown[at]];
  byId("pictures").replaceChildren(...sides.map(describe));
  byId("pictures").classList.toggle("two", sides.length > 1);
  byId("place").textContent = `${at + 1} of ${shown.length}`;
  showButtons();
  if (!viewer.open) viewer.showModal();
}

function showButtons() {
  const mark = marks.get(shown[at].image);
  byId("keep").setAttribute("aria-pressed", mark === "keep");
  byId("reject").setAttribute("aria-pressed", mark === "reject");
  byId("compare").setAttribute("aria-pressed", held !== null);
  byId("previous").disabled = at === 0;
  byId("next").disabled = at === shown.length - 1;
}

function describe(image) {
  const figure = byId("picture").content.cloneNode(true).firstElementChild;
  const part = (name) => figure.querySelector(name);
  showPicture(figure, image);
  part(".name").textContent = image.name;
  part(".prompt").textContent = image.prompt;
  part(".scores").append(...metrics.flatMap((metric, i) => scoreLines(image, metric, i)));
  part(".rank").textContent = standing(image);
  part(".path").textContent = image.size ? `${image.image}, ${image.size.join(" \u00d7 ")} pixels` : image.image;
  part(".error").textContent = image.error;
  if (image.regions) showRegions(part, image);
  return figure;
}

// The picture where it lies; where it is gone or of a format that the browser lacks, its thumbnail.
function showPicture(figure, image) {
  const picture = figure.querySelector("img");
  picture.alt = image.prompt || image.name;
  picture.addEventListener("error", () => {
    figure.querySelector(".gone").hidden = false;
    if (image.thumbnail) picture.src = image.thumbnail;
  }, { once: true });
  picture.src = image.link;
  figure.querySelector("a").href = image.link;
}

function showRegions(part, image) {
  const map = part(".map");
  drawRegions(map, image);
  const [low, high] = image.regions.limits.map(number);
  map.setAttribute("aria-label", `Quality of its regions, from ${low} to ${high}`);
  drawScale(part(".scale"));
  [part(".low").textContent, part(".high").textContent] = [low, high];
  for (const element of [map, part(".regions")]) element.hidden = false;
}

function scoreLines(image, metric, i) {
  const gates = (image.gates[i] ?? []).map(([expert, weight]) => `${expert} ${weight.toFixed(2)}`).join(", ");
  const value = make("dd", { textContent: number(image.scores[i]) });
  if (image.standings[i]) value.append(make("small", { textContent: image.standings[i] }));
  if (gates) value.append(make("small", { textContent: `weighs ${gates}` }));
  return [make("dt", { textContent: `${metric.name} ${arrow(metric)}` }), value];
}

function standing(image) {
  const others = shown.filter((other) => other !== image && hasScore(other));
  if (!hasScore(image) || !others.length) return "";
  const worse = others.filter((other) => compareImages(image, other) < 0).length;
  return `better than ${Math.round((100 * worse) / others.length)} % of the ${others.length} others shown`;
}

function markOpen(value) {
  mark(shown[at], value);
  showButtons();
}

function compare() {
  held = held ? null : shown[at];
  open(held && at < shown.length - 1 ? at + 1 : at);
}

function toggleMaps() {
  byId("map").setAttribute("aria-pressed", byId("pictures").classList.toggle("mapped"));
}

const BUTTONS = {
  previous: () => open(at - 1),
  next: () => open(at + 1),
  keep: () => markOpen("keep"),
  reject: () => markOpen("reject"),
  compare,
  map: toggleMaps,
  close: () => viewer.close(),
};
for (const [id, action] of Object.entries(BUTTONS)) byId(id).addEventListener("click", action);
viewer.addEventListener("close", () => {
  held = null;
  byId("pictures").replaceChildren();
  cardAt(at)?.focus();
});

// --------------------------------------------------------------------------------------------------------- keyboard

const IN_VIEWER = {
  ArrowLeft: BUTTONS.previous,
  ArrowRight: BUTTONS.next,
  ArrowUp: BUTTONS.previous,
  ArrowDown: BUTTONS.next,
  k: BUTTONS.keep,
  r: BUTTONS.reject,
  c: BUTTONS.compare,
  ...(mapped && { m: BUTTONS.map }),
};
const STEPS = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns(), ArrowDown: columns };
const MARKS = { k: "keep", r: "reject" };

function columns() {
  return getComputedStyle(document.querySelector(".cards")).gridTemplateColumns.split(" ").length;
}

const focusedIndex = () => shown.findIndex((image) => cards.get(image) === document.activeElement);

function onGrid(pressed) {
  const index = focusedIndex();
  if (pressed in STEPS && shown.length) {
    const next = index < 0 ? 0 : index + STEPS[pressed]();
    cardAt(Math.max(0, Math.min(next, shown.length - 1))).focus();
  } else if (pressed in MARKS && index >= 0) {
    mark(shown[index], MARKS[pressed]);
  } else return false;
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select") || !shown.length) return;
  const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (viewer.open && pressed in IN_VIEWER) IN_VIEWER[pressed]();
  else if (viewer.open || !onGrid(pressed)) return;
  event.preventDefault();
});

// A finger's way: to the left is the next image.
let touched = null;
viewer.addEventListener("touchstart", (event) => (touched = event.touches[0].clientX), { passive: true });
viewer.addEventListener("touchend", (event) => {
  const way = event.changedTouches[0].clientX - touched;
  if (Math.abs(way) > 60) open(at + (way < 0 ? 1 : -1));
}, { passive: true });

byId("map").hidden = !mapped;
fillFolders();
setMetric(0);
update();
