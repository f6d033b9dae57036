// A button that fetches a file from the kernel, in pieces, and hands it to the browser.

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

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

async function fetchFile(model, say) {
  const pieces = [];
  for (let at = 0, size = 1; at < size; ) {
    const answer = await ask(model, { at });
    if (answer.words) return say(answer.words);
    size = answer.size;
    pieces.push(bytes(answer.data));
    at += pieces.at(-1).length;
    say(`${Math.round((100 * at) / size)} %`);
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(pieces));
  link.download = model.get("name");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`${model.get("name")} was saved.`);
}

export default {
  render({ model, el }) {
    const place = document.createElement("div"), button = document.createElement("button"), status = document.createElement("span");
    place.className = "dp-files dp-download";
    status.setAttribute("role", "status");
    Object.assign(button, { type: "button", textContent: model.get("label") });
    button.addEventListener("click", async () => {
      const say = (words) => (status.textContent = words);
      button.disabled = true; // one at a time
      await fetchFile(model, say).catch((error) => say(`That did not work: ${error.message ?? error}`));
      button.disabled = false;
    });
    const show = () => (place.hidden = !model.get("ready"));
    model.on("change:ready", show);
    show();
    place.append(button, status);
    el.append(place);
    return () => model.off("change:ready", show);
  },
};
