// The projector with one conversation: what is on screen follows the demonstration, its transport, the panels made large and
// the answers tried.

import { fill, make } from "/widget/dom.js";
import { Conversation } from "./conversation.js";
import { drawHood } from "./capot.js";
import { Demonstration, said, showFault, standing } from "./demonstration.js";
import { Trial } from "./essai.js";
import { listenToKeys } from "./touches.js";
import { Transport, off } from "./transport.js";

const $ = (id) => document.getElementById(id);
const hood = $("capot"), band = $("bandeau"), form = $("envoi"), field = $("saisie"), hand = $("main"), change = $("changer");
const [persona] = JSON.parse($("personas").textContent);
const SLOW = 8_000;

const demonstration = new Demonstration(persona, refresh);
const transport = new Transport([demonstration], () => foot());
const conversation = new Conversation($("fil"), $("suite"), (bouton) => { demonstration.send({ bouton }); $("fil").focus({ preventScroll: true }); });
const trial = new Trial(showTrial);
let shown = null, slow = null;

// ── what is on screen ──

function refresh() {
  transport.changed();
  conversation.show(demonstration);
  const { turn } = demonstration;
  off(change, !turn || turn.capot.repondues === 0);
  if (!turn || turn === shown) return;
  shown = turn;
  if (trial.open) trial.close();
  else drawReal();
  $("annonce").textContent = `${transport.place}. ${standing(turn.capot)}.`;
}

function foot() {
  const { busy, byHand, fault, finished, pending } = demonstration;
  clearTimeout(slow);
  $("attente").textContent = busy ? said.reflechit : "";
  if (busy) slow = setTimeout(() => { $("attente").textContent = said.long; }, SLOW);
  showFault($("panne"), demonstration, make);
  if ($("panne-histoire")) showFault($("panne-histoire"), demonstration, make);
  form.hidden = !byHand;
  $("joue").hidden = byHand;
  $("joue").textContent = byHand || busy || fault ? "" : finished ? said.ecrit_fin : transport.playing ? said.ecrit : said.ecrit_pause;
  if (persona && busy && pending) $("joue").textContent = said.ecrit;
  if (hand) hand.firstChild.textContent = `${byHand ? said.rejouer : said.prendre} `;
}

function drawReal() {
  const { turn, turns, at } = demonstration;
  if (!turn) return;
  drawHood(turn.capot, at > 0 ? turns[at - 1].capot : null, { open: openSection });
  heading(turn.capot, [turn.capot.verdict ? make("strong", { textContent: turn.capot.verdict.titre }) : standing(turn.capot)]);
  change.firstChild.textContent = `${said.changer} `;
  inTrial(false);
  fit();
}

function heading(capot, words, kind = capot.verdict ? "rendu" : "provisoire") {
  band.className = `bandeau ${kind}`;
  hood.classList.toggle("provisoire", !capot.verdict);
  band.querySelector(".dit").replaceChildren(...(kind === "rendu" ? [make("span", { className: "rubrique", textContent: `${said.verdict} ` })] : []), ...words);
}

// ── a trial ──

function inTrial(on) {
  hood.classList.toggle("a-l-essai", on);
  hood.querySelector(".cle span").textContent = on ? said.nouveau_essai : said.nouveau_tour;
}

function showTrial(tried) {
  change.setAttribute("aria-expanded", String(Boolean(tried)));
  if (!tried) {
    drawReal();
    return change.focus({ preventScroll: true });
  }
  const { capot, real } = tried;
  drawHood(capot, real, { trial: true, open: openSection });
  const now = standing(capot), was = standing(real), same = now === was;
  const verdict = [...(same ? [] : [make("s", { textContent: was }), make("span", { className: "fleche", textContent: " → " })]), make("strong", { textContent: now })];
  heading(capot, [make("span", { className: "rubrique", textContent: `${said.essai} ` }), ...verdict], "essai-en-cours");
  change.firstChild.textContent = `${said.revenir} `;
  inTrial(true);
  if (["1", "2"].includes(hood.dataset.agrandi)) enlarge(hood.dataset.agrandi);
  $("annonce").textContent = `${said.essai}. ${same ? "" : `${was} → `}${now}.`;
  fit();
}

function toggleTrial() {
  if (trial.open) return trial.close();
  if (change.getAttribute("aria-disabled")) return;
  transport.pause();
  trial.begin(demonstration.turn.capot);
}

// ── panels ──

function enlarge(number) {
  if (trial.open && ["1", "2"].includes(number) && hood.dataset.agrandi !== number) return;
  const large = hood.dataset.agrandi === number ? "" : number;
  hood.dataset.agrandi = large;
  for (const button of hood.querySelectorAll("[data-agrandit]")) {
    const on = button.dataset.agrandit === large;
    button.setAttribute("aria-pressed", String(on));
  }
  fit();
  const place = hood.contains(document.activeElement) && !document.activeElement.checkVisibility() ? hood : null;
  place?.focus({ preventScroll: true });
}

function openSection(section) {
  if (hood.dataset.agrandi !== "5") enlarge("5");
  const item = hood.querySelector(`[data-section="${section}"]`);
  for (const one of hood.querySelectorAll(".parties .choisie")) one.classList.remove("choisie");
  item.classList.add("choisie");
  item.querySelector("button").focus();
}

// Where all does not hold on the screen, what matters least makes room, and each panel says with which key it is read.
function fit() {
  for (let level = 0; level <= 5; level += 1) {
    hood.dataset.serre = level;
    if (hood.scrollHeight <= hood.clientHeight + 1) break;
  }
  for (const panel of hood.querySelectorAll(".panneau")) {
    const hidden = [...panel.querySelectorAll(".suivants, .entendues :is(dt, .jauge), .notees dt")].some((part) => !part.checkVisibility());
    const rest = panel.querySelector(".reste");
    if (!rest) continue;
    rest.hidden = !hidden || Boolean(hood.dataset.agrandi);
    rest.textContent = fill(said.reste, { n: panel.dataset.panneau });
  }
}
new ResizeObserver(fit).observe(hood);

// ── by hand ──

function takeHand() {
  if (demonstration.byHand && persona) return replay();
  transport.pause();
  demonstration.takeOver();
  field.focus();
}

function replay() {
  demonstration.open();
  transport.start();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const texte = field.value.trim();
  if (!texte || demonstration.busy) return;
  field.value = "";
  demonstration.send({ texte }, texte);
});
hand?.addEventListener("click", takeHand);
change.addEventListener("click", toggleTrial);
hood.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-agrandit]");
  if (button) enlarge(button.dataset.agrandit);
});

listenToKeys({
  ArrowLeft: () => transport.back(),
  ArrowRight: () => transport.on(),
  " ": () => (persona ? transport.toggle() : false),
  ...Object.fromEntries([..."12345"].map((number) => [number, () => enlarge(number)])),
  c: toggleTrial,
  m: () => (hand ? takeHand() : false),
  h: () => (persona ? transport.showStory() : false),
  e: () => (form.hidden ? false : field.focus()),
  "?": () => $("touches").showModal(),
  Escape: (inField) => {
    if (hood.dataset.agrandi) return enlarge(hood.dataset.agrandi);
    if (trial.open) return trial.close();
    return inField ? $("fil").focus() : false;
  },
});

demonstration.open();
