// What is committed of a file, as a bar from its first byte to its last: filled where it is committed, open where it is not.

import { html } from "../helpers/html.js";
import { bytes } from "../helpers/format.js";

export function CommittedBar({ incarnation }) {
  const ends = incarnation.gaps.map((gap) => gap.offset + gap.bytes);
  const size = Math.max(1, incarnation.committed_bytes, incarnation.size_bytes || 0, ...ends);
  const part = (from, to) => ({ x: `${(100 * from) / size}%`, width: `${(100 * (to - from)) / size}%` });
  const said = incarnation.committed.map(([from, to]) => `${bytes(from)} to ${bytes(to)}`).join(", ") || "nothing";
  return html`
    <svg class="committedbar" role="img" aria-label=${`committed: ${said}, of ${bytes(size)}`}>
      <rect class="whole" width="100%" height="100%" />
      ${incarnation.committed.map(([from, to]) => html`<rect class="committed" ...${part(from, to)} height="100%" />`)}
      ${incarnation.gaps.map((gap) => html`
        <rect class=${gap.lost ? "lost" : "left-out"} ...${part(gap.offset, gap.offset + gap.bytes)} height="100%" />`)}
    </svg>`;
}
