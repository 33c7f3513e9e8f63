// One conversation with the guide, held on the trainer's screen: its turns, kept so that one can go back through them, the
// requests that make the next one, and what to do when a request fails. Draws nothing.

import { fill } from "/widget/dom.js";

export const said = JSON.parse(document.getElementById("textes").textContent);
const PATIENCE = 30_000; // Milliseconds.

class Fault extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

/** What stops with `signal`, or after so many milliseconds. */
function either(signal, milliseconds) {
  const stopped = new AbortController(), stop = () => stopped.abort();
  setTimeout(stop, milliseconds);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  return stopped.signal;
}

/** Send a form; resolves to the JSON answered, or throws a Fault that says why not. */
export async function post(url, fields, signal) {
  const limit = either(signal, PATIENCE);
  let answer, data;
  try {
    answer = await fetch(url, {
      method: "POST",
      headers: { "X-CSRF-Token": document.querySelector('meta[name="csrf"]')?.content ?? "", Accept: "application/json" },
      body: new URLSearchParams(fields),
      signal: limit,
    });
    data = await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw answer ? new Fault(said.panne, answer.status) : new Fault(said.coupure, 0);
  }
  if (!answer.ok) throw new Fault(data.texte ?? said.panne, answer.status);
  return data;
}

export class Demonstration {
  /** `changed()` is called whenever there is something new to show. */
  constructor(persona, changed) {
    this.persona = persona;
    this.changed = changed;
    this.reset();
  }

  reset() {
    this.underWay?.abort();
    Object.assign(this, { turns: [], at: -1, byHand: !this.persona, busy: false, pending: null, fault: null, unsure: false, underWay: null });
  }

  get last() { return this.turns.length - 1; }
  get turn() { return this.turns[this.at]; }
  get steps() { return this.persona?.messages.length ?? 0; }
  /** Whether the persona has something more to say. */
  get unsaid() { return !this.byHand && this.last < this.steps; }
  get finished() { return this.last >= 0 && !this.unsaid && this.at === this.last; }

  /** Begin, or begin again. */
  open() {
    const old = this.id ? { retirer: this.id } : {};
    this.reset();
    return this.request(async (signal) => {
      let made;
      try {
        made = await post("/atelier/demonstrations", old, signal);
      } catch (error) {
        if (error.status !== 404) throw error;
        made = await post("/atelier/demonstrations", {}, signal); // The old one was erased already.
      }
      this.id = made.demonstration;
      this.add(made.tour);
    });
  }

  /** Show this step: from memory, or as the persona's next message. */
  goTo(step) {
    if (this.busy || step < 0) return null;
    if (step <= this.last) {
      Object.assign(this, { at: step, fault: null });
      return this.changed();
    }
    if (step > this.last + 1 || !this.unsaid || this.last < 0) return null;
    this.at = this.last;
    const message = this.persona.messages[this.last];
    return this.send(message, message.texte);
  }

  /** Send what was typed (`texte`), a value of the open question (`valeur`), or a button of the turn shown (`bouton`). */
  send(fields, words) {
    if (this.busy || this.last < 0) return null;
    return this.request(async (signal) => {
      await this.settle(signal);
      const turn = await post(`/atelier/demonstrations/${encodeURIComponent(this.id)}/messages`, this.fields(fields), signal);
      this.add(turn);
    }, words ?? fields.bouton?.titre ?? null);
  }

  fields({ bouton, texte, valeur }) {
    if (texte) return { texte };
    if (valeur) return { valeur };
    return this.turn.of === this.id ? { choix: bouton.choix } : { valeur: this.valueOf(bouton) };
  }

  /** A button of a turn that another conversation held serves no more: the value that it stands for does. */
  valueOf(button) {
    const among = this.turn?.guide.find((message) => message.type === "question" && message.boutons.includes(button));
    const question = among && this.turn.capot.reponses.find(({ choix }) => among.boutons.every(({ titre }) => choix.some((one) => one.titre === titre)));
    return question?.choix.find(({ titre }) => titre === button.titre)?.valeur;
  }

  /** Whether a button of the turn shown can be pressed. */
  offers(button) {
    return this.byHand && Boolean((this.turn.of === this.id && this.at === this.last && !this.unsure) || this.valueOf(button));
  }

  /** The trainer goes on by hand, from the turn on screen. */
  takeOver() {
    this.byHand = true;
    this.fault = null;
    this.changed();
  }

  // Where the turn on screen is no longer the last, or a failed message may have been taken all the same, a conversation that
  // stands at that turn takes the place of this one.
  async settle(signal) {
    if (this.at === this.last && !this.unsure) return;
    const turns = this.at + 1;
    const made = await post("/atelier/demonstrations", { depuis: this.id, tours: turns, retirer: this.id }, signal);
    this.id = made.demonstration;
    this.turns.length = turns;
    this.unsure = false;
  }

  add(turn) {
    this.turns.push({ ...turn, of: this.id });
    this.at = this.last;
  }

  async request(work, pending = null) {
    const underWay = new AbortController();
    Object.assign(this, { busy: true, pending, fault: null, underWay });
    this.changed();
    try {
      await work(underWay.signal);
    } catch (error) {
      if (underWay.signal.aborted) return;
      this.unsure ||= !(error.status >= 400 && error.status < 500);
      this.fault = { text: error instanceof Fault ? error.message : said.panne, status: error.status, again: () => this.request(work, pending) };
      if (!(error instanceof Fault)) console.error(error);
    }
    Object.assign(this, { busy: false, pending: null });
    this.changed();
  }
}

/** Say in `place` what went wrong, with what to press; nothing if nothing did. */
export function showFault(place, demonstration, make) {
  const { fault } = demonstration;
  place.hidden = !fault;
  if (place.dataset.said === (fault?.text ?? "")) return;
  place.dataset.said = fault?.text ?? "";
  place.replaceChildren();
  if (!fault) return;
  const ways = make("p", { className: "actions" });
  if (fault.status === 401) ways.append(make("a", { className: "bouton", href: `/atelier/connexion?suite=${encodeURIComponent(location.pathname + location.search)}`, textContent: said.se_connecter }));
  else if (fault.status === 404) ways.append(make("button", { type: "button", textContent: said.recommencer, onclick: () => demonstration.open() }));
  else ways.append(make("button", { type: "button", textContent: said.reessayer, onclick: () => demonstration.fault?.again() }));
  place.append(make("p", { textContent: fault.text }), ways);
}

/** How far the questions are answered, and whether the verdict is there. */
export function standing(capot) {
  const missing = capot.total - capot.repondues;
  if (capot.verdict) return capot.verdict.titre;
  return missing === 1 ? said.provisoire_une : fill(said.provisoire, { n: missing });
}
