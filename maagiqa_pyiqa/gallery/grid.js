// The overview: thumbnails as far as one has scrolled, histogram, threshold, filters.
const CHUNK = 120; // images put on the page at once
const BINS = 48;
let found = []; // what words and folder leave
let shown = []; // what is shown of it, in the order of the page
let waiting = []; // pairs of grid and image that are not on the page yet
const cards = new Map(); // by image

const nearEnd = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && showMore(), {
  rootMargin: "1200px",
});

const number = (value) => (value === null ? "\u2013" : value.toFixed(3));
const arrow = (metric) => (metric.lower ? "\u2193" : "\u2191");

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function update() {
  found = findImages();
  const groups = groupImages(found.filter(WANTED[asked.show]));
  shown = groups.flatMap(([, members]) => members);
  cards.clear();
  waiting = [];
  const parts = groups.map(([name, members]) => {
    const grid = make("div", { className: "cards" });
    waiting.push(...members.map((image) => [grid, image]));
    return asked.group ? make("section", {}, heading(name, members), grid) : grid;
  });
  byId("grid").replaceChildren(...parts);
  if (!shown.length) byId("grid").append(make("p", { className: "quiet", textContent: "Nothing to show." }));
  showMore();
  drawHistogram();
  count();
}

function heading(name, members) {
  const scores = members.filter(hasScore).map(scoreOf);
  const mean = scores.length ? scores.reduce((sum, score) => sum + score, 0) / scores.length : null;
  const remark = `${members.length} of ${found.filter((image) => image[asked.group] === name).length}, mean ${number(mean)}`;
  return make("h2", { textContent: name || "no prompt" }, make("small", { textContent: ` ${remark}` }));
}

function showMore() {
  for (const [grid, image] of waiting.splice(0, CHUNK)) {
    const card = makeCard(image);
    cards.set(image, card);
    grid.append(card);
  }
  // observed anew, it tells again that the end is near, as on a very large screen
  nearEnd.unobserve(byId("more"));
  if (waiting.length) nearEnd.observe(byId("more"));
}

function makeCard(image) {
  const picture = image.thumbnail
    ? make("img", { alt: "", src: image.thumbnail, loading: "lazy", decoding: "async" })
    : make("span", { className: "absent", textContent: "no picture" });
  const card = make(
    "button",
    { type: "button", className: "card", title: image.prompt || image.name },
    picture,
    make("span", { className: "score", textContent: number(scoreOf(image)) }),
    make("span", { className: "name", textContent: image.name }),
  );
  card.addEventListener("click", () => open(shown.indexOf(image)));
  showMark(card, image);
  return card;
}

function showMark(card, image) {
  const mark = marks.get(image.image) ?? "";
  card.dataset.mark = mark;
  card.setAttribute("aria-label", `${image.name}, ${number(scoreOf(image))}${mark && `, marked ${mark}`}`);
}

// The card of the n-th image shown, put on the page if it was not yet.
function cardAt(index) {
  while (!cards.has(shown[index]) && waiting.length) showMore();
  return cards.get(shown[index]);
}

function mark(image, value) {
  setMark(image, value);
  if (cards.has(image)) showMark(cards.get(image), image);
  count();
}

function count() {
  const of = (value) => [...marks.values()].filter((mark) => mark === value).length;
  byId("count").textContent =
    `${shown.length} of ${images.length} shown, ${of("keep")} marked keep, ${of("reject")} reject`;
}

// ------------------------------------------------------------------------------------------------------- threshold

function limits() {
  let [low, high] = [Infinity, -Infinity];
  for (const image of images) {
    if (!hasScore(image)) continue;
    low = Math.min(low, scoreOf(image));
    high = Math.max(high, scoreOf(image));
  }
  return low > high ? [0, 1] : [low, high];
}

function setMetric(index) {
  Object.assign(asked, { metric: index, threshold: null });
  const [low, high] = limits();
  Object.assign(byId("slider"), { min: low, max: high, value: lowerIsBetter() ? high : low });
  byId("slider").disabled = low === high;
  byId("threshold").value = "";
  byId("direction").textContent = `${metrics[index].name} at ${lowerIsBetter() ? "most" : "least"}`;
  [byId("lowest").textContent, byId("highest").textContent] = [number(low), number(high)];
}

function setThreshold(value) {
  asked.threshold = value;
  if (value !== null) byId("slider").value = value;
  update();
}

function drawHistogram() {
  const [low, high] = limits();
  const width = (high - low) / BINS || 1;
  const bins = Array.from({ length: BINS }, () => [0, 0]); // pass, fail
  for (const image of found.filter(hasScore)) {
    bins[Math.min(BINS - 1, Math.floor((scoreOf(image) - low) / width))][passes(image) ? 0 : 1] += 1;
  }
  const highest = Math.max(1, ...bins.map(([pass, fail]) => pass + fail));
  const bar = (bin, from, size, name) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const [height, top] = [(70 * size) / highest, 72 - (70 * (from + size)) / highest];
    const place = { x: bin * 10 + 0.5, width: 9, y: top, height, class: name };
    for (const [attribute, value] of Object.entries(place)) rect.setAttribute(attribute, value);
    return rect;
  };
  byId("histogram").replaceChildren(
    ...bins.flatMap(([pass, fail], i) => [bar(i, 0, pass, "pass"), bar(i, pass, fail, "fail")]),
  );
}

// ------------------------------------------------------------------------------------------------------ what is asked

function ask(id, name, read = (value) => value) {
  byId(id).addEventListener("input", () => {
    asked[name] = read(byId(id).value);
    update();
  });
}

function fillFolders() {
  const folders = [...new Set(images.map((image) => image.folder))].sort();
  byId("folder").append(...folders.map((folder) => make("option", { value: folder, textContent: folder })));
  byId("folder-field").hidden = folders.length < 2;
}

ask("words", "words", (value) => value.toLowerCase().split(/\s+/).filter(Boolean));
ask("folder", "folder");
ask("group", "group");
ask("show", "show");
byId("metric").addEventListener("input", () => {
  setMetric(Number(byId("metric").value));
  update();
});
byId("slider").addEventListener("input", () => {
  const slider = byId("slider");
  const value = Number(slider.value);
  const open = value === Number(lowerIsBetter() ? slider.max : slider.min);
  byId("threshold").value = open ? "" : value.toFixed(3);
  setThreshold(open ? null : value);
});
byId("threshold").addEventListener("input", () => {
  const text = byId("threshold").value;
  setThreshold(text === "" ? null : Number(text));
});
byId("export-kept").addEventListener("click", () =>
  exportChoices("kept.csv", (image) => choiceOf(image) === "keep"),
);
byId("export-all").addEventListener("click", () => exportChoices("choices.csv", () => true));
byId("forget").addEventListener("click", () => {
  if (!marks.size || !confirm(`Clear all ${marks.size} marks?`)) return;
  marks.clear();
  keepMarks();
  update();
});
