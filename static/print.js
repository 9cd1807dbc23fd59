// A button that prints the page, for browsers that can.
(() => {
  const button = document.getElementById("print");
  button.addEventListener("click", () => window.print());
  button.hidden = false;
})();
