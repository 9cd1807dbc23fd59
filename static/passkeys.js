// Ties the page's one passkey button to allauth's scripts, and shows it where the browser has passkeys.
(() => {
  const button = document.getElementById("passkey-button");
  if (!button || !window.PublicKeyCredential) return;
  const form = button.dataset.form;
  window.allauth.webauthn.forms[form]({
    ids: {
      add: button.id,
      authenticate: button.id,
      login: button.id,
      passwordless: "passkey-alone",
      credential: button.dataset.credential,
      data: "passkey-data",
    },
  });
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault(); // whoever closes the browser's question has not met an error
    document.getElementById("passkey-trouble").hidden = false;
  });
  button.hidden = false;
  document.getElementById("passkey-none")?.setAttribute("hidden", "");
})();
