// Under the hood: what was heard, what was stored, the decision table, the levers, the parts of the article. Each is drawn next
// to what was there before, so that what has changed is lit for a moment and keeps a mark.

import { draw, fill, make } from "/widget/dom.js";
import { said } from "./demonstration.js";

const FILLED = { fort: 1, solide: 1, moyen: .55, fragile: .22, nul: 0, inconnu: 0 };
const WIDTH = 120;

const star = () => [make("span", { className: "etoile", ariaHidden: "true", textContent: "✱" }), make("span", { className: "cache", textContent: said.nouveau })];
const arrow = () => make("span", { className: "fleche", ariaHidden: "true", textContent: "→" });

// ── 1. heard ──

function certainty(percent) {
  const bar = draw("svg", { class: "jauge certitude", viewBox: `0 0 ${WIDTH} 14`, preserveAspectRatio: "none", "aria-hidden": "true" });
  bar.append(draw("rect", { class: "fond", x: 1, y: 1, width: WIDTH - 2, height: 12, rx: 3 }), draw("rect", { class: "plein", x: 1, y: 1, width: Math.max(2, (WIDTH - 2) * percent / 100), height: 12, rx: 3 }));
  return make("span", { className: "sur" }, bar, make("span", { textContent: fill(said.part, { n: percent }) }));
}

function drawHeard(place, heard) {
  place.replaceChildren();
  if (!heard) return;
  if (heard.genre === "ouverture") return place.append(make("p", { className: "note", textContent: said.entendu_ouverture }));
  if (heard.genre === "bouton") {
    place.append(make("p", { className: "entendu-titre", textContent: said.entendu_bouton }), make("p", { textContent: fill(said.cite, { texte: heard.texte }) }));
    return;
  }
  place.append(make("p", { className: "citation", textContent: fill(said.cite, { texte: heard.texte }) }));
  const head = make("div", { className: "entendu-titre" }, make("strong", { textContent: heard.titre }));
  if (heard.certitude !== null) head.append(certainty(heard.certitude));
  if (!heard.compris) {
    place.append(make("p", { className: "pas-compris" }, make("span", { ariaHidden: "true", textContent: "✕ " }), make("strong", { textContent: said.pas_compris })));
    head.append(make("p", { className: "note", textContent: said.pas_compris_suite }));
  }
  place.append(head);
  if (heard.reponses.length) {
    const list = make("dl", { className: "entendues" });
    for (const { nom, titre, certitude } of heard.reponses) {
      const value = make("dd", {}, make("strong", { textContent: titre }));
      if (certitude !== null) value.append(certainty(certitude));
      list.append(make("div", {}, make("dt", { textContent: nom }), value));
    }
    place.append(list);
  }
  if (heard.suivants.length) {
    const list = make("ul", {}, ...heard.suivants.map(({ titre, certitude }) => make("li", { textContent: fill(said.suivant, { titre, n: certitude }) })));
    place.append(make("div", { className: "suivants" }, make("p", { textContent: heard.compris ? said.suivants : said.suivants_incompris }), list));
  }
}

// ── 2. stored ──

function change({ nom, avant, apres }) {
  const value = make("dd");
  if (avant) value.append(make("s", { textContent: avant }), " ", arrow(), " ");
  value.append(make("strong", { textContent: apres ?? said.effacee }));
  return make("div", { className: "neuf" }, make("dt", { textContent: nom }), value);
}

function drawStored(place, capot) {
  const { note } = capot;
  const part = note.length ? make("dl", { className: "notees" }, ...note.map(change)) : make("p", { className: "note", textContent: said.rien_note });
  const dots = make("span", { className: "points-reponses", ariaHidden: "true" });
  for (let n = 0; n < capot.total; n += 1) dots.append(make("i", { className: n < capot.repondues ? "faite" : "" }));
  const words = capot.repondues === 1 ? said.repondues_une : said.repondues;
  // All that is stored, for when the panel is made large.
  const all = capot.reponses.flatMap(({ nom, titre }) => [make("dt", { textContent: nom }), make("dd", { textContent: titre ?? said.sans_reponse })]);
  place.replaceChildren(part, make("p", { className: "compte" }, dots, fill(words, { n: capot.repondues, total: capot.total })), make("dl", { className: "toutes-reponses" }, ...all));
}

// ── 3. the table ──

const SIGNS = { tient: "▶", ecartee: "✕", ouverte: "○", sans_objet: "·" };

/** `trial`: `before` is what really holds, its line and the one of the trial are both marked. */
export function drawTable(body, lines, before, trial) {
  body.replaceChildren(...lines.map((line, n) => {
    const was = before?.[n]?.etat;
    const changed = was && was !== line.etat;
    const row = make("tr", { className: `ligne ${line.etat}${changed ? " neuf" : ""}` });
    row.dataset.ligne = line.numero;
    const number = make("th", { scope: "row" }, make("span", { className: "signe", ariaHidden: "true", textContent: SIGNS[line.etat] }), make("span", { className: "numero-ligne", textContent: line.numero }), make("span", { className: "cache", textContent: `${said[`etat_${line.etat}`]}. ` }));
    const held = trial && was === "tient", holds = line.etat === "tient";
    if (changed && !trial) number.append(...star());
    row.classList.toggle("tenait", Boolean(held && !holds));
    const condition = make("td", { className: "si" }, make(line.etat === "ecartee" ? "s" : "span", { textContent: line.condition }));
    const then = make("td", { className: "alors" }, make(line.etat === "ecartee" ? "s" : "span", { className: "titre", textContent: line.titre }));
    if (line.raison) then.append(make("span", { className: "raison", textContent: line.raison }));
    if (trial && (held || holds)) then.append(" ", make("span", { className: "marque-essai", textContent: holds ? said.maintenant : said.avant }));
    row.append(number, condition, then);
    return row;
  }));
}

// ── 4. the levers ──

/** A gauge: length and pattern say the force, a dashed line where it was. */
function gauge(force, was) {
  const made = draw("svg", { class: `jauge force-${force}`, viewBox: `0 0 ${WIDTH} 18`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const full = WIDTH - 4, length = full * FILLED[force];
  made.append(draw("rect", { class: "fond", x: 2, y: 2, width: full, height: 14, rx: 4 }));
  if (length) made.append(draw("rect", { class: "plein", x: 2, y: 2, width: length, height: 14, rx: 4, ...(force === "moyen" ? { fill: "url(#hachures)" } : {}) }));
  if (force === "nul") made.append(draw("rect", { class: "plein", x: 2, y: 2, width: 4, height: 14, rx: 1 }));
  if (FILLED[was]) {
    const x = 2 + Math.min(full - 2, full * FILLED[was]);
    made.append(draw("path", { class: "avant", d: `M${x} 0V18` }));
  }
  return made;
}

/** `before`: in a trial, what it really is, in words. */
function lever(name, force, words, was, before, kind = "") {
  const moved = was !== undefined && was !== force;
  const now = make("span", { className: moved ? "force marque-neuf" : "force" });
  if (moved && before) now.append(before, " ", arrow(), " ");
  else if (moved) now.append(...star());
  now.append(words);
  const value = make("dd", {}, gauge(force, moved ? was : null), now);
  return make("div", { className: `levier ${kind}${moved ? " neuf" : ""}` }, make("dt", { textContent: name }), value);
}

/** The three levers, then what they make together; `brief`: the levers alone. */
export function drawLevers(place, capot, before, { brief = false, trial = false } = {}) {
  const list = make("dl", { className: "leviers" });
  for (const { levier, nom, force, force_texte } of capot.leviers) {
    const was = before?.leviers.find((one) => one.levier === levier);
    list.append(lever(nom, force, force_texte, was?.force, trial && was.force_texte));
  }
  if (!brief) {
    const { enjeu, socle } = capot;
    list.append(
      lever(said.enjeu, enjeu.force, said[`force_${enjeu.force}`], before?.enjeu.force, trial && said[`force_${before.enjeu.force}`], "ensemble"),
      lever(said.socle, socle.niveau, said[`niveau_${socle.niveau}`], before?.socle.niveau, trial && said[`niveau_${before.socle.niveau}`], "ensemble"),
    );
  }
  place.replaceChildren(list);
  if (!brief) {
    const words = make("dl", { className: "en-clair" });
    for (const [name, { texte }] of [[said.enjeu_long, capot.enjeu], [said.socle_long, capot.socle]]) words.append(make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: texte })));
    place.append(words);
  }
}

// ── 5. the parts of the article ──

function drawSections(place, sections, before, trial, open) {
  place.replaceChildren();
  if (!sections.length && !trial) return place.append(make("p", { className: "note", textContent: said.aucune_section }));
  const list = make("ol", { className: "parties" });
  for (const { section, nom, explication } of sections) {
    const isNew = before && !before.some((one) => one.section === section);
    const name = make("button", { type: "button", className: "jeton", onclick: () => open(section) }, nom);
    if (isNew) name.append(" ", ...star());
    const item = make("li", { className: isNew ? "neuf" : "" }, name, make("p", { className: "explication", textContent: explication }));
    item.dataset.section = section;
    list.append(item);
  }
  place.append(list);
  const gone = trial ? before.filter(({ section }) => !sections.some((one) => one.section === section)) : [];
  if (gone.length) place.append(make("ul", { className: "parties disparues" }, ...gone.map(({ nom }) => make("li", {}, make("s", { textContent: nom }), " ", make("span", { textContent: said.disparait })))));
}

// ── the whole ──

const corps = (name) => document.querySelector(`[data-corps="${name}"]`);

/**
 * Draw the five panels. `before`: the hood to compare with, if any. `trial`: it is what really holds; nothing is then heard nor
 * stored. `open(section)` is called when a part of the article is pressed.
 */
export function drawHood(capot, before, { trial = false, open }) {
  if (!trial) {
    drawHeard(corps("entendu"), capot.entendu);
    drawStored(corps("note"), capot);
  }
  drawTable(document.querySelector("#capot tbody"), capot.table, before?.table, trial);
  drawLevers(corps("leviers"), capot, before, { trial });
  drawSections(corps("sections"), capot.sections, before?.sections, trial, open);
}
