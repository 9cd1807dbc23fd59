// Lists whose items are put in order, by dragging or by two buttons. Without this file the numbers in them do it.
"use strict";

window.ordered = (list, words) => {
  let dragged = null;

  const renumber = () => {
    [...list.children].forEach((item, index) => {
      const place = item.querySelector(".file-place");
      if (place) place.value = index + 1;
    });
  };

  const button = (text, name, move) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "file-move";
    made.textContent = text;
    made.setAttribute("aria-label", name);
    made.addEventListener("click", () => {
      move();
      renumber();
      made.focus();
    });
    return made;
  };

  const item = (li) => {
    const name = li.querySelector(".file-name").textContent;
    const said = (word) => words[word].replace("{name}", name);
    const moves = document.createElement("span");
    moves.className = "file-moves";
    moves.append(
      button("↑", said("up"), () => li.previousElementSibling?.before(li)),
      button("↓", said("down"), () => li.nextElementSibling?.after(li)),
    );
    li.append(moves);
    li.draggable = true;
    li.addEventListener("dragstart", (event) => {
      dragged = li;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", name);
    });
    li.addEventListener("dragover", (event) => {
      if (!dragged || dragged === li) return;
      event.preventDefault();
      const box = li.getBoundingClientRect();
      if (event.clientY > box.top + box.height / 2) li.after(dragged);
      else li.before(dragged);
    });
    li.addEventListener("dragend", () => {
      dragged = null;
      renumber();
    });
  };

  return { item };
};

for (const list of document.querySelectorAll("ol[data-order]")) {
  const words = document.getElementById("upload-words")?.dataset;
  const items = list.querySelectorAll(":scope > li:has(.file-place)");
  if (!words || items.length < 2) continue;
  const { item } = window.ordered(list, words);
  list.classList.add("is-ordered"); // which hides the numbers
  items.forEach(item);
}
