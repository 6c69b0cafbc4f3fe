// What is held of a file, as a bar from its first byte to its last: filled where it is held, open where it is not.

import { html } from "../helpers/html.js";
import { bytes } from "../helpers/format.js";

export function HeldBar({ life }) {
  const ends = life.gaps.map((gap) => gap.offset + gap.bytes);
  const size = Math.max(1, life.held_bytes, life.size_bytes || 0, ...ends);
  const part = (from, to) => ({ x: `${(100 * from) / size}%`, width: `${(100 * (to - from)) / size}%` });
  const said = life.held.map(([from, to]) => `${bytes(from)} to ${bytes(to)}`).join(", ") || "nothing";
  return html`
    <svg class="heldbar" role="img" aria-label=${`held: ${said}, of ${bytes(size)}`}>
      <rect class="whole" width="100%" height="100%" />
      ${life.held.map(([from, to]) => html`<rect class="held" ...${part(from, to)} height="100%" />`)}
      ${life.gaps.map((gap) => html`
        <rect class=${gap.lost ? "lost" : "left-out"} ...${part(gap.offset, gap.offset + gap.bytes)} height="100%" />`)}
    </svg>`;
}
