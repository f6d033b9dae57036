// A place to drop files on, and a button that chooses some. Each file goes to the kernel in pieces, one after the
// other, so that no message is large. The kernel answers each piece; then the next one goes.

const PIECE = 384 * 1024; // bytes

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

async function base64(blob) {
  const reader = new FileReader();
  return new Promise((done, fail) => {
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = fail;
    reader.readAsDataURL(blob);
  });
}

/** Send a message and wait for the kernel's answer. */
function ask(model, message) {
  return new Promise((done) => {
    const hear = (answer) => {
      model.off("msg:custom", hear);
      done(answer);
    };
    model.on("msg:custom", hear);
    model.send(message);
  });
}

export default {
  render({ model, el }) {
    const status = make("span", { role: "status", "aria-live": "polite" }, model.get("hint"));
    const input = make("input", { type: "file", accept: model.get("accept"), hidden: "" });
    input.multiple = model.get("multiple");
    const button = make("button", { type: "button" }, model.get("label"));
    const place = make("div", { class: "dp-files" }, button, input, status);
    let busy = false;

    const send = async (files) => {
      for (const [index, file] of files.entries()) {
        let at = 0;
        do {
          const data = await base64(file.slice(at, at + PIECE));
          const answer = await ask(model, { name: file.name, at, size: file.size, data, last: index === files.length - 1 });
          at += PIECE;
          const share = Math.round((100 * Math.min(at, file.size)) / Math.max(file.size, 1));
          status.textContent = answer.words ?? `${index + 1} of ${files.length}: ${file.name}, ${share} %`;
          if (answer.failed) return;
        } while (at < file.size);
      }
    };
    const sendAll = async (files) => {
      if (busy || !files.length) return;
      busy = true;
      await send(files);
      busy = false;
      input.value = ""; // so that the same file can be chosen again
    };

    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => sendAll([...input.files]));
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
      place.addEventListener(name, (event) => {
        event.preventDefault(); // or the browser leaves the page to show the file
        place.classList.toggle("dp-over", name === "dragenter" || name === "dragover");
        if (name === "drop") sendAll([...event.dataTransfer.files].slice(0, model.get("multiple") ? Infinity : 1));
      });
    }
    el.append(place);
  },
};
