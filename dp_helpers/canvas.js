// The mask canvas in the browser: shows a photo, paints a mask, and sends it as one PNG data URL when the pointer
// lifts. canvas.py is its other half. Points are {x, y}; boxes are [left, top, right, bottom], the last two exclusive.
// In the mask 1 = repaint, 0 = keep. A pixel belongs to a shape when its centre lies in it: edges are hard, never grey.

const ORANGE = 0xff009fe6, WHITE = 0xffffffff, BLACK = 0xff000000; // as ImageData has them: alpha, blue, green, red
const OUTLINE = "rgba(25, 18, 0, 0.9)";
const STAGE_HEIGHT = [160, 680]; // CSS pixels, least and most
const MAX_ZOOM = 16;
const HISTORY_BYTES = 64e6, HISTORY_STEPS = [8, 100]; // undo and redo together; a step is a byte a pixel
const SHORTCUTS = { b: "brush", e: "eraser", r: "rectangle", o: "ellipse", m: "move" };
const STROKES = ["brush", "eraser"]; // the other tools drag out a box, or the view
const ACTION_KEYS = { i: "invert", "+": "zoom in", "=": "zoom in", "-": "zoom out", 0: "fit" };
const NOTHING = "Nothing marked yet: paint over what is to be replaced";
const SETTINGS = ["tool", "brush_size", "overlay_opacity"];
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const BUTTONS = { // name: what it is called, its key, its picture as paths on a 24 x 24 grid
  brush: ["Brush", "B",
    "M20.5 3.5 12 12M10 11.5c-3.2 0-4.4 2.2-4.4 4.3 0 1.8-.9 3-2.6 3.4 2.6 2 9.6 2 10.6-2.9.5-2.6-1.3-4.8-3.6-4.8z"],
  eraser: ["Eraser", "E", "M3.6 14.6 13.4 4.8l6.6 6.6-8.6 8.6H8.9zM8.6 9.6l6.6 6.6M11 20h9.5"],
  rectangle: ["Rectangle (Shift: square, Alt: erase)", "R", "M4 6h16v12H4z"],
  ellipse: ["Ellipse (Shift: circle, Alt: erase)", "O", "M3.5 12a8.5 6.5 0 1 0 17 0 8.5 6.5 0 1 0-17 0z"],
  move: ["Move the view", "M, or hold Space and drag",
    "M12 3v18M3 12h18M9.5 5.5 12 3l2.5 2.5M9.5 18.5 12 21l2.5-2.5M5.5 9.5 3 12l2.5 2.5M18.5 9.5 21 12l-2.5 2.5"],
  undo: ["Undo", "Ctrl+Z", "M8.5 4.5 4 9l4.5 4.5M4.5 9H14a5.5 5.5 0 0 1 0 11h-4"],
  redo: ["Redo", "Ctrl+Shift+Z", "M15.5 4.5 20 9l-4.5 4.5M19.5 9H10a5.5 5.5 0 0 0 0 11h4"],
  invert: ["Invert the mask", "I", "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 1 0 0-17zM12 3.5v17M12 8h7.4M12 12h8.4M12 16h7.4"],
  clear: ["Clear the mask", "", "M4 7h16M9 7V4.2h6V7M6.3 7l1 13h9.4l1-13M10.2 11v5.2M13.8 11v5.2"],
  "zoom out": ["Zoom out", "-, or Ctrl and wheel", "M6 12h12"],
  fit: ["Show the whole photo", "0", ""],
  "zoom in": ["Zoom in", "+, or Ctrl and wheel", "M6 12h12M12 6v12"],
};

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// ---- shapes: a box, and inside(x, y) -----------------------------------------------------------------------------

/** The way of a round brush from one point to the next. */
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

/** The ellipse that touches the sides of a box. */
function ellipse(box) {
  const [left, top, right, bottom] = box, centerX = (left + right) / 2, centerY = (top + bottom) / 2;
  return { box, inside: (x, y) => ((x - centerX) / (right - left)) ** 2 + ((y - centerY) / (bottom - top)) ** 2 <= 0.25 };
}

/** The box between two points, its sides rounded to whole pixels. */
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

/** Set the pixels of a shape; returns the box that they lie in. */
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

// ---- masks in and out --------------------------------------------------------------------------------------------

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

async function fromPng(url, width, height) {
  const data = new Uint8Array(width * height);
  if (!url) return data;
  const context = newCanvas(width, height, { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(await loadImage(url), 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height).data;
  return data.map((_, i) => (pixels[4 * i] >= 128 ? 1 : 0));
}

async function loadImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

// ---- the parts on the page ---------------------------------------------------------------------------------------

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeButton(name) {
  const [label, key, paths] = BUTTONS[name];
  const title = key ? `${label}: ${key}` : label;
  const button = make("button", { type: "button", "aria-label": label, title, "data-name": name });
  if (!paths) return button;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.appendChild(document.createElementNS(svg.namespaceURI, "path")).setAttribute("d", paths);
  button.append(svg);
  return button;
}

function makeSlider(name, label, title, min, max) {
  const input = make("input", { type: "range", min, max, title, "aria-label": title, "data-name": name });
  const value = make("span", { class: "dp-value", "aria-hidden": "true" });
  const show = (number, text) => {
    input.value = number;
    input.setAttribute("aria-valuetext", text);
    input.style.setProperty("--filled", `${(100 * (number - min)) / (max - min)}%`);
    value.textContent = text;
  };
  return { input, show, label: make("label", { class: "dp-slider" }, make("span", {}, label), input, value) };
}

function buildParts(grid, maxBrush) {
  const buttons = Object.fromEntries(Object.keys(BUTTONS).map((name) => [name, makeButton(name)]));
  const group = (label, ...names) =>
    make("div", { class: "dp-group", role: "group", "aria-label": label }, ...names.map((name) => buttons[name]));
  const size = makeSlider("size", "Size", "Brush size in pixels of the photo, keys [ and ]", 1, maxBrush);
  const opacity = makeSlider("opacity", "Overlay", "Opacity of the overlay; the mask stays as it is", 0, 100);
  const status = make("span", { class: "dp-status", role: "status", "aria-live": "polite" });
  const stage = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": "mask canvas",
    "aria-label": `Photo of ${grid.width} by ${grid.height} pixels: draw with a pointer. Keys: B, E, R, O choose the tool, ` +
      "square brackets the size, I inverts, Control Z undoes, plus and minus zoom, arrows move the view." });
  const frame = make("div", { class: "dp-stage" }, stage);
  // JupyterLab reads the attribute: its own keys (B adds a cell) rest while the focus is in here.
  const root = make("div", { class: "dp-canvas", "data-lm-suppress-shortcuts": "true" },
    make("div", { class: "dp-bar" }, group("Tools", ...Object.values(SHORTCUTS)), size.label,
      group("Changes", "undo", "redo", "invert", "clear")),
    frame,
    make("div", { class: "dp-bar" }, status, opacity.label, group("View", "zoom out", "fit", "zoom in")));
  return { root, frame, stage, status, buttons, size, opacity };
}

// ---- the widget --------------------------------------------------------------------------------------------------

class MaskView {
  constructor(model) {
    const width = model.get("mask_width"), height = model.get("mask_height"), pixels = width * height;
    this.model = model;
    this.grid = { width, height, data: new Uint8Array(pixels) };
    this.everything = [0, 0, width, height];
    this.past = [];
    this.future = [];
    this.steps = clamp(Math.floor(HISTORY_BYTES / pixels), ...HISTORY_STEPS);
    this.view = { zoom: 1, x: width / 2, y: height / 2 }; // x, y: the mask pixel in the middle of the stage
    this.maxBrush = Math.max(8, Math.round(Math.min(width, height) / 2));
    this.parts = buildParts(this.grid, this.maxBrush);
    this.context = this.parts.stage.getContext("2d");
    this.layer = newCanvas(width, height); // the mask in colour
    this.ring = newCanvas(1, 1); // its outline, in pixels of the screen
    this.pointers = new Map(); // id: where on the stage, of all that are down
    this.drag = null; // what they are doing
    this.loading = 0; // masks that are being decoded; nothing is painted meanwhile
    this.stop = new AbortController();
  }

  async open() {
    this.listen();
    for (const name of SETTINGS) this.showSetting(name);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.parts.frame);
    this.loadMask(false);
    this.photo = await loadImage(this.model.get("photo_data_url"));
    this.redraw();
  }

  listen() {
    const { root, stage, buttons, size, opacity } = this.parts, { signal } = this.stop;
    const on = (target, names, run) =>
      names.split(" ").forEach((name) => target.addEventListener(name, run, { signal, passive: false }));
    on(stage, "pointerdown", (event) => this.pointerDown(event));
    on(stage, "pointermove", (event) => this.pointerMove(event));
    on(stage, "pointerup", (event) => this.pointerUp(event));
    on(stage, "pointercancel lostpointercapture", (event) => this.pointerLost(event));
    on(stage, "pointerleave", () => this.setHover(null));
    on(stage, "wheel", (event) => this.wheel(event));
    on(stage, "blur", () => (this.space = false));
    on(root, "keydown keyup", (event) => this.key(event));
    for (const [name, button] of Object.entries(buttons)) on(button, "click", () => this.act(name));
    for (const [name, { input }, unit] of [["brush_size", size, 1], ["overlay_opacity", opacity, 100]]) {
      on(input, "input", () => this.showSetting(name, input.value / unit));
      on(input, "change", () => this.setSetting(name, input.value / unit));
    }
    this.changes = { "change:mask_data_url": () => this.loadMask(true) };
    for (const name of SETTINGS) this.changes[`change:${name}`] = () => this.showSetting(name);
    for (const [name, run] of Object.entries(this.changes)) this.model.on(name, run);
  }

  close() {
    this.stop.abort();
    this.sizes.disconnect();
    for (const [name, run] of Object.entries(this.changes)) this.model.off(name, run);
  }

  // -- settings --

  setSetting(name, value) {
    if (name === "brush_size") value = clamp(value, 1, this.maxBrush);
    this.showSetting(name, value);
    this.model.set(name, value);
    this.model.save_changes();
  }

  showSetting(name, value = this.model.get(name)) {
    const { buttons, size, opacity, stage } = this.parts;
    if (name === "tool") {
      this.cancelDrag();
      for (const tool of Object.values(SHORTCUTS)) buttons[tool].setAttribute("aria-pressed", String(tool === value));
      this.tool = stage.dataset.tool = value;
    } else if (name === "brush_size") {
      this.brushSize = clamp(value, 1, this.maxBrush);
      size.show(this.brushSize, `${this.brushSize} px`);
    } else {
      this.opacity = clamp(value, 0, 1);
      opacity.show(Math.round(100 * this.opacity), `${Math.round(100 * this.opacity)} %`);
    }
    this.redraw();
  }

  // -- the mask --

  act(name) {
    if (Object.values(SHORTCUTS).includes(name)) return this.setSetting("tool", name);
    if (name === "fit") return this.zoomBy(1 / MAX_ZOOM);
    if (name.startsWith("zoom")) return this.zoomBy(name === "zoom in" ? 1.5 : 1 / 1.5);
    if (this.loading) return;
    this.cancelDrag();
    if (name === "undo" || name === "redo") this.travel(name === "undo");
    else this.finish(this.grid.data, this.grid.data.map((value) => (name === "clear" ? 0 : 1 - value)));
  }

  travel(back) {
    const [from, to] = back ? [this.past, this.future] : [this.future, this.past];
    if (!from.length) return;
    to.push(this.grid.data);
    this.replace(from.pop());
    this.publish();
  }

  /** Take over a new mask and send it, unless nothing changed. */
  finish(before, after) {
    if (this.remember(before, after)) {
      this.replace(after);
      this.publish();
    }
  }

  remember(before, after) {
    const changed = before.some((value, i) => value !== after[i]);
    if (changed) {
      this.past.push(before);
      if (this.past.length > this.steps) this.past.shift();
      this.future = [];
    }
    return changed;
  }

  replace(data) {
    this.grid.data = data;
    this.paintMask(this.everything);
    this.report();
  }

  publish() {
    this.shown = toPng(this.grid); // set first: loadMask knows it when the model tells of the change
    this.model.set("mask_data_url", this.shown);
    this.model.save_changes();
  }

  /** Show the model's mask; what the kernel or another view set can be undone. Nothing is sent back. */
  async loadMask(undoable) {
    const url = this.model.get("mask_data_url");
    if (url === this.shown) return;
    this.shown = url;
    this.loading++;
    try {
      const data = await fromPng(url, this.grid.width, this.grid.height);
      if (url !== this.shown) return; // a later one overtook it
      this.cancelDrag();
      if (undoable) this.remember(this.grid.data, data);
      this.replace(data);
    } catch {
      this.parts.status.textContent = "The mask from the notebook cannot be read.";
    } finally {
      this.loading--;
    }
  }

  report() {
    const { status, buttons } = this.parts;
    const marked = this.grid.data.reduce((sum, value) => sum + value, 0), share = (100 * marked) / this.grid.data.length;
    const percent = share < 1 ? "less than 1" : share > 99 && share < 100 ? "more than 99" : Math.round(share);
    status.textContent = marked ? `Mask covers ${percent} % of the photo` : NOTHING;
    // Not `disabled`: that would take the focus away from whoever undoes the last step by keyboard.
    buttons.undo.setAttribute("aria-disabled", String(!this.past.length));
    buttons.redo.setAttribute("aria-disabled", String(!this.future.length));
  }

  // -- pointers: one draws or moves the view, two move and zoom it --

  pointerDown(event) {
    const { drag } = this, { stage } = this.parts;
    if (drag?.pen && event.pointerType === "touch") return; // the palm of the hand that holds the pen
    if (event.button !== 0 && event.button !== 5) return; // 5: the other end of a pen
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.stagePoint(event));
    if (this.pointers.size > 1 || this.space || this.tool === "move") {
      this.cancelDrag();
      this.drag = { kind: "view" };
    } else if (!this.loading) {
      this.startDrawing(event);
    }
  }

  startDrawing(event) {
    const at = this.toMask(this.stagePoint(event)), before = this.grid.data;
    const value = this.tool === "eraser" || event.altKey || event.button === 5 ? 0 : 1;
    const pen = event.pointerType === "pen";
    this.drag = { kind: this.tool, id: event.pointerId, pen, before, start: at, last: at, value };
    this.grid.data = before.slice();
    this.draw(at, event.shiftKey);
  }

  pointerMove(event) {
    this.setHover(event.pointerType === "touch" ? null : this.stagePoint(event));
    if (this.drag?.kind === "view" && this.pointers.has(event.pointerId)) this.moveView(event);
    if (this.drag?.id !== event.pointerId) return;
    // A stroke goes through every place since the last frame, so that it is as round as the hand's way.
    const places = STROKES.includes(this.drag.kind) ? event.getCoalescedEvents?.() : null;
    for (const each of places?.length ? places : [event]) this.draw(this.toMask(this.stagePoint(each)), event.shiftKey);
  }

  pointerUp(event) {
    if (this.drag?.id === event.pointerId) {
      this.draw(this.toMask(this.stagePoint(event)), event.shiftKey);
      const { before } = this.drag;
      this.drag = null;
      this.finish(before, this.grid.data);
    }
    this.pointerLost(event);
  }

  pointerLost(event) {
    this.pointers.delete(event.pointerId);
    if (this.drag?.id === event.pointerId || !this.pointers.size) this.cancelDrag();
  }

  cancelDrag() {
    const before = this.drag?.before;
    this.drag = null;
    if (!before) return;
    this.grid.data = before;
    this.paintMask(this.everything);
  }

  draw(to, square) {
    const { drag, grid } = this;
    let box;
    if (STROKES.includes(drag.kind)) {
      const radius = Math.max(this.brushSize / 2, 0.75); // so that a click always meets the centre of a pixel
      box = fill(grid, capsule(drag.last, to, radius), drag.value);
    } else {
      grid.data.set(drag.before);
      const shape = (drag.kind === "ellipse" ? ellipse : rectangle)(draggedBox(drag.start, to, square));
      const filled = fill(grid, shape, drag.value);
      box = unite(filled, drag.box ?? filled);
      drag.box = filled;
    }
    drag.last = to;
    this.paintMask(box);
  }

  key(event) {
    const down = event.type === "keydown", run = this.keyAction(event, down);
    if (event.key === "Shift" && this.drag?.box) this.draw(this.drag.last, down);
    if (event.key === " " && !down) this.space = false;
    const typed = event.key.length === 1 && !event.ctrlKey && !event.metaKey;
    if (run || typed) event.stopPropagation(); // or the notebook takes it for a command of its own
    if (!run || !down) return;
    event.preventDefault();
    run();
  }

  keyAction(event) {
    const key = event.key.toLowerCase(), step = Math.max(1, Math.round(0.15 * this.brushSize));
    if ((event.ctrlKey || event.metaKey) && !event.altKey) { // with Alt: how "[" is typed on some keyboards
      if (key === "z") return () => this.act(event.shiftKey ? "redo" : "undo");
      return key === "y" ? () => this.act("redo") : null;
    }
    if (key === "[") return () => this.setSetting("brush_size", this.brushSize - step);
    if (key === "]") return () => this.setSetting("brush_size", this.brushSize + step);
    if (SHORTCUTS[key] ?? ACTION_KEYS[key]) return () => this.act(SHORTCUTS[key] ?? ACTION_KEYS[key]);
    if (key === "escape" && this.drag) return () => this.cancelDrag();
    if (event.target !== this.parts.stage) return null;
    if (key === " ") return () => (this.space = true);
    return ARROWS[event.key] ? () => this.pan(...ARROWS[event.key]) : null;
  }

  // -- the view: stage points are CSS pixels from its top left corner --

  stagePoint(event) {
    const box = this.parts.stage.getBoundingClientRect(); // slides may be scaled: hence the shares
    const across = (event.clientX - box.left) / box.width, down = (event.clientY - box.top) / box.height;
    return { x: across * this.width, y: down * this.height };
  }

  get scale() { // stage pixels to a mask pixel
    return this.fit * this.view.zoom;
  }

  get center() {
    return { x: this.width / 2, y: this.height / 2 };
  }

  toMask(at) {
    return { x: this.view.x + (at.x - this.width / 2) / this.scale, y: this.view.y + (at.y - this.height / 2) / this.scale };
  }

  /** Let a mask pixel lie at a stage point, as far as the photo goes. */
  hold(pixel, at, zoom = this.view.zoom) {
    const { width, height } = this.grid, view = this.view;
    view.zoom = clamp(zoom, 1, MAX_ZOOM);
    const within = (value, half, whole) => (2 * half >= whole ? whole / 2 : clamp(value, half, whole - half));
    view.x = within(pixel.x - (at.x - this.width / 2) / this.scale, this.width / 2 / this.scale, width);
    view.y = within(pixel.y - (at.y - this.height / 2) / this.scale, this.height / 2 / this.scale, height);
    const percent = `${Math.round(100 * view.zoom)} %`;
    this.parts.buttons.fit.textContent = percent;
    this.parts.buttons.fit.setAttribute("aria-label", `${BUTTONS.fit[0]}, zoom is ${percent}`);
    this.redraw();
  }

  zoomBy(factor, at = this.center) {
    this.hold(this.toMask(at), at, this.view.zoom * factor);
  }

  pan(right, down) {
    this.hold(this.toMask(this.center), { x: this.width / 2 + 40 * right, y: this.height / 2 + 40 * down });
  }

  moveView(event) {
    const before = this.hands();
    this.pointers.set(event.pointerId, this.stagePoint(event));
    const after = this.hands();
    this.hold(this.toMask(before), after, before.spread ? (this.view.zoom * after.spread) / before.spread : this.view.zoom);
  }

  /** The middle of the first two pointers, and how far they are apart. */
  hands() {
    const [a, b = a] = [...this.pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // scrolls the page; a pinch on a trackpad comes with ctrlKey
    event.preventDefault();
    this.zoomBy(Math.exp(-0.004 * clamp(event.deltaY * (event.deltaMode ? 30 : 1), -120, 120)), this.stagePoint(event));
  }

  resize() {
    const { frame, stage } = this.parts, { width, height } = this.grid, ratio = window.devicePixelRatio || 1;
    if (!frame.clientWidth) return; // hidden
    this.width = frame.clientWidth;
    this.height = Math.round(clamp((this.width * height) / width, ...STAGE_HEIGHT));
    this.fit = Math.min(this.width / width, this.height / height);
    stage.style.height = `${this.height}px`;
    for (const canvas of [stage, this.ring.canvas]) {
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(this.height * ratio);
    }
    this.hold(this.toMask(this.center), this.center);
    this.paint(); // at once: setting a canvas's size has wiped it
  }

  // -- painting --

  setHover(at) {
    this.hover = at;
    this.redraw();
  }

  paintMask(box) {
    putMask(this.layer, this.grid, box, ORANGE, 0);
    this.redraw();
  }

  redraw() {
    this.frame ||= requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    if (!this.fit) return;
    const { context, view, grid } = this, { width, height } = context.canvas, ratio = width / this.width;
    const scale = this.scale * ratio, left = width / 2 - view.x * scale, top = height / 2 - view.y * scale;
    const place = (target, image, x = 0, y = 0) =>
      target.drawImage(image, left + x, top + y, grid.width * scale, grid.height * scale);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    if (this.photo) place(context, this.photo);
    context.imageSmoothingEnabled = scale < 1; // enlarged, the mask shows its pixels
    context.globalAlpha = this.opacity;
    place(context, this.layer.canvas);
    context.globalAlpha = 1;
    this.paintRing(place, 1.5 * ratio, scale < 1);
    if (this.hover && !this.space && STROKES.includes(this.tool)) this.paintBrush(ratio);
  }

  /** The outline: the mask moved a little to eight sides, less the mask itself. */
  paintRing(place, thickness, smooth) {
    const { ring, context } = this, { width, height } = ring.canvas;
    ring.globalCompositeOperation = "source-over";
    ring.clearRect(0, 0, width, height);
    ring.imageSmoothingEnabled = smooth;
    for (let turn = 0; turn < 8; turn++) {
      const angle = (turn * Math.PI) / 4;
      place(ring, this.layer.canvas, thickness * Math.cos(angle), thickness * Math.sin(angle));
    }
    ring.globalCompositeOperation = "destination-out";
    place(ring, this.layer.canvas);
    ring.globalCompositeOperation = "source-in";
    ring.fillStyle = OUTLINE;
    ring.fillRect(0, 0, width, height);
    context.drawImage(ring.canvas, 0, 0);
  }

  paintBrush(ratio) {
    const { context, hover } = this;
    for (const [color, line] of [[OUTLINE, 3], ["white", 1.25]]) {
      context.beginPath();
      context.arc(hover.x * ratio, hover.y * ratio, (this.scale * ratio * this.brushSize) / 2, 0, 2 * Math.PI);
      context.strokeStyle = color;
      context.lineWidth = line * ratio;
      context.stroke();
    }
  }
}

export default {
  render({ model, el }) {
    const view = new MaskView(model);
    el.append(view.parts.root);
    view.open();
    return () => view.close();
  },
};
