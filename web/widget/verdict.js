// The verdict as a card: what weighs as a picture, the sections to unfold, what would change it, what to do next.

import { draw, make } from "./dom.js";

const ROW = 30, AXIS = 208, UNIT = 28, WIDTH = 320;

let drawn = 0;

// One row an answer: to the right what weighs for, to the left against, a triangle on the axis what calls for care.
// The side, the sign and the filling say it as well as the colour.
export function picture(reasons, said) {
  const top = 30, height = top + ROW * reasons.length + 6, name = `hachures-${(drawn += 1)}`;
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "image" });
  const words = ["pour", "contre", "vigilance"].map((effect) => {
    const found = reasons.filter((reason) => reason.effet === effect).map((reason) => reason.nom.toLowerCase());
    return found.length ? `${said[effect]} : ${found.join(", ")}.` : "";
  });
  svg.setAttribute("aria-label", `${said.image} ${words.join(" ")}`);
  const pattern = draw("pattern", { id: name, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(draw("rect", { width: 7, height: 7, class: "fond-contre" }), draw("rect", { width: 3, height: 7, class: "trait-contre" }));
  const definitions = draw("defs", {});
  definitions.append(pattern);
  svg.append(
    definitions,
    draw("text", { x: AXIS - 8, y: 14, class: "cote", "text-anchor": "end" }, said.contre),
    draw("text", { x: AXIS + 8, y: 14, class: "cote" }, said.pour),
    draw("line", { x1: AXIS, x2: AXIS, y1: 22, y2: height - 2, class: "axe" }),
  );
  reasons.forEach((reason, number) => {
    const y = top + ROW * number, size = UNIT * reason.poids, middle = y + 11;
    svg.append(draw("text", { x: 0, y: middle + 5, class: "nom" }, reason.nom));
    if (reason.effet === "vigilance") {
      svg.append(draw("path", { d: `M${AXIS} ${y - 1} l13 23 h-26 z`, class: "vigilance" }));
      svg.append(draw("text", { x: AXIS, y: y + 19, class: "signe-vigilance", "text-anchor": "middle" }, "!"));
      svg.append(draw("text", { x: AXIS + 18, y: middle + 5, class: "mot" }, said.vigilance_court));
    } else {
      const side = reason.effet === "pour" ? 1 : -1;
      const fill = side > 0 ? {} : { fill: `url(#${name})` };
      svg.append(draw("rect", { x: side > 0 ? AXIS : AXIS - size, y, width: size, height: 22, rx: 3, class: reason.effet, ...fill }));
      const sign = { x: AXIS + side * (size + 11), y: middle + 6, class: "signe", "text-anchor": "middle" };
      svg.append(draw("text", sign, side > 0 ? "+" : "−"));
    }
  });
  return svg;
}

const SIGNS = { pour: "+", contre: "−", vigilance: "!" };

/** The card of a verdict; `guide` sends what its buttons ask for. */
export function card(data, guide) {
  const said = guide.said;
  const title = make("h3", { textContent: data.titre, tabIndex: -1 });
  const sentence = make("p", { id: `phrase-${(drawn += 1)}`, className: "phrase", textContent: data.phrase });
  title.setAttribute("aria-describedby", sentence.id);
  const article = make("article", { className: "carte" });
  article.append(make("p", { className: "sur-titre", textContent: said.verdict_titre }), title, sentence);

  const keep = (text, act) => make("button", { type: "button", className: "secondaire", textContent: text, onclick: act });
  const figure = make("figure");
  if (data.raisons.length) {
    const list = make("ul", { className: "raisons" }, ...data.raisons.map((reason) =>
      make("li", { className: reason.effet },
        make("span", { className: "signe", textContent: SIGNS[reason.effet], ariaHidden: "true" }),
        make("span", {}, make("strong", { textContent: `${said[reason.effet]} : ` }), `${reason.reponse}.`))));
    figure.append(
      make("figcaption", { textContent: said.ce_qui_pese }), picture(data.raisons, said),
      make("p", { className: "note", textContent: said.longueurs }),
      make("details", {}, make("summary", { textContent: said.en_mots }), list));
  } else figure.append(make("figcaption", { textContent: said.rien_ne_pese }));
  article.append(figure);

  article.append(make("h4", { textContent: said.parties }), ...data.parties.map((part) =>
    make("details", { className: "partie" }, make("summary", { textContent: part.nom }), make("p", { textContent: part.explication }))));

  article.append(make("h4", { textContent: said.etapes }), make("ol", {}, ...data.etapes.map((step) => make("li", { textContent: step }))));

  article.append(make("h4", { textContent: said.pistes }));
  if (data.pistes.length) {
    article.append(make("ul", { className: "pistes" }, ...data.pistes.map((track) => {
      const hypothesis = `${said.si} ${track.hypothese}`;
      const attempt = make("button", { type: "button", textContent: said.essayer, onclick: () => guide.choose({ choix: track.choix, titre: track.question }) });
      attempt.setAttribute("aria-label", `${said.essayer} : ${hypothesis}`);
      return make("li", {}, make("span", {}, `${hypothesis} : `, make("strong", { textContent: track.titre })), attempt);
    })));
  } else article.append(make("p", { textContent: said.sans_piste }));
  article.append(make("div", { className: "actions" }, keep(said.revoir, () => guide.dialogs.answers())));

  const status = make("p", { className: "note" });
  status.setAttribute("role", "status");
  article.append(
    make("h4", { textContent: said.garder }),
    make("p", { className: "reference" }, `${said.reference} `, make("strong", { textContent: data.reference })),
    make("div", { className: "actions" }, keep(said.document, () => guide.download(status)), keep(said.imprimer, () => { status.textContent = ""; guide.print(article); })),
    status);

  const call = make("a", { className: "bouton secondaire", href: `tel:${said.telephone_lien}`, textContent: `${said.appeler} ${said.telephone}` });
  article.append(
    make("h4", { textContent: said.suite }),
    make("p", { className: "note", textContent: said.suite_note }),
    make("div", { className: "actions egales" }, keep(said.rappel, () => guide.dialogs.callBack()), call, keep(said.arreter, () => guide.dialogs.open("depart"))));

  const thanks = make("p", { className: "note" });
  thanks.setAttribute("role", "status");
  const opinions = make("fieldset", { className: "avis" }, make("legend", { textContent: said.avis }));
  const votes = [[true, said.oui], [false, said.non]].map(([useful, text]) => {
    const vote = keep(text, async () => {
      if (await guide.judge(useful, thanks)) votes.forEach((other) => other.setAttribute("aria-pressed", String(other === vote)));
    });
    vote.setAttribute("aria-pressed", "false");
    return vote;
  });
  opinions.append(make("div", { className: "actions" }, ...votes), thanks);
  article.append(opinions);
  return article;
}

/** Print the card alone, all of it unfolded, whatever the page around it. */
export function printed(article, sheets, title) {
  const frame = make("iframe", { title, className: "impression" });
  article.getRootNode().append(frame);
  const page = frame.contentDocument;
  const copy = page.importNode(article, true);
  for (const folded of copy.querySelectorAll("details")) folded.open = true;
  page.documentElement.lang = "fr";
  page.title = title;
  const rules = sheets.flatMap((sheet) => [...sheet.cssRules].map((rule) => rule.cssText.replaceAll(":host", ":root"))).join("\n");
  const sheet = new frame.contentWindow.CSSStyleSheet();
  sheet.replaceSync(rules);
  page.adoptedStyleSheets = [sheet];
  page.body.className = "a-imprimer";
  page.body.append(copy);
  frame.contentWindow.addEventListener("afterprint", () => frame.remove());
  frame.contentWindow.focus();
  frame.contentWindow.print();
}
