// The keys: letters choose tools, arrows move a crosshair, Enter puts the tool down and lifts it. So all tools work
// without a pointer.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Keyboard {
  constructor(view) {
    this.view = view; // the whole widget
  }

  key(event) {
    const { pointers } = this.view, down = event.type === "keydown", run = this.action(event);
    if (event.key === "Shift") pointers.shift(down);
    if (event.key === " " && !down) pointers.space = false;
    const typed = event.key.length === 1 && !event.ctrlKey && !event.metaKey;
    if (run || typed) event.stopPropagation(); // or the notebook takes it for a command of its own
    if (!run || !down) return;
    event.preventDefault();
    run();
  }

  action(event) {
    const { view } = this, { drawing, pointers } = view, key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey) { // with Alt: how "[" is typed on some keyboards
      if (key === "z") return () => view.act(event.shiftKey ? "redo" : "undo", event.repeat);
      return key === "y" ? () => view.act("redo", event.repeat) : null;
    }
    if (KEYS[key] && event.key.length === 1) return () => view.act(KEYS[key]);
    if (key === "escape" && drawing.now) return () => pointers.cancel();
    if (key === "backspace" && drawing.polygon) return () => drawing.uncorner();
    if (event.target !== view.parts.canvas) return null;
    if (key === " ") return () => (pointers.space = true);
    if (key === "enter") return () => this.enter(event);
    return ARROWS[event.key] ? () => this.arrow(...ARROWS[event.key], event.shiftKey) : null;
  }

  /** Move the crosshair by a fiftieth of the photo, or by a pixel; with the tool that moves the view, move that. */
  arrow(right, down, fine) {
    const { stage, grid, settings, drawing, parts } = this.view;
    if (settings.tool === "move") return stage.pan(-right, -down);
    const step = fine ? 1 : Math.max(1, Math.round(Math.min(grid.width, grid.height) / 50)), from = stage.cursor;
    const at = { x: clamp(from.x + step * right, 0, grid.width), y: clamp(from.y + step * down, 0, grid.height) };
    stage.setCross(at);
    if (drawing.now && !drawing.polygon) drawing.to(at);
    parts.say(`${drawing.now ? "Drawing" : "Crosshair"} at ${Math.round(at.x)}, ${Math.round(at.y)}`);
  }

  /** Put the tool down at the crosshair, or lift it. For a polygon: set a corner, twice to close it. */
  enter(event) {
    const { stage, grid, settings, drawing } = this.view;
    if (settings.tool === "move" || grid.loading) return;
    const at = stage.cursor;
    stage.setCross(at);
    if (drawing.now && !drawing.polygon) return drawing.end();
    drawing.begin(at, { straight: event.shiftKey, subtract: event.altKey });
    if (settings.tool === "fill") drawing.end();
  }
}
