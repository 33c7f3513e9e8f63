// The shortcuts of one key. None acts while something is typed or a dialog is open; all can be switched off, for the console
// and the workshop together.

const OFF = "bon-moment:raccourcis";
const choice = document.getElementById("raccourcis-actifs");
const active = () => { try { return localStorage.getItem(OFF) !== "non"; } catch { return true; } };

choice.checked = active();
choice.addEventListener("change", () => { try { localStorage.setItem(OFF, choice.checked ? "oui" : "non"); } catch { /* for this page only */ } });

/** `acts`: what each key does; a function that returns false has done nothing. */
export function listenToKeys(acts) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const field = target.closest?.("input:not([type=checkbox]), textarea, select");
    if (field && event.key !== "Escape") return;
    if (event.key !== "Escape" && !active()) return;
    if (event.key === " " && target.closest?.("button, a, summary")) return;
    // A French keyboard gives its digits only with Shift: the place of the key says which one it is.
    const digit = /^(?:Digit|Numpad)([1-5])$/.exec(event.code)?.[1];
    const key = acts[event.key] || !digit ? event.key.length === 1 ? event.key.toLowerCase() : event.key : digit;
    if (!acts[key] || acts[key](field) === false) return;
    event.preventDefault();
  });
}
