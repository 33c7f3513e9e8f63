// A participant's telephone: joins the room, shows the conversation with the guide, and what the whole room is asked.
// Everything that people or the guide say is written as text; the page's own words are in templates/salle.html.

import { Connection, memory } from "/widget/connection.js";
import { fill, make } from "/widget/dom.js";

const $ = (id) => document.getElementById(id);
const said = JSON.parse($("textes").textContent);
const AGAIN = 2_000; // Milliseconds before the room is read again, if it could not be.
const PREFIX = "bon-moment-salle"; // Of what the browser stores: the key of the place, and the code of its room.
const local = memory(() => localStorage);
const calm = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");
const connection = new Connection(new URL("/", location.href), hear, PREFIX);

const bubbles = new Map();
let talking = false; // In the room, and the workshop goes on.
let away = false; // The guide could not be reached, and it was said.
let waiting = false; // A message is under way.
let fresh = true; // Nothing of the conversation has been shown yet.
let toQuestion = false; // The next question takes the focus.
let turnStart = null; // The first message of the guide's turn.
let asked = null; // What the room is asked.
let changing = false; // … and the answer is being changed.
let answered = null; // The slot answered from the panel.
let reading = 0;
let drawn = ""; // What the panel shows: drawn again, and the focus moved, only when that changes.

const put = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

// ── joining ──

function show(view) {
  for (const name of ["rejoindre", "panneau", "echange"]) $(name).hidden = name !== view;
}

function join(text = "") {
  talking = false;
  $("avancee").hidden = true;
  put("salle-code", "");
  fault(text, "perdue");
  show("rejoindre");
  if (text) $("titre-rejoindre").focus();
}

$("entrer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const code = $("code").value.trim();
  if (!code) { fault(said.sans_code, "erreur-code"); $("code").focus(); return; }
  if (waiting) return;
  wait(true);
  fault("", "erreur-code");
  fault("", "perdue");
  connection.token = null;
  const answer = await connection.call("POST", "api/salle", { code });
  wait(false);
  if (!answer.ok) {
    fault(answer.texte ?? said.injoignable, "erreur-code");
    $("code").focus();
    return;
  }
  connection.pending = null;
  connection.token = answer.jeton;
  local.set(`${PREFIX}:code`, answer.code);
  talk();
});

function talk() {
  talking = fresh = toQuestion = true;
  put("salle-code", fill(` · ${said.salle}`, { code: local.get(`${PREFIX}:code`) ?? "" }));
  show("echange");
  words(false);
  status(said.ouverture);
  connection.listen();
}

/** The trainer has ended the workshop: what is on the screen stays, nothing more is sent. */
function ended(text) {
  connection.stop();
  connection.pending = connection.token = null;
  talking = waiting = false;
  asked = null;
  show("echange");
  status("");
  document.body.classList.add("terminee");
  $("envoi").hidden = true;
  $("fini").hidden = false;
  put("fini-texte", text);
  $("fil").focus({ preventScroll: true });
}

/** The place is no more. What is on the screen stays, as was promised; a page that shows nothing yet asks for a code. */
function lost() {
  if (bubbles.size) { ended(said.terminee); return; }
  connection.stop();
  connection.pending = connection.token = null;
  bubbles.clear();
  $("messages").replaceChildren();
  wait(false);
  status("");
  asked = null;
  join(said.perdue);
}

// ── what the door says ──

function hear(kind, data) {
  const acts = {
    historique: () => { history(data.messages); readRoom(); },
    message: () => message(data),
    attente: () => { wait(true); status(asked ? said.envoi : said.ecrit); },
    fin: () => turnOver(),
    panne: () => { if (data.cle) failed(data); else { away = true; status(data.texte, true); } },
    refus: () => failed(data),
    salle: () => readRoom(),
    effacee: () => ended(data.texte ?? said.terminee),
    perdue: () => lost(),
    coupure: () => status(connection.pending ? said.coupure_envoi : said.coupure, true),
    retablie: () => status(said.retablie),
  };
  if (talking) acts[kind]?.();
}

function history(messages) {
  const first = fresh, { pending } = connection;
  fresh = false;
  const kept = new Set(messages.map((one) => one.id));
  for (const [id, box] of bubbles) {
    if (!kept.has(id)) { box.remove(); bubbles.delete(id); }
  }
  for (const one of messages) settled(one.id) || add(one, !first);
  if (pending) add({ id: `${pending.cle}:0`, de: "vous", texte: pending.affiche, enAttente: true }, false);
  settle();
  wait(Boolean(pending));
  if (!pending && (first || away)) status("");
  away = false;
  if (first) {
    $("messages").lastElementChild?.scrollIntoView({ block: "nearest" });
    focusQuestion();
  }
}

// Whether the page has this message already; it is then known to have arrived.
function settled(id) {
  bubbles.get(id)?.classList.remove("en-attente");
  return bubbles.has(id);
}

function message(one) {
  if (settled(one.id)) return;
  if (one.de === "vous") { $("annonces").replaceChildren(); turnStart = null; }
  const box = add(one, true);
  settle();
  if (one.de === "guide") turnStart ??= box;
  else box?.scrollIntoView({ block: "nearest" });
}

function turnOver() {
  if (connection.pending) return; // It was the turn of another page.
  wait(false);
  status("");
  showAnswer();
  focusQuestion();
  if (asked) readRoom();
}

function failed({ texte = said.echec, renvoyer, cle }) {
  wait(false);
  bubbles.get(`${cle}:0`)?.remove();
  bubbles.delete(`${cle}:0`);
  settle();
  status(asked ? "" : texte, true);
  if (asked) { answered = null; drawPanel(); fault(texte, "panneau-erreur"); }
  if (renvoyer && !$("saisie").value) { $("saisie").value = renvoyer; grow(); }
}

// ── what the room is asked ──

async function readRoom() {
  const turn = (reading += 1);
  const found = await connection.call("GET", "api/salle");
  if (turn !== reading || !talking) return; // A later reading knows better.
  if (found.status === 404) { lost(); return; }
  if (!found.ok) { setTimeout(() => { if (turn === reading && talking) readRoom(); }, AGAIN); return; }
  if (found.terminee) { ended(said.terminee); return; }
  const before = asked;
  asked = found.question;
  if (before?.slot !== asked?.slot) { changing = false; answered = null; fault("", "panneau-erreur"); }
  drawPanel();
  if (asked && before?.slot !== asked.slot) $("panneau-titre").focus();
  if (before && !asked) {
    status(said.panneau_fini);
    $("messages").lastElementChild?.scrollIntoView({ block: "nearest" });
    $("fil").focus({ preventScroll: true });
  }
}

function drawPanel() {
  show(asked ? "panneau" : "echange");
  const wanted = asked ? JSON.stringify([asked.slot, asked.reponse, changing, answered]) : "";
  if (!asked || wanted === drawn) return;
  drawn = wanted;
  const current = asked.choix.find((one) => one.valeur === asked.reponse);
  const done = Boolean(current) && !changing;
  put("panneau-titre", asked.texte);
  const focused = $("panneau").contains(document.activeElement) && document.activeElement !== $("panneau-titre");
  $("panneau-choix").hidden = done;
  $("panneau-fait").hidden = !done;
  if (done) {
    put("panneau-merci", answered === asked.slot ? said.envoyee : said.deja);
    put("panneau-reponse", current.titre);
    if (focused) $("panneau-merci").focus({ preventScroll: true });
    return;
  }
  $("panneau-choix").replaceChildren(...asked.choix.map((one) => {
    const button = make("button", { type: "button", textContent: one.titre, onclick: () => answerRoom(one) });
    button.setAttribute("aria-disabled", String(waiting));
    if (one === current) {
      button.className = "actuelle";
      button.append(" ", make("span", { className: "marque", textContent: `✓ ${said.actuelle}` }));
    }
    return button;
  }));
  if (focused) $("panneau-titre").focus({ preventScroll: true });
}

function answerRoom(choice) {
  if (waiting) { status(said.patience); return; }
  changing = false;
  if (choice.valeur === asked.reponse) { drawPanel(); return; }
  answered = asked.slot;
  fault("", "panneau-erreur");
  deliver({ choix: choice.choix }, fill(said.modifie, { nom: asked.nom, reponse: choice.titre }));
  if (waiting) status(said.envoi);
}

$("panneau-changer").addEventListener("click", () => { changing = true; drawPanel(); });

// ── messages ──

function add(one, announce) {
  if (!one.texte && !one.boutons?.length && !one.carte) return null;
  const box = make("li", { className: `message ${one.de}` });
  box.append(make("span", { className: "cache", textContent: said[one.de] ?? "" }), ...(one.carte ? [card(one.carte)] : bubble(one)));
  box.classList.toggle("en-attente", Boolean(one.enAttente));
  bubbles.set(one.id, box);
  $("messages").append(box);
  progress(one.donnees);
  const focused = mayTakeFocus() && (one.carte || one.boutons?.length); // It will be, and read.
  if (announce && one.de !== "vous" && !focused && !asked) {
    const spoken = one.carte ? `${said.verdict} ${one.carte.titre}. ${one.carte.phrase}` : one.texte;
    $("annonces").append(make("p", { textContent: spoken }));
  }
  return box;
}

let numbered = 0;

function bubble(one) {
  const box = make("div", { className: "bulle", id: `bulle-${(numbered += 1)}`, tabIndex: -1 });
  const lines = one.texte.split("\n");
  // A first line without a full stop is a title; the number of a question is small above it.
  const title = one.de === "guide" && lines.length > 1 && lines[0].length < 70 && !/[.?!:…]$/.test(lines[0]);
  const number = one.donnees?.type === "question" && /^(Question \d+ \S+ \d+\.) (.*)$/.exec(lines[0]);
  if (number) {
    box.append(make("span", { className: "numero", textContent: `${number[1]} ` }));
    lines[0] = number[2];
  }
  lines.forEach((line, at) => {
    const kind = title && at === 0 ? "debut" : /^([•+−!]|\d\.) /.test(line) ? "point" : "";
    box.append(make("span", { className: `ligne ${kind}`, textContent: line }));
  });
  if (!one.boutons?.length) return [box];
  const choices = make("div", { className: "choix" }, ...one.boutons.map((button) =>
    make("button", { type: "button", textContent: button.titre, onclick: () => say({ choix: button.choix }, button.titre) })));
  choices.setAttribute("role", "group");
  choices.setAttribute("aria-label", said.proposees);
  choices.setAttribute("aria-describedby", box.id);
  if (one.donnees?.type !== "question") return [box, choices];
  const commands = one.donnees.index > 1 ? ["precedent", "pourquoi"] : ["pourquoi"];
  const aside = make("div", { className: "aparte" }, ...commands.map((name) =>
    make("button", { type: "button", className: "lien", textContent: said[name], onclick: () => say({ commande: name }, said[name]) })));
  return [box, choices, aside];
}

const SIGNS = { pour: "+", contre: "−", vigilance: "!" };

function card(data) {
  const heading = (text) => make("h3", { textContent: text });
  const article = make("article", { className: "carte" },
    make("p", { className: "sur-titre", textContent: said.verdict_titre }),
    make("h2", { textContent: data.titre, tabIndex: -1 }),
    make("p", { className: "phrase", textContent: data.phrase }),
    heading(data.raisons.length ? said.ce_qui_pese : said.rien_ne_pese));
  if (data.raisons.length) {
    article.append(make("ul", { className: "raisons" }, ...data.raisons.map((reason) =>
      make("li", { className: reason.effet },
        make("span", { className: "signe", textContent: SIGNS[reason.effet], ariaHidden: "true" }),
        make("span", {}, make("strong", { textContent: `${said[reason.effet]}\u00a0: ` }), `${reason.reponse}.`)))));
  }
  article.append(heading(said.parties), ...data.parties.map((part) =>
    make("details", {}, make("summary", { textContent: part.nom }), make("p", { textContent: part.explication }))));
  article.append(heading(said.etapes), make("ol", {}, ...data.etapes.map((step) => make("li", { textContent: step }))));
  article.append(heading(said.pistes));
  if (!data.pistes.length) article.append(make("p", { textContent: said.sans_piste }));
  else article.append(make("ul", { className: "pistes" }, ...data.pistes.map((track) => {
    const hypothesis = `${said.si} ${track.hypothese}`;
    const attempt = make("button", { type: "button", className: "secondaire", textContent: said.essayer, onclick: () => say({ choix: track.choix }, track.question) });
    attempt.setAttribute("aria-label", `${said.essayer}\u00a0: ${hypothesis}`);
    return make("li", {}, make("span", {}, `${hypothesis}\u00a0: `, make("strong", { textContent: track.titre })), attempt);
  })));
  return article;
}

// Only the last message still offers its choices, and only the last verdict its trials.
function settle() {
  const at = document.activeElement;
  const boxes = [...$("messages").children], cards = boxes.filter((box) => box.querySelector(".carte"));
  for (const box of boxes) box.classList.toggle("passe", box !== boxes.at(-1) && box !== cards.at(-1));
  if (at.closest("#messages") && !at.getClientRects().length && !$("echange").hidden) $("fil").focus({ preventScroll: true });
}

function progress(data) {
  if (data?.type !== "question" && data?.type !== "verdict") return;
  const done = data.type === "verdict";
  put("etape", done ? said.termine : fill(said.etape, data));
  $("avancee").hidden = false;
  $("voir-verdict").hidden = !done;
  words(done);
  Object.assign($("jauge"), { max: done ? 1 : data.total, value: done ? 1 : data.index - 1 });
}

const words = (done) => put("titre-saisie", done ? said.saisie_apres : said.saisie);

// Not away from what the person is doing: only from the conversation, or from nowhere.
function mayTakeFocus() {
  const at = document.activeElement;
  return toQuestion && !asked && (!at || at === document.body || at.closest("#fil, #rejoindre"));
}

function focusQuestion() {
  const take = mayTakeFocus();
  toQuestion = false;
  if (take) ($("messages").lastElementChild?.querySelector(".carte h2, .bulle") ?? $("fil")).focus({ preventScroll: true });
}

// Show the answer from its beginning: its end only where all of it fits.
function showAnswer() {
  const last = $("messages").lastElementChild;
  if (!turnStart?.isConnected || !last) return;
  const height = last.getBoundingClientRect().bottom - turnStart.getBoundingClientRect().top;
  if (height > $("fil").clientHeight) turnStart.scrollIntoView({ block: "start", behavior: calm() });
  else last.scrollIntoView({ block: "nearest", behavior: calm() });
}

$("voir-verdict").addEventListener("click", () => {
  const title = [...document.querySelectorAll(".carte h2")].at(-1);
  title?.closest(".message").scrollIntoView({ block: "start", behavior: calm() });
  title?.focus({ preventScroll: true });
});

// ── what the person says ──

/** A button of the conversation. */
function say(body, shown) {
  if (waiting) { status(said.patience); return; }
  toQuestion = true;
  deliver(body, shown);
}

async function deliver(body, shown) {
  if (!talking || waiting) return;
  wait(true);
  fault("");
  status("");
  $("annonces").replaceChildren();
  turnStart = null;
  const sending = connection.deliver(body, shown);
  const box = add({ id: `${connection.pending.cle}:0`, de: "vous", texte: shown, enAttente: true }, false);
  settle();
  box.scrollIntoView({ block: "nearest", behavior: calm() });
  if ((await sending).attente) status(said.coupure_envoi, true);
}

function submit() {
  const field = $("saisie"), text = field.value.trim();
  if (!text) { fault(said.vide); field.focus(); return; }
  if (waiting) { status(said.patience); return; }
  field.value = "";
  grow();
  deliver({ texte: text }, text);
}

$("envoi").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
$("saisie").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
});
$("saisie").addEventListener("input", () => { grow(); fault(""); });

function grow() {
  const field = $("saisie");
  field.style.height = "auto";
  if (field.scrollHeight) field.style.height = `${Math.min(field.scrollHeight + 2, 120)}px`;
}

// ── small things ──

function wait(yes) {
  waiting = yes;
  for (const button of document.querySelectorAll(".choix button, .aparte button, .pistes button, form button")) {
    button.setAttribute("aria-disabled", String(yes));
  }
}

function status(text, alert = false) {
  put("etat", text);
  $("etat").classList.toggle("alerte", alert && Boolean(text));
}

// Say what is wrong beside the field that it describes.
function fault(text, id = "erreur") {
  put(id, text);
  $(id).hidden = !text;
  const field = document.querySelector(`[aria-describedby="${id}"]`);
  if (text) field?.setAttribute("aria-invalid", "true");
  else field?.removeAttribute("aria-invalid");
}

// A telephone put away keeps no stream open for nothing.
document.addEventListener("visibilitychange", () => {
  if (!talking) return;
  if (!document.hidden) connection.listen();
  else if (!waiting) connection.stop();
});

connection.recall();
const wanted = document.body.dataset.code;
if (connection.token && (!wanted || wanted === local.get(`${PREFIX}:code`))) talk();
else join();
