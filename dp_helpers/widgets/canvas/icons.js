// What the buttons are called, their keys and their pictures, as paths on a 24 x 24 grid; and the list of all keys.

const TOOLS = ["brush", "eraser", "lasso", "polygon", "rectangle", "ellipse", "fill", "move"];
const KEYS = { // what a letter or sign does; all else is in keyboard.js
  b: "brush", e: "eraser", l: "lasso", p: "polygon", r: "rectangle", o: "ellipse", f: "fill", m: "move",
  x: "subtract", "[": "smaller", "]": "larger", i: "invert", s: "save", "?": "keys",
  "+": "zoom in", "=": "zoom in", "-": "zoom out", 0: "fit",
};

const BUTTONS = { // name: the word below the picture, what it does, its key, its picture
  brush: ["Brush", "Shift and click: straight line from the last stroke", "B",
    "M20.5 3.5 12 12M10 11.5c-3.2 0-4.4 2.2-4.4 4.3 0 1.8-.9 3-2.6 3.4 2.6 2 9.6 2 10.6-2.9.5-2.6-1.3-4.8-3.6-4.8z"],
  eraser: ["Eraser", "", "E", "M3.6 14.6 13.4 4.8l6.6 6.6-8.6 8.6H8.9zM8.6 9.6l6.6 6.6M11 20h9.5"],
  lasso: ["Lasso", "draw round the place; it is filled when you let go", "L",
    "M7.5 15.2C4.6 14.3 3 12.6 3 10.5 3 7 7 4.5 12 4.5s9 2.5 9 6-4 6-9 6c-1.2 0-2.3-.1-3.3-.4M8.7 15a2 2 0 1 0-3.2 2.3c1.3 1.2 2.2 1.7 1.2 3.7"],
  polygon: ["Polygon", "click the corners; click the first one again to close it", "P",
    "M5 18.5 7 7l10-2.5L20 14zM3.5 18.5h3v3h-3zM5.5 5.5h3v3h-3zM15.5 3h3v3h-3zM18.5 12.5h3v3h-3z"],
  rectangle: ["Box", "Shift: square", "R", "M4 6h16v12H4z"],
  ellipse: ["Ellipse", "Shift: circle", "O", "M3.5 12a8.5 6.5 0 1 0 17 0 8.5 6.5 0 1 0-17 0z"],
  fill: ["Fill", "click inside a closed outline", "F",
    "M5 12.5 12 5.5l7 7-6.5 6.5a1.5 1.5 0 0 1-2 0zM5 12.5h14M12 5.5 9 2.5M20.5 16c1 1.5 1.5 2.3 1.5 3a1.5 1.5 0 0 1-3 0c0-.7.5-1.5 1.5-3z"],
  move: ["Move", "move the view", "M, or hold Space and drag",
    "M12 3v18M3 12h18M9.5 5.5 12 3l2.5 2.5M9.5 18.5 12 21l2.5-2.5M5.5 9.5 3 12l2.5 2.5M18.5 9.5 21 12l-2.5 2.5"],
  subtract: ["Subtract", "every tool takes away", "X, or hold Alt or Ctrl",
    "M3.5 3.5h11v5.5h-5.5v5.5h-5.5zM9 9h11.5v11.5H9zM12 14.8h5.5"],
  undo: ["Undo", "hold the key: many steps", "Ctrl+Z", "M8.5 4.5 4 9l4.5 4.5M4.5 9H14a5.5 5.5 0 0 1 0 11h-4"],
  redo: ["Redo", "", "Ctrl+Shift+Z", "M15.5 4.5 20 9l-4.5 4.5M19.5 9H10a5.5 5.5 0 0 0 0 11h4"],
  invert: ["Invert", "swap marked and unmarked", "I",
    "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 1 0 0-17zM12 3.5v17M12 8h7.4M12 12h8.4M12 16h7.4"],
  clear: ["Clear", "mark nothing", "", "M4 7h16M9 7V4.2h6V7M6.3 7l1 13h9.4l1-13M10.2 11v5.2M13.8 11v5.2"],
  open: ["Open", "a mask: PNG, JPEG or WebP of the photo's size, white = repaint; or drop the file on the photo", "",
    "M3.5 19V5.2h5.7l2.1 2.6h7.2v2.7M3.5 19l2.9-8.5h14.8L18.3 19z"],
  save: ["Save", "the mask as a PNG of the photo's size", "S", "M12 3.5v11M7.5 10.5l4.5 4.5 4.5-4.5M4 15.5v4.5h16v-4.5"],
  keys: ["Keys", "show or hide the list of keys", "?", "M2.5 6.5h19v11h-19zM6 10h.01M9 10h.01M12 10h.01M15 10h.01M18 10h.01M8 14h8"],
  "zoom out": ["", "Zoom out", "-, or Ctrl and wheel", "M6 12h12"],
  fit: ["", "Show the whole photo", "0", ""],
  "zoom in": ["", "Zoom in", "+, or Ctrl and wheel", "M6 12h12M12 6v12"],
};

const KEY_LIST = [ // the visible list
  ["B  E", "brush, eraser"], ["L  P", "lasso, polygon"], ["R  O", "box, ellipse"], ["F", "fill inside an outline"],
  ["X", "subtract on or off"], ["Alt or Ctrl", "subtract for one stroke"], ["Shift+click", "straight line from the last stroke"],
  ["Shift+drag", "square, circle"], ["[  ]", "smaller, larger brush"], ["I", "invert"],
  ["Ctrl+Z", "undo; hold it to undo more"], ["Ctrl+Shift+Z", "redo"], ["S", "save the mask"], ["Esc", "give up a stroke"],
  ["M, Space", "move the view"], ["+  -  0", "zoom in, out, whole photo"], ["Arrows", "move the crosshair; Shift: by one pixel"],
  ["Enter", "put the tool down, lift it"], ["Enter twice", "close the polygon"], ["Backspace", "take a corner back"],
];
