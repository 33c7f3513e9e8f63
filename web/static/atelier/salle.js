// The room on the trainer's screen: draws the state that the server sends at each event, without moving what has not
// changed nor the focus, and sends the trainer's commands. Its words are in templates/atelier/salle.html.

import { fill, make } from "/widget/dom.js";

const $ = (id) => document.getElementById(id);
const said = JSON.parse($("textes").textContent);
const page = $("salle");
const here = `/atelier/salles/${encodeURIComponent(page.dataset.code)}`;
const BY_PAGE = 6; // Questions shown at once, when the curtain is open.
const BETWEEN = 15_000; // Milliseconds between two announcements of the counts.
const PATIENCE = 1_500; // … before a cut is said: a reconnection is often quicker.
const AGAIN = 3_000;

let salle = JSON.parse($("etat").textContent);
let large = null; // Whether the trainer wants the code in full size; null: as many as are in decide.
let shown = 0; // The page of the overview: 0 for the verdicts, then the questions.
let address = 0;
let ending = false;

// ── drawing: only what differs is touched ──

const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const count = (number, one, many) => `${number} ${said[number > 1 ? many : one]}`;
const replies = (number) => (number === null ? "" : number ? fill(said[number > 1 ? "reponses" : "reponse"], { nombre: number }) : said.aucune);

/** Give `parent` as many children as there are `values`, and draw each by `act(child, value)`. */
function each(parent, values, build, act) {
  while (parent.children.length > values.length) parent.lastElementChild.remove();
  while (parent.children.length < values.length) parent.append(build());
  values.forEach((value, at) => act(parent.children[at], value, at));
}

function drawBars(list, values) {
  list.hidden = !values;
  each(list, values ?? [], () => make("li", {}, make("span", { className: "titre" }), make("strong")), (row, value) => {
    row.dataset.valeur = value.valeur ?? value.verdict;
    row.style.setProperty("--part", value.part);
    put(row.children[0], value.titre);
    put(row.children[1], value.nombre ? fill(said.valeur, { nombre: value.nombre, pourcent: Math.round(100 * value.part) }) : "0");
  });
}

function drawJoin() {
  const { adresses } = salle;
  if (address >= adresses.length) address = 0;
  $("sans-reseau").hidden = adresses.length > 0;
  $("invitation").hidden = $("qr").hidden = !adresses.length;
  $("choix-adresse").hidden = adresses.length < 2;
  const readable = adresses.map((one) => one.replace(/\/[^/]*$/, ""));
  each($("adresses"), readable, () => make("option"), (option, text, at) => { put(option, text); option.value = at; });
  $("adresses").value = address;
  if (!adresses.length) return;
  const [machine, path] = readable[address].split(/(?<=[^/])(?=\/[^/])/); // A narrow panel breaks the address there.
  put($("machine"), machine);
  put($("chemin"), path);
  const picture = $("qr");
  if (picture.getAttribute("src") !== salle.qr[address]) picture.src = salle.qr[address];
  picture.alt = fill(said.qr, { adresse: adresses[address] });
}

function drawPresence() {
  const { avancement, participants } = salle;
  put($("participants"), String(participants));
  put($("participants-mot"), said[participants > 1 ? "participants" : "participant"]);
  put($("verdicts-rendus"), String(salle.verdicts_rendus));
  put($("verdicts-mot"), said[salle.verdicts_rendus > 1 ? "verdicts_rendus" : "verdict_rendu"]);
  put($("legende"), participants ? said.legende : said.personne);
  each($("jauges"), avancement, () => make("span"), (gauge, one) => {
    gauge.className = one.fini ? "fini" : "";
    gauge.style.setProperty("--part", one.part);
  });
  const finis = avancement.filter((one) => one.fini).length, debut = avancement.filter((one) => !one.part).length;
  const encours = avancement.length - finis - debut;
  $("jauges").hidden = !participants;
  $("jauges").setAttribute("aria-label", fill(said.jauges, { participants: count(participants, "participant", "participants"), finis, encours, debut }));
  fit();
}

// The largest gauges that fit in their box, 1.6 times as high as they are wide; none where they would be dots.
function fit() {
  const box = $("jauges"), { clientWidth: width, clientHeight: height } = box, number = box.children.length;
  let best = 0, wide = 1;
  for (let columns = 1; columns <= number; columns += 1) {
    const size = Math.min(width / columns, height / Math.ceil(number / columns) / 1.6, 0.1 * innerHeight);
    if (size >= best) [best, wide] = [size, columns];
  }
  box.classList.toggle("trop-petites", best < 7);
  box.style.setProperty("--case", `${Math.floor(best * 10) / 10}px`);
  box.style.setProperty("--colonnes", wide);
}

function buildCard() {
  const ask = make("button", { type: "button", className: "secondaire poser", textContent: said.poser });
  ask.addEventListener("click", () => pose(ask.closest("li").dataset.slot));
  const name = make("div", {}, make("h3"), " ", make("p", { className: "nombre" }));
  return make("li", { className: "carte" }, make("div", { className: "tete-carte" }, name, ask), make("ul", { className: "barres" }));
}

function drawOverview() {
  const { assez, minimum, montre, questions } = salle;
  const open = montre && assez;
  const pages = Math.ceil(questions.length / BY_PAGE) + 1;
  shown = Math.min(shown, pages - 1);
  put($("raison"), open ? "" : fill(assez ? said.rideau : said.pas_assez, { minimum }));
  $("pages").hidden = !open;
  each($("pages"), Array.from({ length: pages }), () => make("button", { type: "button", className: "secondaire" }), (button, _, at) => {
    const [premiere, derniere] = [(at - 1) * BY_PAGE + 1, Math.min(at * BY_PAGE, questions.length)];
    put(button, at ? fill(premiere === derniere ? said.page_question : said.page_questions, { premiere, derniere }) : said.page_verdicts);
    button.setAttribute("aria-pressed", String(at === shown));
    button.onclick = () => turnTo(at);
  });
  $("verdicts").hidden = !open || shown > 0;
  $("cartes").hidden = open && shown === 0;
  each($("cartes"), questions, buildCard, (card, question, at) => {
    card.hidden = open && Math.floor(at / BY_PAGE) !== shown - 1;
    card.dataset.slot = question.slot;
    const [name, ask] = card.firstChild.children;
    put(name.firstChild, question.nom);
    ask.setAttribute("aria-label", fill(said.poser_dit, question));
    drawBars(card.lastChild, open ? question.valeurs : null);
    put(name.lastChild, open && !question.valeurs ? fill(said.pas_assez_ici, { minimum }) : replies(question.nombre));
  });
  drawBars($("barres-verdicts"), open ? salle.verdicts : null);
  $("raison-verdicts").hidden = !open || Boolean(salle.verdicts);
  put($("raison-verdicts"), fill(said.pas_assez_verdicts, { minimum }));
}

function drawQuestion() {
  const question = salle.questions.find((one) => one.slot === salle.question);
  if (!question) return;
  const { minimum, participants } = salle;
  put($("titre-question"), question.texte);
  put($("question-nombre"), fill(said.question_compte, { nombre: question.nombre, participants }));
  put($("question-mot"), said[question.nombre > 1 ? "ont_repondu" : "a_repondu"]);
  drawBars($("barres-question"), question.valeurs);
  $("rideau").hidden = Boolean(question.valeurs);
  put($("raison-question"), fill(question.nombre < minimum ? said.pas_assez_question : said.question_cachee, { minimum }));
}

function drawCommands(view) {
  $("montrer").hidden = view === "code";
  put($("montrer"), salle.montre ? said.cacher : said.reveler);
  $("montrer").setAttribute("aria-disabled", String(!salle.assez && !salle.montre));
  $("revenir").hidden = view !== "question";
  put($("grand"), view === "code" ? said.petit : said.grand);
  $("avec-csv").hidden = !salle.assez;
  $("garder").disabled = !salle.assez;
  $("sans-csv").hidden = salle.assez;
  put($("sans-csv"), fill(said.pas_assez, salle));
}

function draw() {
  const at = document.activeElement;
  const wide = large ?? (salle.participants < salle.minimum && !salle.question);
  const view = wide ? "code" : salle.question ? "question" : "ensemble";
  page.dataset.vue = view;
  page.dataset.rideau = salle.montre && salle.assez ? "ouvert" : "ferme";
  $("reponses").hidden = view !== "ensemble";
  $("question").hidden = view !== "question";
  drawJoin();
  drawOverview();
  drawQuestion();
  drawCommands(view);
  drawPresence();
  // What had the focus is gone from the screen: go on from the title of what took its place.
  if (at !== document.body && !at.getClientRects().length) {
    $({ code: "titre-rejoindre", ensemble: "titre-reponses", question: "titre-question" }[view]).focus({ preventScroll: true });
  }
  tellCounts();
}

// ── what is said aloud ──

const say = (text) => { $("annonce").textContent = text; };
let told = "", toldAt = 0, waiting = null;

const counts = () => fill(said.annonce, {
  participants: count(salle.participants, "participant", "participants"),
  verdicts: count(salle.verdicts_rendus, "verdict_rendu", "verdicts_rendus"),
});

// The counts, now and then: not at each change.
function tellCounts() {
  if (waiting || counts() === told) return;
  waiting = setTimeout(() => {
    waiting = null;
    toldAt = Date.now();
    say((told = counts()));
  }, Math.max(2_000, toldAt + BETWEEN - Date.now()));
}

// ── the line ──

let cut = null;

function down() {
  cut ??= setTimeout(() => { put($("coupure"), said.coupure); $("coupure").hidden = false; }, PATIENCE);
}

function up() {
  clearTimeout(cut);
  cut = null;
  if (!$("coupure").hidden) say(said.retablie);
  $("coupure").hidden = true;
}

function listen() {
  const stream = new EventSource(`${here}/evenements`);
  stream.addEventListener("salle", (event) => { up(); salle = JSON.parse(event.data); draw(); });
  stream.addEventListener("fin", () => { stream.close(); if (!ending) over(); });
  stream.addEventListener("fin_session", () => { stream.close(); signIn($("coupure")); });
  stream.addEventListener("open", up);
  stream.addEventListener("error", () => {
    down();
    if (stream.readyState === EventSource.CLOSED) retry();
  });
}

// The browser has given up: the session or the room is over, or the server is away for a while.
async function retry() {
  const answer = await fetch(here, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.redirected) location.reload(); // A new session was opened by itself.
  else if (answer?.status === 401) signIn($("coupure"));
  else if ([404, 409].includes(answer?.status)) over();
  else setTimeout(listen, AGAIN);
}

function signIn(box) {
  clearTimeout(cut);
  box.replaceChildren(`${said.session} `, make("a", { href: `/atelier/connexion?suite=${encodeURIComponent(location.pathname)}`, textContent: said.connexion }));
  box.hidden = false;
}

function over() {
  $("boite-terminer").close();
  page.hidden = $("coupure").hidden = $("faute").hidden = true;
  clearTimeout(cut);
  $("fini").hidden = false;
  $("titre-fini").focus();
}

// ── the trainer's commands ──

// The answer of the server, or null after having said what went wrong.
async function send(action, fields) {
  const box = $("boite-terminer").open ? $("faute-terminer") : $("faute");
  const headers = { "X-CSRF-Token": document.querySelector('meta[name="csrf"]')?.content ?? "", Accept: "application/json" };
  box.hidden = true;
  const answer = await fetch(`${here}/${action}`, { method: "POST", headers, body: new URLSearchParams(fields) }).catch(() => null);
  const found = (await answer?.json().catch(() => null)) ?? {};
  if (answer?.ok) return found;
  if (answer?.status === 401) signIn(box);
  else box.textContent = found.texte ?? (answer ? said.panne : said.non_envoye);
  box.hidden = false;
  return null;
}

async function pose(slot) {
  const question = salle.questions.find((one) => one.slot === slot);
  large = false;
  if (await send("question", { slot })) say(fill(said.posee, question));
}

function turnTo(number) {
  shown = number;
  draw();
}

$("montrer").addEventListener("click", async () => {
  if (!salle.assez && !salle.montre) { say(fill(said.pas_assez, salle)); return; }
  const show = !salle.montre;
  if (await send("montrer", { montre: show ? "oui" : "non" })) say(show ? said.revelees : said.cachees);
});
$("revenir").addEventListener("click", () => send("question", { slot: "" }));
$("grand").addEventListener("click", () => { large = page.dataset.vue !== "code"; draw(); });
$("adresses").addEventListener("change", () => { address = Number($("adresses").value); drawJoin(); });
$("terminer").addEventListener("click", () => { $("faute-terminer").hidden = true; $("boite-terminer").showModal(); });
$("continuer").addEventListener("click", () => $("boite-terminer").close());
$("confirmer").addEventListener("click", async () => {
  if (ending) return;
  ending = true;
  const found = await send("terminer", { garder: $("garder").checked ? "oui" : "non" });
  if (found) location.assign(found.aller ?? "/atelier");
  else ending = false;
});
addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey || $("pages").hidden || $("reponses").hidden) return;
  if ($("boite-terminer").open || event.target.matches("input, select, textarea")) return;
  turnTo(Math.max(0, Math.min(shown + step, $("pages").children.length - 1)));
});

new ResizeObserver(fit).observe($("jauges"));
draw();
listen();
