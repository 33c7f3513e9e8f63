// The window's dialogs: the answers, each to edit in place; another device; a call back; erasing.

import { draw, fill, make } from "./dom.js";

export class Dialogs {
  #after = null;

  constructor(guide, content) {
    this.guide = guide;
    this.box = make("div", { id: "boites" });
    this.box.append(content);
    guide.root.append(this.box);
    for (const dialog of this.box.querySelectorAll("dialog")) {
      for (const close of dialog.querySelectorAll("[data-fermer]")) close.addEventListener("click", () => dialog.close());
      dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
    }
    const on = (id, act) => guide.$(id).addEventListener("click", () => this.#once(guide.$(id), act));
    on("confirmer-effacer", () => this.#erase());
    on("confirmer-recommencer", () => { guide.$("boite-recommencer").close(); guide.restart(); });
    on("partir", () => { guide.$("boite-depart").close(); guide.close(); });
    on("partir-effacer", () => { guide.$("boite-depart").close(); this.open("effacer"); });
    on("copier", () => this.#copy());
    guide.$("form-rappel").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#once(guide.$("envoyer-rappel"), () => this.#sendCallBack(event.target));
    });
  }

  // A button pressed twice acts once.
  async #once(button, act) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try { await act(); } finally { button.setAttribute("aria-disabled", "false"); }
  }

  isOpen() { return Boolean(this.box.querySelector("dialog[open]")); }

  open(name) {
    const dialog = this.guide.$(`boite-${name}`);
    for (const fault of dialog.querySelectorAll(".alerte")) fault.hidden = true;
    dialog.showModal();
    [...dialog.querySelectorAll("h3")].find((title) => title.checkVisibility?.() ?? title.offsetParent)?.focus();
    return dialog;
  }

  #fault(dialog, text) {
    const fault = dialog.querySelector(".alerte.generale");
    fault.textContent = text ?? this.guide.said.coupure;
    fault.hidden = false;
    fault.scrollIntoView({ block: "nearest" });
  }

  // ── the answers ──

  async answers() {
    const dialog = this.open("reponses");
    dialog.querySelector(".bilan").textContent = this.guide.said.chargement;
    dialog.querySelector(".resultat").textContent = "";
    await this.#fill(dialog);
  }

  async #fill(dialog) {
    const found = await this.guide.connection.call("GET", "api/reponses");
    const list = dialog.querySelector("ol");
    if (!found.ok) { this.#fault(dialog, found.texte); return; }
    const said = this.guide.said;
    const left = found.manquantes > 1 ? said.manquent : said.manque_une;
    dialog.querySelector(".bilan").textContent = found.verdict ? fill(said.verdict_actuel, found) : fill(left, found);
    list.replaceChildren(...found.questions.map((question) => this.#row(dialog, question, found)));
    return found;
  }

  #row(dialog, question, all) {
    const said = this.guide.said;
    const change = make("button", { type: "button", className: "lien", textContent: question.valeur ? said.modifier : said.repondre });
    change.setAttribute("aria-label", `${change.textContent} : ${question.nom}`);
    const answer = make("span", { className: question.valeur ? "donnee" : "donnee vide", textContent: question.reponse ?? said.sans_reponse });
    const row = make("li", {}, make("div", { className: "rangee" }, make("span", { className: "nom", textContent: question.nom }), answer, change));
    row.dataset.slot = question.slot;
    change.addEventListener("click", () => {
      change.hidden = true;
      const form = row.appendChild(this.#editor(dialog, question, all, change));
      form.scrollIntoView({ block: "nearest" });
      form.querySelector("input:checked, input").focus({ preventScroll: true });
    });
    return row;
  }

  #editor(dialog, question, all, change) {
    const said = this.guide.said;
    const effect = make("p", { className: "effet" });
    effect.setAttribute("role", "status");
    const form = make("form", { className: "modification" });
    const group = make("fieldset", {}, make("legend", { textContent: question.nom }));
    for (const choice of question.choix) {
      const radio = make("input", { type: "radio", name: "valeur", value: choice.valeur, checked: choice.valeur === question.valeur });
      radio.addEventListener("change", () => { effect.textContent = choice.valeur === question.valeur ? "" : this.#consequence(choice, all); });
      group.append(make("label", {}, radio, make("span", { textContent: choice.titre })));
    }
    const leave = () => { form.remove(); change.hidden = false; change.focus(); };
    form.append(group, effect, make("div", { className: "actions" },
      make("button", { type: "submit", textContent: said.enregistrer }),
      make("button", { type: "button", className: "secondaire", textContent: said.annuler, onclick: leave })));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const choice = question.choix.find((one) => one.valeur === new FormData(form).get("valeur"));
      if (!choice) { effect.textContent = said.choisir; return; }
      if (choice.valeur === question.valeur) { leave(); return; }
      const trouble = await this.#turn(() => this.guide.say({ choix: choice.choix }, `${question.nom} : ${choice.titre}`));
      if (trouble) { effect.textContent = trouble; return; }
      const found = await this.#fill(dialog);
      if (!found) return;
      const result = found.verdict && all.verdict ? (found.verdict === all.verdict ? said.enregistre_pareil : said.enregistre_change) : found.manquantes && !this.guide.adviser ? said.enregistre_manque : said.enregistre;
      dialog.querySelector(".resultat").textContent = fill(result, found);
      dialog.querySelector(`[data-slot="${question.slot}"] button`)?.focus();
    });
    return form;
  }

  #consequence(choice, all) {
    const said = this.guide.said;
    if (choice.questions) return choice.questions > 1 ? fill(said.questions_en_plus, choice) : said.question_en_plus;
    if (!all.verdict) return "";
    return fill(choice.verdict === all.verdict ? said.verdict_inchange : said.verdict_deviendrait, choice);
  }

  // Run `act`, then wait until the guide has answered: what went wrong, if anything.
  async #turn(act) {
    if (this.guide.waiting) return this.guide.said.patience;
    return new Promise((resolve) => { this.#after = resolve; act(); });
  }

  /** The guide has answered, or `trouble` says why not. */
  turnOver(trouble = "") {
    this.#after?.(trouble);
    this.#after = null;
  }

  // ── another device ──

  async elsewhere() {
    const guide = this.guide, dialog = this.open("ailleurs");
    guide.$("reprise").hidden = true;
    const whole = location.href.split("#")[0];
    const page = whole.length > 400 ? location.origin + location.pathname : whole; // A long query is a tracker's.
    const answer = await guide.connection.call("POST", "api/reprise", { adresse: page });
    if (!answer.ok) { this.#fault(dialog, answer.texte); return; }
    guide.$("code-donne").textContent = answer.code;
    guide.$("lien-donne").value = answer.lien;
    guide.$("duree").textContent = fill(guide.said.duree_code, answer);
    guide.$("copie").textContent = "";
    guide.$("qr").replaceChildren(this.#qr(answer.qr));
    guide.$("reprise").hidden = false;
  }

  #qr(rows) {
    const size = rows.length + 8;
    const d = rows.flatMap((row, y) => [...row].map((dark, x) => (dark === "1" ? `M${x} ${y}h1v1h-1z` : ""))).join("");
    const svg = draw("svg", { viewBox: `-4 -4 ${size} ${size}`, role: "img", "aria-label": this.guide.said.qr });
    svg.append(draw("path", { d }));
    return svg;
  }

  async #copy() {
    const guide = this.guide, link = guide.$("lien-donne");
    try {
      await navigator.clipboard.writeText(link.value);
    } catch {
      link.select();
      document.execCommand("copy");
    }
    guide.$("copie").textContent = guide.said.copie;
  }

  // ── a call back, and erasing ──

  callBack() {
    const done = Boolean(this.guide.$("rappel-a").textContent);
    this.guide.$("form-rappel").hidden = done;
    this.guide.$("rappel-fait").hidden = !done;
    this.open("rappel");
  }

  async #sendCallBack(form) {
    const guide = this.guide, field = (id) => guide.$(id);
    const answer = await guide.connection.call("POST", "api/rappel", {
      nom: field("nom").value, joindre: field("joindre").value, message: field("mot").value, accord: field("accord").checked,
    });
    const faults = answer.fautes ?? {};
    for (const name of ["nom", "joindre", "accord"]) {
      field(`erreur-${name}`).textContent = faults[name] ?? "";
      field(`erreur-${name}`).hidden = !faults[name];
      if (faults[name]) field(name).setAttribute("aria-invalid", "true");
      else field(name).removeAttribute("aria-invalid");
    }
    const wrong = Object.keys(faults)[0];
    if (wrong) field(wrong).focus();
    else if (!answer.ok) this.#fault(field("boite-rappel"), answer.texte);
    if (!answer.ok) return;
    field("rappel-a").textContent = fill(guide.said.rappel_a, { nom: field("nom").value, joindre: field("joindre").value });
    form.reset();
    form.hidden = true;
    field("rappel-fait").hidden = false;
    field("rappel-fait").querySelector("h3").focus();
  }

  async #erase() {
    const dialog = this.guide.$("boite-effacer");
    const answer = await this.guide.connection.call("DELETE", "api/conversation");
    if (!answer.ok && answer.status !== 404) { this.#fault(dialog, answer.texte); return; }
    dialog.close();
    this.guide.ended(answer.texte);
  }
}
