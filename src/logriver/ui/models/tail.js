// The live tail: an event stream, a bounded list of the newest records, and how many come a second.
//
// Above what a person can read only every n-th record is kept for the screen. The cursor moves with every record, so
// nothing is skipped when the stream comes back: the browser sends it with `Last-Event-ID`. The list begins with the newest
// records that are there, and the stream where their page ended.

import { address, ask } from "./api.js";

const MOST_ROWS = 1000;
const FIRST_ROWS = 50;
const READABLE_PER_SECOND = 100;
const DRAW_MS = 200;
const RATE_SECONDS = 3;
const AGAIN_MS = 1000;

export class Tail {
  constructor(q, changed) {
    Object.assign(this, { rows: [], held: 0, rate: 0, oneOf: 1, paused: false, pausedByScroll: false, state: "begin", error: null });
    this.control = new AbortController();
    this.waiting = [];
    this.times = [];
    this.seen = 0;
    this.changed = changed;
    this.q = q;
    this.cursor = "";
    this.closed = false;
    this.timer = setInterval(() => this.draw(), DRAW_MS);
    this.begin();
  }

  async begin() {
    try {
      const page = await ask("/api/v1/search", { q: this.q, limit: FIRST_ROWS }, this.control.signal);
      this.rows = page.rows.reverse();
      this.cursor = page.newer || "";
    } catch {
      // New lines come all the same; what is wrong with the text is said by the stream.
    }
    if (this.closed) return;
    this.open();
    this.changed();
  }

  open() {
    this.stream = new EventSource(address("/api/v1/tail", { q: this.q, after: this.cursor }));
    this.stream.onmessage = (event) => {
      this.cursor = event.lastEventId;
      this.take(event.data);
    };
    this.stream.onopen = () => this.set("open");
    this.stream.onerror = () => this.lost();
  }

  get sampling() {
    return this.oneOf > 1;
  }

  take(text) {
    this.seen += 1;
    if (this.paused) this.held += 1;
    if (this.seen % this.oneOf === 0) this.waiting.push(text);
    if (this.waiting.length > MOST_ROWS) this.waiting.splice(0, this.waiting.length - MOST_ROWS);
  }

  draw() {
    const now = performance.now();
    this.times.push([now, this.seen]);
    while (this.times.length > 1 && now - this.times[0][0] > RATE_SECONDS * 1000) this.times.shift();
    const [then, before] = this.times[0];
    const rate = now > then ? (1000 * (this.seen - before)) / (now - then) : 0;
    const changed = Math.round(rate) !== Math.round(this.rate) || this.paused;
    this.rate = rate;
    this.oneOf = Math.max(1, Math.ceil(rate / READABLE_PER_SECOND));
    if (!this.paused && this.waiting.length) {
      const fresh = this.waiting.map((text) => JSON.parse(text));
      this.rows = [...this.rows, ...fresh].slice(-MOST_ROWS);
      this.waiting = [];
      this.changed();
    } else if (changed) this.changed();
  }

  pause(byButton = false) {
    if (this.paused) return;
    Object.assign(this, { paused: true, pausedByScroll: !byButton, held: 0 });
    this.changed();
  }

  resume() {
    Object.assign(this, { paused: false, pausedByScroll: false, held: 0 });
    this.draw();
    this.changed();
  }

  clear() {
    this.rows = [];
    this.waiting = [];
    this.changed();
  }

  set(state) {
    this.state = state;
    this.error = null;
    this.changed();
  }

  // The browser tries again by itself unless the server refused: then it is asked why, or tried again later.
  async lost() {
    this.set("lost");
    if (this.stream.readyState !== EventSource.CLOSED) return;
    const control = new AbortController();
    try {
      const answer = await fetch(address("/api/v1/tail", { q: this.q }), { signal: control.signal });
      if (answer.status === 400) this.error = { status: 400, ...(await answer.json()).error };
    } catch {
      // Not there: tried again below.
    }
    control.abort();
    if (!this.error) setTimeout(() => this.closed || this.open(), AGAIN_MS);
    this.changed();
  }

  close() {
    this.closed = true;
    this.control.abort();
    this.stream?.close();
    clearInterval(this.timer);
  }
}
