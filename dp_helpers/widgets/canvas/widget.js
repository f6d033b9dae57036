// The widget connects the parts with the model. When the pointer lifts, the mask goes to the kernel as one PNG data URL.

const SETTINGS = ["tool", "subtract", "brush_size", "overlay_opacity"];
const PAUSE = 250; // milliseconds after the last of many steps that a held key undoes; then the mask is sent

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
    this.drawing = new Drawing(this.stage, this.grid, this.settings, (before, after) => this.finish(before, after));
    this.stage.drawing = this.drawing;
    this.pointers = new Pointers(this.stage, this.grid, this.settings, this.drawing);
    this.keyboard = new Keyboard(this);
    this.stop = new AbortController();
  }

  async open() {
    this.listen();
    for (const name of SETTINGS) this.showSetting(name);
    this.sizes = new ResizeObserver(() => this.stage.resize());
    this.sizes.observe(this.parts.canvas.parentElement);
    this.loadMask(false);
    this.loadResult();
    this.stage.photo = await loadImage(this.model.get("photo_data_url"));
    this.stage.redraw();
  }

  listen() {
    const { stage, pointers } = this, { root, canvas, buttons, size, opacity, file, compare } = this.parts, { signal } = this.stop;
    const on = (target, names, run) =>
      names.split(" ").forEach((name) => target.addEventListener(name, run, { signal, passive: false }));
    on(canvas, "pointerdown", (event) => pointers.down(event));
    on(canvas, "pointermove", (event) => pointers.move(event));
    on(canvas, "pointerup", (event) => pointers.up(event));
    on(canvas, "pointercancel lostpointercapture", (event) => pointers.lost(event));
    on(canvas, "pointerleave", () => stage.setHover(null));
    on(canvas, "contextmenu wheel", (event) => pointers.guard(event));
    on(canvas, "wheel", (event) => stage.wheel(event));
    on(canvas, "blur", () => (pointers.space = false));
    on(canvas, "dragover drop", (event) => this.drop(event));
    on(root, "keydown keyup", (event) => this.keyboard.key(event));
    on(file, "change", () => this.openFile(file.files[0]));
    for (const [name, button] of Object.entries(buttons)) on(button, "click", () => this.act(name));
    for (const [name, { input }, unit] of [["brush_size", size, 1], ["overlay_opacity", opacity, 100]]) {
      on(input, "input", () => this.showSetting(name, input.value / unit));
      on(input, "change", () => this.setSetting(name, input.value / unit));
    }
    on(compare, "input", () => this.compare(compare.value / 100));
    this.changes = { "change:mask_data_url": () => this.loadMask(true), "change:result_data_url": () => this.loadResult() };
    for (const name of SETTINGS) this.changes[`change:${name}`] = () => this.showSetting(name);
    for (const [name, run] of Object.entries(this.changes)) this.model.on(name, run);
  }

  close() {
    this.stop.abort();
    this.sizes.disconnect();
    for (const [name, run] of Object.entries(this.changes)) this.model.off(name, run);
  }

  // -- settings and buttons --

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

  act(name, held = false) {
    const { grid, stage, settings, drawing } = this, size = settings.brush_size, step = Math.max(1, Math.round(0.15 * size));
    if (TOOLS.includes(name)) return this.setSetting("tool", name);
    if (name === "subtract") return this.setSetting("subtract", !settings.subtract);
    if (name === "smaller" || name === "larger") return this.setSetting("brush_size", size + (name === "larger" ? step : -step));
    if (name === "fit") return stage.zoomBy(1 / MAX_ZOOM);
    if (name.startsWith("zoom")) return stage.zoomBy(name === "zoom in" ? 1.5 : 1 / 1.5);
    if (name === "open") return this.parts.file.click();
    if (name === "save") return this.saveFile();
    if (name === "keys") return this.parts.toggleKeys();
    if (grid.loading) return;
    if (name === "undo" && drawing.polygon) return drawing.uncorner();
    this.pointers.cancel();
    if (name === "undo" || name === "redo") this.travel(name === "undo", held);
    else this.finish(grid.data, grid.data.map((value) => (name === "clear" ? 0 : 1 - value)));
  }

  // -- the mask --

  /** Go one step back or forward. A held key sends the mask once, when it is let go. */
  travel(back, held) {
    const data = this.history.go(back, this.grid.data);
    if (!data) return;
    this.replace(data);
    clearTimeout(this.later);
    if (held) this.later = setTimeout(() => this.publish(), PAUSE);
    else this.publish();
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
    clearTimeout(this.later);
    this.shown = maskCanvas(this.grid).toDataURL("image/png"); // set first: loadMask knows it when the model tells of it
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

  // -- the result --

  /** Show the model's result in place of the photo, under the mask; "" shows the photo again. */
  async loadResult() {
    const url = this.model.get("result_data_url"), image = url ? await loadImage(url) : null;
    if (url !== this.model.get("result_data_url")) return; // a later one overtook it
    this.stage.result = image;
    this.parts.comparing.hidden = !image;
    this.stage.redraw();
  }

  compare(share) {
    this.stage.split = share;
    this.parts.compare.setAttribute("aria-valuetext", `${Math.round(100 * share)} % before`);
    this.parts.comparing.dataset.hides = { 0: "before", 1: "after" }[share] ?? "";
    this.stage.redraw();
  }

  // -- files --

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
        (image.width === height && image.height === width ? "turn the mask by 90 degrees." : "make them the same size."));
    }
    const data = readMask(image, grid);
    if (!data.includes(1)) {
      return this.parts.say("The mask has no white: paint the region to fill in white (255) on black (0).");
    }
    this.pointers.cancel();
    this.finish(grid.data, data);
  }

  /** Hand the mask to the browser as the file mask.png, of the photo's own size. */
  saveFile() {
    const whole = maskCanvas(this.grid, this.model.get("photo_width"), this.model.get("photo_height"));
    make("a", { href: whole.toDataURL("image/png"), download: "mask.png" }).click();
    this.parts.say(`The mask was saved as mask.png, ${whole.width} x ${whole.height} pixels.`);
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
