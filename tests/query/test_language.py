"""The search language: text to tree and back. What the trees find is asked to the engine in other tests."""

import contextlib
import time

import pytest

from logriver.errors import BadQuery
from logriver.query.hints import hints
from logriver.query.language import parser
from logriver.query.language.tree import (
    Aggregate,
    And,
    Anywhere,
    Bin,
    Calculation,
    Compare,
    Everything,
    Exists,
    Field,
    Name,
    Not,
    Number,
    Or,
    Part,
    Query,
    Range,
    Regex,
    Search,
    Text,
    Word,
    conjunction,
)
from logriver.query.pipes.eval import Eval
from logriver.query.pipes.fields import Fields
from logriver.query.pipes.limit import Limit
from logriver.query.pipes.patterns import Patterns
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.sort import Sort
from logriver.query.pipes.stats import Stats
from logriver.query.pipes.top import Top
from logriver.query.pipes.where import Where

# -- conditions --------------------------------------------------------------------------------------------------------


def words(*texts: str) -> Query:
    return conjunction([Text(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", Everything()),
        ("  \n", Everything()),
        ("*", Everything()),
        ("*:*", Everything()),
        ("* AND a", And((Everything(), Text("a")))),
        ("(*)", Everything()),
        ("SELECT * FROM x", words("SELECT", "*", "FROM", "x")),
        ("failed", Text("failed")),
        ("failed to", words("failed", "to")),
        ('"failed to"', Text("failed to")),
        (r'"say \"hi\" C:\\x \d"', Text(r'say "hi" C:\x \d')),
        ("-*- coding -> x", words("-*-", "coding", "->", "x")),
        ("*!*", Part(None, ("", "!", ""))),
        ('a:>"1s"', Compare("a", ">", "1s")),
        ('a:["1s" TO "<5"]', Range("a", "1s", "<5", True, True)),
        ("connec*", Part(None, ("connec", ""))),
        ("*onnec*", Part(None, ("", "onnec", ""))),
        ("*nnect", Part(None, ("", "nnect"))),
        ("user-12*", Part(None, ("user-12", ""))),
        ('"two wor"*', Part(None, ("two wor", ""))),
        ('"a"*"b*"', Part(None, ("a", "b*"))),
        ("level:error", Field("level", "error")),
        ('resourceId:"two words"', Field("resourceId", "two words")),
        ("metadata.parentResourceId:server-0987", Field("metadata.parentResourceId", "server-0987")),
        ("@timestamp:2023-09-15T08:00:00Z", Field("@timestamp", "2023-09-15T08:00:00Z")),
        ("`odd name``s`:x", Field("odd name`s", "x")),
        ("a:b:c", Field("a", "b:c")),
        ("localhost:8080", Field("localhost", "8080")),
        ("a:NOT", Field("a", "NOT")),
        ("a:-5", Field("a", "-5")),
        ("a:()", Field("a", "()")),
        ("a:f(x)", Field("a", "f(x)")),
        ("host:web*", Part("host", ("web", ""))),
        ("path:/api/*/x", Part("path", ("/api/", "/x"))),
        ('path:"/my files/"*', Part("path", ("/my files/", ""))),
        ('a:"*"', Field("a", "*")),
        ("a:*", Exists("a")),
        ("a:**", Exists("a")),
        ("-a:*", Not(Exists("a"))),
        ("status:>=500", Compare("status", ">=", "500")),
        ("status:> -5", Compare("status", ">", "-5")),
        ("status:<0.5", Compare("status", "<", "0.5")),
        ('time:>"2023-09-15 08:00"', Compare("time", ">", "2023-09-15 08:00")),
        ("a:[1 TO 5]", Range("a", "1", "5", True, True)),
        ("a:{1 TO 5}", Range("a", "1", "5", False, False)),
        ("a:[1 TO 5}", Range("a", "1", "5", True, False)),
        ("a:{ -1 TO * ]", Range("a", "-1", None, False, True)),
        ('a:["TO" TO "x y"]', Range("a", "TO", "x y", True, True)),
        ('a:["*" TO "]"]', Range("a", "*", "]", True, True)),
        ("time:[2023-09-10T00:00:00Z TO now]", Range("time", "2023-09-10T00:00:00Z", "now", True, True)),
        ("a:(x OR y)", Or((Field("a", "x"), Field("a", "y")))),
        ("a:(x y AND z)", And((Field("a", "x"), Field("a", "y"), Field("a", "z")))),
        ("a:(x -y)", And((Field("a", "x"), Not(Field("a", "y"))))),
        ("a:(>=1 <5)", And((Compare("a", ">=", "1"), Compare("a", "<", "5")))),
        ('a:([1 TO 2] OR x* OR "y z" OR *)', None),
        ("a:(b:c)", Field("a", "b:c")),
        ("NOT a:(x OR (y z))", Not(Or((Field("a", "x"), And((Field("a", "y"), Field("a", "z"))))))),
        ('path=~"^/api/\\d+"', Regex("path", r"^/api/\d+")),
        ('`odd name`=~"x"', Regex("odd name", "x")),
        ('=~"(?i)time.?out"', Regex(None, "(?i)time.?out")),
        ("*:abc", Anywhere("abc")),
        ('*:"a b"', Anywhere("a b")),
        ("*:(a OR NOT b)", Or((Anywhere("a"), Not(Anywhere("b"))))),
        ("`*`:abc", Field("*", "abc")),
        ("-debug", Not(Text("debug"))),
        ('-"x y" -level:info', And((Not(Text("x y")), Not(Field("level", "info"))))),
        ("NOT a", Not(Text("a"))),
        ("NOT(a b)", Not(words("a", "b"))),
        ("NOT NOT a", Not(Not(Text("a")))),
        ("a AND b", words("a", "b")),
        ("a OR b c", Or((Text("a"), words("b", "c")))),
        ("(a OR b) c", And((Or((Text("a"), Text("b"))), Text("c")))),
        ("-(a OR b)", Not(Or((Text("a"), Text("b"))))),
        ("(level:error)", Field("level", "error")),
        ("a and b or not", words("a", "and", "b", "or", "not")),
    ],
)
def test_what_a_text_means(text: str, tree: Query | None) -> None:
    if tree is None:
        tree = Or((Range("a", "1", "2", True, True), Part("a", ("x", "")), Field("a", "y z"), Exists("a")))
    assert parser.parse(text) == Search(tree)


@pytest.mark.parametrize(
    "text",
    [
        "/api/v1/x",
        "10.0.0.1:5432",
        "http://h/p",
        "C:\\Windows",
        "error: no space left",
        "[x]",
        "user_id=5",
        "a -> b",
        "--flag",
        "std::vector",
        "main(String[] args)",
        "f(x) g()",
        "foo ()",
        "12:30:45,123 ok",
        "a | b",
        "a|limited",
        "it's 5 o'clock",
        ":) fine",
        "a)",
        "5*3=15",
        "ls /var/log/* *.log",
        "$x =~ /foo/",
        "level:",
        "{json}",
    ],
)
def test_a_pasted_thing_is_text(text: str) -> None:
    assert parser.parse(text) == Search(words(*text.split()))


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ('say "hi', 4, "the quote is not closed"),
        ('level:"err', 6, "the quote is not closed"),
        ('path=~"x', 6, "the quote is not closed"),
        ("(a b", 0, "the bracket is not closed"),
        ("a:(b", 2, "the bracket is not closed"),
        ("a OR", 4, "expected a word or a field at the end"),
        ("AND a", 0, "expected a word or a field before 'AND'"),
        ("a AND OR b", 6, "expected a word or a field before 'OR'"),
        ("NOT", 3, "expected a word or a field at the end"),
        ("a:(x OR)", 7, "expected a value before ')'"),
        ("status:>= ", 10, "expected a value at the end"),
        ("a:>1s", 3, "'1s' is no value to compare with"),
        ("a:(>=-1.5kB)", 5, "'-1.5kB' is no value to compare with"),
        ("a:>1,000", 3, "'1,000' is no value to compare with"),
        ("a:>5<8", 3, "'5<8' is no value to compare with"),
        ("a:<>5", 3, "'>5' is no value to compare with"),
        ("a:>==5", 4, "'=5' is no value to compare with"),
        ("a:[100ms TO 1s]", 3, "'100ms' is no value to compare with"),
        ("a:(>)", 4, "expected a value before ')'"),
        ("a:[1 2]", 5, "expected 'TO' before '2'"),
        ("a:[TO 2]", 3, "expected a value before 'TO'"),
        ("a:[1 TO 2 3]", 10, "expected ']' or '}' before '3'"),
        ("a:[1 TO 2", 9, "the range is not closed"),
        ("x *:>5", 2, "in any field only whole words and values can be found"),
        ('""*', 0, "there is nothing in the quotes"),
        ("(" * 60 + "a" + ")" * 60, 50, "brackets and negations go at most 50 deep"),
        ("NOT " * 60 + "a", 200, "brackets and negations go at most 50 deep"),
        ("x" * 501 + ":y", 0, "a field's name has at most 500 characters"),
        ("| stats", 7, "expected a function like 'count()' at the end"),
        ("| stats median(x)", 8, "there is no function 'median', but 'p50'"),
        ("| stats mean(x)", 8, "there is no function 'mean', but 'avg'"),
        ("| stats cuont(x)", 8, "there is no function 'cuont', but 'count'"),
        ("| stats p25(x)", 8, "there is no function 'p25'"),
        ("| stats round(x)", 8, "there is no function 'round'"),
        ("| stats sum()", 8, "sum() needs a field in its brackets"),
        ("| stats count() by", 18, "expected a name at the end"),
        ("| stats count() by bin(0s)", 23, "a bin has from 1 second to 366 days"),
        ("x | stats count(), count()", 2, "two columns are called 'count()'"),
        ("| stats count() if (a OR ) as n", 25, "expected a word or a field before ')'"),
        ("| stats count() if (a", 19, "the bracket is not closed"),
        ("| where n", 9, "expected '=' or a comparison like '>' at the end"),
        ("| stats count() by bin(500ms)", 23, "'500ms' means nothing in a pipe"),
        ("| where n > 007", 12, "'007' means nothing in a pipe"),
        ("| eval n > 1", 9, "expected '=' before '>'"),
        ("| eval x = 1 + " + "+".join("1" * 60), 114, "a pipe has at most 50 operators"),
        ("| top x y", 8, "expected a pipe before 'y'"),
        ("| limit 0", 8, "expected a whole number from 1 to 1000000, not '0'"),
        ("| limit 5.5", 8, "expected a whole number from 1 to 1000000, not '5.5'"),
        ("| limit 5 | nothing", 10, "expected the name of a pipe after '|'"),
        ("| fields a b", 11, "expected ',' or a pipe before 'b'"),
        ("| fields a ^", 11, "'^' means nothing in a pipe"),
        ("(a | limit 5)", 0, "the bracket is not closed"),
    ],
)
def test_what_cannot_be_read_says_where_and_what_was_expected(text: str, position: int, message: str) -> None:
    with pytest.raises(BadQuery) as error:
        parser.parse(text)
    assert (error.value.position, error.value.message) == (position, message)


def test_a_search_text_is_bounded() -> None:
    for text in ("x" * 20_001, "a " * 501, "| fields " + ", ".join(["a"] * 501)):
        with pytest.raises(BadQuery):
            parser.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 20_000, "(a " * 6_000, "NOT " * 5_000, "-" * 20_000, "x" * 20_000, "a " * 10_000, "a:(" * 6_000),
        *("`" * 20_000, "` " * 10_000, '"' * 20_000, "*" * 20_000, "a*" * 10_000, "a:[" * 6_000, "| " * 10_000),
        *("| eval x = " + "(" * 19_000, "| eval x = " + "1+" * 9_000, "| where " + "a" * 19_000, " " * 20_000),
        *("| limit 5 " * 2_000, "a:*" * 6_000, "\\" * 20_000, '"' + "\\" * 19_999, "a\n" * 10_000),
        "(" * 1000 + "a" + ")" * 1000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(BadQuery):
        parser.parse(text)
    assert time.process_time() - began < 1


# -- pipes -------------------------------------------------------------------------------------------------------------

N = Name("n")


@pytest.mark.parametrize(
    ("text", "pipes"),
    [
        ("| limit 50", (Limit(50),)),
        ("|limit 50|fields a", (Limit(50), Fields(("a",)))),
        ("| fields a, metadata.b,`odd name`", (Fields(("a", "metadata.b", "odd name")),)),
        ("| patterns", (Patterns(),)),
        ("| top 10 service", (Top(10, "service"),)),
        ("| top service", (Top(10, "service"),)),
        ("| sort a desc, b ASC,c", (Sort((("a", True), ("b", False), ("c", False))),)),
        ("| sort by count() desc", (Sort((("count()", True),)),)),
        ("| stats count()", (Stats((Aggregate("count", None, None, "count()"),), ()),)),
        ("| stats count( user ) as n", (Stats((Aggregate("count", "user", None, "n"),), ()),)),
        (
            "| stats count() as n, p99(latency), uniq(a.b) by service, bin(5m)",
            (
                Stats(
                    (
                        Aggregate("count", None, None, "n"),
                        Aggregate("p99", "latency", None, "p99(latency)"),
                        Aggregate("uniq", "a.b", None, "uniq(a.b)"),
                    ),
                    ("service", Bin(300)),
                ),
            ),
        ),
        (
            "| stats count() if (status:<400 -(a OR b)) as ok, count() if (x)",
            (
                Stats(
                    (
                        Aggregate(
                            "count",
                            None,
                            And((Compare("status", "<", "400"), Not(Or((Text("a"), Text("b")))))),
                            "ok",
                        ),
                        Aggregate("count", None, Text("x"), "count() if (x)"),
                    ),
                    (),
                ),
            ),
        ),
        ("| where n > 10", (Where(Calculation(">", N, Number("10"))),)),
        ('| where n == "x y"', (Where(Calculation("=", N, Word("x y"))),)),
        (
            "| where n > 10 or n<1 and p99(x)!=-2.5e3",
            (
                Where(
                    Calculation(
                        "or",
                        Calculation(">", N, Number("10")),
                        Calculation(
                            "and",
                            Calculation("<", N, Number("1")),
                            Calculation("!=", Name("p99(x)"), Number("-2.5e3")),
                        ),
                    )
                ),
            ),
        ),
        (
            "| eval uptime = 100*ok/n",
            (Eval("uptime", Calculation("/", Calculation("*", Number("100"), Name("ok")), N)),),
        ),
        (
            "| eval x = n-(1-n)*2 % 3",
            (
                Eval(
                    "x",
                    Calculation(
                        "-",
                        N,
                        Calculation("%", Calculation("*", Calculation("-", Number("1"), N), Number("2")), Number("3")),
                    ),
                ),
            ),
        ),
        ("| where (n+1)*2 >= (n)", None),
    ],
)
def test_what_a_pipe_means(text: str, pipes: tuple[Pipe, ...] | None) -> None:
    if pipes is None:
        twice = Calculation("*", Calculation("+", N, Number("1")), Number("2"))
        pipes = (Where(Calculation(">=", twice, N)),)
    assert parser.parse(text) == Search(Everything(), pipes)
    assert parser.parse(f"a b{text}") == Search(words("a", "b"), pipes)


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("a or b", "a OR b"),
        ("a and not b | limit 5", "a AND NOT b | limit 5"),
        ('a "or" b', None),
        ("or a", None),
        ("a or", None),
        ("level:or or x", "level:or OR x"),
        ("a && b || c", "a AND b OR c"),
        ("a b", None),
        ("a | where n > 1 and n < 5", None),
        ('a or "', None),
    ],
)
def test_other_operators_are_noticed(text: str, corrected: str | None) -> None:
    assert hints.other_operators(text) == corrected
