// What the tools do with the mask, whether a pointer or the keyboard leads them. Points are pixels of the mask.

const STROKES = ["brush", "eraser"];
const BOXES = { rectangle, ellipse };
const CLOSE = 10; // CSS pixels: a corner this near to the first one closes the polygon

class Drawing {
  constructor(stage, grid, settings, finish) {
    Object.assign(this, { stage, grid, settings, finish });
    this.now = null; // what is being drawn
    this.end_of_stroke = null; // where a straight line begins
  }

  /** Put the tool down. `straight` draws a line from the last stroke; `subtract` takes away for once. */
  begin(at, { straight = false, square = false, subtract = false } = {}) {
    const { tool } = this.settings;
    if (tool === "polygon" && this.now) return this.corner(at);
    if (this.now) this.end(); // it was begun by the keyboard, and a pointer begins another
    const before = this.grid.data, value = tool === "eraser" || subtract !== this.settings.subtract ? 0 : 1;
    const last = straight && STROKES.includes(tool) && this.end_of_stroke ? this.end_of_stroke : at;
    this.now = { tool, before, value, start: at, last, points: [at] };
    if (tool !== "polygon") this.grid.data = before.slice();
    this.to(at, square);
  }

  /** Move the tool to a point. */
  to(at, square = false) {
    const { now, grid, settings, stage } = this;
    if (STROKES.includes(now.tool)) {
      const radius = Math.max(settings.brush_size / 2, 0.75); // so that a click always meets the centre of a pixel
      stage.paintMask(fill(grid, capsule(now.last, at, radius), now.value));
    } else if (BOXES[now.tool]) {
      grid.data.set(now.before);
      const filled = fill(grid, BOXES[now.tool](draggedBox(now.start, at, square)), now.value);
      stage.paintMask(unite(filled, now.box ?? filled));
      now.box = filled;
    } else if (now.tool === "lasso") {
      now.points.push(at);
    }
    now.last = at;
    stage.redraw();
  }

  /** Lift the tool. A polygon stays open until it is closed. */
  end() {
    const { now, grid } = this;
    if (now.tool === "polygon") return;
    if (now.tool === "lasso") fillOutline(grid, now.points, now.value);
    if (now.tool === "fill") flood(grid, now.last, now.value);
    this.now = null;
    if (STROKES.includes(now.tool)) this.end_of_stroke = now.last;
    this.finish(now.before, grid.data);
  }

  cancel() {
    const { now } = this;
    this.now = null;
    if (!now) return;
    this.grid.data = now.before;
    this.stage.paintMask();
  }

  // -- the polygon --

  /** Set a corner, or close the polygon: at its first corner, or with the last corner set twice. */
  corner(at) {
    const { points } = this.now, near = (point) => Math.hypot(at.x - point.x, at.y - point.y) * this.stage.scale < CLOSE;
    if (near(points[0]) || near(points.at(-1))) return this.close();
    points.push(at);
    this.to(at);
  }

  close() {
    const { before, points, value } = this.now;
    if (points.length < 3) return this.cancel();
    this.grid.data = before.slice();
    fillOutline(this.grid, points, value);
    this.now = null;
    this.finish(before, this.grid.data);
  }

  /** Take the last corner back. */
  uncorner() {
    this.now.points.pop();
    if (this.now.points.length) this.stage.redraw();
    else this.cancel();
  }

  get polygon() {
    return this.now?.tool === "polygon";
  }

  /** Return the line to show while an outline is drawn, or undefined. */
  get outline() {
    return this.polygon || this.now?.tool === "lasso" ? this.now.points : undefined;
  }
}
