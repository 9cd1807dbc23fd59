// Files of a product, sent in parts while the rest of the form is filled in, and resumed where they stopped: straight to
// the bucket, or to the shop where there is none. Without this file they are sent with the form.
"use strict";

(() => {
  const input = document.getElementById("id_new_files");
  const place = document.getElementById("upload-words");
  if (!input || !place) return;
  const words = place.dataset;
  const form = input.form;
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const AT_ONCE = 3; // parts
  const ADDRESSES = 12; // asked for at a time: they are good for some minutes
  const WAITS = [1, 2, 5, 10, 30]; // seconds before the next try
  const files = []; // in the order they were chosen; the list on the page has the order they are saved in
  let sending = Promise.resolve(); // one file after the other
  let submitter; // that waits until all are ready

  class Problem extends Error {}
  class Gone extends Error {}

  // The shop and the storage

  const rest = (tries) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, WAITS[Math.min(tries, WAITS.length - 1)] * 1000);
      addEventListener(
        "online",
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    });

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  const answer = (status, text) => {
    let said = {};
    try {
      said = JSON.parse(text || "{}");
    } catch {
      throw new Problem(words.signedOut); // a page: that of the sign-in
    }
    if (status === 410) throw new Gone(said.problem);
    if (status >= 400 && status !== 409) throw new Problem(said.problem || words.failed);
    return said;
  };

  // Ask the shop until it answers: it may restart, or the network may be gone for a while.
  const ask = async (file, path, question) => {
    for (let tries = 0; ; tries += 1) {
      try {
        const options = { credentials: "same-origin", headers: { "X-CSRFToken": token } };
        if (question) {
          options.method = "POST";
          options.headers["Content-Type"] = "application/json";
          options.body = JSON.stringify(question);
        }
        const got = await fetch(words.path + path, options);
        if (got.status < 500) return answer(got.status, await got.text());
      } catch (error) {
        if (error instanceof Problem || error instanceof Gone) throw error;
      }
      if (file.removed) throw new Problem("");
      show(file, words.waiting);
      await rest(tries);
    }
  };

  // One part: resolves to its status, 0 when the connection broke.
  const put = (file, number, address) =>
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const start = (number - 1) * file.partSize;
      request.open("PUT", address);
      if (address.startsWith("/")) {
        request.setRequestHeader("X-CSRFToken", token);
        request.setRequestHeader("Content-Type", "application/octet-stream");
      }
      request.upload.addEventListener("progress", (event) => {
        file.sent.set(number, event.loaded);
        showProgress(file);
      });
      request.addEventListener("loadend", () => {
        file.requests.delete(request);
        if (request.status < 200 || request.status > 299) file.sent.delete(number);
        resolve(request.status);
      });
      file.requests.add(request);
      request.send(file.blob.slice(start, start + file.partSize));
    });

  const sendPart = async (file, number, first) => {
    let address = first;
    for (let tries = 0; !file.removed; tries += 1) {
      const status = await put(file, number, address);
      if (status >= 200 && status < 300) return;
      if (file.removed) return;
      // The shop gave a new address each time, so there is a connection: to the storage alone it does not go.
      if (tries > 1 && !address.startsWith("/")) warn(file, words.storage);
      else if (status === 0 || status >= 500) show(file, words.waiting);
      if (tries > 0 || status === 0) await rest(tries);
      // An address may be too old by now; and the shop says what is wrong, if it knows.
      address = (await ask(file, `${file.id}/parts/`, { numbers: [number] })).addresses[number];
      if (tries > 20) throw new Problem(words.failed);
    }
  };

  const sendParts = async (file, numbers) => {
    const left = [...numbers];
    while (left.length && !file.removed) {
      const some = left.splice(0, ADDRESSES);
      const { addresses } = await ask(file, `${file.id}/parts/`, { numbers: some });
      const lane = async () => {
        while (some.length) {
          const number = some.shift();
          await sendPart(file, number, addresses[number]);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
    }
  };

  const send = async (file) => {
    const { name, size, lastModified } = file.blob;
    const told = await ask(file, "", { name, size, modified: Math.trunc(lastModified) });
    name_it(file, told.id);
    file.partSize = told.part_size;
    file.sent.clear();
    const count = Math.ceil(size / told.part_size);
    const sizeOf = (number) => Math.min(told.part_size, size - (number - 1) * told.part_size);
    for (const number of told.arrived || []) file.sent.set(number, sizeOf(number));
    file.began = { at: performance.now(), with: total(file) };
    let missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !file.sent.has(number));
    let state = told.state;
    while (state === "started" && !file.removed) {
      await sendParts(file, missing);
      if (file.removed) return;
      const said = await ask(file, `${file.id}/complete/`, {});
      missing = said.missing || [];
      state = said.state || "started";
    }
    await checked(file);
  };

  const checked = async (file) => {
    for (let tries = 0; !file.removed; tries += 1) {
      const told = await ask(file, `${file.id}/`);
      if (told.state === "checked") {
        settle(file, "ready", words.ready);
        return;
      }
      if (told.state === "refused") throw new Problem(told.problem);
      if (told.state === "started") throw new Problem(words.again);
      file.bar.removeAttribute("value");
      show(file, told.problem || words.checking);
      await new Promise((resolve) => setTimeout(resolve, Math.min(500 + tries * 500, 5000)));
    }
  };

  const run = async (file, act) => {
    file.state = "going";
    file.retry.hidden = true;
    try {
      try {
        await act(file);
      } catch (error) {
        if (!(error instanceof Gone) || !file.blob) throw error;
        await act(file); // it begins anew
      }
    } catch (error) {
      if (!file.removed) settle(file, "failed", error.message || words.failed);
    }
  };

  // What is seen

  const size = (bytes) => {
    let unit = 0;
    let number = bytes;
    for (; number >= 1024 && unit < 3; unit += 1) number /= 1024;
    const digits = { maximumFractionDigits: unit ? 1 : 0 };
    return `${number.toLocaleString(document.documentElement.lang, digits)} ${["B", "kB", "MB", "GB"][unit]}`;
  };

  const total = (file) => [...file.sent.values()].reduce((sum, bytes) => sum + bytes, 0);

  const show = (file, text) => {
    if (file.said.textContent !== text) file.said.textContent = text;
  };

  // Also told to those who do not look at the row.
  const warn = (file, text) => {
    show(file, text);
    const told = `${file.name}: ${text}`;
    if (live.textContent !== told) say(told, { inRow: true });
  };

  const showProgress = (file) => {
    const done = Math.min(total(file), file.size);
    const speed = (done - file.began.with) / Math.max(0.2, (performance.now() - file.began.at) / 1000);
    file.bar.value = done / file.size;
    show(file, fill(words.uploading, { percent: Math.floor((done / file.size) * 100), speed: size(speed) }));
  };

  const live = document.createElement("p");
  live.setAttribute("role", "status");
  live.className = "upload-live";

  // What stands in a row as well is for the ears alone.
  const say = (text, { inRow = false } = {}) => {
    live.textContent = text;
    live.classList.toggle("visually-hidden", inRow);
  };

  const settle = (file, state, text) => {
    file.state = state;
    file.bar.hidden = true;
    file.li.classList.toggle("is-failed", state === "failed");
    file.retry.hidden = state !== "failed" || !file.blob;
    show(file, text);
    say(`${file.name}: ${text}`, { inRow: true });
    save();
  };

  const unfinished = () => files.filter((file) => file.state === "going");

  // "Save" was pressed while files were on their way.
  const save = () => {
    if (!submitter || unfinished().length) return;
    const pressed = submitter;
    submitter = undefined;
    if (!hold()) form.requestSubmit(pressed);
  };

  const hold = () => {
    const failed = files.find((file) => file.state === "failed");
    if (!failed) return false;
    say(words.removeFirst);
    failed.remove.focus();
    return true;
  };

  form.addEventListener("submit", (event) => {
    if (unfinished().length) {
      event.preventDefault();
      submitter = event.submitter;
      say(words.savesThen);
    } else if (hold()) {
      event.preventDefault();
    }
  });

  const make = (tag, className, text = "") => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };

  const list = make("ol", "upload-list is-ordered");
  const { item } = window.ordered(list, words);

  const name_it = (file, id) => {
    file.id = id;
    file.hidden.value = id;
    file.hidden.name = "uploads";
  };

  const add = (name, bytes, blob) => {
    const file = { name, blob, size: bytes, sent: new Map(), requests: new Set(), state: "going", removed: false };
    file.li = make("li", "upload");
    file.said = make("span", "upload-said", words.queued);
    file.bar = make("progress", "upload-bar");
    file.bar.setAttribute("aria-label", name);
    file.bar.value = 0;
    file.hidden = make("input", "");
    file.hidden.type = "hidden";
    file.retry = make("button", "upload-retry", words.retry);
    file.remove = make("button", "upload-remove", words.remove);
    file.remove.setAttribute("aria-label", fill(words.removeFile, { name }));
    for (const button of [file.retry, file.remove]) button.type = "button";
    file.retry.hidden = true;
    file.retry.addEventListener("click", () => begin(file));
    file.remove.addEventListener("click", () => drop(file));
    file.li.append(make("span", "file-name", name), make("span", "upload-size", bytes ? size(bytes) : ""));
    file.li.append(file.bar, file.said, file.hidden, file.retry);
    item(file.li);
    file.li.append(file.remove);
    list.append(file.li);
    files.push(file);
    return file;
  };

  const begin = (file) => {
    file.state = "going";
    file.bar.hidden = false;
    sending = sending.then(() => !file.removed && run(file, send));
  };

  const drop = (file) => {
    file.removed = true;
    for (const request of file.requests) request.abort();
    files.splice(files.indexOf(file), 1);
    file.li.remove();
    if (file.id) ask(file, `${file.id}/abandon/`, {}).catch(() => {}); // or purge_files finds it
    say(fill(words.removed, { name: file.name }));
    input.focus();
    save();
  };

  const choose = (chosen) => {
    for (const blob of chosen) {
      const same = files.find((file) => file.blob
        ? file.name === blob.name && file.size === blob.size && file.blob.lastModified === blob.lastModified
        : file.state === "failed" && file.name === blob.name && file.size === blob.size);
      if (same?.blob) continue; // it is in the list
      if (same) {
        same.blob = blob;
        begin(same);
      } else {
        begin(add(blob.name, blob.size, blob));
      }
    }
  };

  // What the shop sent back with a mistake elsewhere in the form
  const restore = async (hidden) => {
    const id = hidden.value;
    hidden.remove();
    const file = add(words.unknown, 0, null);
    name_it(file, id);
    await run(file, async () => {
      const told = await ask(file, `${id}/`);
      file.name = told.name;
      file.size = told.size;
      file.li.querySelector(".file-name").textContent = told.name;
      file.li.querySelector(".upload-size").textContent = size(told.size);
      await checked(file);
    });
  };

  input.removeAttribute("name"); // its files go their own way
  const zone = make("div", "upload-zone");
  zone.append(make("p", "upload-hint", words.hint));
  const all = make("div", "uploads");
  input.after(all);
  all.append(zone, list, live);
  zone.prepend(input);
  input.addEventListener("change", () => {
    choose(input.files);
    input.value = "";
  });
  const holds = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  zone.addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    zone.classList.add("is-over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("is-over"));
  zone.addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    zone.classList.remove("is-over");
    choose(event.dataTransfer.files);
  });
  for (const hidden of [...form.querySelectorAll("input[type=hidden][name=uploads]")]) restore(hidden);
})();
