// The staff console: puts together what its pages do. What a page shows comes from the server; this keeps it current.

import { along, listenToKeys } from "./console/keys.js";
import { around, close, count, listen, refresh } from "./console/live.js";
import * as script from "./console/script.js";
import { forget, restore, said, say, submit } from "./console/send.js";

const { page, conversation } = document.body.dataset;
const signed = document.getElementById("session") !== null;

// ── the transcript: at its end, it stays there; read higher up, it does not move ──

const log = document.getElementById("fil");
const news = document.getElementById("nouveaux");
const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
const toEnd = () => { log.scrollTop = log.scrollHeight; };
let stay = true;

if (log) {
  toEnd();
  log.addEventListener("scroll", () => { if (atEnd()) news.hidden = true; });
  news.addEventListener("click", () => { toEnd(); log.focus({ preventScroll: true }); });
  // The field under it grows or goes: the end stays in sight.
  new ResizeObserver(() => { if (stay) toEnd(); }).observe(log);
  log.addEventListener("scroll", () => { stay = atEnd(); });
}

// ── updates ──

around.before = () => { if (log) stay = atEnd(); };
around.after = (added) => {
  if (page === "script") script.show();
  if (!log) return;
  const messages = added.filter((part) => part.parentElement === log);
  if (messages.length && stay) toEnd();
  else if (messages.length) news.hidden = false;
  if (messages.some((part) => part.matches(".de-visiteur"))) typing.textContent = "";
};

let erasing = false;
around.gone = () => {
  if (erasing || !conversation) return;
  close();
  forget(`/console/c/${encodeURIComponent(conversation)}/`);
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
  const heading = Object.assign(document.createElement("h1"), { textContent: said.effacee_titre, tabIndex: -1 });
  const text = Object.assign(document.createElement("p"), { textContent: said.effacee });
  const back = Object.assign(document.createElement("a"), { textContent: said.retour, href: "/console", className: "bouton" });
  const card = Object.assign(document.createElement("div"), { className: "carte-seule" });
  const way = document.createElement("p");
  way.append(back);
  card.append(heading, text, way);
  document.getElementById("contenu").replaceChildren(card);
  document.getElementById("effacer")?.remove();
  document.body.dataset.page = "effacee";
  document.title = document.title.replace(/^(\(\d+\) )?.*(?= — )/, `$1${said.effacee_titre}`);
  heading.focus();
};

// ── « … écrit », both ways ──

const typing = document.getElementById("frappe");
let silence = null, last = 0;

document.addEventListener("console:frappe", () => {
  if (!typing) return;
  if (!typing.textContent) typing.textContent = said.visiteur_ecrit;
  clearTimeout(silence);
  silence = setTimeout(() => { typing.textContent = ""; }, 5_000);
});
document.addEventListener("input", ({ target }) => {
  const url = target.dataset?.frappe;
  if (!url || !target.value.trim() || Date.now() - last < 3_000) return;
  last = Date.now();
  const headers = { Accept: "application/json", "X-CSRF-Token": document.querySelector('meta[name="csrf"]').content };
  fetch(url, { method: "POST", headers }).catch(() => { /* the sending itself will say that the line is down */ });
});
document.addEventListener("keydown", (event) => {
  if (!event.target.matches("[data-frappe]") || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.target.form.requestSubmit();
});

// ── forms ──

function next(form) {
  const lines = [...document.querySelectorAll("[data-au-suivant]")];
  const place = lines.indexOf(form);
  return () => (form.isConnected ? (lines[place + 1] ?? form) : (lines.slice(place + 1).find((one) => one.isConnected) ?? lines.find((one) => one.isConnected)))?.querySelector("select");
}

// A note begun and not kept would be lost to sight when the call ends: say so once.
function unsaved(form) {
  const note = document.getElementById("note");
  if (form.dataset.fin === undefined || !note?.value.trim() || form.dataset.averti !== undefined) return false;
  form.dataset.averti = "";
  const alert = form.querySelector(".alerte");
  alert.textContent = said.note_en_cours;
  alert.hidden = false;
  return true;
}

function showCode(data) {
  document.querySelector("#code-dit strong").textContent = data.code;
  document.getElementById("code-lien").value = data.lien;
  document.getElementById("code-duree").textContent = said.duree_code.replace("{minutes}", data.minutes);
  document.getElementById("code").hidden = false;
  return document.getElementById("code-dit");
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.getAttribute("method") !== "post" || form.dataset.natif !== undefined) return;
  event.preventDefault();
  if (unsaved(form)) return;
  const after = form.dataset.auSuivant === undefined ? () => null : next(form);
  if (form.dataset.efface !== undefined) erasing = true;
  const done = await submit(form, event.submitter, async (sent, data) => {
    if (data && sent.dataset.code !== undefined) return showCode(data);
    await refresh();
    if (data && sent.id === "envoi") toEnd();
    if (data && sent.dataset.reponse !== undefined) script.onward();
    return data && after();
  });
  if (!done) erasing = false;
});

// ── dialogs and small buttons ──

document.addEventListener("click", async ({ target }) => {
  const opens = target.closest("[data-ouvre]"), closes = target.closest("[data-ferme]"), copies = target.closest("[data-copie]");
  if (opens) document.getElementById(opens.dataset.ouvre).showModal();
  if (closes) closes.closest("dialog").close();
  if (copies) {
    const field = document.getElementById(copies.dataset.copie);
    field.select();
    try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
    say(said.copie);
  }
});

listenToKeys((key) => {
  if (page === "script" && key === "ArrowRight") script.step(1);
  else if (page === "script" && key === "ArrowLeft") script.step(-1);
  else if (key === "f" && log) { toEnd(); log.focus({ preventScroll: true }); }
  else if (key === "j") return along(1);
  else if (key === "k") return along(-1);
  else return false;
  return true;
});

if (signed) {
  restore();
  if (page === "script") script.begin();
  count();
  listen();
}
