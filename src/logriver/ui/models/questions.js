// Questions to begin with, for people who do not know the language yet: shown where the fields they need are there.

import { withTerm } from "../helpers/language.js";

// A title, the fields it needs, and the question for the conditions that are asked already.
const QUESTIONS = [
  ["Errors by service", ["level", "service"], () => "level:>=error | top 20 service"],
  ["Failed requests", ["status"], (conditions) => withTerm(conditions, "status:>=400")],
  ["Levels over time", ["level"], () => "* | stats count() as lines by bin(5m), level"],
  ["Slowest customers", ["customer", "latency_seconds", "status"], customers("customer")],
  ["Customers by day", ["customer", "latency_seconds", "status"], customers("customer, bin(1d)")],
  ["Kinds of messages", [], () => "* | patterns"],
];

function customers(by) {
  return () => "latency_seconds:* | stats p99(latency_seconds) as p99, p50(latency_seconds) as median, "
    + `count() as requests, count() if (status:>=400) as failed by ${by} `
    + "| eval uptime = 100 * (requests - failed) / requests | sort p99 desc";
}

export function questionsFor(names) {
  return QUESTIONS.filter(([, needed]) => needed.every((name) => names.has(name)));
}
