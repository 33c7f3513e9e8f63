// The column of the conversation: the person's words, the guide's, its buttons, and what is under way.

import { make } from "/widget/dom.js";
import { said } from "./demonstration.js";

function bubble(whose, name, text, note) {
  const made = make("div", { className: `bulle ${whose}` }, make("span", { className: "cache", textContent: name }), make("p", { className: "brut", textContent: text }));
  if (note) made.append(make("span", { className: "cache", textContent: note }));
  return made;
}

function group(turn) {
  const made = make("li", { className: "tour" });
  if (turn.vous) made.append(bubble(turn.bouton ? "personne par-bouton" : "personne", said.de_vous, turn.vous, turn.bouton && said.bouton));
  for (const message of turn.guide) made.append(bubble(message.type ? `guide ${message.type}` : "guide", said.de_guide, message.texte));
  return made;
}

export class Conversation {
  /** `log` scrolls and holds a list; `more` is pressed to see what is lower; `press(button)` when one of the guide's is. */
  constructor(log, more, press) {
    Object.assign(this, { log, list: log.querySelector("ol"), more, press, drawn: [], place: null, put: 0 });
    if (!more) return;
    const look = this.look = () => { more.hidden = log.scrollHeight - log.scrollTop - log.clientHeight < 24; };
    log.addEventListener("scroll", look);
    new ResizeObserver(() => {
      if (Math.abs(log.scrollTop - this.put) < 4) this.toLast();
      look();
    }).observe(log);
    more.addEventListener("click", () => log.scrollBy({ top: log.clientHeight * .8 }));
  }

  show(demonstration, { only } = {}) {
    const { turns, at, pending, busy } = demonstration;
    const from = only ? Math.max(0, at) : 0;
    const wanted = turns.slice(from, at + 1);
    const held = this.list.contains(document.activeElement);
    for (const part of this.list.querySelectorAll(".boutons, .en-cours")) part.remove();
    while (this.drawn.length && this.drawn.some(({ turn }, n) => wanted[n] !== turn)) this.drawn.pop().part.remove();
    for (const turn of wanted.slice(this.drawn.length)) {
      const part = group(turn);
      this.list.append(part);
      this.drawn.push({ turn, part });
    }
    this.list.classList.toggle("vide", !wanted.length);
    if (busy) this.list.append(this.waiting(pending));
    else if (demonstration.turn) this.drawn.at(-1)?.part.append(...this.buttons(demonstration));
    if (held && !this.list.contains(document.activeElement)) this.log.focus({ preventScroll: true });
    const place = `${at}/${turns.length}/${busy}`;
    if (place !== this.place) this.toLast();
    this.place = place;
    this.look?.();
  }

  /** The last turn in sight: its end, or its beginning where it is taller than the column. */
  toLast() {
    const last = this.list.lastElementChild;
    if (!last) return;
    const top = last.offsetTop - this.list.offsetTop;
    this.log.scrollTop = Math.min(last.offsetHeight > this.log.clientHeight ? top : Infinity, this.log.scrollHeight - this.log.clientHeight);
    this.put = this.log.scrollTop; // Who has scrolled elsewhere since is left there when the column changes its size.
  }

  waiting(pending) {
    const made = make("li", { className: "tour en-cours" });
    if (pending) made.append(bubble("personne", said.de_vous, pending));
    made.append(make("div", { className: "bulle guide points", ariaHidden: "true" }, make("i"), make("i"), make("i")));
    return made;
  }

  buttons(demonstration) {
    const all = demonstration.turn.guide.flatMap(({ boutons }) => boutons);
    if (!all.length) return [];
    const made = make("ul", { className: "boutons" });
    for (const one of all) {
      const part = demonstration.offers(one)
        ? make("button", { type: "button", className: "secondaire", textContent: one.titre, onclick: () => this.press(one) })
        : make("span", { className: "fige", textContent: one.titre });
      made.append(make("li", {}, part));
    }
    return [made];
  }
}
