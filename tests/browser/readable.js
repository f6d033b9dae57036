// What a reader could not see, read or name on a page, as sentences. Called with a selector of the places to look at.
(places) => {
  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  const pixel = (color) => { // red, green, blue and opacity of any CSS colour
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = color;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, under) => under.map((value, index) => top[index] * top[3] + value * (1 - top[3]));
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => // WCAG 2.2
    color.reduce((sum, value, index) => sum + linear(value / 255) * [0.2126, 0.7152, 0.0722][index], 0);
  const paper = (element) =>
    element ? over(pixel(getComputedStyle(element).backgroundColor), paper(element.parentElement)) : [255, 255, 255];
  const opacity = (element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const contrast = (element, color) => {
    const ink = pixel(color), under = paper(element);
    ink[3] *= opacity(element);
    const [light, dark] = [luminance(over(ink, under)), luminance(under)].sort((one, two) => two - one);
    return (light + 0.05) / (dark + 0.05);
  };
  const seen = (element) => {
    const { width, height } = element.getBoundingClientRect();
    return width > 1 && height > 1 && element.checkVisibility({ visibilityProperty: true });
  };
  const named = (element) => {
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join("");
    return [element.ariaLabel, labels, element.matches("button") && element.textContent, element.title, element.alt]
      .some((name) => name && name.trim());
  };
  const told = (element) =>
    `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}"> ` +
    `${(element.textContent.trim() || element.placeholder || "").slice(0, 40)}`;

  const faults = new Set();
  for (const place of document.querySelectorAll(places)) {
    const edges = place.getBoundingClientRect();
    for (const element of [...place.querySelectorAll("*")].filter(seen)) {
      const style = getComputedStyle(element), box = element.getBoundingClientRect();
      const off = element.closest(":disabled, [aria-disabled=true]"); // may be pale
      const field = element.matches("input[type=text], input[type=number], input:not([type])");
      const text = field || [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      if (text && !off) {
        const empty = field && !element.value;
        const color = element.closest("svg") ? style.fill : empty ? getComputedStyle(element, "::placeholder").color : style.color;
        const ratio = contrast(element, color);
        if (ratio < 4.5) faults.add(`contrast ${ratio.toFixed(1)}: ${told(element)}`);
      }
      if (text && style.overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1)
        faults.add(`cut off: ${told(element)}`);
      if (box.right > edges.right + 1 || box.left < edges.left - 1) faults.add(`beyond the place: ${told(element)}`);
      if (element.matches("input, button, select, textarea, img, svg[role=img], [role=slider]") && !named(element))
        faults.add(`without a name: ${told(element)}`);
    }
  }
  return [...faults];
}
