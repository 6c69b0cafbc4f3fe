"""Tree to canonical text and back, for every tree and from every text."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logriver.errors import BadQuery
from logriver.query import ids
from logriver.query.language import parser
from logriver.query.language.text import default_name, search_text, to_text
from logriver.query.language.tree import (
    FUNCTIONS,
    Aggregate,
    Anywhere,
    Bin,
    Calculation,
    Compare,
    Everything,
    Exists,
    Expression,
    Field,
    Name,
    Not,
    Number,
    Part,
    Range,
    Regex,
    Search,
    Text,
    Word,
    conjunction,
    disjunction,
)
from logriver.query.pipes.eval import Eval
from logriver.query.pipes.fields import Fields
from logriver.query.pipes.limit import Limit
from logriver.query.pipes.patterns import Patterns
from logriver.query.pipes.sort import Sort
from logriver.query.pipes.stats import Stats
from logriver.query.pipes.top import Top
from logriver.query.pipes.where import Where
from tests.cpu_time import within_cpu_time

any_text = st.text(st.characters(codec="utf-8"), max_size=20)
punctuation = st.text(alphabet=string.punctuation + ' aTO\\"*', max_size=6)
values = st.one_of(
    any_text, punctuation, st.sampled_from(["AND", "OR", "NOT", "TO", "by", "*", "now-15m", "2023-09-15T08:00Z"])
)
names = st.one_of(st.from_regex(r"[A-Za-z_@][\w.@]{0,9}", fullmatch=True), values.filter(bool))
pieces = st.one_of(
    st.builds(lambda inner: ("", *inner, ""), st.lists(values.filter(bool), min_size=1, max_size=3)),
    st.builds(lambda first, inner: (first, *inner, ""), values.filter(bool), st.lists(values.filter(bool), max_size=2)),
    st.builds(lambda inner, last: ("", *inner, last), st.lists(values.filter(bool), max_size=2), values.filter(bool)),
    st.lists(values.filter(bool), min_size=2, max_size=3).map(tuple),
)
leaves = st.one_of(
    st.builds(Everything),
    st.builds(Text, values),
    st.builds(Field, names, values),
    st.builds(Part, st.none() | names, pieces),
    st.builds(Exists, names),
    st.builds(Compare, names, st.sampled_from(["<", "<=", ">", ">="]), values),
    st.builds(Range, names, st.none() | values, st.none() | values, st.booleans(), st.booleans()),
    st.builds(Regex, st.none() | names, values),
    st.builds(Anywhere, values),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(conjunction),
        st.lists(inner, min_size=2, max_size=3).map(disjunction),
    ),
    max_leaves=8,
)

numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?([eE][+-]?[0-9])?", fullmatch=True)
sums = st.recursive(
    st.one_of(numbers.map(Number), values.map(Word), names.map(Name)),
    lambda inner: st.builds(Calculation, st.sampled_from(["+", "-", "*", "/", "%"]), inner, inner),
    max_leaves=6,
)
results: st.SearchStrategy[Expression] = st.recursive(
    st.builds(Calculation, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), sums, sums),
    lambda inner: st.builds(Calculation, st.sampled_from(["and", "or"]), inner, inner),
    max_leaves=4,
)


def named(made: Aggregate) -> Aggregate:
    """An empty name stands for none."""
    return made if made.name else Aggregate(made.function, made.field, made.only, default_name(made))


def with_different_columns(made: Stats) -> bool:
    columns = [*("bin" if isinstance(key, Bin) else key for key in made.by), *(one.name for one in made.aggregates)]
    return len(columns) == len(set(columns))


aggregates = st.one_of(
    st.builds(Aggregate, st.sampled_from(FUNCTIONS), names, st.none() | trees, st.just("") | names),
    st.builds(Aggregate, st.just("count"), st.none(), st.none() | trees, st.just("") | names),
).map(named)
keys = names | st.builds(Bin, st.sampled_from([1, 60, 90, 300, 3600, 86_400, 604_800]) | st.integers(1, 31_000_000))
pipes = st.one_of(
    st.builds(
        Stats,
        st.lists(aggregates, min_size=1, max_size=3).map(tuple),
        st.lists(keys, max_size=2).map(tuple),
    ).filter(with_different_columns),
    results.map(Where),
    st.builds(Eval, names, sums),
    st.builds(Top, st.integers(1, 1_000_000), names),
    st.lists(st.tuples(names, st.booleans()), min_size=1, max_size=3).map(tuple).map(Sort),
    st.integers(1, 1_000_000).map(Limit),
    st.lists(names, min_size=1, max_size=3).map(tuple).map(Fields),
    st.builds(Patterns),
)
searches = st.builds(Search, trees, st.lists(pipes, max_size=3).map(tuple))


@given(searches)
@settings(max_examples=150)
def test_the_canonical_text_is_the_same_tree(search: Search) -> None:
    assert parser.parse(search_text(search)) == search
    assert parser.parse(to_text(search.where)) == Search(search.where)


fragments = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "AND ",
                "OR ",
                "NOT ",
                "-",
                "(",
                ")",
                '"',
                '"x y"',
                "*",
                "*:",
                ":",
                "f:",
                "f:(",
                "=~",
                "`",
                "`o d`:",
            ),
            *("[", "]", "{", "}", " TO ", ">", "<=", "5", ".", "\\", "/", "//", " ", " ", "\n", "é", "|", "| stats "),
            *("count()", "sum(", " as ", " by ", "bin(5m)", " if (", ",", "| where ", "| eval x = ", "+", "%", "and "),
            *("| top ", "| sort ", " desc", "| limit ", "| fields ", "| patterns", "=", "!=", "1e5"),
        ]
    ),
    max_size=14,
).map("".join)


@given(st.one_of(st.text(), st.text(alphabet=string.punctuation + " aORNDT"), fragments))
@settings(max_examples=600)
def test_any_text_is_read_or_refused_and_reads_the_same_again(text: str) -> None:
    try:
        search = parser.parse(text)
    except BadQuery as refused:
        position = refused.position
    else:
        position = 0
        assert parser.parse(search_text(search)) == search
    assert position in range(len(text) + 1)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a AND (b AND c) OR (d)", "a b c OR d"),
        ("-level:(error OR warn)", "NOT (level:error OR level:warn)"),
        ('resourceId:"server-1234"', "resourceId:server-1234"),
        (r'path=~"^/a\\.b\d"', r'path=~"^/a\.b\d"'),
        ("|stats count()by service|where n>1", "* | stats count() by service | where n > 1"),
        ("| stats count() by bin(60m)", "* | stats count() by bin(1h)"),
    ],
)
def test_the_canonical_text_is_short(text: str, canonical: str) -> None:
    assert search_text(parser.parse(text)) == canonical


@given(any_text, st.integers(0, 2**53))
@within_cpu_time
def test_ids_come_back(node: str, seq: int) -> None:
    assert ids.decode(ids.encode(node, seq)) == (node, seq)
