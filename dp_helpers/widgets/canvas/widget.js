// The widget connects the parts with the model. When the pointer lifts, the mask goes to the kernel as one PNG data URL.

const SETTINGS = ["tool", "brush_size", "overlay_opacity"];
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

class MaskView {
  constructor(model) {
    const width = model.get("mask_width"), height = model.get("mask_height");
    this.model = model;
    this.grid = { width, height, data: new Uint8Array(width * height), loading: 0 }; // nothing is painted while loading
    this.settings = {}; // as shown; the model's follow when a slider is let go
    this.history = new History(width * height);
    this.maxBrush = Math.max(8, Math.round(Math.min(width, height) / 2));
    this.parts = new Parts(this.grid, this.maxBrush);
    this.stage = new Stage(this.parts.canvas, this.grid, this.settings, (zoom) => this.parts.showZoom(zoom));
    this.pointers = new Pointers(this.stage, this.grid, this.settings, (before, after) => this.finish(before, after));
    this.stop = new AbortController();
  }

  async open() {
    this.listen();
    for (const name of SETTINGS) this.showSetting(name);
    this.sizes = new ResizeObserver(() => this.stage.resize());
    this.sizes.observe(this.parts.canvas.parentElement);
    this.loadMask(false);
    this.stage.photo = await loadImage(this.model.get("photo_data_url"));
    this.stage.redraw();
  }

  listen() {
    const { stage, pointers } = this, { root, canvas, buttons, size, opacity, file } = this.parts, { signal } = this.stop;
    const on = (target, names, run) =>
      names.split(" ").forEach((name) => target.addEventListener(name, run, { signal, passive: false }));
    on(canvas, "pointerdown", (event) => pointers.down(event));
    on(canvas, "pointermove", (event) => pointers.move(event));
    on(canvas, "pointerup", (event) => pointers.up(event));
    on(canvas, "pointercancel lostpointercapture", (event) => pointers.lost(event));
    on(canvas, "pointerleave", () => stage.setHover(null));
    on(canvas, "wheel", (event) => stage.wheel(event));
    on(canvas, "blur", () => (pointers.space = false));
    on(canvas, "dragover drop", (event) => this.drop(event));
    on(root, "keydown keyup", (event) => this.key(event));
    on(file, "change", () => this.openFile(file.files[0]));
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
    this.showSetting(name, value);
    this.model.set(name, this.settings[name]);
    this.model.save_changes();
  }

  showSetting(name, value = this.model.get(name)) {
    if (name === "tool") this.pointers.cancel();
    this.settings[name] = name === "brush_size" ? clamp(value, 1, this.maxBrush) : value;
    this.parts.showSetting(name, this.settings[name]);
    this.stage.redraw();
  }

  // -- buttons and keys --

  act(name) {
    const { grid, stage, settings } = this, size = settings.brush_size, step = Math.max(1, Math.round(0.15 * size));
    if (TOOLS.includes(name)) return this.setSetting("tool", name);
    if (name === "smaller" || name === "larger") return this.setSetting("brush_size", size + (name === "larger" ? step : -step));
    if (name === "fit") return stage.zoomBy(1 / MAX_ZOOM);
    if (name.startsWith("zoom")) return stage.zoomBy(name === "zoom in" ? 1.5 : 1 / 1.5);
    if (name === "open") return this.parts.file.click();
    if (grid.loading) return;
    this.pointers.cancel();
    if (name === "undo" || name === "redo") this.travel(name === "undo");
    else this.finish(grid.data, grid.data.map((value) => (name === "clear" ? 0 : 1 - value)));
  }

  key(event) {
    const down = event.type === "keydown", run = this.keyAction(event);
    if (event.key === "Shift") this.pointers.shift(down);
    if (event.key === " " && !down) this.pointers.space = false;
    const typed = event.key.length === 1 && !event.ctrlKey && !event.metaKey;
    if (run || typed) event.stopPropagation(); // or the notebook takes it for a command of its own
    if (!run || !down) return;
    event.preventDefault();
    run();
  }

  keyAction(event) {
    const { pointers } = this, key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey) { // with Alt: how "[" is typed on some keyboards
      if (key === "z") return () => this.act(event.shiftKey ? "redo" : "undo");
      return key === "y" ? () => this.act("redo") : null;
    }
    if (KEYS[key]) return () => this.act(KEYS[key]);
    if (key === "escape" && pointers.drag) return () => pointers.cancel();
    if (event.target !== this.parts.canvas) return null;
    if (key === " ") return () => (pointers.space = true);
    return ARROWS[event.key] ? () => this.stage.pan(...ARROWS[event.key]) : null;
  }

  // -- the mask --

  travel(back) {
    const data = this.history.go(back, this.grid.data);
    if (!data) return;
    this.replace(data);
    this.publish();
  }

  /** Take over a new mask. Send it if something changed. */
  finish(before, after) {
    const changed = this.history.add(before, after);
    this.replace(after);
    if (changed) this.publish();
  }

  replace(data) {
    this.grid.data = data;
    this.stage.paintMask();
    this.parts.report(this.grid, this.history);
  }

  publish() {
    this.shown = toPng(this.grid); // set first: loadMask knows it when the model tells of the change
    this.model.set("mask_data_url", this.shown);
    this.model.save_changes();
  }

  /** Show the model's mask, set by the kernel or by another view. It can be undone. Nothing is sent back. */
  async loadMask(undoable) {
    const { grid } = this, url = this.model.get("mask_data_url");
    if (url === this.shown) return;
    this.shown = url;
    grid.loading++;
    try {
      const data = url ? readMask(await loadImage(url), grid) : new Uint8Array(grid.data.length);
      if (url !== this.shown) return; // a later one overtook it
      this.pointers.cancel();
      if (undoable) this.history.add(grid.data, data);
      this.replace(data);
    } catch {
      this.parts.say("The mask from the notebook cannot be read.");
    } finally {
      grid.loading--;
    }
  }

  /** Replace the mask by a picture file, as one step, or say why not, in the words of canvas.py and catalog.py. */
  async openFile(file) {
    if (!file) return; // the chooser was closed, or something else was dropped
    const { grid, model } = this, width = model.get("photo_width"), height = model.get("photo_height");
    grid.loading++;
    const image = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => null); // numbers as they are
    grid.loading--;
    this.parts.file.value = ""; // so that the same file can be chosen again
    if (!image) return this.parts.say(`${file.name} cannot be read as a picture: save it again as PNG or JPEG.`);
    if (image.width !== width || image.height !== height) {
      return this.parts.say(`The mask is ${image.width} x ${image.height} pixels but the photo is ${width} x ${height}: ` +
        "make them the same size.");
    }
    this.pointers.cancel();
    this.finish(grid.data, readMask(image, grid));
  }

  drop(event) {
    event.preventDefault(); // or the browser leaves the page to show the file
    if (event.type === "drop") this.openFile(event.dataTransfer.files[0]);
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
