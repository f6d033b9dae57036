// The elements on the page: bars, buttons, sliders, the stage and the status line. Their actions are in widget.js.

const TOOLS = ["brush", "eraser", "rectangle", "ellipse", "move"];
const KEYS = { // what a key does; what only Ctrl or Space does is in widget.js
  b: "brush", e: "eraser", r: "rectangle", o: "ellipse", m: "move", "[": "smaller", "]": "larger",
  i: "invert", "+": "zoom in", "=": "zoom in", "-": "zoom out", 0: "fit",
};
const NOTHING = "Nothing marked yet: paint over what is to be replaced";

const BUTTONS = { // name: what it is called, its key or more, its picture as paths on a 24 x 24 grid
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
  open: ["Open mask", "PNG, JPEG or WebP of the photo's size, white = repaint; or drop the file on the photo",
    "M3.5 19V5.2h5.7l2.1 2.6h7.2v2.7M3.5 19l2.9-8.5h14.8L18.3 19z"],
  "zoom out": ["Zoom out", "-, or Ctrl and wheel", "M6 12h12"],
  fit: ["Show the whole photo", "0", ""],
  "zoom in": ["Zoom in", "+, or Ctrl and wheel", "M6 12h12M12 6v12"],
};

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
  const show = (number, unit) => {
    input.value = number;
    input.setAttribute("aria-valuetext", `${number} ${unit}`);
    input.style.setProperty("--filled", `${(100 * (number - min)) / (max - min)}%`);
    value.textContent = `${number} ${unit}`;
  };
  return { input, show, label: make("label", { class: "dp-slider" }, make("span", {}, label), input, value) };
}

class Parts {
  constructor({ width, height }, maxBrush) {
    this.buttons = Object.fromEntries(Object.keys(BUTTONS).map((name) => [name, makeButton(name)]));
    this.size = makeSlider("size", "Size", "Brush size in pixels of the photo, keys [ and ]", 1, maxBrush);
    this.opacity = makeSlider("opacity", "Overlay", "Opacity of the overlay; the mask stays as it is", 0, 100);
    this.status = make("span", { class: "dp-status", role: "status", "aria-live": "polite" });
    this.file = make("input", { type: "file", accept: "image/png,image/jpeg,image/webp", hidden: "" });
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": "mask canvas",
      "aria-label": `Photo of ${width} by ${height} pixels: draw with a pointer. Keys: B, E, R, O choose the tool, ` +
        "square brackets the size, I inverts, Control Z undoes, plus and minus zoom, arrows move the view." });
    const group = (label, ...names) =>
      make("div", { class: "dp-group", role: "group", "aria-label": label }, ...names.map((name) => this.buttons[name]));
    // JupyterLab reads the attribute and disables its own keys (B adds a cell) while the focus is in here.
    this.root = make("div", { class: "dp-canvas", "data-lm-suppress-shortcuts": "true" },
      make("div", { class: "dp-bar" }, group("Tools", ...TOOLS), this.size.label,
        group("Changes", "undo", "redo", "invert", "clear", "open"), this.file),
      make("div", { class: "dp-stage" }, this.canvas),
      make("div", { class: "dp-bar" }, this.status, this.opacity.label, group("View", "zoom out", "fit", "zoom in")));
  }

  showSetting(name, value) {
    if (name === "brush_size") return this.size.show(value, "px");
    if (name === "overlay_opacity") return this.opacity.show(Math.round(100 * value), "%");
    for (const tool of TOOLS) this.buttons[tool].setAttribute("aria-pressed", String(tool === value));
    this.canvas.dataset.tool = value;
  }

  showZoom(zoom) {
    const percent = `${Math.round(100 * zoom)} %`;
    this.buttons.fit.textContent = percent;
    this.buttons.fit.setAttribute("aria-label", `${BUTTONS.fit[0]}, zoom is ${percent}`);
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
