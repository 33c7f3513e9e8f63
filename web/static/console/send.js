// What the page sends: every form by fetch, the session renewed in place, nothing typed ever lost.

export const said = JSON.parse(document.getElementById("textes").textContent);
const status = document.getElementById("etat");
const box = document.getElementById("session");

/** Say something of the whole page; `fault` makes it stand out until something else is said. */
export function say(text, fault = false) {
  status.textContent = text;
  status.classList.toggle("alerte", fault);
  clearTimeout(say.timer);
  if (text && !fault) say.timer = setTimeout(() => { status.textContent = ""; }, 8_000);
}

// ── the session ──

const mark = () => document.querySelector('meta[name="csrf"]');
export const token = () => mark()?.content ?? "";
export function renew(value) {
  if (!value || !mark()) return;
  mark().content = value;
  for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = value;
}

/** Called once the person has signed in again. */
export const signedIn = [];
let asking = null, later = false, elsewhere = false;

/** Another tab has signed the same person in: what waits here for it goes on. */
export function renewedElsewhere({ csrf, identifiant }) {
  if (session().identifiant !== identifiant) return location.reload();
  renew(csrf);
  later = false;
  if (box.open) { elsewhere = true; box.close("ok"); }
  if (status.textContent === said.session_page) say("");
}

/** What the other tabs need to know of this session. */
export const session = () => ({ csrf: token(), identifiant: box?.querySelector("[name=identifiant]").defaultValue });

/** Ask who it is, in place; false if the person would rather not now. Everybody who asks meanwhile gets the same answer. */
export function login() {
  return (asking ??= new Promise((resolve) => {
    if (!box) return resolve(false);
    box.returnValue = "";
    box.addEventListener("close", () => resolve(box.returnValue === "ok"), { once: true });
    box.showModal();
  }).then((ok) => {
    asking = null;
    later = !ok;
    if (ok && !elsewhere) for (const act of signedIn) act();
    elsewhere = false;
    return ok;
  }));
}

box?.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, alert = form.querySelector(".alerte");
  if (busy.has(form)) return;
  occupy(form, true);
  const { ok, data } = await send("/console/connexion", new URLSearchParams(new FormData(form)));
  occupy(form, false);
  if (!ok) {
    tell(alert, data.texte);
    form.elements.mot_de_passe.select();
    return;
  }
  const same = form.elements.identifiant.value.trim().toLowerCase() === form.elements.identifiant.defaultValue;
  form.elements.mot_de_passe.value = "";
  tell(alert, "");
  renew(data.csrf);
  // Someone else: what was under way is not theirs to send. What is typed stays in this tab.
  if (!same) return location.reload();
  box.close("ok");
});

// ── sending ──

/** POST `body`; if the session has expired, again once it is renewed. `status` 0: the line is down. */
export async function send(url, body, key) {
  for (;;) {
    if (token()) body.set("csrf", token());
    let answer;
    try {
      const headers = { Accept: "application/json", "X-CSRF-Token": token(), ...(key && { "Idempotency-Key": key }) };
      answer = await fetch(url, { method: "POST", body, headers, signal: AbortSignal.timeout(60_000) });
    } catch {
      return { ok: false, status: 0, data: { texte: said.non_envoye } };
    }
    if (answer.status !== 401 || url === "/console/connexion") {
      const data = await answer.json().catch(() => ({}));
      return { ok: answer.ok, status: answer.status, data: { texte: said.panne, ...data } };
    }
    if (!(await login())) return { ok: false, status: 401, data: { texte: said.session } };
  }
}

// A page of the console, as a document; null while the line is down or the session over.
export async function read(url) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(30_000) });
    } catch {
      return null;
    }
    if (answer.status !== 401 && new URL(answer.url).pathname !== "/console/connexion") {
      const page = new DOMParser().parseFromString(await answer.text().catch(() => ""), "text/html");
      return { status: answer.status, page };
    }
    // Whoever said « later » is asked again by what they do, not by what happens elsewhere.
    if (later || !(await login())) {
      say(said.session_page, true);
      return null;
    }
  }
}

// ── forms ──

const busy = new WeakSet();
const underWay = new Set();
const tried = new WeakMap();
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
let leaving = false;

/** Resolves once nothing is under way; true if the page is about to be left. */
export async function settled() {
  await Promise.allSettled(underWay);
  return leaving;
}

function occupy(form, on) {
  if (on) busy.add(form);
  else busy.delete(form);
  for (const button of form.querySelectorAll("button:not([type=button])")) {
    if (on) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }
}

function tell(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

const typed = (form) => [...form.querySelectorAll("textarea, input:not([type]), input[type=checkbox], input[type=radio]")];

// A message keeps its key for as long as it is the same message, so that a second try does not double it.
function keyed(form) {
  const field = form.elements.cle, text = form.elements.texte?.value;
  if (!field) return;
  if (!field.value || field.dataset.pour !== text) {
    field.value = newKey();
    field.dataset.pour = text;
    keep(form, field, JSON.stringify([field.value, text]));
  }
}

/** Send a form; true once it is done. `after(form, data)` then runs and may return what gets the focus; it runs without data
 *  where the page shows something that is no longer so. */
export async function submit(form, submitter, after) {
  if (busy.has(form)) return false;
  keyed(form);
  const alert = form.querySelector(".alerte");
  const body = new URLSearchParams(new FormData(form, submitter));
  const focusOn = form.dataset.focus; // The form may become another one meanwhile.
  const before = new Map(typed(form).map((field) => [field, field.value]));
  occupy(form, true);
  // The same sending tried again is done once: what the form says has its own key until it has gone through.
  const words = new URLSearchParams(body);
  words.delete("csrf"); // A renewed session says the same.
  const content = String(words);
  if (tried.get(form)?.content !== content) tried.set(form, { content, key: newKey() });
  const sending = send(form.getAttribute("action"), body, tried.get(form).key);
  underWay.add(sending);
  const { ok, status: code, data } = await sending;
  underWay.delete(sending);
  if (!ok) {
    occupy(form, false);
    const onPage = !alert || code === 0;
    if (alert) tell(alert, onPage ? "" : data.texte);
    if (onPage) say(data.texte, true);
    if (code === 409 || code === 404) await after(form, null);
    return false;
  }
  tried.delete(form);
  if (alert) tell(alert, "");
  for (const [field, value] of before) {
    if (field.type === "checkbox" || field.type === "radio") field.checked = false;
    else if (field.value === value && !field.readOnly) field.value = "";
    keep(form, field, field.value);
  }
  if (form.elements.cle) {
    form.elements.cle.value = "";
    keep(form, form.elements.cle, "");
  }
  const next = form.dataset.aller ?? data.aller;
  if (form.dataset.depart !== undefined) forget();
  if (next) {
    leaving = true;
    location.assign(next);
    return true;
  }
  if (status.classList.contains("alerte")) say("");
  if (form.dataset.fait) say(form.dataset.fait);
  const focus = await after(form, data);
  occupy(form, false);
  const at = document.activeElement; // Not away from another field, where the person has gone on to write.
  if (!at?.matches("input, textarea, select") || form.contains(at)) (focus ?? (focusOn && document.querySelector(focusOn)))?.focus();
  return true;
}

// ── drafts: what is typed and not sent stays in this tab ──

const PREFIX = "bon-moment:brouillon:";
const store = {
  get: (name) => { try { return sessionStorage.getItem(name); } catch { return null; } },
  set: (name, value) => { try { if (value) sessionStorage.setItem(name, value); else sessionStorage.removeItem(name); } catch { /* kept in the field only */ } },
};
const nameOf = (form, field) => `${PREFIX}${form.getAttribute("action")}:${field.name}`;
const keep = (form, field, value) => {
  if (field.name && field.name !== "csrf" && !["checkbox", "radio", "password"].includes(field.type)) store.set(nameOf(form, field), value);
};

/** Forget every draft, or those of one conversation. */
export function forget(part = "") {
  try {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(PREFIX) && name.includes(part)) sessionStorage.removeItem(name);
  } catch { /* nothing was kept */ }
}

/** Put the drafts back in the fields of a page or a part of it. */
export function restore(part = document) {
  for (const form of part.querySelectorAll('form[method="post"]:not([data-natif])')) {
    for (const field of form.querySelectorAll("textarea, input:not([type])")) {
      const draft = !field.readOnly && store.get(nameOf(form, field));
      if (!draft || field.value) continue;
      field.value = draft;
      const folded = field.closest("details");
      if (folded) folded.open = true;
    }
    const kept = form.elements.cle && store.get(nameOf(form, form.elements.cle));
    if (kept) [form.elements.cle.value, form.elements.cle.dataset.pour] = JSON.parse(kept);
  }
}

document.addEventListener("input", ({ target }) => {
  const form = target.closest?.('form[method="post"]:not([data-natif])');
  if (form && target.matches("textarea, input:not([type])")) keep(form, target, target.value);
});
