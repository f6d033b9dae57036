// The elements on the page: bars, buttons, sliders, the stage and the status line. Their actions are in widget.js.

const NOTHING = "Nothing marked yet: paint over what is to be replaced";

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeButton(name) {
  const [word, help, key, paths] = BUTTONS[name];
  const title = [word, help].filter(Boolean).join(": ") + (key && ` (${key})`);
  const button = make("button", { type: "button", "aria-label": word || help, title, "data-name": name });
  if (paths) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.appendChild(document.createElementNS(svg.namespaceURI, "path")).setAttribute("d", paths);
    button.append(svg);
  }
  if (word) button.append(make("span", { class: "dp-word" }, word));
  return button;
}

function makeSlider(name, label, title, min, max) {
  const input = make("input", { type: "range", min, max, title, "aria-label": title, "data-name": name });
  const value = make("span", { class: "dp-value", "aria-hidden": "true" });
  const show = (number, unit) => {
    input.value = number;
    input.setAttribute("aria-valuetext", `${number} ${unit}`);
    input.style.setProperty("--filled", `${(100 * (number - min)) / (max - min)}%`);
    value.textContent = `${number} ${unit}`;
  };
  return { input, show, label: make("label", { class: "dp-slider" }, make("span", {}, label), input, value) };
}

function makeKeys() {
  const rows = KEY_LIST.map(([keys, what]) => make("div", {}, make("dt", {}, keys), make("dd", {}, what)));
  return make("dl", { class: "dp-keys", "aria-label": "Keys", hidden: "" }, ...rows);
}

class Parts {
  constructor({ width, height }, maxBrush) {
    this.buttons = Object.fromEntries(Object.keys(BUTTONS).map((name) => [name, makeButton(name)]));
    this.size = makeSlider("size", "Size", "Brush size in pixels of the photo, keys [ and ]", 1, maxBrush);
    this.opacity = makeSlider("opacity", "Overlay", "Opacity of the overlay; the mask stays as it is", 0, 100);
    this.compare = make("input", { type: "range", min: 0, max: 100, value: 0, "data-name": "compare",
      "aria-label": "Before and after: photo on the left, result on the right" });
    this.comparing = make("div", { class: "dp-compare", hidden: "", "data-hides": "before" },
      make("span", { "aria-hidden": "true" }, "Before"), this.compare, make("span", { "aria-hidden": "true" }, "After"));
    this.status = make("span", { class: "dp-status", role: "status", "aria-live": "polite" });
    this.file = make("input", { type: "file", accept: "image/png,image/jpeg,image/webp", hidden: "" });
    this.keys = makeKeys();
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": "mask canvas",
      "aria-label": `Photo of ${width} by ${height} pixels: draw with a pointer, or move the crosshair with the arrow keys ` +
        "and press Enter to put the tool down and to lift it. The button Keys lists all keys." });
    const group = (label, ...names) =>
      make("div", { class: "dp-group", role: "group", "aria-label": label }, ...names.map((name) => this.buttons[name]));
    // JupyterLab reads the attribute and disables its own keys (B adds a cell) while the focus is in here.
    this.root = make("div", { class: "dp-canvas", "data-lm-suppress-shortcuts": "true" },
      make("div", { class: "dp-bar" }, group("Tools", ...TOOLS, "subtract"),
        group("Mask", "undo", "redo", "invert", "clear", "open", "save", "keys"), this.size.label, this.file),
      this.keys,
      make("div", { class: "dp-stage" }, this.canvas),
      this.comparing,
      make("div", { class: "dp-bar" }, this.status, this.opacity.label, group("View", "zoom out", "fit", "zoom in")));
    this.buttons.keys.setAttribute("aria-expanded", "false");
  }

  showSetting(name, value) {
    if (name === "brush_size") return this.size.show(value, "px");
    if (name === "overlay_opacity") return this.opacity.show(Math.round(100 * value), "%");
    if (name === "subtract") return this.buttons.subtract.setAttribute("aria-pressed", String(value));
    for (const tool of TOOLS) this.buttons[tool].setAttribute("aria-pressed", String(tool === value));
    this.canvas.dataset.tool = value;
  }

  showZoom(zoom) {
    const percent = `${Math.round(100 * zoom)} %`;
    this.buttons.fit.textContent = percent;
    this.buttons.fit.setAttribute("aria-label", `${BUTTONS.fit[1]}, zoom is ${percent}`);
    this.canvas.dataset.whole = zoom === 1; // then a finger that moves the view scrolls the page
  }

  toggleKeys() {
    this.keys.hidden = !this.keys.hidden;
    this.buttons.keys.setAttribute("aria-expanded", String(!this.keys.hidden));
  }

  /** Say how much of the photo the mask covers, and show whether there are steps to undo and redo. */
  report({ data }, { past, future }) {
    const marked = data.reduce((sum, value) => sum + value, 0), share = (100 * marked) / data.length;
    const percent = share < 1 ? "less than 1" : share > 99 && share < 100 ? "more than 99" : Math.round(share);
    this.say(marked ? `Mask covers ${percent} % of the photo` : NOTHING);
    // Not `disabled`: a disabled button loses the focus while someone undoes steps by keyboard.
    this.buttons.undo.setAttribute("aria-disabled", String(!past.length));
    this.buttons.redo.setAttribute("aria-disabled", String(!future.length));
  }

  say(text) {
    this.status.textContent = text;
  }
}
