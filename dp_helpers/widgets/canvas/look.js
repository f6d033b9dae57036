// How the stage looks: photo or result, the mask over it as a violet tint with white lines, its double outline, and the
// brush. The lines show on violet products, the tint on white ones, the outline on all, so no colour hides the mask.

const TINT = 0xffbf2c7b; // the mask: alpha, blue, green, red
const DARK = "rgba(16, 0, 28, 0.92)", LIGHT = "rgba(255, 255, 255, 0.95)";

class Look {
  constructor(canvas, grid) {
    this.canvas = canvas;
    this.grid = grid;
    this.context = canvas.getContext("2d");
    this.layer = newCanvas(grid.width, grid.height); // the mask in colour
    this.scratch = newCanvas(1, 1); // in pixels of the screen
  }

  resize(width, height) {
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.style.height = `${height}px`;
    for (const canvas of [this.canvas, this.scratch.canvas]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.lines = this.makeLines();
  }

  /** Return thin diagonal lines as a pattern that repeats. */
  makeLines() {
    const side = Math.round(10 * this.ratio), tile = newCanvas(side, side);
    tile.strokeStyle = "rgba(255, 255, 255, 0.75)";
    tile.lineWidth = 1.5 * this.ratio;
    tile.lineCap = "square";
    for (const shift of [-side, 0, side]) {
      tile.beginPath();
      tile.moveTo(shift, side);
      tile.lineTo(shift + side, 0);
      tile.stroke();
    }
    return this.context.createPattern(tile.canvas, "repeat");
  }

  putMask(box = [0, 0, this.grid.width, this.grid.height]) {
    putMask(this.layer, this.grid, box, TINT, 0);
  }

  paint(stage) {
    const { context, grid, ratio } = this, { width, height } = context.canvas, { settings, drawing, view } = stage;
    const scale = stage.scale * ratio, left = width / 2 - view.x * scale, top = height / 2 - view.y * scale;
    const place = (target, image, x = 0, y = 0) =>
      target.drawImage(image, left + x, top + y, grid.width * scale, grid.height * scale);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    if (stage.photo) place(context, stage.photo);
    if (stage.result) this.paintResult(stage.split * width, () => place(context, stage.result));
    context.imageSmoothingEnabled = this.scratch.imageSmoothingEnabled = scale < 1; // enlarged, the mask shows its pixels
    // The tint would hide the result, so then it is there only while something is drawn; the outline stays.
    if (!stage.result || drawing.now) this.paintTint(place, settings.overlay_opacity);
    this.paintOutline(place, 1.5 * ratio);
    const outline = drawing.outline?.map((each) => stage.toStage(each));
    if (outline) this.paintPath(drawing.polygon && stage.hover ? [...outline, stage.hover] : outline);
    if (drawing.polygon) this.paintCorners(outline);
    if (stage.cross) this.paintCross(stage.toStage(stage.cross));
    const at = stage.cross ? stage.toStage(stage.cross) : stage.hover;
    if (at && STROKES.includes(settings.tool)) this.paintBrush(at, (stage.scale * settings.brush_size) / 2);
  }

  /** Draw the result to the right of the line that divides before from after. */
  paintResult(split, draw) {
    const { context, ratio } = this, { width, height } = context.canvas;
    context.save();
    context.beginPath();
    context.rect(split, 0, width - split, height);
    context.clip();
    draw();
    context.restore();
    if (split < 1 || split > width - 1) return;
    for (const [color, line] of [[DARK, 4], [LIGHT, 2]]) {
      context.fillStyle = color;
      context.fillRect(split - (line * ratio) / 2, 0, line * ratio, height);
    }
  }

  paintTint(place, opacity) {
    const { context, scratch } = this, { width, height } = scratch.canvas;
    scratch.globalCompositeOperation = "copy";
    place(scratch, this.layer.canvas);
    scratch.globalCompositeOperation = "source-atop";
    scratch.fillStyle = this.lines;
    scratch.fillRect(0, 0, width, height);
    context.globalAlpha = opacity;
    context.drawImage(scratch.canvas, 0, 0);
    context.globalAlpha = 1;
  }

  /** Draw a dark line outside the mask's edge and a light one inside it. The photo's edge is an edge, too. */
  paintOutline(place, thickness) {
    const { context, scratch } = this, { width, height } = scratch.canvas, mask = this.layer.canvas;
    const around = Array.from({ length: 8 }, (_, turn) => [Math.cos((turn * Math.PI) / 4), Math.sin((turn * Math.PI) / 4)]);
    const draw = (operation, last, color) => {
      scratch.globalCompositeOperation = "copy";
      place(scratch, mask);
      scratch.globalCompositeOperation = operation;
      for (const [x, y] of around) place(scratch, mask, thickness * x, thickness * y);
      scratch.globalCompositeOperation = last; // all moved masks together, minus the mask; or the mask minus what all share
      place(scratch, mask);
      scratch.globalCompositeOperation = "source-in";
      scratch.fillStyle = color;
      scratch.fillRect(0, 0, width, height);
      context.drawImage(scratch.canvas, 0, 0);
    };
    draw("source-over", "destination-out", DARK);
    draw("destination-in", "source-out", LIGHT);
  }

  /** Draw an outline that is not closed yet. */
  paintPath(points) {
    const { context, ratio } = this;
    for (const [color, width, dash] of [[DARK, 3, []], [LIGHT, 1.5, [5, 5]]]) {
      context.beginPath();
      for (const { x, y } of points) context.lineTo(x * ratio, y * ratio);
      this.stroke(color, width, dash);
    }
  }

  /** Draw the corners of a polygon, the first one larger, because a click there closes it. */
  paintCorners(points) {
    const { context, ratio } = this;
    for (const [index, { x, y }] of points.entries()) {
      context.beginPath();
      context.arc(x * ratio, y * ratio, (index ? 3 : 6) * ratio, 0, 2 * Math.PI);
      context.fillStyle = LIGHT;
      context.fill();
      this.stroke(DARK, 1.5);
    }
  }

  paintCross({ x, y }) {
    for (const [color, line] of [[DARK, 4], [LIGHT, 1.5]]) {
      this.context.beginPath();
      for (const [right, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        this.context.moveTo((x + 3 * right) * this.ratio, (y + 3 * down) * this.ratio);
        this.context.lineTo((x + 12 * right) * this.ratio, (y + 12 * down) * this.ratio);
      }
      this.stroke(color, line);
    }
  }

  paintBrush({ x, y }, radius) {
    for (const [color, line] of [[DARK, 3], [LIGHT, 1.25]]) {
      this.context.beginPath();
      this.context.arc(x * this.ratio, y * this.ratio, radius * this.ratio, 0, 2 * Math.PI);
      this.stroke(color, line);
    }
  }

  stroke(color, width, dash = []) {
    const { context, ratio } = this;
    context.setLineDash(dash.map((length) => length * ratio));
    Object.assign(context, { strokeStyle: color, lineWidth: width * ratio });
    context.stroke();
    context.setLineDash([]);
  }
}
