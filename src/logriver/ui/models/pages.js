// The rows of one question as pages: a bounded window of them is held, the others are only known by their cursors.
//
// A cursor stays good and always gives the same page, so a page that left the window is asked for again when the
// reader comes back to it. Nothing is skipped or repeated while new records arrive.

import { ask } from "./api.js";

export const PAGE_ROWS = 100;
export const MOST_PAGES = 8;

export class Pages {
  constructor({ round, ...params }) {
    this.params = params;
    // Page i begins behind `cursors[i]`; `rows[i]` is undefined where the page is not held.
    this.cursors = [""];
    this.rows = [];
    this.first = 0;
    this.last = -1;
    this.ended = false;
    this.newer = null;
    this.answer = null;
  }

  get held() {
    return this.rows.slice(this.first, this.last + 1).flat();
  }

  get hasEarlier() {
    return this.first > 0;
  }

  async loadNext(signal) {
    if (this.last + 1 >= this.cursors.length) return;
    await this.load(this.last + 1, signal);
    this.last += 1;
    if (this.last - this.first >= MOST_PAGES) {
      this.rows[this.first] = undefined;
      this.first += 1;
    }
  }

  async loadPrevious(signal) {
    if (!this.hasEarlier) return;
    await this.load(this.first - 1, signal);
    this.first -= 1;
    if (this.last - this.first >= MOST_PAGES) {
      this.rows[this.last] = undefined;
      this.last -= 1;
    }
  }

  async load(number, signal) {
    const cursor = this.cursors[number];
    const answer = await ask("/api/v1/search", { ...this.params, limit: PAGE_ROWS, cursor }, signal);
    this.rows[number] = answer.rows;
    if (number === 0 && !this.answer) {
      this.answer = answer;
      this.newer = answer.newer || null;
    }
    if (!answer.cursor) this.ended = true;
    else if (number + 1 === this.cursors.length) this.cursors.push(answer.cursor);
  }
}

// What was seen at the last entries of the history: who comes back finds the same lines at the same place.
const MOST_KEPT = 6;
const kept = new Map();

export function keep(visit, seen) {
  kept.delete(visit);
  kept.set(visit, seen);
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
}

export function keptAt(visit, question) {
  const seen = kept.get(visit);
  return seen?.question === question ? seen : null;
}
