// Between the window and the door: the key of the conversation, the stream of what is said, and the one message under way.
// A message is sent until the conversation is seen to hold it, each time under the same key: never lost, never doubled.

const KEY = "bon-moment:jeton";
const SILENCE = 40_000; // Milliseconds without a sign of life after which the stream is taken for dead: it beats each 15 s.
const LONGEST_WAIT = 15_000;

// A browser may refuse to store (private window): the conversation then lasts as long as the page.
export const memory = (store) => {
  const kept = {};
  return {
    get: (name) => { try { return store()?.getItem(name) ?? kept[name] ?? null; } catch { return kept[name] ?? null; } },
    set: (name, value) => { kept[name] = value; try { store().setItem(name, value); } catch { /* kept above */ } },
    drop: (name) => { delete kept[name]; try { store().removeItem(name); } catch { /* nothing there */ } },
  };
};
const local = memory(() => localStorage);

export class Connection {
  #base; #hear; #abort; #running = false; #wake = () => {};
  pending = null;

  // `hear(kind, data)` gets the door's events, and « coupure » (the line is down), « retablie » and « perdue » (no such conversation).
  constructor(base, hear) {
    this.#base = base;
    this.#hear = hear;
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.#running && this.reconnect());
  }

  get token() { return local.get(KEY); }
  set token(value) { value ? local.set(KEY, value) : local.drop(KEY); }

  async fetch(method, path, body, options = {}) {
    const headers = { ...(this.token && { Authorization: `Bearer ${this.token}` }), ...(body && { "Content-Type": "application/json" }) };
    return fetch(new URL(path, this.#base), {
      method, headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store", ...options,
    });
  }

  // The answer's own fields, with `ok` and `status`; status 0 when the line is down.
  async call(method, path, body) {
    try {
      const answer = await this.fetch(method, path, body, { signal: AbortSignal.timeout?.(30_000) });
      return { ...(await answer.json().catch(() => ({}))), ok: answer.ok, status: answer.status };
    } catch {
      return { ok: false, status: 0 };
    }
  }

  listen() {
    if (this.#running) return;
    this.#running = true;
    this.#loop();
  }

  stop() {
    this.#running = false;
    this.pending = null;
    this.#abort?.abort();
    this.#wake();
  }

  reconnect() {
    this.#abort?.abort();
    this.#wake();
  }

  async #loop() {
    let wait = 500, down = false;
    while (this.#running) {
      const abort = (this.#abort = new AbortController());
      let watch;
      const alive = () => { clearTimeout(watch); watch = setTimeout(() => abort.abort(), SILENCE); };
      try {
        alive();
        const answer = await this.fetch("GET", "api/evenements", null, { signal: abort.signal });
        if (answer.status === 404) {
          this.#running = false;
          this.#hear("perdue", await answer.json().catch(() => ({})));
          return;
        }
        if (!answer.ok) throw new Error(answer.status);
        for await (const [kind, data] of eventsOf(answer.body, alive)) {
          wait = 500;
          if (down) this.#hear("retablie", {});
          down = false;
          if (this.#running) this.#receive(kind, data);
        }
      } catch { /* the line is down: said and tried again below */ }
      clearTimeout(watch);
      if (!this.#running) return;
      if (!down) this.#hear("coupure", {});
      down = true;
      await new Promise((resolve) => { this.#wake = resolve; setTimeout(resolve, wait); });
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
  }

  #receive(kind, data) {
    const key = this.pending?.cle;
    if (kind === "message" && key && data.de === "guide" && data.id.startsWith(`${key}:`)) this.pending = null;
    if (kind === "panne" && data.cle === key) this.pending = null;
    if (kind === "historique" && key && data.messages.some((message) => message.id.startsWith(`${key}:`))) this.pending = null;
    this.#hear(kind, data);
    if (kind === "historique" && this.pending) this.#post();
  }

  // Send `body`: what the door says of it, or `{attente: true}` while the line is down, when it will be sent again.
  async deliver(body) {
    const key = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.pending = { ...body, cle: key };
    return this.#post();
  }

  async #post() {
    const sent = this.pending;
    const answer = await this.call("POST", "api/messages", sent);
    if (answer.status === 0 || answer.status >= 502) {
      if (this.pending === sent) this.reconnect();
      return { ...answer, attente: true };
    }
    if (!answer.ok) {
      if (this.pending === sent) this.pending = null;
      this.#hear("refus", { ...answer, envoi: sent });
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
