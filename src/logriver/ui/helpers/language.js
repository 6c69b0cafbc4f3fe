// Small edits of a search text. The server parses it; here terms are only added, taken out and looked for.

const PIPE = /\s*\|\s*(?:stats|where|eval|top|sort|limit|fields|patterns)\b/;
const PLAIN_NAME = /^[A-Za-z_@][\w.@]*$/;
const PLAIN_VALUE = /^\w[\w.-]*$/;
const OPERATORS = new Set(["AND", "OR", "NOT"]);

export function quoted(text) {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
}

export const fieldName = (name) => (PLAIN_NAME.test(name) ? name : `\`${name.replace(/`/g, "``")}\``);

// `field:value` for a value of a record; null for one that cannot be asked for (objects, lists).
export function term(name, value) {
  if (value === null || typeof value === "object") return null;
  const text = String(value);
  if (name === "message") return quoted(text);
  return `${fieldName(name)}:${PLAIN_VALUE.test(text) && !OPERATORS.has(text) ? text : quoted(text)}`;
}

// The conditions and the pipes of a search text, apart. A pipe inside of quotes is none.
export function split(text) {
  const blind = text.replace(/"(?:[^"\\]|\\.)*"/g, (found) => "_".repeat(found.length));
  const found = PIPE.exec(blind);
  return found ? [text.slice(0, found.index).trim(), text.slice(found.index).trim()] : [text.trim(), ""];
}

export function withTerm(text, added, excluded = false) {
  const [conditions, pipes] = split(text);
  const wanted = excluded ? `-${added}` : added;
  const opposite = excluded ? added : `-${added}`;
  const words = ` ${conditions === "*" ? "" : conditions} `;
  if (words.includes(` ${wanted} `)) return text;
  const without = words.replace(` ${opposite} `, " ").trim();
  // What is joined by OR must stay together.
  const before = / OR /.test(without) && !/^\(.*\)$/.test(without) ? `(${without})` : without;
  return [before, wanted, pipes].filter(Boolean).join(" ");
}

export function withPipe(text, pipe) {
  return `${split(text)[0] || "*"} | ${pipe}`;
}

// The conditions of `count() if (..) as name` by name: what a number of that column counts.
export function countedBy(text) {
  const found = split(text)[1].matchAll(/\bcount\(\)\s+if\s+\(((?:"(?:[^"\\]|\\.)*"|[^()"]|\([^()]*\))*)\)\s+as\s+(\w+)/g);
  return new Map([...found].map(([, condition, name]) => [name, / OR /.test(condition) ? `(${condition.trim()})` : condition.trim()]));
}

// How many rows a text asks for at most; null where it does not say.
export function limitOf(text) {
  const found = [...split(text)[1].matchAll(/\|\s*limit\s+(\d+)/g)].map(([, number]) => Number(number));
  return found.length ? Math.min(...found) : null;
}

// Whether a text chooses the fields of its rows: they are shown, all of them, and nothing else.
export const hasChosen = (text) => /\|\s*fields\b/.test(split(text)[1]);

// Which way an answer to this text is shown.
export function answerKind(text) {
  const pipes = split(text)[1];
  if (/\|\s*patterns\b/.test(pipes)) return "patterns";
  return /\|\s*(stats|top)\b/.test(pipes) ? "stats" : "rows";
}

// The words and phrases of a text that can be marked in messages.
export function markedWords(text) {
  const [conditions] = split(text);
  const found = [];
  const pattern = /(-|NOT\s+)?(?:(`[^`]+`|[A-Za-z_@][\w.@]*):(?=\S))?("(?:[^"\\]|\\.)*"|[^\s()]+)/g;
  for (const [, negated, field, word] of conditions.matchAll(pattern)) {
    if (negated || OPERATORS.has(word) || (field && field !== "message")) continue;
    const plain = word.startsWith('"') ? word.slice(1, -1).replace(/\\(["\\])/g, "$1") : word.replace(/^-|\*/g, "");
    const words = plain.match(/[\p{L}\p{N}]+/gu);
    if (words) found.push(words);
  }
  return found;
}

// One expression that finds what is to be marked; null where there is nothing.
export function markPattern(text) {
  const groups = markedWords(text).map((words) => words.map(escapeRegex).join("[^\\p{L}\\p{N}]+"));
  return groups.length ? new RegExp(`(${groups.join("|")})`, "giu") : null;
}

const escapeRegex = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
