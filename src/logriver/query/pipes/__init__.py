"""What stands behind `|` in a search text: one pipe (operator) a file, for records and tables alike. Pure.

Called by the language, which reads and writes pipes, by completion and hints, and by `search/`, which asks what the
pipes of a text make of records (`row_pipes.py`) and of tables (`statistic.py`). Never runs a statement.

A new pipe, such as `| dedup`, is a class in a file of its own here (`pipe.py` says what it has: keyword, example, rule
of the grammar, text, effects), its line in `registry.py`, its section in `docs/reference/search.md`, and its name in
the list of the page (`ui/helpers/language.js`). Tests compare list and docs with the registry. The rule is joined to
`language/grammar.lark`, whose tokens and phrases (`NAME`, `column`, `aggregates`, `keys`, `condition`, `sum`) it can
use. Lexer, parser, completion, hints and command line go by the registry.
"""
