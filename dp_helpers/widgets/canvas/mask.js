// The mask as numbers: 1 = repaint, 0 = keep. A grid is {data, width, height}; points are {x, y}; boxes are
// [left, top, right, bottom], the last two exclusive. A pixel belongs to a shape when its centre is inside, so edges are
// hard, never grey.

const WHITE = 0xffffffff, BLACK = 0xff000000; // as ImageData has them: alpha, blue, green, red

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// ---- shapes: a box, and inside(x, y) -----------------------------------------------------------------------------

/** Return the area that a round brush covers between two points. */
function capsule(from, to, radius) {
  const dx = to.x - from.x, dy = to.y - from.y, length2 = dx * dx + dy * dy;
  const [left, right] = [Math.min(from.x, to.x) - radius, Math.max(from.x, to.x) + radius];
  const [top, bottom] = [Math.min(from.y, to.y) - radius, Math.max(from.y, to.y) + radius];
  const inside = (x, y) => {
    const along = length2 ? clamp(((x - from.x) * dx + (y - from.y) * dy) / length2, 0, 1) : 0;
    return (x - from.x - along * dx) ** 2 + (y - from.y - along * dy) ** 2 <= radius * radius;
  };
  return { box: [left, top, right, bottom], inside };
}

function rectangle(box) {
  return { box, inside: () => true };
}

/** Return the ellipse that touches the sides of a box. */
function ellipse(box) {
  const [left, top, right, bottom] = box, centerX = (left + right) / 2, centerY = (top + bottom) / 2;
  return { box, inside: (x, y) => ((x - centerX) / (right - left)) ** 2 + ((y - centerY) / (bottom - top)) ** 2 <= 0.25 };
}

/** Return the box between two points, its sides rounded to whole pixels. */
function draggedBox(start, end, square) {
  let dx = end.x - start.x, dy = end.y - start.y;
  if (square) {
    const side = Math.max(Math.abs(dx), Math.abs(dy));
    dx = Math.sign(dx || 1) * side;
    dy = Math.sign(dy || 1) * side;
  }
  const between = (a, b) => [Math.round(Math.min(a, b)), Math.round(Math.max(a, b))];
  const [left, right] = between(start.x, start.x + dx), [top, bottom] = between(start.y, start.y + dy);
  return [left, top, right, bottom];
}

/** Set the pixels of a shape. Return the box around them. */
function fill({ data, width, height }, shape, value) {
  const [left, right] = [Math.floor(shape.box[0]), Math.ceil(shape.box[2])].map((x) => clamp(x, 0, width));
  const [top, bottom] = [Math.floor(shape.box[1]), Math.ceil(shape.box[3])].map((y) => clamp(y, 0, height));
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      if (shape.inside(x + 0.5, y + 0.5)) data[y * width + x] = value;
    }
  }
  return [left, top, right, bottom];
}

function unite(a, b) {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

// ---- in and out --------------------------------------------------------------------------------------------------

function newCanvas(width, height, options) {
  return Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", options);
}

/** Paint a box of the mask onto a canvas: one colour where it is 1, the other where it is 0. */
function putMask(context, { data, width }, [left, top, right, bottom], one, zero) {
  if (right <= left || bottom <= top) return;
  const image = context.createImageData(right - left, bottom - top), pixels = new Uint32Array(image.data.buffer);
  for (let y = top, i = 0; y < bottom; y++) {
    for (let x = left; x < right; x++) pixels[i++] = data[y * width + x] ? one : zero;
  }
  context.putImageData(image, left, top);
}

function toPng(grid) {
  const context = newCanvas(grid.width, grid.height);
  putMask(context, grid, [0, 0, grid.width, grid.height], WHITE, BLACK);
  return context.canvas.toDataURL("image/png");
}

/** Return a grid's data from any picture, by the rules of masks.py: grey is split at 128, transparent counts as black. */
function readMask(image, { width, height }) {
  const context = newCanvas(width, height, { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.fillRect(0, 0, width, height); // black
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const grey = (i) => 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]; // PIL's mode "L", before rounding
  return new Uint8Array(width * height).map((_, i) => (grey(4 * i) >= 127.5 ? 1 : 0));
}

async function loadImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}
