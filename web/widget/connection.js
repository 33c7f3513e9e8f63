// Between the window and the door: the key of the conversation, the stream of what is said, and the one message under way.
// A message is sent until the conversation is seen to hold it, each time under the same key: never lost, never doubled.

const SILENCE = 40_000; // Milliseconds without a sign of life after which the stream is taken for dead: it beats each 15 s.
const LONGEST_WAIT = 15_000;

// A browser may refuse to store (private window): what is kept then lasts as long as the page.
export const memory = (store) => {
  const kept = {};
  return {
    get: (name) => { try { return store().getItem(name) ?? kept[name] ?? null; } catch { return kept[name] ?? null; } },
    set: (name, value) => { kept[name] = value; try { store().setItem(name, value); } catch { /* kept above */ } },
    drop: (name) => { delete kept[name]; try { store().removeItem(name); } catch { /* nothing there */ } },
  };
};
const local = memory(() => localStorage);
const session = memory(() => sessionStorage);

export class Connection {
  #base; #hear; #key; #sending; #abort; #run = null; #wake = () => {}; #token = null; #pending = null;

  // `hear(kind, data)` gets the door's events, and « coupure » (the line is down), « retablie », « refus » (of a message),
  // « perdue » (no such conversation). What is stored bears `prefix`.
  constructor(base, hear, prefix = "bon-moment") {
    this.#base = base;
    this.#hear = hear;
    this.#key = `${prefix}:jeton`;
    this.#sending = `${prefix}:envoi`;
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.#run && this.reconnect());
  }

  // One page speaks in one conversation, even where another page of the site has begun another since.
  get token() { return this.#token; }
  set token(value) {
    if (value) local.set(this.#key, value);
    else if (local.get(this.#key) === this.#token) local.drop(this.#key);
    this.#token = value;
  }

  /** Find again the conversation of this browser, and the message that a reload has interrupted. */
  recall() {
    this.#token = local.get(this.#key);
    const sending = JSON.parse(session.get(this.#sending) ?? "null");
    this.#pending = sending?.jeton === this.#token ? sending : null;
  }

  get pending() { return this.#pending; }
  set pending(message) {
    this.#pending = message;
    if (message) session.set(this.#sending, JSON.stringify(message));
    else session.drop(this.#sending);
  }

  async fetch(method, path, body, options = {}) {
    const headers = { ...(this.#token && { Authorization: `Bearer ${this.#token}` }), ...(body && { "Content-Type": "application/json" }) };
    return fetch(new URL(path, this.#base), {
      method, headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store", ...options,
    });
  }

  // The answer's own fields, with `ok` and `status`; status 0 when the line is down.
  async call(method, path, body) {
    try {
      const answer = await this.fetch(method, path, body, { signal: AbortSignal.timeout?.(40_000) });
      return { ...(await answer.json().catch(() => ({}))), ok: answer.ok, status: answer.status };
    } catch {
      return { ok: false, status: 0 };
    }
  }

  listen() {
    if (!this.#run) this.#loop((this.#run = {}));
  }

  /** Close the stream; what is under way is kept. */
  stop() {
    this.#run = null;
    this.reconnect();
  }

  reconnect() {
    this.#abort?.abort();
    this.#wake();
  }

  async #loop(run) {
    let wait = 500, down = false;
    while (this.#run === run) {
      const abort = (this.#abort = new AbortController());
      let watch;
      const alive = () => { clearTimeout(watch); watch = setTimeout(() => abort.abort(), SILENCE); };
      try {
        alive();
        const answer = await this.fetch("GET", "api/evenements", null, { signal: abort.signal });
        if (answer.status === 404) {
          this.#run = null;
          this.#hear("perdue", await answer.json().catch(() => ({})));
          return;
        }
        if (!answer.ok) throw new Error(answer.status);
        for await (const [kind, data] of eventsOf(answer.body, alive)) {
          if (this.#run !== run) break;
          wait = 500;
          if (down) this.#hear("retablie", {});
          down = false;
          this.#receive(kind, data);
        }
      } catch { /* the line is down: said and tried again below */ } finally {
        clearTimeout(watch);
        abort.abort();
      }
      if (this.#run !== run) return;
      if (!down) this.#hear("coupure", {});
      down = true;
      await new Promise((resolve) => { this.#wake = resolve; setTimeout(resolve, wait); });
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
  }

  #receive(kind, data) {
    const key = this.#pending?.cle;
    const holds = (message) => message.id.startsWith(`${key}:`);
    if (key && kind === "message" && data.de === "guide" && holds(data)) this.pending = null;
    if (key && (kind === "panne" || kind === "fin") && data.cle === key) this.pending = null;
    if (key && kind === "historique" && data.messages.some(holds)) this.pending = null;
    this.#hear(kind, data);
    if (kind === "historique" && this.#pending) this.#post();
  }

  // Send `body`, which the page shows as `shown`: what the door says of it, or `{attente: true}` while the line is down.
  async deliver(body, shown) {
    const key = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.pending = { envoi: { ...body, cle: key }, cle: key, affiche: shown, jeton: this.#token };
    return this.#post();
  }

  async #post() {
    const sent = this.#pending;
    const answer = await this.call("POST", "api/messages", sent.envoi);
    const current = this.#pending?.cle === sent.cle;
    if (answer.status === 0 || answer.status >= 502) {
      if (current && this.#run) this.reconnect();
      return { attente: true };
    }
    if (!answer.ok) {
      if (current) this.pending = null;
      this.#hear("refus", { ...answer, cle: sent.cle, renvoyer: sent.envoi.texte });
    }
    return answer;
  }
}

// Server-sent events read from a fetch, which can carry the key in a header.
async function* eventsOf(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
      if (fields.event) yield [fields.event, JSON.parse(fields.data)];
    }
  }
}
