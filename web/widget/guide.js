// The open window: shows what the door sends, sends what the visitor types or chooses. It holds no dialogue logic; its
// words are in `templates/widget.html`. Everything that people or the guide say is written as text, never as HTML.

import { Connection, memory } from "./connection.js";
import { Dialogs } from "./dialogs.js";
import { fill, make } from "./dom.js";
import { card, printed } from "./verdict.js";

const DRAFT = "bon-moment:brouillon";
const session = memory(() => sessionStorage);
const TYPING = 5_000; // Milliseconds that « … écrit » stays; how often we say that the visitor does.
const TELLING = 3_000;
const SMALL = "(max-width: 40em), (max-height: 30em)";
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Guide {
  /** Bring the window's structure and look, its sizes made the visitor's by `sized`; nothing is stored. */
  static async load(host, base, sized) {
    const get = async (path) => {
      const answer = await fetch(new URL(path, base), { credentials: "omit" });
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
      return answer.text();
    };
    const [page, style] = await Promise.all([get("widget/fenetre.html"), get("widget/widget.css")]);
    return new Guide(host, base, new DOMParser().parseFromString(page, "text/html"), sized(style));
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
    this.waiting = false; // A message is under way.
    this.talking = false; // The conversation is shown, whether the window is open or not.
    this.done = false; // The verdict was given.
    this.adviser = null; // The name of the person who answers in place of the assistant.
    this.missed = []; // What a person said while the window was closed.
    this.typing = this.told = 0;
    this.#wire();
    this.#words();
  }

  $(id) { return this.root.getElementById(id); }

  #wire() {
    const on = (id, act) => this.$(id).addEventListener("click", act);
    if (this.host.getAttribute("titre")) this.$("titre").textContent = this.host.getAttribute("titre");
    this.$("fermer").hidden = !this.floating;
    on("fermer", () => this.close());
    on("commencer", () => this.#begin());
    on("reprendre", () => this.#talk());
    on("reprendre-ici", () => this.#useCode(this.code, "erreur-arrivee"));
    on("laisser", () => this.open());
    on("retour-recommencer", () => this.dialogs.open("recommencer"));
    on("retour-effacer", () => this.dialogs.open("effacer"));
    on("recommencer", () => this.open());
    on("ouvrir-reponses", () => this.dialogs.answers());
    on("voir-verdict", () => this.toVerdict());
    for (const [id, act] of [
      ["menu-ailleurs", () => this.dialogs.elsewhere()],
      ["menu-recommencer", () => this.dialogs.open("recommencer")],
      ["menu-effacer", () => this.dialogs.open("effacer")],
    ]) on(id, () => { this.$("menu").open = false; this.$("menu").querySelector("summary").focus(); act(); });
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
    this.$("saisie").addEventListener("input", () => { session.set(DRAFT, this.$("saisie").value); this.#grow(); this.#fault(""); this.#tell(); });
    this.$("code-reprise").addEventListener("submit", (event) => { event.preventDefault(); this.#useCode(this.$("code").value, "erreur-code"); });
    this.$("avec-code").addEventListener("toggle", () => this.$("avec-code").open && this.$("code-reprise").scrollIntoView({ block: "nearest" }));
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#rest() : this.#wakeUp()));
    addEventListener("resize", () => this.#measure());
  }

  // How much room there is, in letters: what stays in place when there is little, with large text too.
  #measure() {
    const letter = parseFloat(getComputedStyle(this.frame).fontSize);
    this.host.classList.toggle("bm-serre", innerHeight < 30 * letter);
    this.host.classList.toggle("bm-etroit", this.frame.clientWidth < 21 * letter);
  }

  // ── opening, closing ──

  open(code = null, focus = true) {
    this.host.classList.add("bm-ouvert");
    if (this.floating && !this.frame.open) {
      matchMedia(SMALL).matches ? this.frame.showModal() : this.frame.show();
    }
    this.#measure();
    if (code) {
      this.code = code;
      if (!this.talking) this.connection.recall();
      this.$("remplace").hidden = !this.connection.token;
      this.#show("arrivee");
    } else if (this.talking) {
      this.#show("echange", focus);
      this.#wakeUp();
      this.#showMissed(focus);
    } else {
      this.connection.recall();
      if (this.connection.token) this.#askToResume(focus);
      else this.#show("accueil", focus);
    }
  }

  close() {
    this.frame.close?.();
    this.host.classList.remove("bm-ouvert");
    this.#rest();
    this.host.closed();
  }

  /** The element left the page; it may come back. */
  leave() { this.connection.stop(); }

  // Nobody looks: no stream is kept open for nothing. A person who is there may still say something.
  #rest() {
    if (!this.waiting && !this.adviser && (document.hidden || !this.host.classList.contains("bm-ouvert"))) this.connection.stop();
  }

  #wakeUp() {
    if (this.talking && this.host.classList.contains("bm-ouvert")) this.connection.listen();
  }

  #show(view, focus = true) {
    for (const name of ["accueil", "arrivee", "retour", "echange", "fini"]) this.$(name).hidden = name !== view;
    const talking = view === "echange";
    this.$("menu").hidden = !talking;
    this.$("progression").hidden = !(talking && this.$("etape").textContent);
    if (focus) (this.$(view).querySelector("h3[tabindex]") ?? this.$("fil")).focus({ preventScroll: true });
  }

  async #askToResume(focus) {
    this.$("ou").textContent = this.said.chargement;
    this.#show("retour", focus);
    const found = await this.connection.call("GET", "api/conversation");
    if (this.$("retour").hidden) return;
    if (found.status === 404) {
      this.connection.token = null;
      this.#show("accueil", focus);
      return;
    }
    const where = found.verdict ? this.said.retour_verdict : found.ok ? this.said.retour_question : this.said.retour_coupure;
    this.$("ou").textContent = fill(where, { ...found, suivante: found.repondues + 1 });
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

  async #useCode(code, fault) {
    this.#fault("", fault);
    const answer = await this.connection.call("POST", "api/conversation", { code });
    if (answer.ok) {
      this.#forget();
      this.connection.token = answer.jeton;
      this.#talk();
      return;
    }
    this.#fault(answer.texte ?? this.said.coupure_ouverture, fault);
    this.$(fault).scrollIntoView({ block: "nearest" });
    if (fault === "erreur-code") this.$("code").focus();
  }

  /** Begin anew in the same conversation: its answers are forgotten. */
  restart() {
    if (this.talking) { this.command("recommencer"); return; }
    this.afterHistory = "recommencer";
    this.#talk();
  }

  #talk() {
    this.talking = this.fresh = true;
    this.#show("echange");
    this.$("saisie").value = session.get(DRAFT) ?? "";
    this.#grow();
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
  }

  #forget() {
    this.connection.stop();
    this.connection.pending = null;
    this.bubbles.clear();
    this.talking = this.waiting = this.done = false;
    this.missed = [];
    this.host.told("");
    this.#presence();
    this.$("etape").textContent = "";
    this.$("messages").replaceChildren();
    this.$("annonces").replaceChildren();
    this.#status("");
  }

  // ── what the door says ──

  #hear(kind, data) {
    const acts = {
      historique: () => { this.#presence(data.conseiller); this.#history(data.messages); },
      presence: () => { this.#presence(data.conseiller); this.#rest(); },
      frappe: () => this.#types(data.nom),
      message: () => this.#message(data),
      attente: () => { this.#wait(true); this.#status(this.said.ecrit, "ecrit"); },
      fin: () => this.#turnOver(),
      panne: () => (data.cle ? this.#failed(data) : this.#status(data.texte, "alerte")),
      refus: () => this.#failed(data),
      effacee: () => this.ended(data.texte),
      perdue: () => this.ended(data.texte ?? this.said.perdue),
      coupure: () => this.#status(this.connection.pending ? this.said.coupure_envoi : this.said.coupure, "alerte"),
      retablie: () => this.#status(""),
    };
    acts[kind]?.();
  }

  #history(messages) {
    const { fresh } = this;
    this.fresh = false;
    const pending = this.connection.pending;
    const kept = new Set(messages.map((message) => message.id));
    for (const [id, box] of this.bubbles) {
      if (!kept.has(id)) { box.remove(); this.bubbles.delete(id); }
    }
    for (const message of messages) this.#settled(message.id) || this.#add(message, !fresh);
    if (pending) this.#add({ id: `${pending.cle}:0`, de: "vous", texte: pending.affiche, enAttente: true }, false);
    this.#settle();
    this.#wait(Boolean(pending));
    if (!pending) { this.#status(""); this.dialogs.turnOver(); }
    if (fresh && messages.length) {
      this.$("messages").lastElementChild?.scrollIntoView({ block: "nearest" });
      this.#focusQuestion();
    }
    if (this.afterHistory) { const command = this.afterHistory; this.afterHistory = null; this.command(command); }
    this.#rest();
  }

  // Whether the page has this message already; it is then known to have arrived.
  #settled(id) {
    this.bubbles.get(id)?.classList.remove("en-attente");
    return this.bubbles.has(id);
  }

  #message(message) {
    if (this.#settled(message.id)) return;
    if (message.de === "vous") { this.$("annonces").replaceChildren(); this.turnStart = null; }
    const box = this.#add(message, true);
    this.#settle();
    if (message.de === "guide") this.turnStart ??= box;
    else {
      this.turnStart = message.genre === "annonce" ? box : null; // « The assistant is back » begins its turn.
      box.scrollIntoView({ block: "nearest" });
    }
    if (message.de === "conseiller" && this.typing) this.#status("");
  }

  #turnOver() {
    if (this.connection.pending) return; // It was the turn of another tab.
    this.#wait(false);
    if (!this.typing && !this.$("etat").classList.contains("alerte")) this.#status("");
    this.#focusQuestion();
    this.#showAnswer();
    this.dialogs.turnOver();
    this.#rest();
  }

  #failed({ texte = this.said.echec, renvoyer, cle }) {
    this.#wait(false);
    this.bubbles.get(`${cle}:0`)?.remove();
    this.bubbles.delete(`${cle}:0`);
    this.#settle();
    this.#status(texte, "alerte");
    if (renvoyer && !this.$("saisie").value) { this.$("saisie").value = renvoyer; session.set(DRAFT, renvoyer); this.#grow(); }
    this.dialogs.turnOver(texte);
  }

  // ── a person in place of the assistant ──

  // Who answers: a person, by name, or the assistant.
  #presence(name = null) {
    this.adviser = name;
    if (this.$("etat").className === "ecrit") this.#status("");
    this.#words();
  }

  #words() {
    const { adviser: nom, done, said } = this;
    const [label, help] = nom ? [said.saisie_conseiller, said.aide_conseiller] : [done ? said.saisie_apres : said.saisie, said.aide];
    this.$("avec").textContent = nom ? fill(said.avec, { nom }) : "";
    this.$("titre-saisie").textContent = fill(label, { nom });
    this.$("aide").textContent = fill(help, { nom });
    this.$("aide").hidden = done && !nom;
    this.$("menu-recommencer").parentElement.hidden = Boolean(nom); // It is for the assistant.
  }

  #types(nom) {
    if (!this.adviser || this.$("etat").className === "alerte") return;
    const text = fill(this.said.ecrit_conseiller, { nom });
    if (this.$("etat").textContent !== text) this.#status(text, "ecrit"); // Announced once, however long it lasts.
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.#status(""), TYPING);
  }

  // Let the person know that the visitor is writing.
  #tell() {
    if (!this.adviser || !this.$("saisie").value.trim() || Date.now() - this.told < TELLING) return;
    this.told = Date.now();
    this.connection.call("POST", "api/frappe", {});
  }

  #miss(box) {
    const nombre = this.missed.push(box);
    this.host.told(nombre > 1 ? fill(this.said.nouveaux, { nombre }) : this.said.un_nouveau);
  }

  #showMissed(focus) {
    const [first] = this.missed.splice(0);
    this.host.told("");
    if (!first) return;
    first.scrollIntoView({ block: "start" });
    first.tabIndex = -1;
    if (focus) first.focus({ preventScroll: true });
  }

  // ── messages ──

  #add(message, announce) {
    if (!message.texte && !message.boutons?.length && !message.carte) return null;
    const { genre } = message; // Of what a person says: « message », or a line between the bubbles, which names its author.
    const box = make("li", { className: `message ${message.de} ${genre ?? ""}` });
    const who = genre ? genre === "message" && message.nom : this.said[message.de];
    if (who) box.append(make("span", { className: "qui", textContent: who }));
    if (message.carte) {
      for (const old of this.$("messages").querySelectorAll(".avis")) old.remove(); // One judges the last verdict.
      box.append(card(message.carte, this));
    } else box.append(this.#bubble(message));
    if (message.enAttente) box.classList.add("en-attente");
    box.data = message;
    this.bubbles.set(message.id, box);
    this.$("messages").append(box);
    this.#progress(message.donnees);
    const mine = this.#mayTakeFocus() && (message.carte || message.boutons?.length); // It will, and be read.
    if (announce && message.de !== "vous" && !mine) {
      const spoken = message.carte ? `${this.said.verdict} ${message.carte.titre}. ${message.carte.phrase}` : message.texte;
      this.$("annonces").append(make("p", { textContent: genre === "message" ? fill(this.said.dit, message) : spoken }));
    }
    if (announce && genre === "message" && !this.host.classList.contains("bm-ouvert")) this.#miss(box);
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
    const numbered = message.donnees?.type === "question" && /^(Question \d+ \S+ \d+\.) (.*)$/.exec(lines[0]);
    if (numbered) {
      text.append(make("span", { className: "numero", textContent: `${numbered[1]} ` }));
      lines[0] = numbered[2];
    }
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
      const offers = box.querySelector("fieldset.bulle");
      if (offers && box !== last) {
        const plain = make("div", { className: offers.className });
        plain.dir = "auto";
        plain.append(...offers.querySelector("legend").childNodes);
        if (offers.contains(this.root.activeElement)) this.$("fil").focus({ preventScroll: true });
        offers.replaceWith(plain);
      } else if (!offers && box === last && box.data.boutons?.length) {
        box.lastElementChild.replaceWith(this.#bubble(box.data));
      }
    }
  }

  #progress(data) {
    if (data?.type !== "question" && data?.type !== "verdict") return;
    const done = (this.done = data.type === "verdict");
    this.$("etape").textContent = done ? this.said.termine : fill(this.said.etape, data);
    this.$("progression").hidden = false;
    this.$("voir-verdict").hidden = !done;
    this.#words();
    Object.assign(this.$("jauge"), { max: done ? 1 : data.total, value: done ? 1 : data.index - 1 });
  }

  // Not away from what the person is doing: only from the conversation, or from nowhere.
  #mayTakeFocus() {
    const at = document.activeElement === this.host ? this.root.activeElement : document.activeElement;
    return this.toQuestion && !this.dialogs.isOpen() && (!at || at === document.body || at === this.host || at.closest("#fil, .vue"));
  }

  #focusQuestion() {
    const take = this.#mayTakeFocus();
    this.toQuestion = false;
    if (!take) return;
    const last = this.$("messages").lastElementChild;
    (last?.querySelector("fieldset.bulle, .carte h3") ?? this.$("saisie")).focus({ preventScroll: true });
  }

  /** Back to the verdict, from wherever the conversation went since. */
  toVerdict() {
    const title = [...this.$("messages").querySelectorAll(".carte h3")].at(-1);
    title?.closest(".message").scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
    title?.focus({ preventScroll: true });
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
    if (!text.trim()) { this.#fault(this.adviser ? this.said.vide_conseiller : this.said.vide); field.focus(); return; }
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
    return this.say({ commande: name }, this.said[name]);
  }

  /** Send what the person says; `shown` is how the conversation shows it. */
  async say(body, shown) {
    if (this.waiting) return;
    this.#wait(true);
    this.#fault("");
    if (!this.typing) this.#status("");
    this.$("annonces").replaceChildren();
    this.turnStart = null;
    const sending = this.connection.deliver(body, shown);
    const box = this.#add({ id: `${this.connection.pending.cle}:0`, de: "vous", texte: shown, enAttente: true }, false);
    if (this.root.activeElement?.closest(".message")) this.$("fil").focus({ preventScroll: true }); // Its button is about to go.
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
    clearTimeout(this.typing);
    this.typing = 0;
    this.$("etat").textContent = text;
    this.$("etat").className = kind;
  }

  // Say what is wrong beside the field that it describes.
  #fault(text, id = "erreur") {
    const fault = this.$(id);
    fault.textContent = text;
    fault.hidden = !text;
    const field = this.root.querySelector(`[aria-describedby~="${id}"]`);
    if (text) field?.setAttribute("aria-invalid", "true");
    else field?.removeAttribute("aria-invalid");
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
}
