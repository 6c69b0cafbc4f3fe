// One search over files that were never taken in: its events as they come, and the newest rows of all machines.

import { ApiError, download } from "./api.js";

const MOST_ROWS = 200;
const DRAW_MS = 200;

export class FileSearch {
  constructor(params, changed) {
    Object.assign(this, { rows: [], failures: [], error: null, end: null, cancelled: false, place: "", machines: {} });
    this.changed = changed;
    this.numbered = 0;
    this.control = new AbortController();
    this.timer = setInterval(() => this.draw(), DRAW_MS);
    this.run({ ...params, limit: MOST_ROWS });
  }

  get running() {
    return !this.end && !this.error && !this.cancelled;
  }

  // Bytes read of bytes to be read, of all machines that have said so.
  get read() {
    return this.sum("bytes");
  }

  get of() {
    return this.sum("of");
  }

  sum(name) {
    return Object.values(this.machines).reduce((sum, progress) => sum + progress[name], 0);
  }

  async run(params) {
    try {
      const answer = await download("/api/v1/files/search", params, "application/x-ndjson", this.control.signal);
      await this.readAll(answer.body.pipeThrough(new TextDecoderStream()).getReader());
      if (!this.end) throw new ApiError(0, { message: "the answer broke off: what is here is not all" });
    } catch (error) {
      if (error.name === "AbortError") this.cancelled = true;
      else this.error = error;
    }
    clearInterval(this.timer);
    this.stale = true;
    this.draw();
  }

  async readAll(reader) {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) this.take(JSON.parse(line));
    }
  }

  take(event) {
    this.stale = true;
    if (event.row) this.keep(event);
    else if (event.progress) {
      this.machines[event.progress.host] = event.progress;
      this.place = `${event.progress.host}:${event.progress.file}`;
    } else if (event.error) this.failures.push(event.error);
    else if (event.end) this.end = event.end;
  }

  keep({ row, time }) {
    this.numbered += 1;
    this.rows.push({ record: row, at: Date.parse(time), key: this.numbered });
    if (this.rows.length >= 2 * MOST_ROWS) this.order();
  }

  order() {
    this.rows = this.rows.sort((a, b) => b.at - a.at || a.key - b.key).slice(0, MOST_ROWS);
  }

  draw() {
    if (!this.stale) return;
    this.stale = false;
    this.order();
    this.changed();
  }

  cancel() {
    this.control.abort();
    clearInterval(this.timer);
  }
}
