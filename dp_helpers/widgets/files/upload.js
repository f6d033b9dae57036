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
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Send a message and wait for the kernel's answer. It answers always, with `failed` if it leaves the file out. */
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
    let busy = false, ignored = ""; // what to say of files that came too early
    const say = (words) => (status.textContent = words + ignored);

    const send = async (files) => {
      for (const [index, file] of files.entries()) {
        const about = { name: file.name, size: file.size, first: index === 0, last: index === files.length - 1 };
        for (let at = 0, failed = false; !failed && (at < file.size || at === 0); at += PIECE) {
          const data = await base64(file.slice(at, at + PIECE)).catch(() => null); // null: a folder, for example
          const answer = await ask(model, { ...about, at, data });
          const share = Math.round((100 * Math.min(at + PIECE, file.size)) / Math.max(file.size, 1));
          say(answer.words ?? `${index + 1} of ${files.length}: ${file.name}, ${share} %`);
          failed = answer.failed;
        }
      }
    };
    const sendAll = async (files) => {
      if (!files.length) return;
      if (busy) return (ignored = " What came in the meantime was left out: choose or drop it again.");
      busy = true;
      ignored = "";
      try {
        await send(files);
      } catch (error) {
        say(`That did not work: ${error.message ?? error}`);
      } finally {
        busy = false;
        input.value = ""; // so that the same file can be chosen again
      }
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
