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
