// The catalog answers while somebody types: the page that the form would lead to is fetched, and its results are shown
// in the place of these. Without this file the form is sent as any other.
"use strict";

{
  const PAUSE = 200; // milliseconds without another key
  const REPLACED = ["heading", "results"];
  const form = document.querySelector(".finder");
  const announced = document.getElementById("announced");
  let waiting;
  let asked = new AbortController();

  const address = () => {
    const values = [...new FormData(form)].filter(([, value]) => value.trim());
    const query = new URLSearchParams(values).toString();
    return form.getAttribute("action") + (query && `?${query}`);
  };

  const show = async () => {
    clearTimeout(waiting);
    asked.abort(); // an answer to what was typed before must not replace a later one
    asked = new AbortController();
    const { signal } = asked;
    const url = address();
    try {
      const answer = await fetch(url, { signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (signal.aborted) return;
      if (!page.getElementById("results")) return location.assign(url); // a page that says why
      for (const id of REPLACED) document.getElementById(id).replaceWith(page.getElementById(id));
      document.title = page.title;
      history.replaceState(null, "", url);
      const count = document.getElementById("count");
      announced.textContent = count ? count.textContent.trim() : "";
    } catch {
      // Another answer is on its way, or there is no network: the button still sends the form.
    }
  };

  form.addEventListener("input", (event) => {
    if (event.isComposing) return;
    clearTimeout(waiting);
    waiting = setTimeout(show, PAUSE);
  });
  form.addEventListener("compositionend", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
}
