// Mouse, pen and fingers: one pointer draws or moves the view, two pointers move and zoom it.

const MAC = /Mac|iP(hone|ad|od)/.test(navigator.platform); // where Ctrl and a click open the menu

class Pointers {
  constructor(stage, grid, settings, drawing) {
    Object.assign(this, { stage, grid, settings, drawing });
    this.places = new Map(); // id: where on the stage, of all that are down
    this.drawer = null; // the pointer that draws: its id, and whether it is a pen
    this.moving = false; // they move the view
    this.space = false; // held: the view moves, whatever the tool
  }

  down(event) {
    const { stage, drawing } = this;
    if (this.drawer?.pen && event.pointerType === "touch") return; // the palm of the hand that holds the pen
    if (event.button !== 0 && event.button !== 5) return; // the menu's button; 5: the other end of a pen
    if (MAC && event.ctrlKey) return; // the menu, too
    stage.canvas.focus({ preventScroll: true });
    stage.canvas.setPointerCapture(event.pointerId);
    this.places.set(event.pointerId, stage.point(event));
    if (this.places.size > 1 || this.space || this.settings.tool === "move") {
      if (!drawing.polygon || this.places.size > 1) this.cancel();
      this.moving = true;
    } else if (!this.grid.loading) {
      this.drawer = { id: event.pointerId, pen: event.pointerType === "pen" };
      const subtract = event.altKey || event.button === 5 || (MAC ? event.metaKey : event.ctrlKey);
      drawing.begin(stage.toMask(stage.point(event)), { straight: event.shiftKey, square: event.shiftKey, subtract });
    }
  }

  move(event) {
    const { stage, drawing } = this;
    stage.setHover(event.pointerType === "touch" || this.space ? null : stage.point(event));
    if (this.moving && this.places.has(event.pointerId)) return this.moveView(event);
    if (this.drawer?.id !== event.pointerId || !drawing.now || drawing.polygon) return;
    // The stroke goes through every position since the last frame, so that it is as round as the hand's movement.
    const places = BOXES[drawing.now.tool] ? null : event.getCoalescedEvents?.();
    for (const each of places?.length ? places : [event]) {
      drawing.to(stage.toMask(stage.point(each)), event.shiftKey);
    }
  }

  up(event) {
    const { stage, drawing } = this;
    if (this.drawer?.id === event.pointerId && drawing.now) {
      if (!drawing.polygon) drawing.to(stage.toMask(stage.point(event)), event.shiftKey);
      this.drawer = null;
      drawing.end();
    }
    this.lost(event);
  }

  lost(event) {
    this.places.delete(event.pointerId);
    if (this.drawer?.id === event.pointerId) this.cancel();
    if (!this.places.size) this.moving = false;
  }

  /** Forget the pointer that draws, and what it has drawn. */
  cancel() {
    this.drawer = null;
    this.drawing.cancel();
  }

  /** Shift was pressed or released while a box is dragged out: make it a square, or a free box again. */
  shift(square) {
    const { now } = this.drawing;
    if (this.drawer && BOXES[now?.tool]) this.drawing.to(now.last, square);
  }

  /** The menu of a long press, and the wheel, are the page's unless a pointer is down. */
  guard(event) {
    if (this.places.size) event.preventDefault();
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
