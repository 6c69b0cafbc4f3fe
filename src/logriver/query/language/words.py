"""The words that pipes share: what may not be a plain name there, and what each function is."""

KEYWORDS = ("by", "as", "if", "and", "or", "asc", "desc")
"""In any case; a column of such a name stands in backticks."""

FUNCTION_EXAMPLES = {
    "count": "count() or count(field): records, or those with the field",
    "sum": "sum(field)",
    "avg": "avg(field): the mean",
    "min": "min(field)",
    "max": "max(field)",
    "p50": "p50(field): the median",
    "p75": "p75(field)",
    "p90": "p90(field)",
    "p95": "p95(field)",
    "p99": "p99(field)",
    "uniq": "uniq(field): how many different values",
}
