// A slider: its name, a range and a field for the number. The range moves with the field and with the kernel.

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export default {
  render({ model, el }) {
    const name = model.get("description");
    const range = make("input", { type: "range" });
    const number = make("input", { type: "number", "aria-label": `${name}, as a number` });
    // The first two classes are those of ipywidgets, whose other controls stand above and below.
    const root = make("div", { class: "widget-inline-hbox dp-setting" },
      make("label", {}, make("span", { class: "widget-label" }, name), range), number);

    const show = () => {
      for (const input of [range, number]) {
        for (const limit of ["min", "max", "step"]) input[limit] = model.get(limit);
        input.value = Number(model.get("value").toFixed(4)); // 0.7000000000000001 is 0.7
      }
    };
    const take = (input) => {
      const value = input.value === "" ? NaN : Number(input.value);
      if (value >= model.get("min") && value <= model.get("max")) {
        model.set("value", value);
        model.save_changes();
      }
      show(); // a number out of the range, or none, goes back
    };
    range.addEventListener("input", () => take(range));
    number.addEventListener("change", () => take(number));
    const changes = ["change:value", "change:min", "change:max"];
    for (const change of changes) model.on(change, show);
    show();
    el.append(root);
    return () => changes.forEach((change) => model.off(change, show));
  },
};
