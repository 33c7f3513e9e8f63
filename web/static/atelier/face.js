// The projector with two personas side by side: one transport drives both, and at the end what differs between them is lit.

import { fill, make } from "/widget/dom.js";
import { Conversation } from "./conversation.js";
import { drawLevers, drawTable } from "./capot.js";
import { Demonstration, said, showFault, standing } from "./demonstration.js";
import { listenToKeys } from "./touches.js";
import { Transport } from "./transport.js";

const $ = (id) => document.getElementById(id);
const compare = $("comparer"), table = $("differences");
const personas = JSON.parse($("personas").textContent);
const columns = [...document.querySelectorAll(".cote")];
const demonstrations = personas.map((persona) => new Demonstration(persona, refresh));
const transport = new Transport(demonstrations);
const sides = columns.map((column, n) => ({ column, demonstration: demonstrations[n], conversation: new Conversation(column.querySelector(".fil"), null, () => {}), shown: null }));
let told = "";

function refresh() {
  transport.changed();
  for (const side of sides) drawSide(side);
  const done = demonstrations.every((one) => one.finished);
  if (done === compare.hidden) {
    compare.hidden = !done;
    differences(false); // The room looks for it first.
  }
  const words = `${transport.place}. ${demonstrations.map((one, n) => (one.turn ? `${personas[n].titre} : ${standing(one.turn.capot)}` : "")).join(". ")}.`;
  if (words !== told && !transport.busy) $("annonce").textContent = told = words;
}

function drawSide(side) {
  const { column, demonstration, conversation } = side;
  const part = (name) => column.querySelector(name);
  conversation.show(demonstration, { only: true });
  part(".attente").textContent = demonstration.busy ? said.reflechit : "";
  showFault(part(".panne"), demonstration, make);
  column.classList.toggle("terminee", demonstration.finished);
  const { turn, turns, at } = demonstration;
  if (!turn || turn === side.shown) return;
  side.shown = turn;
  const { capot } = turn, before = at > 0 ? turns[at - 1].capot : null;
  part(".bandeau").className = `bandeau ${capot.verdict ? "rendu" : "provisoire"}`;
  column.classList.toggle("provisoire", !capot.verdict);
  part(".dit").replaceChildren(make("strong", { textContent: standing(capot) }));
  part(".resume").replaceChildren(...summary(capot));
  drawTable(part("tbody"), capot.table, before?.table);
  drawLevers(part(".leviers-cote"), capot, before, { brief: true });
}

/** What was heard and stored, in one line. */
function summary({ entendu, note }) {
  if (!entendu || entendu.genre === "ouverture") return [said.entendu_ouverture];
  const heard = entendu.genre === "bouton" ? said.resume_bouton : entendu.compris ? entendu.titre : said.pas_compris;
  const sure = entendu.genre !== "bouton" && entendu.certitude !== null ? `, ${fill(said.sur, { n: entendu.certitude })}` : "";
  const stored = note.map(({ nom, apres }) => `${nom} → ${apres ?? said.effacee}`).join(" ; ");
  return [make("strong", { textContent: heard }), sure, " · ", stored ? fill(said.resume_note, { texte: stored }) : said.resume_rien];
}

// ── what differs ──

function differences(on) {
  compare.setAttribute("aria-pressed", String(on));
  table.hidden = !on;
  for (const { column } of sides) column.querySelector(".fil").inert = on;
  if (!on) return;
  const answers = demonstrations.map((one) => new Map(one.turn.capot.reponses.map((answer) => [answer.slot, answer])));
  const slots = [...new Set(answers.flatMap((one) => [...one.keys()]))];
  const different = slots.filter((slot) => answers[0].get(slot)?.valeur !== answers[1].get(slot)?.valeur);
  const same = slots.length - different.length;
  const cell = (answer) => make("td", {}, answer ? make("strong", { textContent: answer.titre }) : make("em", { textContent: said.pas_posee }));
  const lines = demonstrations.map((one) => one.turn.capot.table.find(({ etat }) => etat === "tient"));
  const decides = make("tr", {}, make("th", { scope: "row", textContent: said.ligne_qui_decide }), ...lines.map((line) => make("td", {}, line ? `${line.numero} · ${line.condition}` : "")));
  table.querySelector("tbody").replaceChildren(...different.map((slot) => {
    const both = answers.map((one) => one.get(slot));
    return make("tr", {}, make("th", { scope: "row", textContent: (both[0] ?? both[1]).nom }), ...both.map(cell));
  }), decides);
  const words = different.length ? fill(same === 1 ? said.identique_une : said.identiques, { n: same }) : said.aucune_difference;
  table.querySelector(".note").textContent = words;
}

function toggleCompare() {
  if (compare.hidden) return false;
  differences(compare.getAttribute("aria-pressed") !== "true");
}

compare.addEventListener("click", toggleCompare);
listenToKeys({
  ArrowLeft: () => transport.back(),
  ArrowRight: () => transport.on(),
  " ": () => transport.toggle(),
  d: toggleCompare,
  h: () => transport.showStory(),
  "?": () => $("touches").showModal(),
});

for (const one of demonstrations) one.open();
