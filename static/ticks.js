// What is made in Django's small window becomes one more box, ticked: its own script knows lists to choose from only.
"use strict";

(() => {
  const close = window.dismissAddRelatedObjectPopup;

  window.dismissAddRelatedObjectPopup = (popup, value, label) => {
    const ticks = document.getElementById(popup.name.replace(/__\d+$/, ""));
    if (ticks?.classList.contains("ticks")) {
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", name: ticks.dataset.name, value, checked: true });
      const name = document.createElement("span");
      name.textContent = label;
      const made = document.createElement("label");
      made.append(box, name);
      ticks.append(made);
      ticks.querySelector(".help")?.remove();
    }
    close(popup, value, label);
  };
})();
