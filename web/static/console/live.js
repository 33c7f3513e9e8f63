// What happens elsewhere, as it happens: the stream of events, the page read again, its title and its sound.

import { login, read, renew, renewedElsewhere, restore, said, say, session, settled, signedIn } from "./send.js";
import { bring } from "./regions.js";

// Milliseconds in which several changes make one reading; figures and the log may lag a little.
const CALM = /^\/console\/(chiffres|journal)/.test(location.pathname) ? 3_000 : 150;

/** `before()` runs ahead of each update, `after(added)` with the elements it added; `gone()` if the page no longer exists. */
export const around = { before: () => {}, after: () => {}, gone: () => {} };

// ── the page, read again ──

let running = null, queued = null, soon = null, over = false;

/** Read the page again and bring it in line; resolves once a reading that began after the call is done. */
export function refresh() {
  if (running) return (queued ??= running.then(() => { queued = null; return start(); }));
  return start();
}

function start() {
  return (running = once().finally(() => { running = null; }));
}

async function once() {
  const found = over ? null : await read(location.href);
  if (!found || over) return;
  if (found.status === 404) return around.gone();
  if (found.status !== 200) return;
  renew(found.page.querySelector('meta[name="csrf"]')?.content);
  around.before();
  const added = bring(found.page);
  if (!added) return (await settled()) || location.reload(); // Where a form leads goes first.
  for (const part of added) restore(part);
  around.after(added);
  count();
}

function changed() {
  soon ??= setTimeout(() => { soon = null; refresh(); }, CALM);
}

// ── the stream ──

// One stream serves all the tabs of a browser, which may open only six connections to a server: the tab that has the lock
// listens and tells the others; when it closes, another one takes the lock.
const conversation = document.body.dataset.conversation;
const others = new BroadcastChannel("bon-moment:console");
let stream = null, down = false, told = false, retry = null, wait = 1_000, notice = null;
let letGo = () => {};

const acts = {
  change: () => changed(),
  frappe: ({ de }) => de === "visiteur" && document.dispatchEvent(new Event("console:frappe")),
  effacee: () => (conversation ? around.gone() : changed()),
  fin_session: async () => (await login()) || say(said.session_page, true),
  ligne: () => {
    clearTimeout(notice);
    if (told) say(said.retablie);
    down = told = false;
    refresh(); // What happened while nobody listened.
  },
  coupure: () => {
    if (!down) notice = setTimeout(() => { told = true; say(said.coupure, true); }, 3_000);
    down = true;
  },
};

function hear([kind, about]) {
  if (!over && (!conversation || !about.conversation || about.conversation === conversation)) acts[kind](about);
}
others.onmessage = ({ data: [kind, about] }) => {
  if (kind !== "nouvelle_session") return hear([kind, about]);
  if (over) return;
  renewedElsewhere(about);
  if (stream) connect();
  else refresh();
};

function tell(kind, about) {
  others.postMessage([kind, about]);
  hear([kind, about]);
}

function connect() {
  clearTimeout(retry);
  stream?.close();
  stream = new EventSource("/console/evenements");
  for (const kind of ["change", "frappe", "effacee"]) stream.addEventListener(kind, ({ data }) => tell(kind, JSON.parse(data)));
  stream.addEventListener("fin_session", () => { stream.close(); tell("fin_session", {}); });
  stream.onopen = () => { wait = 1_000; tell("ligne", {}); };
  stream.onerror = () => {
    tell("coupure", {});
    // A refusal ends the stream for good: read the page, which says why, and try again later.
    if (stream.readyState !== EventSource.CLOSED) return;
    clearTimeout(retry);
    retry = setTimeout(async () => { await refresh(); if (!over) connect(); }, wait);
    wait = Math.min(2 * wait, 30_000);
  };
}

export function listen() {
  const held = () => (over ? null : new Promise((done) => { letGo = done; connect(); }));
  if (navigator.locks) navigator.locks.request("bon-moment:console", held); // Only over TLS, or on the machine itself.
  else connect();
}

/** The page is of no more use: nothing is read any more. */
export function close() {
  over = true;
  clearTimeout(retry);
  stream?.close();
  stream = null;
  letGo();
}

// The former stream is of the session that is over.
signedIn.push(() => {
  others.postMessage(["nouvelle_session", session()]);
  if (stream) connect();
  else refresh();
});
// A tab that slept may have missed something.
document.addEventListener("visibilitychange", () => { if (!document.hidden && !over) changed(); });

// ── title and sound ──

const plain = document.title;
const SOUND = "bon-moment:son";
const toggle = document.getElementById("son");
let audio = null, known = null;

const wanted = () => { try { return localStorage.getItem(SOUND) === "oui"; } catch { return false; } };

function ring() {
  if (!wanted()) return;
  try {
    audio ??= new AudioContext();
    audio.resume();
    for (const [pitch, at] of [[660, 0], [880, 0.14]]) {
      const tone = audio.createOscillator(), level = audio.createGain(), begin = audio.currentTime + at;
      tone.frequency.value = pitch;
      level.gain.setValueAtTime(0, begin);
      level.gain.linearRampToValueAtTime(0.12, begin + 0.02);
      level.gain.exponentialRampToValueAtTime(0.001, begin + 0.28);
      tone.connect(level).connect(audio.destination);
      tone.start(begin);
      tone.stop(begin + 0.3);
    }
  } catch { /* this browser makes no sound */ }
}

/** Say in the title how many wait or were not read; ring when there is one more. */
export function count() {
  const waiting = Number(document.querySelector("[data-attente]")?.dataset.attente ?? 0);
  const lines = [...document.querySelectorAll("[data-region=lignes] > [data-non-lu]")];
  const total = waiting + lines.filter((line) => !line.hasAttribute("data-attend")).length;
  document.title = total ? `(${total}) ${plain}` : plain;
  const unread = new Set(lines.map((line) => line.dataset.cle));
  if (known && (waiting > known.waiting || [...unread].some((one) => !known.unread.has(one)))) ring();
  known = { waiting, unread };
}

function show() {
  toggle?.setAttribute("aria-pressed", String(wanted()));
}
toggle?.addEventListener("click", () => {
  try { localStorage.setItem(SOUND, wanted() ? "non" : "oui"); } catch { return; }
  show();
  say(wanted() ? said.son_actif : said.son_coupe);
  ring();
});
show();
// A browser lets a page make a sound only once it was touched.
addEventListener("pointerdown", () => { if (wanted()) (audio ??= new AudioContext()).resume(); }, { once: true });
