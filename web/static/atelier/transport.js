// The bar at the bottom: play, pause, one step on, one step back, begin again, for one demonstration or for two at once. Also
// the card that tells the story before, and the list of the keys.

import { fill } from "/widget/dom.js";
import { said } from "./demonstration.js";

const $ = (id) => document.getElementById(id);
const play = $("joue-pause"), speed = $("vitesse"), story = $("histoire"), menu = document.querySelector(".repli");

// The menu of the pages closes when one goes elsewhere.
menu.addEventListener("focusout", ({ relatedTarget }) => { if (!menu.contains(relatedTarget)) menu.open = false; });
menu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu.open) return;
  event.stopPropagation();
  menu.open = false;
  menu.querySelector("summary").focus();
});

export class Transport {
  /** `drawn()` is called when the bar has changed. */
  constructor(demonstrations, drawn = () => {}) {
    Object.assign(this, { demonstrations, drawn, playing: false, timer: null, at: 0 });
    $("debut").addEventListener("click", () => this.restart());
    $("recule").addEventListener("click", () => this.back());
    $("avance").addEventListener("click", () => this.on());
    play?.addEventListener("click", () => this.toggle());
    speed?.addEventListener("change", () => { if (this.playing) this.soon(); });
    $("aide").addEventListener("click", () => $("touches").showModal());
    $("touches").querySelector("[data-ferme]").addEventListener("click", () => $("touches").close());
    if (story) this.tell();
  }

  tell() {
    $("lancer").addEventListener("click", () => { story.close(); this.start(); });
    $("pas-a-pas").addEventListener("click", () => story.close());
    $("fermer-histoire").addEventListener("click", () => story.close());
    $("voir-histoire").addEventListener("click", () => this.showStory());
    story.addEventListener("close", () => {
      for (const id of ["lancer", "pas-a-pas"]) $(id).hidden = true;
      $("fermer-histoire").hidden = false;
      $("contenu").focus({ preventScroll: true });
    });
    story.showModal();
  }

  showStory() { this.pause(); story?.showModal(); }

  get steps() { return Math.max(...this.demonstrations.map((one) => (one.byHand ? one.last : one.steps))); }
  get busy() { return this.demonstrations.some((one) => one.busy); }
  get more() { return this.at < this.steps && this.demonstrations.every((one) => one.last >= 0); }

  /** The step on screen: that of the one which has gone furthest. */
  sync() { this.at = Math.max(0, ...this.demonstrations.map((one) => one.at)); }

  goTo(step) {
    if (this.busy || step < 0 || step > this.steps) return;
    const failed = this.demonstrations.filter((one) => one.fault);
    if (failed.length && step > this.at) return failed.forEach((one) => one.fault.again()); // What failed goes first.
    for (const one of this.demonstrations) one.goTo(Math.min(step, one.byHand ? one.last : one.steps));
  }

  back() { this.pause(); this.goTo(this.at - 1); }
  on() { this.pause(); this.goTo(this.at + 1); }

  start() {
    if (!play) return;
    this.playing = true;
    this.draw();
    if (!this.busy) this.soon();
  }

  pause() {
    clearTimeout(this.timer);
    this.playing = false;
    this.draw();
  }

  toggle() {
    if (this.playing) return this.pause();
    if (!this.more) return;
    this.start();
    this.goTo(this.at + 1);
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.goTo(this.at + 1), Number(speed.value) * 1_000);
  }

  restart() {
    this.pause();
    for (const one of this.demonstrations) one.open();
  }

  /** Something has changed in a demonstration. */
  changed() {
    this.sync();
    if (!this.busy && (!this.more || this.demonstrations.some((one) => one.fault))) this.playing = false;
    if (!this.playing || this.busy) clearTimeout(this.timer);
    else this.soon();
    this.draw();
  }

  /** Where one stands, in words. */
  get place() {
    const [one] = this.demonstrations;
    if (one.byHand) return fill(said.tour, { n: this.at + 1, total: Math.max(1, one.last + 1) });
    return fill(said.etape, { n: this.at, total: this.steps });
  }

  draw() {
    const hand = this.demonstrations[0].byHand;
    $("etape").textContent = this.place;
    $("jauge").max = Math.max(1, this.steps);
    $("jauge").value = this.at;
    off($("recule"), this.at === 0 || this.busy);
    off($("avance"), !this.more || this.busy);
    if (play) this.drawPlay(hand);
    this.drawn();
  }

  drawPlay(hand) {
    play.hidden = hand;
    speed.hidden = hand;
    play.dataset.joue = this.playing ? "oui" : "non";
    play.querySelector(".mot").textContent = this.playing ? said.pause : said.lecture;
    off(play, !this.playing && !this.more);
  }
}

/** A button that has nothing to do keeps the focus, and says so. */
export function off(button, is) {
  if (is) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}
