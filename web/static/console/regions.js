// Bring the page in line with a fresh copy of it, piece by piece: what has not changed is not touched, so that focus,
// scroll, selection, what is being typed and what a screen reader reads stay where they are.

const FIELDS = "input, textarea, select";

// What someone has entered and not sent.
function entered(field) {
  if (field.matches("select")) return field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected));
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  return field.type !== "hidden" && field.value !== field.defaultValue;
}

const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-cle") : null);
const blank = (node) => node.nodeType === Node.TEXT_NODE && !node.data.trim();

function attributes(old, fresh) {
  const own = (name) => name === "open" && old.matches("details, dialog");
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !own(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !own(name)) old.setAttribute(name, value);
}

function children(old, fresh, added) {
  const wanted = [...fresh.childNodes], keys = new Set(wanted.map(key).filter(Boolean)), found = new Map();
  for (const node of [...old.childNodes]) {
    if (keys.size && blank(node)) node.remove();
    else if (key(node) && keys.has(key(node))) found.set(key(node), node);
    else if (key(node)) node.remove();
  }
  let at = old.firstChild;
  for (const node of wanted) {
    if (keys.size && blank(node)) continue;
    const alike = at && !key(at) && at.nodeType === node.nodeType && at.nodeName === node.nodeName;
    const same = key(node) ? found.get(key(node)) : alike ? at : null;
    if (!same || same.nodeName !== node.nodeName) {
      const made = document.importNode(node, true);
      old.insertBefore(made, at);
      if (same) { if (same === at) at = at.nextSibling; same.remove(); }
      if (made.nodeType === Node.ELEMENT_NODE) added.push(made);
    } else {
      if (same === at) at = at.nextSibling;
      else if (old.moveBefore) old.moveBefore(same, at);
      else old.insertBefore(same, at);
      if (same.nodeType === Node.ELEMENT_NODE) align(same, node, added);
      else if (same.data !== node.data) same.data = node.data;
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function align(old, fresh, added) {
  if (old.isEqualNode(fresh) || (old.hasAttribute("data-fixe") && fresh.hasAttribute("data-fixe"))) return;
  const field = old.matches(FIELDS);
  if (field && (old === document.activeElement || entered(old)) && old.value !== fresh.value) return;
  attributes(old, fresh);
  children(old, fresh, added);
  if (field && old.value !== fresh.value) old.value = fresh.value;
}

// Where the focus goes if what has it disappears: the same thing in the next piece, or the one before, or the heading.
function refuge(active) {
  const piece = active.closest("[data-cle]"), region = active.closest("[data-region]");
  const after = [], before = [];
  for (let node = piece?.nextElementSibling; node; node = node.nextElementSibling) after.push(node);
  for (let node = piece?.previousElementSibling; node; node = node.previousElementSibling) before.push(node);
  return () => {
    const other = [...after, ...before].find((node) => node.isConnected);
    const alike = other?.querySelector(`${active.localName}:not([type=hidden])`) ?? other?.querySelector("a, button, select");
    const heading = (region?.isConnected && region.closest("section")?.querySelector("[tabindex='-1']")) || document.getElementById("contenu");
    return alike ?? heading;
  };
}

export const regions = (page) => new Map([...page.querySelectorAll("[data-region]")].map((part) => [part.dataset.region, part]));

/** Align every region with the same of `page`. Returns the elements added; null if the page is no longer made of the same. */
export function bring(page) {
  const here = regions(document), there = regions(page);
  if ([...here.keys()].join() !== [...there.keys()].join()) return null;
  const active = document.activeElement, elsewhere = active && active !== document.body ? refuge(active) : null, added = [];
  for (const [name, part] of here) align(part, there.get(name), added);
  if (elsewhere && document.activeElement !== active) {
    const target = active.isConnected && !active.hidden ? active : elsewhere();
    target.focus({ preventScroll: active.isConnected });
  }
  return added;
}
