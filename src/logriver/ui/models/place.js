// Where the user is: the whole state of the page, read from and written to the address.

import { isOwnId } from "../helpers/record.js";
import { DEFAULT_FROM } from "../helpers/times.js";

const FIRST_COLUMNS = ["service"];
export const VIEWS = ["explore", "live", "patterns", "sources", "status"];

export function read(search = location.search) {
  const given = new URLSearchParams(search);
  const view = given.get("view");
  return {
    view: VIEWS.includes(view) ? view : "explore",
    q: given.get("q") || given.get("query") || "",
    from: given.has("from") ? given.get("from") : given.get("start") || (given.has("to") ? "" : DEFAULT_FROM),
    to: given.get("to") || given.get("end") || "",
    // Null where nobody has chosen any: then those that are there by themselves.
    columns: given.has("columns") ? given.get("columns").split(",").filter(Boolean) : null,
    wrap: given.get("wrap") === "1",
    open: given.get("open") || "",
    by: given.get("by") || "level",
    files: given.get("files") === "1",
    visit: history.state?.visit || "",
  };
}

export const columnsOf = (place) => place.columns ?? FIRST_COLUMNS;

export function write(place) {
  const params = new URLSearchParams();
  if (place.view !== "explore") params.set("view", place.view);
  if (place.q) params.set("q", place.q);
  if (place.from !== DEFAULT_FROM || place.to) params.set("from", place.from);
  if (place.to) params.set("to", place.to);
  if (place.columns) params.set("columns", place.columns.join(","));
  if (place.wrap) params.set("wrap", "1");
  if (place.open && !isOwnId(place.open)) params.set("open", place.open);
  if (place.by !== "level") params.set("by", place.by);
  if (place.files) params.set("files", "1");
  const query = params.toString();
  return query ? `/?${query}` : "/";
}

// The same question with its times fixed, for a link that shows another person the same lines.
export function frozen(place, toMs) {
  const fixed = (text) => (text ? new Date(toMs(text)).toISOString() : "");
  return { ...place, from: fixed(place.from), to: fixed(place.to || "now") };
}
