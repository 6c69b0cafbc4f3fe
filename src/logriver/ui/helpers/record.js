// A record as the server gives it: a JSON object with columns first and every other field under its own name.

const COLUMNS = new Set(["timestamp", "level", "message", "service", "host", "trace_id", "span_id", "_source", "_received", "_id", "_host"]);
export const MOST_FIELDS = 500;

// What a record is called: by the server, or here where `| fields` did not choose its `_id`.
const OWN = "row:";
const names = new WeakMap();
let named = 0;
export function idOf(record) {
  if (record._id) return record._id;
  if (!names.has(record)) names.set(record, `${OWN}${named += 1}`);
  return names.get(record);
}

// Such a name means nothing to another page.
export const isOwnId = (id) => id.startsWith(OWN);

// The name of the file that a record is from; nothing for a protocol, which has no slash.
export const fileName = (record) => (record._source?.includes("/") ? record._source.slice(record._source.lastIndexOf("/") + 1) : "");

// All fields by their dotted paths, nested objects opened; lists stay whole.
export function flattened(record) {
  const found = [];
  const walk = (prefix, value) => {
    if (found.length >= MOST_FIELDS) return;
    if (value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length) {
      for (const [key, inner] of Object.entries(value)) walk(prefix ? `${prefix}.${key}` : key, inner);
    } else found.push([prefix, value]);
  };
  for (const [key, value] of Object.entries(record)) walk(key, value);
  return found;
}

// The value under a name: the literal key if it is there, else at the path, else at one in which keys have dots themselves.
export function valueOf(record, name) {
  if (Object.hasOwn(record, name)) return record[name];
  const parts = name.split(".");
  const plain = parts.reduce((value, key) => (value && typeof value === "object" ? value[key] : undefined), record);
  return plain === undefined ? valueAt(record, parts) : plain;
}

function valueAt(value, parts) {
  if (!parts.length) return value;
  if (!value || typeof value !== "object" || Array.isArray(value)) return undefined;
  for (let end = parts.length; end > 0; end -= 1) {
    const key = parts.slice(0, end).join(".");
    if (Object.hasOwn(value, key)) return valueAt(value[key], parts.slice(end));
  }
  return undefined;
}

// The fields that do not stand elsewhere, as JSON.
export function restOf(record, elsewhere = COLUMNS) {
  const rest = Object.fromEntries(Object.entries(record).filter(([key]) => !elsewhere.has(key)));
  return Object.keys(rest).length ? JSON.stringify(rest) : "";
}

// What is shown of a record without a message: its other fields.
export const lineOf = (record) => record.message || restOf(record);

const MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const DATE = `(?:\\d{2,4}[-/.]\\d{1,2}[-/.]\\d{1,4}|\\d{6,8}|${MONTH} +\\d{1,2}|\\d{1,2}[-/ ]${MONTH}[-/ ]\\d{2,4})`;
const BEFORE_MINUTES = new RegExp(`^[[(<]?(?:[A-Z][a-z]{2},? )?(?:${DATE}[ T:,_-])?\\d{1,2}$`);
const AFTER_SECONDS = /^(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?[\])>]?(?![\d:])/;

// How many first characters of a line only say the time that stands before it: a date, an hour, its minutes and seconds,
// which are the same in nearly every zone, and what belongs to them.
export function timeLength(line, timestamp) {
  const start = line.slice(0, 40).indexOf(`:${timestamp.slice(14, 19)}`);
  if (start < 0 || !BEFORE_MINUTES.test(line.slice(0, start))) return 0;
  const end = start + 6;
  const rest = AFTER_SECONDS.exec(line.slice(end, end + 20));
  return rest ? end + rest[0].length : 0;
}

// The line as text, for people who paste it elsewhere.
export function rawText(record) {
  return [record.timestamp, record.level?.toUpperCase(), record.service, lineOf(record)].filter(Boolean).join(" ") || JSON.stringify(record);
}

// Characters that would turn the order of others around or hide: shown as what they are.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
export const visible = (text) => text.replace(HIDDEN, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
