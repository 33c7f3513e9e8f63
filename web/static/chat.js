// The chat page: shows the conversation that the door sends as events, and sends what the visitor types or chooses.
// It holds no dialogue logic; its few own words are in the page's « textes ». Everything is written as text, never as HTML.

const $ = (id) => document.getElementById(id);
const log = $("fil"), choices = $("choix"), status = $("etat"), field = $("saisie"), form = $("envoi");
const said = JSON.parse($("textes").textContent);
let source, shown = 0, waiting = false;

async function call(method, path, body = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    return { ok: false, texte: said.coupure };
  }
  const data = await answer.json().catch(() => ({}));
  return { ok: answer.ok, status: answer.status, ...data };
}

function say(text, alert = false) {
  status.textContent = text;
  status.classList.toggle("alert", alert);
}

function bubble(message) {
  const kind = message.donnees?.type;
  const box = document.createElement("div");
  box.className = `bubble ${message.de}`;
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = message.de === "vous" ? said.vous : said.assistant;
  box.append(who);
  const lines = message.texte.split("\n");
  // A first line without a full stop is a title.
  const report = message.de === "guide" && lines.length > 1 && lines[0].length < 70 && !/[.?!:…]$/.test(lines[0]);
  if (kind === "verdict") box.classList.add("verdict");
  else if (report) box.classList.add("report");
  lines.forEach((line, number) => {
    const made = document.createElement("p");
    if (report && number === 0) made.className = "first";
    else if (/^([•+−!]|\d\.) /.test(line)) made.className = "item";
    made.textContent = line;
    box.append(made);
  });
  return box;
}

function offer(message) {
  choices.replaceChildren(...(message.boutons ?? []).map((button) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = button.titre;
    made.addEventListener("click", () => send({ choix: button.choix }));
    return made;
  }));
}

function progress(data) {
  if (data?.type === "question") {
    $("progression").hidden = false;
    $("etape").textContent = said.etape.replace("{index}", data.index).replace("{total}", data.total);
    $("jauge").style.width = `${(100 * (data.index - 1)) / data.total}%`;
  } else if (data?.type === "verdict") {
    $("etape").textContent = said.termine;
    $("jauge").style.width = "100%";
  }
}

function add(message) {
  if (!message.texte && !message.boutons?.length) return;
  const box = bubble(message);
  log.append(box);
  shown += 1;
  progress(message.donnees);
  if (message.de === "vous") choices.replaceChildren();
  else if (message.boutons?.length) offer(message);
  return box;
}

function toward(box, block = "nearest") {
  box?.scrollIntoView({ block, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

// Show the answer from its beginning: its end only where all of it fits.
function showAnswer() {
  const end = choices.lastElementChild ?? log.lastElementChild;
  if (!firstNew || !end) return;
  const height = end.getBoundingClientRect().bottom - firstNew.getBoundingClientRect().top;
  const room = innerHeight - document.querySelector("header").offsetHeight - document.querySelector("footer").offsetHeight;
  height > room ? toward(firstNew, "start") : toward(end, "end");
}

let firstNew = null;
function listen() {
  source?.close();
  source = new EventSource("/api/evenements");
  source.addEventListener("historique", (event) => {
    const past = JSON.parse(event.data);
    if (past.length !== shown) {
      log.replaceChildren();
      choices.replaceChildren();
      shown = 0;
      past.forEach(add);
      log.lastElementChild?.scrollIntoView({ block: "end" });
    }
    free();
    say("");
  });
  source.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    const box = add(message);
    if (message.de === "guide") firstNew ??= box;
    else { firstNew = null; toward(box); }
  });
  source.addEventListener("attente", () => { waiting = true; firstNew = null; say(said.ecrit); });
  source.addEventListener("fin", () => { free(); if (!status.classList.contains("alert")) say(""); showAnswer(); });
  source.addEventListener("panne", (event) => {
    const { texte, renvoyer } = JSON.parse(event.data);
    free();
    say(texte, true);
    if (renvoyer && !field.value) field.value = renvoyer;
  });
  source.addEventListener("effacee", (event) => ended(JSON.parse(event.data).texte));
  source.onerror = () => say(said.reprise, true);
}

function free() {
  waiting = false;
  for (const button of choices.querySelectorAll("button")) button.disabled = false;
}

async function send(body) {
  if (waiting) return false;
  waiting = true;
  for (const button of choices.querySelectorAll("button")) button.disabled = true;
  say("");
  const answer = await call("POST", "/api/messages", { ...body, cle: crypto.randomUUID?.() ?? String(Math.random()) });
  if (!answer.ok) {
    free();
    say(answer.texte ?? said.echec, true);
    if (answer.status === 404) await begin();
  } else if (body.choix) {
    field.focus({ preventScroll: true });
  }
  return answer.ok;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = field.value;
  if (!text.trim()) { say(said.vide, true); field.focus(); return; }
  if (await send({ texte: text })) { field.value = ""; grow(); }
  field.focus({ preventScroll: true });
});
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
});
function grow() { field.style.height = "auto"; field.style.height = `${Math.min(field.scrollHeight + 2, 160)}px`; }
field.addEventListener("input", grow);

$("reponses").addEventListener("click", () => send({ texte: said.reponses }));
for (const close of document.querySelectorAll("[data-close]")) close.addEventListener("click", () => close.closest("dialog").close());
$("effacer").addEventListener("click", () => $("dialogue-effacer").showModal());
$("rappel").addEventListener("click", () => { $("erreur-rappel").hidden = true; $("dialogue-rappel").showModal(); });

$("confirmer-effacer").addEventListener("click", async () => {
  $("dialogue-effacer").close();
  const answer = await call("DELETE", "/api/conversation");
  answer.ok ? ended(answer.texte) : say(answer.texte, true);
});

function ended(text) {
  source?.close();
  log.replaceChildren();
  $("progression").hidden = true;
  shown = 0;
  const again = document.createElement("button");
  again.type = "button";
  again.textContent = said.nouvelle;
  again.addEventListener("click", () => { choices.replaceChildren(); begin(); });
  choices.replaceChildren(again);
  say(text);
  again.focus();
}

$("form-rappel").addEventListener("submit", async (event) => {
  event.preventDefault();
  const error = $("erreur-rappel");
  const answer = await call("POST", "/api/rappel", {
    nom: $("nom").value, joindre: $("joindre").value, message: $("mot").value, accord: $("accord").checked,
  });
  error.hidden = answer.ok;
  if (!answer.ok) { error.textContent = answer.texte; return; }
  $("dialogue-rappel").close();
  event.target.reset();
  say(answer.texte);
});

async function begin() {
  const answer = await call("POST", "/api/conversation");
  if (!answer.ok) { say(answer.texte ?? said.echec, true); return; }
  listen();
}
begin();
