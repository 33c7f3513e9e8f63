// « Changez une réponse » : the answers as lists to choose from, over the conversation. What is chosen is tried, never stored.

import { make } from "/widget/dom.js";
import { post, said } from "./demonstration.js";

const panel = document.getElementById("essai");
const list = panel.querySelector(".liste-essai"), alert = panel.querySelector(".alerte");

export class Trial {
  /** `show(trial | null)`: a trial `{capot, real}` to draw, or the real answers again. */
  constructor(show) {
    Object.assign(this, { show, real: null, given: {}, last: 0 });
    panel.querySelector("[data-fin-essai]").addEventListener("click", () => this.close());
    list.addEventListener("change", ({ target }) => this.change(target.name, target.value || null));
  }

  get open() { return !panel.hidden; }

  begin(real) {
    this.real = real;
    this.given = Object.fromEntries(real.reponses.map(({ slot, valeur }) => [slot, valeur]));
    panel.hidden = false;
    alert.hidden = true;
    list.replaceChildren();
    this.fields(real.reponses);
    this.show({ capot: real, real });
    list.querySelector("select")?.focus();
  }

  close() {
    if (!this.open) return;
    this.last += 1; // What is still under way comes too late.
    panel.hidden = true;
    this.show(null);
  }

  async change(slot, value) {
    this.given[slot] = value;
    const mine = ++this.last;
    try {
      const capot = await post("/atelier/capot", { reponses: JSON.stringify(this.given) });
      if (mine !== this.last) return;
      alert.hidden = true;
      this.fields(capot.reponses);
      this.show({ capot, real: this.real });
    } catch (error) {
      if (mine !== this.last) return;
      alert.textContent = error.message;
      alert.hidden = false;
    }
  }

  // Each list stays the same element for as long as its question is asked: it keeps the focus.
  fields(questions) {
    for (const part of [...list.children]) if (!questions.some(({ slot }) => slot === part.dataset.slot)) part.remove();
    questions.forEach((question, n) => {
      const part = list.querySelector(`[data-slot="${question.slot}"]`) ?? this.field(question);
      if (list.children[n] !== part) list.insertBefore(part, list.children[n] ?? null);
      const real = this.real.reponses.find(({ slot }) => slot === question.slot);
      part.classList.toggle("changee", (real?.valeur ?? null) !== (question.valeur ?? null) || !real);
      part.classList.toggle("manque", !question.valeur);
      part.querySelector("select").value = question.valeur ?? "";
    });
  }

  field({ slot, nom, choix }) {
    const select = make("select", { name: slot, id: `essai-${slot}` }, make("option", { value: "", textContent: said.sans_reponse }), ...choix.map(({ valeur, titre }) => make("option", { value: valeur, textContent: titre })));
    const part = make("div", { className: "champ" }, make("label", { htmlFor: select.id, textContent: nom }), select);
    part.dataset.slot = slot;
    return part;
  }
}
