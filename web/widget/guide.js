// The open window: shows what the door sends, sends what the visitor types or chooses. It holds no dialogue logic; its
// words are in `templates/widget.html`. Everything that people or the guide say is written as text, never as HTML.

import { Connection, memory } from "./connection.js";
import { Dialogs } from "./dialogs.js";
import { fill, make } from "./dom.js";
import { card, printed } from "./verdict.js";

const DRAFT = "bon-moment:brouillon";
const session = memory(() => sessionStorage);
const SMALL = "(max-width: 40rem), (max-height: 30rem)";
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Guide {
  /** Bring the window's structure and look; nothing is stored. */
  static async load(host, base) {
    const get = async (path) => {
      const answer = await fetch(new URL(path, base), { credentials: "omit" });
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
      return answer.text();
    };
    const [page, style] = await Promise.all([get("widget/fenetre.html"), get("widget/widget.css")]);
    return new Guide(host, base, new DOMParser().parseFromString(page, "text/html"), style);
  }

  constructor(host, base, page, style) {
    this.host = host;
    this.root = host.shadowRoot;
    this.floating = !host.hasAttribute("dans-la-page");
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    this.root.adoptedStyleSheets = [...this.root.adoptedStyleSheets, sheet];
    this.frame = this.floating ? make("dialog", { id: "fenetre" }) : make("section", { id: "fenetre" });
    this.frame.setAttribute("aria-labelledby", "titre");
    this.frame.append(document.importNode(page.querySelector("#structure").content, true));
    this.said = JSON.parse(page.querySelector("#textes").textContent);
    this.root.append(this.frame);
    this.connection = new Connection(base, (kind, data) => this.#hear(kind, data));
    this.dialogs = new Dialogs(this, document.importNode(page.querySelector("#dialogues").content, true));
    this.bubbles = new Map();
    this.waiting = false;
    this.#wire();
  }

  $(id) { return this.root.getElementById(id); }

  #wire() {
    const on = (id, act) => this.$(id).addEventListener("click", act);
    if (this.host.getAttribute("titre")) this.$("titre").textContent = this.host.getAttribute("titre");
    this.$("fermer").hidden = !this.floating;
    on("fermer", () => this.close());
    on("commencer", () => this.#begin());
    on("reprendre", () => this.#resume());
    on("reprendre-a-zero", () => this.#resume("recommencer"));
    on("ouvrir-reponses", () => this.dialogs.answers());
    for (const [id, act] of [
      ["menu-ailleurs", () => this.dialogs.elsewhere()],
      ["menu-recommencer", () => this.command("recommencer")],
      ["menu-effacer", () => this.dialogs.open("effacer")],
      ["retour-effacer", () => this.dialogs.open("effacer")],
    ]) on(id, () => { this.$("menu").open = false; act(); });
    this.$("menu").addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.$("menu").contains(event.relatedTarget)) this.$("menu").open = false;
    });
    this.frame.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.dialogs.isOpen()) return;
      if (this.$("menu").open) {
        this.$("menu").open = false;
        this.$("menu").querySelector("summary").focus();
      } else if (this.floating) this.close();
      event.preventDefault();
    });
    this.frame.addEventListener("cancel", (event) => event.preventDefault());
    this.$("envoi").addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    this.$("saisie").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.#submit(); }
    });
    this.$("saisie").addEventListener("input", () => { session.set(DRAFT, this.$("saisie").value); this.#grow(); this.#fault(""); });
    this.$("code-reprise").addEventListener("submit", (event) => { event.preventDefault(); this.#useCode(this.$("code").value, this.$("erreur-code")); });
  }

  // ── opening, closing ──

  async open(code) {
    this.host.classList.add("ouvert");
    if (this.floating && !this.frame.open) {
      matchMedia(SMALL).matches ? this.frame.showModal() : this.frame.show();
    }
    if (code && await this.#useCode(code, this.$("erreur-code"))) return;
    if (this.bubbles.size) { this.#show("echange"); this.connection.listen(); return; }
    if (this.connection.token && !code) await this.#askToResume();
    else this.#show("accueil");
  }

  close() {
    this.frame.close?.();
    this.host.classList.remove("ouvert");
    this.host.closed();
  }

  /** The element left the page. */
  leave() { this.connection.stop(); }

  #show(view) {
    for (const name of ["accueil", "retour", "echange", "fini"]) this.$(name).hidden = name !== view;
    const talking = view === "echange";
    this.$("menu").hidden = !talking;
    if (!talking) this.$("progression").hidden = true;
    this.$(view).querySelector("h3, [data-focus]")?.focus({ preventScroll: true });
  }

  async #askToResume() {
    const found = await this.connection.call("GET", "api/conversation");
    if (found.status === 404) {
      this.connection.token = null;
      this.#show("accueil");
      return;
    }
    const where = found.verdict ? this.said.retour_verdict : found.ok ? this.said.retour_question : this.said.retour_coupure;
    this.$("ou").textContent = fill(where, { ...found, suivante: found.repondues + 1 });
    this.#show("retour");
  }

  async #begin() {
    if (this.waiting) return;
    this.waiting = true;
    this.#fault("", "erreur-accueil");
    const answer = await this.connection.call("POST", "api/conversation", {});
    this.waiting = false;
    if (!answer.ok) { this.#fault(answer.texte ?? this.said.coupure_ouverture, "erreur-accueil"); return; }
    this.connection.token = answer.jeton;
    this.#talk();
  }

  async #useCode(code, error) {
    error.hidden = true;
    const answer = await this.connection.call("POST", "api/conversation", { code });
    if (answer.ok) {
      this.#forget();
      this.connection.token = answer.jeton;
      this.#talk();
      return true;
    }
    error.textContent = answer.texte ?? this.said.coupure_ouverture;
    error.hidden = false;
    this.$("avec-code").open = true;
    if (!this.$("accueil").hidden) this.$("code").focus();
    return false;
  }

  #resume(command) {
    this.afterHistory = command;
    this.#talk();
  }

  #talk() {
    this.#show("echange");
    this.$("saisie").value = session.get(DRAFT) ?? "";
    this.#grow();
    this.$("fil").focus({ preventScroll: true });
    this.toQuestion = true; // The first question takes the focus.
    this.#status(this.said.ouverture);
    this.connection.listen();
  }

  /** The conversation is over for this browser: erased, here or elsewhere. */
  ended(text) {
    this.#forget();
    this.connection.token = null;
    session.drop(DRAFT);
    this.$("saisie").value = "";
    this.$("fini-texte").textContent = text;
    this.#show("fini");
    this.$("recommencer").onclick = () => { this.#show("accueil"); };
  }

  #forget() {
    this.connection.stop();
    this.bubbles.clear();
    this.waiting = false;
    this.$("messages").replaceChildren();
    this.$("annonces").replaceChildren();
    this.#status("");
  }

  // ── what the door says ──

  #hear(kind, data) {
    const acts = {
      historique: () => this.#history(data.messages),
      message: () => this.#message(data),
      attente: () => { this.#wait(true); this.#status(this.said.ecrit, "ecrit"); },
      fin: () => this.#turnOver(),
      panne: () => this.#failed(data.texte, data.renvoyer ?? "", data.cle),
      refus: () => this.#failed(data.texte ?? this.said.echec, data.envoi.texte ?? "", data.envoi.cle),
      effacee: () => this.ended(data.texte),
      perdue: () => this.ended(data.texte ?? this.said.perdue),
      coupure: () => this.#status(this.said.coupure, "alerte"),
      retablie: () => this.#status(""),
    };
    acts[kind]?.();
  }

  #history(messages) {
    const first = this.bubbles.size === 0;
    const kept = new Set(messages.map((message) => message.id));
    const pending = this.connection.pending;
    if (pending) kept.add(`${pending.cle}:0`);
    for (const [id, box] of this.bubbles) {
      if (!kept.has(id)) { box.remove(); this.bubbles.delete(id); }
    }
    for (const message of messages) {
      if (this.bubbles.has(message.id)) this.bubbles.get(message.id).classList.remove("en-attente");
      else this.#add(message, !first);
    }
    if (pending && this.bubbles.has(`${pending.cle}:0`)) this.$("messages").append(this.bubbles.get(`${pending.cle}:0`));
    this.#settle();
    if (!pending) { this.#wait(false); this.dialogs.turnOver(); }
    if (first || !pending) this.#status("");
    if (first && messages.length) {
      this.$("messages").lastElementChild?.scrollIntoView({ block: "nearest" });
      this.#focusQuestion();
    }
    if (this.afterHistory) { const command = this.afterHistory; this.afterHistory = null; this.command(command); }
  }

  #message(message) {
    if (this.bubbles.has(message.id)) { this.bubbles.get(message.id).classList.remove("en-attente"); return; }
    if (message.de === "vous") { this.$("annonces").replaceChildren(); this.turnStart = null; }
    const box = this.#add(message, true);
    this.#settle();
    if (message.de === "guide") this.turnStart ??= box;
    else box.scrollIntoView({ block: "nearest" });
  }

  #turnOver() {
    this.#wait(false);
    if (!this.$("etat").classList.contains("alerte")) this.#status("");
    this.#focusQuestion();
    this.#showAnswer();
    this.dialogs.turnOver();
  }

  #failed(text, lost, key) {
    this.#wait(false);
    const box = this.bubbles.get(`${key}:0`);
    if (box) { box.remove(); this.bubbles.delete(`${key}:0`); }
    this.#settle();
    this.#status(text, "alerte");
    if (lost && !this.$("saisie").value) { this.$("saisie").value = lost; session.set(DRAFT, lost); this.#grow(); }
    this.dialogs.turnOver(text);
  }

  // ── messages ──

  #add(message, announce) {
    if (!message.texte && !message.boutons?.length && !message.carte) return null;
    const box = make("li", { className: `message ${message.de}` });
    box.append(make("span", { className: "qui", textContent: this.said[message.de] }));
    if (message.carte) box.append(card(message.carte, this));
    else box.append(this.#bubble(message));
    if (message.enAttente) box.classList.add("en-attente");
    box.data = message;
    this.bubbles.set(message.id, box);
    this.$("messages").append(box);
    this.#progress(message.donnees);
    const mine = this.toQuestion && message.boutons?.length; // It will take the focus, which reads it.
    if (announce && message.de === "guide" && !mine) {
      const spoken = message.carte ? `${this.said.verdict} ${message.carte.titre}. ${message.carte.phrase}` : message.texte;
      this.$("annonces").append(make("p", { textContent: spoken }));
    }
    return box;
  }

  #bubble(message) {
    const offers = message.boutons?.length > 0;
    const box = make(offers ? "fieldset" : "div", { className: `bulle ${message.donnees?.type ?? ""}` });
    box.dir = "auto";
    const text = offers ? make("legend") : box;
    const lines = message.texte.split("\n");
    // A first line without a full stop is a title.
    const title = message.de === "guide" && lines.length > 1 && lines[0].length < 70 && !/[.?!:…]$/.test(lines[0]);
    lines.forEach((line, number) => {
      const kind = title && number === 0 ? "tete" : /^([•+−!]|\d\.) /.test(line) ? "point" : "";
      text.append(make("span", { className: `ligne ${kind}`, textContent: line }));
    });
    if (!offers) return box;
    const choices = make("div", { className: "choix" });
    for (const button of message.boutons) {
      choices.append(make("button", { type: "button", textContent: button.titre, onclick: () => this.choose(button) }));
    }
    box.append(text, choices);
    if (message.donnees?.type === "question") {
      const aside = make("div", { className: "aparte" });
      const back = message.donnees.index > 1 && ["precedent", this.said.precedent];
      for (const [name, title] of [["pourquoi", this.said.pourquoi], back].filter(Boolean)) {
        aside.append(make("button", { type: "button", className: "lien", textContent: title, onclick: () => this.command(name) }));
      }
      box.append(aside);
    }
    box.tabIndex = -1;
    return box;
  }

  // Only the last message of the guide still offers its choices.
  #settle() {
    const boxes = [...this.$("messages").children];
    const last = boxes.at(-1);
    for (const box of boxes) {
      const offers = box.querySelector("fieldset");
      if (offers && box !== last) {
        const plain = make("div", { className: offers.className });
        plain.dir = "auto";
        plain.append(...offers.querySelector("legend").childNodes);
        offers.replaceWith(plain);
      } else if (!offers && box === last && box.data.boutons?.length) {
        box.lastElementChild.replaceWith(this.#bubble(box.data));
      }
    }
  }

  #progress(data) {
    if (data?.type !== "question" && data?.type !== "verdict") return;
    const done = data.type === "verdict";
    this.$("progression").hidden = false;
    this.$("etape").textContent = done ? this.said.termine : fill(this.said.etape, data);
    Object.assign(this.$("jauge"), { max: done ? 1 : data.total, value: done ? 1 : data.index - 1 });
  }

  #focusQuestion() {
    if (!this.toQuestion) return;
    this.toQuestion = false;
    if (this.dialogs.isOpen()) return;
    const last = this.$("messages").lastElementChild;
    const target = last?.querySelector("fieldset, .carte h3");
    (target ?? this.$("saisie")).focus({ preventScroll: true });
  }

  // Show the answer from its beginning: its end only where all of it fits.
  #showAnswer() {
    const last = this.$("messages").lastElementChild;
    if (!this.turnStart?.isConnected || !last) return;
    const height = last.getBoundingClientRect().bottom - this.turnStart.getBoundingClientRect().top;
    const behavior = calm() ? "auto" : "smooth";
    if (height > this.$("fil").clientHeight) this.turnStart.scrollIntoView({ block: "start", behavior });
    else last.scrollIntoView({ block: "nearest", behavior });
  }

  // ── what the visitor says ──

  #submit() {
    const field = this.$("saisie"), text = field.value;
    if (!text.trim()) { this.#fault(this.said.vide); field.focus(); return; }
    if (this.waiting) return;
    field.value = "";
    session.drop(DRAFT);
    this.#grow();
    this.say({ texte: text }, text.trim());
  }

  /** A button of the guide's message. */
  choose(button) {
    this.toQuestion = true;
    return this.say({ choix: button.choix }, button.titre);
  }

  /** A button of the window itself. */
  command(name) {
    this.toQuestion = true;
    return this.say({ commande: name }, this.said[`dire_${name}`]);
  }

  async say(body, shown) {
    if (this.waiting) return;
    this.#wait(true);
    this.#fault("");
    this.#status("");
    this.$("annonces").replaceChildren();
    this.turnStart = null;
    const sending = this.connection.deliver(body);
    const box = this.#add({ id: `${this.connection.pending.cle}:0`, de: "vous", texte: shown, enAttente: true }, false);
    const leaving = this.root.activeElement?.closest(".message");
    if (leaving) this.$("fil").focus({ preventScroll: true }); // Its button is about to go.
    this.#settle();
    box.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
    const answer = await sending;
    if (answer.attente) this.#status(this.said.coupure_envoi, "alerte");
  }

  #wait(yes) {
    this.waiting = yes;
    for (const button of this.root.querySelectorAll(".choix button, .aparte button, .pistes button")) {
      button.setAttribute("aria-disabled", String(yes));
    }
    this.$("envoyer").setAttribute("aria-disabled", String(yes));
  }

  #status(text, kind = "") {
    this.$("etat").textContent = text;
    this.$("etat").className = kind;
  }

  status(text) { this.#status(text); }

  #fault(text, id = "erreur") {
    this.$(id).textContent = text;
    this.$(id).hidden = !text;
    if (id === "erreur") this.$("saisie").toggleAttribute("aria-invalid", Boolean(text));
  }

  #grow() {
    const field = this.$("saisie");
    field.style.height = "auto";
    if (field.scrollHeight) field.style.height = `${Math.min(field.scrollHeight + 2, 140)}px`;
  }

  // ── after the verdict ──

  async download(status) {
    status.textContent = this.said.document_attente;
    try {
      const answer = await this.connection.fetch("GET", "api/bilan.pdf");
      if (!answer.ok) throw new Error((await answer.json()).texte);
      const url = URL.createObjectURL(await answer.blob());
      const name = /filename="(.+?)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? "bon-moment.pdf";
      const link = make("a", { href: url, download: name });
      this.root.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      status.textContent = this.said.document_pret;
    } catch (error) {
      status.textContent = error instanceof TypeError ? this.said.coupure : error.message;
    }
  }

  print(article) { printed(article, this.root.adoptedStyleSheets, this.said.imprime); }

  async judge(useful, status) {
    const answer = await this.connection.call("POST", "api/avis", { utile: useful });
    status.textContent = answer.texte ?? this.said.coupure;
    return answer.ok;
  }

  stopHere() {
    this.#status(this.said.au_revoir);
    if (this.floating) this.close();
    else this.$("saisie").focus();
  }
}
