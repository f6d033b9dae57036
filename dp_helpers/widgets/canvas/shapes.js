// Shapes on the mask. A grid is {data, width, height}, its numbers 1 = repaint, 0 = keep; points are {x, y}; boxes are
// [left, top, right, bottom], the last two exclusive. A pixel belongs to a shape when its centre is inside, so edges are
// hard, never grey. Each function that sets pixels returns the box around them.

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

// ---- setting pixels ----------------------------------------------------------------------------------------------

/** Return the whole pixels of a box that are on the grid. */
function onGrid({ width, height }, [left, top, right, bottom]) {
  return [clamp(Math.floor(left), 0, width), clamp(Math.floor(top), 0, height),
    clamp(Math.ceil(right), 0, width), clamp(Math.ceil(bottom), 0, height)];
}

function fill(grid, shape, value) {
  const box = onGrid(grid, shape.box), [left, top, right, bottom] = box;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      if (shape.inside(x + 0.5, y + 0.5)) grid.data[y * grid.width + x] = value;
    }
  }
  return box;
}

/** Set the pixels inside a closed outline, row by row. Where it crosses itself, the loops are filled, too. */
function fillOutline(grid, points, value) {
  const xs = points.map(({ x }) => x), ys = points.map(({ y }) => y);
  const box = onGrid(grid, [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]);
  for (let row = box[1]; row < box[3]; row++) {
    const crossings = crossingsAt(points, row + 0.5);
    for (let i = 0, turns = 0; i + 1 < crossings.length; i++) {
      turns += crossings[i].turn;
      if (!turns) continue;
      const [start, end] = [crossings[i].x, crossings[i + 1].x].map((x) => clamp(Math.ceil(x - 0.5), 0, grid.width));
      grid.data.fill(value, row * grid.width + start, row * grid.width + end);
    }
  }
  return box;
}

/** Return where an outline crosses a horizontal line, from left to right, and whether it goes down or up there. */
function crossingsAt(points, y) {
  const found = points.map((from, i) => {
    const to = points[(i + 1) % points.length];
    if (from.y <= y === to.y <= y) return null;
    return { x: from.x + ((y - from.y) / (to.y - from.y)) * (to.x - from.x), turn: from.y < to.y ? 1 : -1 };
  });
  return found.filter(Boolean).sort((a, b) => a.x - b.x);
}

/** Set the area around a point that has the other value, up to its border: what a ring of paint encloses. */
function flood(grid, at, value) {
  const { data, width, height } = grid, x = Math.floor(at.x), y = Math.floor(at.y);
  if (x < 0 || y < 0 || x >= width || y >= height || data[y * width + x] === value) return [0, 0, 0, 0];
  const waiting = [y * width + x];
  data[waiting[0]] = value;
  const reach = (pixel) => {
    if (data[pixel] === value) return;
    data[pixel] = value;
    waiting.push(pixel);
  };
  while (waiting.length) {
    const pixel = waiting.pop(), column = pixel % width;
    if (column > 0) reach(pixel - 1);
    if (column < width - 1) reach(pixel + 1);
    if (pixel >= width) reach(pixel - width);
    if (pixel < data.length - width) reach(pixel + width);
  }
  return [0, 0, width, height];
}

function unite(a, b) {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}
