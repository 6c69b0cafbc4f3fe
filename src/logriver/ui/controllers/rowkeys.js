// The keys of a list of lines: the same wherever there is one, and heard wherever nothing else has them.

import { useEffect, useRef } from "../helpers/html.js";
import { term } from "../helpers/language.js";

const STEPS = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 20, PageUp: -20 };

// Gives what the list `list` does with a key. `isFirst` is of the one list that is meant when none has the focus.
export function useRowKeys({ list, rows, current, choose, toggle, add, close, isFirst = true }) {
  const move = (next) => {
    choose(next);
    list.current?.querySelectorAll(".lines > .line")[next]?.scrollIntoView({ block: "nearest" });
  };
  const keys = (event) => {
    if (event.defaultPrevented || event.target.matches("input, textarea")) return;
    if (event.target.matches("button, a, summary") && event.key !== "Escape") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const record = rows[current];
    const step = STEPS[event.key];
    if (step) move(Math.max(0, Math.min(rows.length - 1, current + step)));
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(rows.length - 1);
    else if ((event.key === "Enter" || event.key === "o") && record) toggle(record);
    else if ((event.key === "i" || event.key === "x") && record?.level) add(term("level", record.level), event.key === "x");
    else if (event.key === "Escape" && close()) list.current?.focus({ preventScroll: true });
    else return;
    event.preventDefault();
  };
  const pressed = useRef(keys);
  pressed.current = keys;
  useEffect(() => {
    if (!isFirst) return undefined;
    const heard = (event) => {
      if (event.target !== document.body || event.defaultPrevented) return;
      pressed.current(event);
      if (event.defaultPrevented) list.current?.focus({ preventScroll: true });
    };
    addEventListener("keydown", heard);
    return () => removeEventListener("keydown", heard);
  }, []);
  return keys;
}
