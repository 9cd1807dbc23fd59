// Look inside: steps through the strip of pages, and shows them large. Without this file each page is a picture that
// leads to a larger one; swiping is the browser's own.
"use strict";

(() => {
  const strip = document.getElementById("strip");
  const sheets = document.getElementById("sheets");
  const viewer = document.getElementById("viewer");
  const links = [...strip.querySelectorAll("a")];
  const settled = "onscrollend" in window ? "scrollend" : "scroll";
  const toTheRight = getComputedStyle(strip).direction === "rtl" ? -1 : 1;

  // How many places a key moves: 1 further, -1 back, 0 for any other key.
  const steps = (event) =>
    event.ctrlKey || event.metaKey || event.altKey || event.shiftKey
      ? 0
      : { ArrowRight: toTheRight, ArrowLeft: -toTheRight }[event.key] || 0;

  const start = (element) => element.getBoundingClientRect()[toTheRight === 1 ? "left" : "right"];

  // Moves a track by whole pages, and dims the button at whose end it is. `changed` is told the place.
  function stepping(track, changed) {
    const places = [...track.children];
    const buttons = document.querySelector(`[data-steps="${track.id}"]`);
    const [back, on] = [buttons.querySelector("[data-back]"), buttons.querySelector("[data-on]")];
    let place = 0;

    function look() {
      const gaps = places.map((each) => Math.abs(start(each) - start(track)));
      place = gaps.indexOf(Math.min(...gaps));
      const moved = Math.abs(track.scrollLeft);
      back.setAttribute("aria-disabled", String(moved < 2));
      on.setAttribute("aria-disabled", String(moved + track.clientWidth > track.scrollWidth - 2));
      changed(place);
    }

    function go(to, behavior = "auto") {
      place = Math.max(0, Math.min(places.length - 1, to));
      places[place].scrollIntoView({ behavior, block: "nearest", inline: "start" });
    }

    track.addEventListener(settled, look);
    new ResizeObserver(look).observe(track);
    back.addEventListener("click", () => go(place - 1));
    on.addEventListener("click", () => go(place + 1));
    buttons.hidden = false;
    return { go, move: (by) => go(place + by) };
  }

  const shown = viewer.querySelector("[data-place]");
  const large = stepping(sheets, (place) => {
    shown.textContent = sheets.children[place].alt;
  });
  stepping(strip, () => {});

  links.forEach((link, place) => {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into a tab or a window of its own
      event.preventDefault();
      viewer.showModal();
      large.go(place, "instant");
    });
    link.addEventListener("keydown", (event) => {
      const next = links[place + steps(event)];
      if (!steps(event) || !next) return;
      event.preventDefault();
      next.focus();
    });
  });

  viewer.addEventListener("keydown", (event) => {
    if (!steps(event)) return;
    event.preventDefault();
    large.move(steps(event));
  });
  viewer.querySelector("[data-close]").addEventListener("click", () => viewer.close());
})();
