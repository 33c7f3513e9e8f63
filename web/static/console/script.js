// The script of a call: one question at a time, in any order. The address says which, so that a reload stays on it.

const views = () => [...document.querySelectorAll("[data-vue]")];
const named = () => views().find((view) => view.id === location.hash.slice(1));
let current = null;

// The first question without an answer after `view`, else the first of all, else the end of the call.
function pending(view) {
  const open = views().filter((one) => one.matches(".question:not([data-repondue])"));
  return open.find((one) => view && view.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING) ?? open[0] ?? document.getElementById("fin");
}

/** Show what the address says, or where the call stands. */
export function show(focus = false) {
  if (!views().length) return;
  const view = named() ?? document.getElementById(current) ?? (document.querySelector("[data-repondue]") ? pending(null) : document.getElementById("debut"));
  const moved = view.id !== current;
  current = view.id;
  for (const one of views()) one.hidden = one !== view;
  for (const link of document.querySelectorAll(".plan a")) {
    if (link.hash === `#${view.id}`) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
  const place = views().indexOf(view);
  for (const button of document.querySelectorAll("[data-pas]")) button.disabled = !views()[place + Number(button.dataset.pas)];
  // The question that had the keyboard is no longer asked.
  if (document.activeElement.closest("[data-vue][hidden]")) focus = true;
  if (!moved && !focus) return;
  view.closest(".gauche").scrollTop = 0;
  document.querySelector(".plan [aria-current]")?.scrollIntoView({ block: "nearest" });
  if (focus) view.querySelector("h2").focus({ preventScroll: true });
}

function go(view) {
  if (!view) return;
  if (location.hash === `#${view.id}`) show(true);
  else location.hash = view.id;
}

/** One view further (1) or back (-1). */
export const step = (by) => go(views()[views().findIndex((view) => view.id === current) + by]);

/** After an answer: the next question that has none. */
export function onward() {
  const view = document.getElementById(current);
  go(pending(view));
}

export function begin() {
  if (!views().length) return;
  addEventListener("hashchange", () => show(true));
  document.addEventListener("click", (event) => {
    const way = event.target.closest("[data-pas]");
    if (way) step(Number(way.dataset.pas));
    if (event.target.closest(".plan a")?.hash === location.hash) { // No change of address would be told.
      event.preventDefault();
      show(true);
    }
    if (event.target.closest("[data-premiere]")) {
      event.preventDefault();
      go(pending(null));
    }
  });
  show();
}
