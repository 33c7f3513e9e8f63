// The custom element <bon-moment>: a button that floats on the page, or a block in it (`dans-la-page`).
// Before it is opened it loads and stores nothing; then it brings the window, `widget/guide.js`.
//
// Attributes: position (droite, gauche), couleur, theme (auto, clair, sombre), titre, libelle, dans-la-page, ouvert.

const HERE = import.meta.url;
const LABEL = "Qualiopi : est-ce le moment ?";
const FAILED = "Le guide ne peut pas s’ouvrir pour le moment. Vérifiez votre connexion, puis réessayez.";
const LINK = /^#bon-moment=([\w-]+)$/; // A link that goes on with a conversation begun elsewhere.

const STYLE = `
:host { --brand: var(--bm-brand, #1d4e5f); --brand-ink: var(--bm-brand-ink, #fff); }
#ouvrir, #souci, #neuf, #fenetre, .boite { font: 400 1rem/1.5 var(--bon-moment-police, system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif);
  color: #1c2a30; direction: ltr; text-align: left; text-align-last: auto; text-transform: none; text-indent: 0; text-shadow: none;
  letter-spacing: normal; word-spacing: normal; white-space: normal; word-break: normal; hyphens: manual; cursor: auto;
  pointer-events: auto; visibility: visible; -webkit-text-fill-color: currentcolor; }
:host(:not([dans-la-page])) { position: fixed !important; z-index: 2147483000 !important; bottom: var(--bon-moment-decalage, 1.25rem);
  right: var(--bon-moment-decalage, 1.25rem); max-width: calc(100% - 2 * var(--bon-moment-decalage, 1.25rem)); }
:host(:not([dans-la-page])[position="gauche"]) { right: auto; left: var(--bon-moment-decalage, 1.25rem); }
:host([dans-la-page]) { display: block; }
[hidden] { display: none !important; }
#ouvrir { font-weight: 600; cursor: pointer; display: flex; gap: .6rem; align-items: center;
  color: var(--brand-ink); background: var(--brand); border: 2px solid var(--brand-ink); text-align: left;
  border-radius: var(--bon-moment-arrondi, 1.75rem); padding: .7rem 1.25rem .7rem 1rem; min-height: 3rem;
  box-shadow: 0 2px 12px rgb(0 0 0 / 30%); }
#ouvrir:hover { text-decoration: underline; text-underline-offset: .2em; }
#ouvrir:focus-visible { outline: 3px solid var(--brand); outline-offset: 3px; box-shadow: 0 0 0 3px var(--brand-ink); }
#ouvrir svg { width: 1.6rem; height: 1.6rem; flex: none; }
#souci { background: #fff; color: #8f1d1d; border: 1px solid #8f1d1d; border-radius: .5rem; padding: .6rem .9rem; margin: 0 0 .5rem; }
#neuf { margin: 0; }
#neuf:not(:empty) { width: fit-content; margin-bottom: .5rem; padding: .2rem .8rem; border: 2px solid var(--brand); border-radius: 1.25rem;
  background: var(--brand-ink); color: var(--brand); font-weight: 600; font-size: .9375rem; cursor: pointer; }
:host(:not([dans-la-page], [position="gauche"])) #neuf { margin-left: auto; }
@media (max-width: 25em) { #ouvrir { padding: .6rem 1rem .6rem .75rem; gap: .45rem; font-size: .9375rem; } }
@media print { :host(:not([dans-la-page])) { display: none; } }
`;
// The sizes of a style sheet in the visitor's own, whatever the site makes of `rem` (many set 10 px).
const sized = (style) => style.replace(/-?[\d.]+rem/g, (size) => `calc(${parseFloat(size)} * var(--bm-rem))`);

// The clock on the button.
function clock() {
  const name = "http://www.w3.org/2000/svg", svg = document.createElementNS(name, "svg");
  const attributes = { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(name, "path");
  path.setAttribute("d", "M3 12a9 9 0 1 0 18 0a9 9 0 1 0-18 0M12 7v5l3.5 2");
  svg.append(path);
  return svg;
}

// ── colours: whatever the site's own, text on it and in it stays readable (contrast of 4.5 at least) ──

const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const WHITE = [255, 255, 255], BLACK = [0, 0, 0];
const PAPERS = { "--bm-link-light": [WHITE, [245, 243, 238], BLACK], "--bm-link-dark": [[28, 38, 43], [18, 25, 28], WHITE] };

function palette(rgb) {
  const ink = contrast(rgb, WHITE) >= contrast(rgb, BLACK) ? WHITE : BLACK;
  const found = { "--bm-brand": `rgb(${rgb})`, "--bm-brand-ink": `rgb(${ink})` };
  for (const [name, [card, paper, toward]] of Object.entries(PAPERS)) {
    let text = rgb;
    for (let step = 0; step < 20 && Math.min(contrast(text, card), contrast(text, paper)) < 4.6; step += 1) {
      text = text.map((v, at) => Math.round(v + (toward[at] - v) * 0.12));
    }
    found[name] = `rgb(${text})`;
  }
  return found;
}

class BonMoment extends HTMLElement {
  static observedAttributes = ["couleur", "libelle"];
  #guide;

  connectedCallback() {
    if (!this.shadowRoot) this.#build();
    this.#paint();
    addEventListener("hashchange", this.#followLink);
    if (this.#followLink()) return;
    if (this.hasAttribute("ouvert") || this.classList.contains("bm-ouvert")) this.open(null, false);
  }

  disconnectedCallback() {
    removeEventListener("hashchange", this.#followLink);
    this.#guide?.leave();
  }

  #followLink = () => {
    const code = LINK.exec(location.hash)?.[1];
    if (!code) return false;
    history.replaceState(history.state, "", location.pathname + location.search); // Nobody else takes it.
    this.open(code);
    return true;
  };

  attributeChangedCallback(name) {
    if (!this.shadowRoot) return;
    if (name === "couleur") this.#paint();
    else this.shadowRoot.querySelector("#ouvrir span").textContent = this.getAttribute("libelle") || LABEL;
  }

  #build() {
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`:host { --bm-rem: max(1rem, 16px); } ${sized(STYLE)}`);
    root.adoptedStyleSheets = [sheet];
    this.lang = "fr";
    const trouble = document.createElement("p");
    trouble.id = "souci";
    trouble.hidden = true;
    trouble.setAttribute("role", "alert");
    const button = document.createElement("button");
    button.id = "ouvrir";
    button.type = "button";
    const label = document.createElement("span");
    label.id = "libelle";
    label.textContent = this.getAttribute("libelle") || LABEL;
    button.append(clock(), label);
    const fresh = document.createElement("p");
    fresh.id = "neuf";
    fresh.setAttribute("role", "status");
    button.setAttribute("aria-labelledby", "libelle neuf");
    if (!this.hasAttribute("dans-la-page")) button.setAttribute("aria-haspopup", "dialog");
    for (const one of [fresh, button]) one.addEventListener("click", () => this.open());
    root.append(trouble, fresh, button);
  }

  #paint() {
    for (const name of ["--bm-brand", "--bm-brand-ink", ...Object.keys(PAPERS)]) this.style.removeProperty(name);
    const wanted = this.getAttribute("couleur") || getComputedStyle(this).getPropertyValue("--bon-moment-couleur").trim();
    if (!wanted || !CSS.supports("color", wanted)) return;
    const canvas = document.createElement("canvas").getContext("2d"); // It reads any way of writing a colour.
    for (const colour of ["#fff", wanted]) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    const rgb = [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    for (const [name, value] of Object.entries(palette(rgb))) this.style.setProperty(name, value);
  }

  /** Open the window; `code` goes on with a conversation begun on another device, `focus` moves the keyboard there. */
  async open(code = null, focus = true) {
    const button = this.shadowRoot.querySelector("#ouvrir"), trouble = this.shadowRoot.querySelector("#souci");
    if (button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    trouble.hidden = true;
    try {
      if (!this.#guide) {
        const { Guide } = await import(new URL("widget/guide.js", HERE));
        this.#guide = await Guide.load(this, new URL(".", HERE), sized);
      }
      button.hidden = true;
      this.#guide.open(code, focus);
    } catch (error) {
      console.error(error);
      button.hidden = false;
      trouble.textContent = FAILED;
      trouble.hidden = false;
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  /** Say beside the button, and in its name, what arrived while the window was closed. */
  told(text) { this.shadowRoot.querySelector("#neuf").textContent = text; }

  /** The window was closed: the button is back, and the keyboard on it. */
  closed() {
    const button = this.shadowRoot.querySelector("#ouvrir");
    button.hidden = false;
    button.focus();
  }
}

if (!customElements.get("bon-moment")) customElements.define("bon-moment", BonMoment);

// `widget.js?bouton=droite`: the script alone adds the button, where a site lets nothing else be added.
const place = new URL(HERE).searchParams.get("bouton");
if (place && !document.querySelector("bon-moment")) {
  const made = document.createElement("bon-moment");
  made.setAttribute("position", place);
  document.body.append(made);
}
