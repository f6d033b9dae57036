// The mask in and out: as pixels of a canvas, as a PNG, and read from any picture.

const WHITE = 0xffffffff, BLACK = 0xff000000; // as ImageData has them: alpha, blue, green, red

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

/** Return a canvas with the mask in black and white, of the mask's own size or enlarged without new greys. */
function maskCanvas(grid, width = grid.width, height = grid.height) {
  const small = newCanvas(grid.width, grid.height), whole = newCanvas(width, height);
  putMask(small, grid, [0, 0, grid.width, grid.height], WHITE, BLACK);
  whole.imageSmoothingEnabled = false;
  whole.drawImage(small.canvas, 0, 0, width, height);
  return whole.canvas;
}

/** Return the colours of a picture as ImageData has them, on black or on a clear ground. */
function colors(image, { width, height }, black) {
  const context = newCanvas(width, height, { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  if (black) context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/**
 * Return a grid's data from any picture, by the rules of masks.py and colors.py: grey is split at 128, transparent
 * counts as black, and strokes on a clear ground count as white if nothing there is.
 */
function readMask(image, grid) {
  const data = colors(image, grid, true), marked = new Uint8Array(grid.width * grid.height);
  const grey = (i) => 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]; // PIL's mode "L", before rounding
  for (let i = 0; i < marked.length; i++) marked[i] = grey(4 * i) >= 127.5 ? 1 : 0;
  if (marked.includes(1)) return marked;
  const clear = colors(image, grid, false);
  let clearest = 255, strongest = 0;
  for (let i = 3; i < clear.length; i += 4) {
    clearest = Math.min(clearest, clear[i]);
    strongest = Math.max(strongest, clear[i]);
  }
  if (clearest >= 16 || strongest < 16) return marked;
  return marked.map((_, i) => (Math.floor((255 * clear[4 * i + 3]) / strongest) >= 128 ? 1 : 0));
}

async function loadImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}
