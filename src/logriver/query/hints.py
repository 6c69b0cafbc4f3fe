"""What may have been meant by a text that found nothing, as far as the text alone tells."""

from logriver.errors import BadQuery
from logriver.query import lexer, parser

_OPERATORS = ("and", "or", "not")
_BEFORE_A_VALUE = ("FIELD", "ANY", "MATCHES", "COMPARE", "RANGE_OPEN", "_TO")


def lower_case_operators(text: str) -> str | None:
    """`text` with its bare words `and`, `or`, `not` as operators; None where there are none or that cannot be read."""
    corrected, before = text, ""
    try:
        for token in lexer.tokens(text):
            is_word = token.type == "TEXT" and before not in _BEFORE_A_VALUE
            if is_word and text[token.start_pos : token.end_pos] in _OPERATORS:
                corrected = corrected[: token.start_pos] + token.value.upper() + corrected[token.end_pos :]
            before = token.type
        parser.parse(corrected)
    except BadQuery:
        return None
    return corrected if corrected != text else None
