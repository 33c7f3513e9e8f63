// The shortcuts of one key. Each is written where it acts, in `data-touche` (several keys in a row, with spaces): a field or
// a heading gets the focus, a button or a link is pressed. None acts while something is typed; all can be switched off.

const OFF = "bon-moment:raccourcis";
const PAUSE = 1_500; // Milliseconds between the keys of a row.
const choice = document.getElementById("raccourcis-actifs");
const active = () => { try { return localStorage.getItem(OFF) !== "non"; } catch { return true; } };

if (choice) {
  choice.checked = active();
  choice.addEventListener("change", () => { try { localStorage.setItem(OFF, choice.checked ? "oui" : "non"); } catch { /* for this page only */ } });
}

const visible = (element) => element.checkVisibility?.() ?? element.offsetParent !== null;
const bearer = (keys) => [...document.querySelectorAll(`[data-touche="${CSS.escape(keys)}"]`)].find(visible);
const begins = (key) => document.querySelector(`[data-touche^="${CSS.escape(key)} "]`);

let first = "", timer = null;

/** `other(key)` is asked for what no element bears; it says whether it did something. */
export function listenToKeys(other) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const field = target.closest?.("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
    if (event.key === "Escape" && field && !target.closest("dialog")) {
      const near = [...(field.closest("section, main")?.querySelectorAll("[tabindex]") ?? [])].find(visible);
      (near ?? document.getElementById("contenu")).focus();
      return;
    }
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || field) return;
    if (!active() || document.querySelector("dialog[open]")) return;
    // A French keyboard gives its digits only with Shift: the place of the key says which one it is.
    const digit = /^(?:Digit|Numpad)([1-4])$/.exec(event.code)?.[1];
    const key = bearer(event.key) || !digit ? event.key : digit;
    clearTimeout(timer);
    const keys = first ? `${first} ${key}` : key;
    first = "";
    const found = bearer(keys);
    if (found) act(found);
    else if (keys === key && begins(key)) {
      first = key;
      timer = setTimeout(() => { first = ""; }, PAUSE);
    } else if (!other(keys)) return;
    event.preventDefault();
  });
}

function act(element) {
  element.focus();
  if (element.matches("button, a")) element.click();
}

/** Move the focus along a list: one line down (1) or up (-1). */
export function along(step) {
  const stops = [...document.querySelectorAll("[data-liste] > li")].map((line) => line.querySelector("select, a, button")).filter(Boolean);
  if (!stops.length) return false;
  const here = stops.findIndex((stop) => stop.closest("li").contains(document.activeElement));
  const next = here < 0 ? stops.at(step > 0 ? 0 : -1) : stops[Math.min(Math.max(here + step, 0), stops.length - 1)];
  next.focus();
  next.closest("li").scrollIntoView({ block: "nearest" });
  return true;
}
