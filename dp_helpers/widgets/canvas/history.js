// Undo and redo: the masks before and after the shown one.

const HISTORY_BYTES = 64e6, HISTORY_STEPS = [8, 100]; // undo and redo together; a step is a byte a pixel

class History {
  constructor(pixels) {
    this.past = [];
    this.future = [];
    this.steps = clamp(Math.floor(HISTORY_BYTES / pixels), ...HISTORY_STEPS);
  }

  /** Keep the old mask if the new one differs. Return whether it does. */
  add(before, after) {
    const changed = before.some((value, i) => value !== after[i]);
    if (changed) {
      this.past.push(before);
      if (this.past.length > this.steps) this.past.shift();
      this.future = [];
    }
    return changed;
  }

  /** Return the mask one step back or forward from this one, or undefined. */
  go(back, data) {
    const [from, to] = back ? [this.past, this.future] : [this.future, this.past];
    if (from.length) to.push(data);
    return from.pop();
  }
}
