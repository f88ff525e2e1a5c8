// Reads the API's description, with a credential where the server asks for one, and shows it.
"use strict";

const KEY = "windlass.docs.token";
const at = (id) => document.getElementById(id);

function follow(scheme) {
  document.documentElement.classList.toggle("dark-mode", scheme.matches);
}

function say(id, text) {
  at(id).textContent = text;
  at(id).hidden = !text;
}

function fetchWith(token, url) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(url, { headers, cache: "no-cache" });
}

function ask(problem) {
  sessionStorage.removeItem(KEY);
  at("sign-in").hidden = false;
  say("problem", problem);
  at("token").focus();
}

function show(spec, token) {
  at("sign-in").hidden = true;
  at("sign-out").hidden = !token;
  document.title = `${spec.info.title} API`;
  const ui = SwaggerUIBundle({
    spec,
    domNode: at("reference"),
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    validatorUrl: null,
    onComplete: () => {
      const scheme = Object.keys(spec.components?.securitySchemes ?? {})[0];
      if (token && scheme) ui.preauthorizeApiKey(scheme, token);
    },
  });
}

async function load(token) {
  let answer;
  try {
    answer = await fetchWith(token, "openapi.json");
  } catch {
    say("failure", "The server cannot be reached.");
    return;
  }
  if (answer.status === 401 || answer.status === 403) {
    ask(token ? "The server does not take this credential." : "");
    return;
  }
  if (!answer.ok) {
    say("failure", `The server answered ${answer.status} to the request for the API's description.`);
    return;
  }
  if (token) sessionStorage.setItem(KEY, token);
  show(await answer.json(), token);
}

// Links cannot carry a credential: the file is fetched, then handed to the browser.
async function download(event) {
  event.preventDefault();
  const name = event.currentTarget.getAttribute("href");
  const answer = await fetchWith(sessionStorage.getItem(KEY), name);
  if (!answer.ok) {
    ask(`The server answered ${answer.status} to the request for ${name}.`);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", follow);
follow(scheme);
at("openapi").addEventListener("click", download);
at("descriptors").addEventListener("click", download);
at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  load(at("token").value.trim());
});
at("sign-out").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.reload();
});
load(sessionStorage.getItem(KEY));
