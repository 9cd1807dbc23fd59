// Django's admin within everybody's reach: what it draws without a name, or out of the keyboard's way, gets both.
// Nothing here is needed to use a page with a mouse and eyes.
(() => {
  const words = (element) => (element ? element.textContent.trim().replace(/:$/, "") : "");

  const name = (input, text) => {
    if (text && !input.labels?.length && !input.hasAttribute("aria-label") && !input.hasAttribute("aria-labelledby")) {
      input.setAttribute("aria-label", text);
    }
  };

  // Fields in the cells of a table are named by their column.
  const nameCells = () => {
    for (const cell of document.querySelectorAll(".tabular tbody td")) {
      const heading = cell.closest("table").querySelectorAll("thead th")[cell.cellIndex];
      for (const input of cell.querySelectorAll("input:not([type=hidden]), select, textarea")) {
        name(input, words(heading));
      }
    }
  };

  // A moment is two fields, and one name stands before both.
  const nameMoments = () => {
    for (const row of document.querySelectorAll(".form-row:has(p.datetime)")) {
      const what = words(row.querySelector("legend, label"));
      for (const input of row.querySelectorAll("p.datetime input")) {
        const before = input.previousSibling?.nodeType === Node.TEXT_NODE ? input.previousSibling.textContent : "";
        name(input, `${what} ${before.trim().replace(/:$/, "")}`.trim());
      }
    }
  };

  const nameTooltips = () => {
    for (const tip of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) {
      tip.setAttribute("role", "img");
    }
  };

  // Whatever scrolls sideways can be scrolled by keys.
  const reachScrolling = () => {
    const areas = ".tabular .module, .desk-table, .results, .sample-strip, .submit-row, .scrolls";
    for (const area of document.querySelectorAll(areas)) {
      if (area.scrollWidth > area.clientWidth) {
        area.tabIndex = 0;
      } else if (area.tabIndex === 0) {
        area.removeAttribute("tabindex");
      }
    }
  };

  addEventListener("load", () => {
    nameCells();
    nameMoments();
    nameTooltips();
    reachScrolling();
    document.addEventListener("formset:added", nameCells);
  });
  addEventListener("resize", reachScrolling);
})();
