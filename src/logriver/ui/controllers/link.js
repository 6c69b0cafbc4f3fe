// A link to another place of the page: a plain click goes there without a reload, any other is the browser's.

import { write } from "../models/place.js";

export const linkTo = (place, go, changes) => ({
  href: write({ ...place, ...changes }),
  onClick: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(changes);
  },
});

// Where everything that is stored is found.
export const EVERYTHING = { view: "explore", q: "", from: "", to: "", open: "" };
