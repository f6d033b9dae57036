// The picture on the page: the photo, the mask over it, its outline and the brush; zoomed and moved.
// Points of the stage are CSS pixels from its top left corner; points of the mask are the mask's pixels.

const ORANGE = 0xff009fe6; // the mask: alpha, blue, green, red
const OUTLINE = "rgba(25, 18, 0, 0.9)";
const STAGE_HEIGHT = [160, 680]; // CSS pixels, least and most
const MAX_ZOOM = 16;

class Stage {
  constructor(canvas, grid, settings, showZoom) {
    const { width, height } = grid;
    Object.assign(this, { canvas, grid, settings, showZoom });
    this.view = { zoom: 1, x: width / 2, y: height / 2 }; // x, y: the mask pixel in the middle of the stage
    this.context = canvas.getContext("2d");
    this.layer = newCanvas(width, height); // the mask in colour
    this.ring = newCanvas(1, 1); // its outline, in pixels of the screen
    this.photo = this.hover = null; // a picture; where the pointer is, unless it shows no brush
  }

  // -- the view --

  point(event) {
    const box = this.canvas.getBoundingClientRect(); // slides may be scaled: hence the shares
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

  /** Move a mask pixel to a stage point, as far as the edges of the photo allow. */
  hold(pixel, at, zoom = this.view.zoom) {
    const { width, height } = this.grid, view = this.view;
    view.zoom = clamp(zoom, 1, MAX_ZOOM);
    const within = (value, half, whole) => (2 * half >= whole ? whole / 2 : clamp(value, half, whole - half));
    view.x = within(pixel.x - (at.x - this.width / 2) / this.scale, this.width / 2 / this.scale, width);
    view.y = within(pixel.y - (at.y - this.height / 2) / this.scale, this.height / 2 / this.scale, height);
    this.showZoom(view.zoom);
    this.redraw();
  }

  zoomBy(factor, at = this.center) {
    this.hold(this.toMask(at), at, this.view.zoom * factor);
  }

  pan(right, down) {
    this.hold(this.toMask(this.center), { x: this.width / 2 + 40 * right, y: this.height / 2 + 40 * down });
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // scrolls the page; a pinch on a trackpad comes with ctrlKey
    event.preventDefault();
    this.zoomBy(Math.exp(-0.004 * clamp(event.deltaY * (event.deltaMode ? 30 : 1), -120, 120)), this.point(event));
  }

  resize() {
    const { width, height } = this.grid, ratio = window.devicePixelRatio || 1, space = this.canvas.parentElement.clientWidth;
    if (!space) return; // hidden
    this.width = space;
    this.height = Math.round(clamp((space * height) / width, ...STAGE_HEIGHT));
    this.fit = Math.min(this.width / width, this.height / height);
    this.canvas.style.height = `${this.height}px`;
    for (const canvas of [this.canvas, this.ring.canvas]) {
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

  paintMask(box = [0, 0, this.grid.width, this.grid.height]) {
    putMask(this.layer, this.grid, box, ORANGE, 0);
    this.redraw();
  }

  redraw() {
    this.frame ||= requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    if (!this.fit) return;
    const { context, view, grid, settings } = this, { width, height } = context.canvas, ratio = width / this.width;
    const scale = this.scale * ratio, left = width / 2 - view.x * scale, top = height / 2 - view.y * scale;
    const place = (target, image, x = 0, y = 0) =>
      target.drawImage(image, left + x, top + y, grid.width * scale, grid.height * scale);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    if (this.photo) place(context, this.photo);
    context.imageSmoothingEnabled = scale < 1; // enlarged, the mask shows its pixels
    context.globalAlpha = settings.overlay_opacity;
    place(context, this.layer.canvas);
    context.globalAlpha = 1;
    this.paintRing(place, 1.5 * ratio, scale < 1);
    if (this.hover && STROKES.includes(settings.tool)) this.paintBrush(ratio);
  }

  /** Draw the outline: the mask moved a little in eight directions, minus the mask itself. */
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
    const { context, hover } = this, radius = (this.scale * ratio * this.settings.brush_size) / 2;
    for (const [color, line] of [[OUTLINE, 3], ["white", 1.25]]) {
      context.beginPath();
      context.arc(hover.x * ratio, hover.y * ratio, radius, 0, 2 * Math.PI);
      context.strokeStyle = color;
      context.lineWidth = line * ratio;
      context.stroke();
    }
  }
}
