// Small helpers of the window.

/** An element with these properties and children. */
export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** `text` with its {marks} filled from `values`. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (mark, name) => values[name] ?? mark);
}

/** A piece of a picture, with these attributes and words. */
export function draw(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}
