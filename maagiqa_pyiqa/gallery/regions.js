// The quality of a picture's regions over it, in the colours and at the places of the package's own heat maps.
const LONGEST = 320; // side of what is drawn, which the browser enlarges

// For each of n pixels between which of the evenly spaced regions its centre lies: the first and the share of the next.
function between(n, regions, window) {
  return Array.from({ length: n }, (_, pixel) => {
    const place = (((pixel + 0.5) / n - window / 2) / (1 - window || 1)) * (regions - 1);
    const held = Math.max(0, Math.min(place, regions - 1));
    const first = Math.max(0, Math.min(Math.floor(held), regions - 2));
    return [first, Math.min(first + 1, regions - 1), held - first];
  });
}

function paint(canvas, width, height, shareAt) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const drawn = context.createImageData(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const share = Math.max(0, Math.min(shareAt(x, y), 1));
      drawn.data.set(colours[Math.round(share * (colours.length - 1))], at);
      drawn.data[at + 3] = 255;
    }
  }
  context.putImageData(drawn, 0, 0);
}

function drawRegions(canvas, image) {
  const { scores, limits: [low, high], window } = image.regions;
  const scale = Math.min(1, LONGEST / Math.max(...image.size));
  const [width, height] = image.size.map((side) => Math.max(1, Math.round(side * scale)));
  const rows = between(height, scores.length, window[0]);
  const columns = between(width, scores[0].length, window[1]);
  paint(canvas, width, height, (x, y) => {
    const [[top, bottom, down], [left, right, across]] = [rows[y], columns[x]];
    const upper = scores[top][left] * (1 - across) + scores[top][right] * across;
    const lower = scores[bottom][left] * (1 - across) + scores[bottom][right] * across;
    return (upper * (1 - down) + lower * down - low) / (high - low);
  });
}

const drawScale = (canvas) => paint(canvas, colours.length, 1, (x) => x / (colours.length - 1));
