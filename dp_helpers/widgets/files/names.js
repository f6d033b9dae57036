// Gives each slider the name that ipywidgets writes next to it, because a screen reader cannot tell whose label that is.

const PANEL = ".widget-vbox, .jp-OutputArea";

function nameAll(panel) {
  for (const handle of panel.querySelectorAll("[role=slider]:not([aria-label])")) {
    const label = handle.closest(".widget-inline-hbox")?.querySelector(".widget-label");
    if (label) handle.setAttribute("aria-label", label.textContent);
  }
}

export default {
  render({ el }) {
    el.style.display = "none";
    let frame, watch;
    const begin = () => {
      if (!el.isConnected) return (frame = requestAnimationFrame(begin)); // it is put on the page after this call
      const panel = el.parentElement.closest(PANEL) ?? document.body;
      watch = new MutationObserver(() => nameAll(panel)); // other widgets come later
      watch.observe(panel, { childList: true, subtree: true });
      nameAll(panel);
    };
    begin();
    return () => {
      cancelAnimationFrame(frame);
      watch?.disconnect();
    };
  },
};
