// The place of the photo on the page: zoomed and moved. How it looks is in look.js.
// Points of the stage are CSS pixels from its top left corner; points of the mask are the mask's pixels.

const STAGE_HEIGHT = [160, 680]; // CSS pixels, least and most
const MAX_ZOOM = 16;

class Stage {
  constructor(canvas, grid, settings, showZoom) {
    const { width, height } = grid;
    Object.assign(this, { canvas, grid, settings, showZoom });
    this.view = { zoom: 1, x: width / 2, y: height / 2 }; // x, y: the mask pixel in the middle of the stage
    this.look = new Look(canvas, grid);
    this.photo = this.result = null; // pictures
    this.split = 0; // share of the stage, from the left, where the photo is shown although there is a result
    this.hover = null; // where the pointer is on the stage, unless it shows no brush
    this.cross = null; // the mask pixel that the arrow keys have chosen
    this.drawing = null; // set by the widget
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

  toStage(pixel) {
    return { x: this.width / 2 + (pixel.x - this.view.x) * this.scale, y: this.height / 2 + (pixel.y - this.view.y) * this.scale };
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
    const { width, height } = this.grid, space = this.canvas.parentElement.clientWidth;
    if (!space) return; // hidden
    this.width = space;
    this.height = Math.round(clamp((space * height) / width, ...STAGE_HEIGHT));
    this.fit = Math.min(this.width / width, this.height / height);
    this.look.resize(this.width, this.height);
    this.hold(this.toMask(this.center), this.center);
    this.paint(); // at once: setting a canvas's size has wiped it
  }

  // -- the pointer and the crosshair --

  setHover(at) {
    this.hover = at;
    if (at) this.cross = null;
    this.redraw();
  }

  /** Return the mask pixel where the keyboard goes on: the crosshair, the pointer, or the middle. */
  get cursor() {
    return this.cross ?? this.toMask(this.hover ?? this.center);
  }

  /** Show the crosshair, and move the view if it is not on the stage. */
  setCross(pixel) {
    this.cross = pixel;
    const at = this.toStage(pixel);
    if (at.x < 0 || at.y < 0 || at.x > this.width || at.y > this.height) this.hold(pixel, this.center);
    this.redraw();
  }

  // -- painting --

  paintMask(box) {
    this.look.putMask(box);
    this.redraw();
  }

  redraw() {
    this.frame ||= requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    if (this.fit) this.look.paint(this);
  }
}
