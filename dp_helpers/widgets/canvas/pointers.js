// Mouse, pen and fingers: one pointer draws or moves the view, two pointers move and zoom it.

const STROKES = ["brush", "eraser"]; // the other tools drag out a box, or the view

class Pointers {
  constructor(stage, grid, settings, finish) {
    Object.assign(this, { stage, grid, settings, finish });
    this.places = new Map(); // id: where on the stage, of all that are down
    this.drag = null; // what they are doing
    this.space = false; // held: the view moves, whatever the tool
  }

  down(event) {
    const { drag, stage } = this;
    if (drag?.pen && event.pointerType === "touch") return; // the palm of the hand that holds the pen
    if (event.button !== 0 && event.button !== 5) return; // 5: the other end of a pen
    stage.canvas.focus({ preventScroll: true });
    stage.canvas.setPointerCapture(event.pointerId);
    this.places.set(event.pointerId, stage.point(event));
    if (this.places.size > 1 || this.space || this.settings.tool === "move") {
      this.cancel();
      this.drag = { kind: "view" };
    } else if (!this.grid.loading) {
      this.startDrawing(event);
    }
  }

  startDrawing(event) {
    const at = this.stage.toMask(this.stage.point(event)), before = this.grid.data, kind = this.settings.tool;
    const value = kind === "eraser" || event.altKey || event.button === 5 ? 0 : 1;
    const pen = event.pointerType === "pen";
    this.drag = { kind, id: event.pointerId, pen, before, start: at, last: at, value };
    this.grid.data = before.slice();
    this.draw(at, event.shiftKey);
  }

  move(event) {
    const { stage, drag } = this;
    stage.setHover(event.pointerType === "touch" || this.space ? null : stage.point(event));
    if (drag?.kind === "view" && this.places.has(event.pointerId)) this.moveView(event);
    if (drag?.id !== event.pointerId) return;
    // The stroke goes through every position since the last frame, so that it is as round as the hand's movement.
    const places = STROKES.includes(drag.kind) ? event.getCoalescedEvents?.() : null;
    for (const each of places?.length ? places : [event]) this.draw(stage.toMask(stage.point(each)), event.shiftKey);
  }

  up(event) {
    if (this.drag?.id === event.pointerId) {
      this.draw(this.stage.toMask(this.stage.point(event)), event.shiftKey);
      const { before } = this.drag;
      this.drag = null;
      this.finish(before, this.grid.data);
    }
    this.lost(event);
  }

  lost(event) {
    this.places.delete(event.pointerId);
    if (this.drag?.id === event.pointerId || !this.places.size) this.cancel();
  }

  cancel() {
    const before = this.drag?.before;
    this.drag = null;
    if (!before) return;
    this.grid.data = before;
    this.stage.paintMask();
  }

  draw(to, square) {
    const { drag, grid } = this;
    let box;
    if (STROKES.includes(drag.kind)) {
      const radius = Math.max(this.settings.brush_size / 2, 0.75); // so that a click always meets the centre of a pixel
      box = fill(grid, capsule(drag.last, to, radius), drag.value);
    } else {
      grid.data.set(drag.before);
      const shape = (drag.kind === "ellipse" ? ellipse : rectangle)(draggedBox(drag.start, to, square));
      const filled = fill(grid, shape, drag.value);
      box = unite(filled, drag.box ?? filled);
      drag.box = filled;
    }
    drag.last = to;
    this.stage.paintMask(box);
  }

  /** Shift was pressed or released while a box is dragged out: make it a square, or a free box again. */
  shift(square) {
    if (this.drag?.box) this.draw(this.drag.last, square);
  }

  moveView(event) {
    const { stage } = this, { zoom } = stage.view, before = this.hands();
    this.places.set(event.pointerId, stage.point(event));
    const after = this.hands();
    stage.hold(stage.toMask(before), after, before.spread ? (zoom * after.spread) / before.spread : zoom);
  }

  /** Return the middle of the first two pointers and their distance. */
  hands() {
    const [a, b = a] = [...this.places.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
  }
}
