// The rating panel: one picture at a time, two questions, all of it by keyboard. Scores go to the kernel as they are given.

const SCORES = [1, 2, 3, 4, 5];
const QUESTIONS = { // criterion: its question, what 1 and 5 mean
  similarity: ["Similarity", "How much does the painted object look like the product?"],
  harmony: ["Harmony", "How well does the painted object fit into the photo?"],
};
const NAMES = Object.keys(QUESTIONS);
const HINTS = [["1", "to", "5", "rate"], ["↑", "↓", "choose the question"], ["Enter", "next"], ["←", "back"]];

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makePicture(url, alt) {
  return make("img", { src: url, alt, draggable: "false" });
}

function makeQuestion(name, give) {
  const [label, question] = QUESTIONS[name];
  const button = (score) => {
    const meaning = { 1: ", the best", 5: ", the worst" }[score] ?? "";
    const each = make("button", { type: "button", "aria-label": `${label} ${score}${meaning}`, "data-score": score }, String(score));
    each.addEventListener("click", () => give(name, score));
    return each;
  };
  const buttons = SCORES.map(button);
  const root = make("div", { class: "dp-question", role: "group", "aria-label": label, "data-name": name },
    make("div", {}, make("strong", {}, label), make("span", {}, question)),
    make("div", { class: "dp-scores" }, make("span", {}, "best"), ...buttons, make("span", {}, "worst")));
  return { root, buttons };
}

function makeHints() {
  const parts = HINTS.map((hint) =>
    make("span", {}, ...hint.flatMap((word) => [/^([1-5←↑↓]|Enter)$/.test(word) ? make("kbd", {}, word) : word, " "])));
  return make("div", { class: "dp-hints" }, ...parts);
}

class RatingView {
  constructor(model) {
    this.model = model;
    this.cards = model.get("cards");
    this.question = NAMES[0];
    this.questions = Object.fromEntries(NAMES.map((name) => [name, makeQuestion(name, (...given) => this.give(...given))]));
    const button = (name, label, run) => {
      const each = make("button", { type: "button", "data-name": name }, label);
      each.addEventListener("click", run);
      return each;
    };
    this.back = button("back", "← Back", () => this.turn(-1));
    this.next = button("next", "Next →", () => this.turn(1));
    this.missing = button("missing", "", () => this.goTo(this.cards.findIndex((card) => !this.isRated(card))));
    this.title = make("strong", {});
    this.bar = make("progress", { max: this.cards.length, "aria-label": "Rated pictures" });
    this.count = make("span", {});
    this.stage = make("div", { class: "dp-stage" });
    this.form = make("div", { class: "dp-form" }, ...NAMES.map((name) => this.questions[name].root));
    this.status = make("span", { class: "dp-status", role: "status", "aria-live": "polite" });
    // JupyterLab reads the attribute and disables its own keys (1 makes a heading) while the focus is in here.
    this.root = make("div", { class: "dp-rating", tabindex: "0", role: "application", "data-lm-suppress-shortcuts": "true",
      "aria-label": "Rate pictures: 1 to 5 rate, up and down choose the question, Enter goes on, left goes back" },
      make("div", { class: "dp-head" }, this.title, this.bar, this.count), this.stage, this.form,
      make("div", { class: "dp-foot" }, this.back, this.missing, this.next, makeHints()), this.status);
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.changes = { "change:view": () => this.show(), "change:ahead": () => this.show(), "change:place": () => this.arrive(),
      "change:scores": () => this.showScores(), "change:message": () => this.say() };
    for (const [name, run] of Object.entries(this.changes)) model.on(name, run);
    this.arrive();
    this.say();
  }

  close() {
    for (const [name, run] of Object.entries(this.changes)) this.model.off(name, run);
  }

  get card() {
    return this.cards[this.model.get("place")];
  }

  scoresOf(card) {
    return this.model.get("scores")[card] ?? {};
  }

  isRated(card) {
    return NAMES.every((name) => this.scoresOf(card)[name]);
  }

  // -- what the rater does --

  key(event) {
    const run = this.keyAction(event);
    const typed = event.key.length === 1 && !event.ctrlKey && !event.metaKey;
    if (run || typed) event.stopPropagation(); // or the notebook takes it for a command of its own
    if (!run) return;
    event.preventDefault();
    if (!event.repeat) run(); // a key that is held down would rate or skip many pictures
  }

  keyAction(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    if (SCORES.includes(Number(event.key))) return () => this.give(this.question, Number(event.key));
    if (event.key === "ArrowUp") return () => this.choose(NAMES[0]);
    if (event.key === "ArrowDown") return () => this.choose(NAMES[1]);
    if (event.key === "ArrowLeft") return () => this.turn(-1);
    if (event.key === "ArrowRight") return () => this.turn(1);
    return event.key === "Enter" && event.target === this.root ? () => this.turn(1) : null; // on a button it presses it
  }

  give(name, score) {
    if (!this.card || this.shown !== this.card) return; // nobody rates a picture before it is shown
    const scores = { ...this.model.get("scores"), [this.card]: { ...this.scoresOf(this.card), [name]: score } };
    this.model.set("scores", scores);
    this.model.save_changes();
    this.showScores();
    this.choose(NAMES.find((each) => !this.scoresOf(this.card)[each]) ?? name);
  }

  choose(name) {
    this.question = name;
    for (const each of NAMES) this.questions[each].root.classList.toggle("dp-chosen", each === name);
  }

  turn(by) {
    this.goTo(this.model.get("place") + by);
  }

  goTo(place) {
    if (place < 0 || place > this.cards.length || place === this.model.get("place")) return;
    this.model.set("place", place);
    this.model.save_changes();
    this.root.focus({ preventScroll: true }); // a button that goes away would take the focus with it
  }

  // -- what the panel shows --

  arrive() {
    this.choose(NAMES.find((name) => this.card && !this.scoresOf(this.card)[name]) ?? NAMES[0]);
    this.show();
    this.showScores();
  }

  show() {
    const { card } = this, view = ["view", "ahead"].map((name) => this.model.get(name)).find((each) => each.card === card);
    if (!card) this.shown = null;
    else if (view && this.shown !== card) {
      const references = view.references.map((url, index) => makePicture(url, `Photo ${index + 1} of the product`));
      const before = make("figure", {}, makePicture(view.photo, "The photo before, with the painted region outlined"),
        make("figcaption", {}, "Before painting, the region outlined"));
      this.stage.replaceChildren(
        make("div", { class: "dp-picture" }, make("span", {}, "Rate this picture"), makePicture(view.picture, "The picture to rate")),
        make("div", {}, make("span", {}, "The product"), make("div", { class: "dp-product" }, ...references, before)));
      this.shown = card;
    }
    this.root.classList.toggle("dp-waiting", this.shown !== (card ?? null));
  }

  showScores() {
    const { card, cards } = this, own = this.scoresOf(card), rated = cards.filter((each) => this.isRated(each)).length;
    const left = cards.length - rated;
    for (const name of NAMES)
      for (const button of this.questions[name].buttons)
        button.setAttribute("aria-pressed", String(Number(button.dataset.score) === own[name]));
    this.root.classList.toggle("dp-end", !card);
    this.title.textContent = card ? `Picture ${this.model.get("place") + 1} of ${cards.length}` : "The end";
    this.bar.value = rated;
    this.count.textContent = `${rated} of ${cards.length} rated by ${this.model.get("rater")}`;
    this.next.textContent = !card || this.isRated(card) ? "Next →" : "Skip →";
    this.next.classList.toggle("dp-ready", Boolean(card) && this.isRated(card));
    this.next.disabled = !card;
    this.back.disabled = this.model.get("place") === 0;
    this.missing.hidden = Boolean(card) || !left;
    this.missing.textContent = left === 1 ? "Go to the picture without a rating" : `Go to the first of ${left} pictures without a rating`;
    if (!card) this.stage.replaceChildren(make("p", {}, left ? `${rated} of ${cards.length} pictures are rated.` :
      `All ${cards.length} pictures are rated. Thank you!`));
  }

  say() {
    this.status.textContent = this.model.get("message");
  }
}

export default {
  render({ model, el }) {
    const view = new RatingView(model);
    el.append(view.root);
    return () => view.close();
  },
};
