"""Read an expression: by precedence climbing, with the checks that Prometheus makes before it evaluates anything."""

import difflib
from dataclasses import replace
from typing import Final

from processors.telemetry.promql import lexer
from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.lexer import Lexeme, Token
from processors.telemetry.promql.limits import DEPTH_MAX
from processors.telemetry.promql.matchers import Match, Matcher
from processors.telemetry.promql.nodes import (
    Aggregation,
    Binary,
    Call,
    Expr,
    Kind,
    Matching,
    Negation,
    Number,
    Selector,
    Side,
    Subquery,
    Text,
    Window,
    walk,
)
from processors.telemetry.promql.regex import compiled
from processors.telemetry.promql.series import NAME
from processors.telemetry.promql.signatures import AGGREGATIONS, ELSEWHERE, SIGNATURES, WITH_PARAMETER

COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS: Final = frozenset({"and", "or", "unless"})
_POWER: Final = 6
_PRECEDENCE: Final = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(COMPARISONS, 3),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "^": _POWER,
}
_NO_METRIC: Final = frozenset({"bool", "on", "ignoring", "group_left", "group_right"})


def parse(text: str) -> Expr:
    """Read an expression. Raises `PromqlError`."""
    reader = _Reader(lexer.tokens(text))
    expr = reader.expression(1)
    reader.expect_end()
    if max(depth for _, depth in walk(expr)) > DEPTH_MAX:
        raise PromqlError(f"an expression is at most {DEPTH_MAX} deep")
    return expr


class _Reader:
    """Tokens, and how far they are read."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    # ---- tokens
    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        if token.lexeme is not Lexeme.END:
            self._at += 1
        return token

    def _is(self, *texts: str) -> bool:
        token = self._token
        if token.lexeme is Lexeme.NAME:
            return token.text.lower() in texts
        return token.lexeme is Lexeme.SIGN and token.text in texts

    def _follows(self, *texts: str) -> bool:
        following = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        return following.text.lower() in texts and following.lexeme in {Lexeme.NAME, Lexeme.SIGN}

    def _expect(self, what: str, where: str) -> Token:
        if not self._is(what):
            raise PromqlError(f"expected `{what}` {where}, found {self._token.shown}", self._token.position)
        return self._take()

    def _expect_a(self, lexeme: Lexeme, where: str) -> Token:
        if self._token.lexeme is not lexeme:
            raise PromqlError(f"expected {lexeme} {where}, found {self._token.shown}", self._token.position)
        return self._take()

    def expect_end(self) -> None:
        if self._token.lexeme is not Lexeme.END:
            raise PromqlError(f"did not expect {self._token.shown} here", self._token.position)

    # ---- operators
    def expression(self, least: int) -> Expr:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise PromqlError(f"an expression is at most {DEPTH_MAX} deep", self._token.position)
        left = self._unary()
        while (op := self._operator(least)) is not None:
            as_bool, matching = self._modifiers()
            precedence = _PRECEDENCE[op.text.lower()]
            right = self.expression(precedence if precedence == _POWER else precedence + 1)
            left = _binary(op, left, right, matching, as_bool=as_bool)
        self._depth -= 1
        return left

    def _operator(self, least: int) -> Token | None:
        token = self._token
        if token.lexeme not in {Lexeme.NAME, Lexeme.SIGN} or _PRECEDENCE.get(token.text.lower(), 0) < least:
            return None
        return self._take()

    def _unary(self) -> Expr:
        if not self._is("-", "+"):
            return self._postfix()
        sign = self._take()
        inner = self.expression(_POWER)
        if inner.kind not in {Kind.SCALAR, Kind.VECTOR}:
            raise PromqlError(f"`{sign.text}` takes a scalar or an instant vector, not a {inner.kind}", sign.position)
        return Negation(inner, sign.position) if sign.text == "-" else inner

    def _modifiers(self) -> tuple[bool, Matching]:
        as_bool = self._is("bool") and bool(self._take())
        if not self._is("on", "ignoring"):
            if self._is("group_left", "group_right"):
                raise PromqlError(f"{self._token.shown} comes after on(…) or ignoring(…)", self._token.position)
            return as_bool, Matching()
        on = self._take().text.lower() == "on"
        labels = self._labels()
        if not self._is("group_left", "group_right"):
            return as_bool, Matching(on, labels)
        many = Side(self._take().text.lower())
        include = self._labels() if self._is("(") else ()
        return as_bool, Matching(on, labels, many, include)

    def _labels(self) -> tuple[str, ...]:
        self._expect("(", "before labels")
        labels: list[str] = []
        while not self._is(")"):
            token = self._expect_a(Lexeme.NAME, "as a label")
            if ":" in token.text:
                raise PromqlError(f"{token.shown} is no label: a colon stands in names of metrics only", token.position)
            labels.append(token.text)
            if not self._is(")"):
                self._expect(",", "between labels")
        self._take()
        return tuple(labels)

    # ---- what comes after a selector
    def _postfix(self) -> Expr:
        bare = not self._is("(")
        expr = self._primary()
        while True:
            if self._is("["):
                expr = self._range(expr, bare=bare)
                bare = True
            elif self._is("offset"):
                expr = self._offset(expr, bare=bare)
            elif self._is("@"):
                raise PromqlError("`@` is not supported here; use offset", self._token.position)
            else:
                return expr

    def _range(self, expr: Expr, *, bare: bool) -> Expr:
        position = self._take().position
        range_ms = lexer.duration_ms(self._expect_a(Lexeme.DURATION, "such as 5m in [ ]"))
        if self._is(":"):
            self._take()
            step_ms = lexer.duration_ms(self._take()) if self._token.lexeme is Lexeme.DURATION else 0
            self._expect("]", "after a subquery's step")
            if expr.kind is not Kind.VECTOR:
                raise PromqlError(f"a subquery is over an instant vector, not a {expr.kind}", position)
            return Subquery(expr, range_ms, step_ms, expr.position)
        self._expect("]", "or `:` after a range")
        if not isinstance(expr, Selector) or not bare:
            raise PromqlError("only a selector takes a range; write [5m:] for a subquery over anything else", position)
        if expr.offset_ms:
            raise PromqlError("the range comes before the offset: x[5m] offset 1m", position)
        return Window(expr, range_ms, expr.position)

    def _offset(self, expr: Expr, *, bare: bool) -> Expr:
        position = self._take().position
        sign = -1 if self._is("-") and self._take() else 1
        offset_ms = sign * lexer.duration_ms(self._expect_a(Lexeme.DURATION, "such as 5m after offset"))
        match expr:
            case Selector(offset_ms=0) if bare:
                return replace(expr, offset_ms=offset_ms)
            case Window(selector=Selector(offset_ms=0) as selector):
                return replace(expr, selector=replace(selector, offset_ms=offset_ms))
            case Subquery(offset_ms=0) if bare:
                return replace(expr, offset_ms=offset_ms)
            case _:
                raise PromqlError("an offset comes once, right after a selector, its range or a subquery", position)

    # ---- the smallest parts
    def _primary(self) -> Expr:
        token = self._token
        match token.lexeme:
            case Lexeme.NUMBER:
                return Number(lexer.number(self._take()), token.position)
            case Lexeme.STRING:
                return Text(lexer.string(self._take()), token.position)
            case Lexeme.NAME:
                return self._named()
            case Lexeme.SIGN if token.text == "(":
                self._take()
                inner = self.expression(1)
                self._expect(")", "after an expression in parentheses")
                return inner
            case Lexeme.SIGN if token.text == "{":
                return self._selector("", token.position)
            case Lexeme.DURATION:
                raise PromqlError("a duration stands in [ ] or after offset; here write seconds", token.position)
            case _:
                raise PromqlError(f"expected an expression, found {token.shown}", token.position)

    def _named(self) -> Expr:
        token = self._take()
        word = token.text.lower()
        if word in {"inf", "nan"}:
            return Number(float(word), token.position)
        if word in AGGREGATIONS and self._is("(", "by", "without"):
            return self._aggregation(token)
        if word in _NO_METRIC:
            raise PromqlError(f"did not expect {token.shown} here", token.position)
        if self._is("("):
            return self._call(token)
        return self._selector(token.text, token.position)

    def _arguments(self) -> tuple[Expr, ...]:
        self._expect("(", "before arguments")
        arguments: list[Expr] = []
        while not self._is(")"):
            arguments.append(self.expression(1))
            if not self._is(")"):
                self._expect(",", "or `)` after an argument")
                if self._is(")"):
                    raise PromqlError("another argument must follow a comma", self._token.position)
        self._take()
        return tuple(arguments)

    def _call(self, token: Token) -> Call:
        signature = SIGNATURES.get(token.text)
        if signature is None:
            raise PromqlError(_unknown(token.text), token.position)
        arguments = self._arguments()
        if not signature.least <= len(arguments) <= signature.limit:
            least, most = signature.least, signature.limit
            takes = f"{least}" if least == most else f"{least} to {most}"
            raise PromqlError(f"{token.text} takes {takes} arguments, not {len(arguments)}", token.position)
        for index, argument in enumerate(arguments):
            wanted = signature.takes[min(index, len(signature.takes) - 1)]
            if argument.kind is not wanted:
                hint = "; a range is missing, such as [5m]" if wanted is Kind.MATRIX else ""
                raise PromqlError(f"{token.text} takes a {wanted} here, not a {argument.kind}{hint}", argument.position)
        return Call(token.text, arguments, signature.gives, token.position)

    def _aggregation(self, token: Token) -> Aggregation:
        op = token.text.lower()
        grouping = self._grouping()
        arguments = self._arguments()
        grouping = grouping or self._grouping() or ((), False)
        wanted = 2 if op in WITH_PARAMETER else 1
        if len(arguments) != wanted:
            raise PromqlError(f"{op} takes {wanted} arguments, not {len(arguments)}", token.position)
        inner, parameter = arguments[-1], arguments[0] if wanted > 1 else None
        if inner.kind is not Kind.VECTOR:
            raise PromqlError(f"{op} is over an instant vector, not a {inner.kind}", inner.position)
        if parameter is not None and parameter.kind is not Kind.SCALAR:
            raise PromqlError(f"{op}'s first argument is a scalar, not a {parameter.kind}", parameter.position)
        return Aggregation(op, inner, parameter, grouping[0], grouping[1], token.position)

    def _grouping(self) -> tuple[tuple[str, ...], bool] | None:
        if not self._is("by", "without"):
            return None
        without = self._take().text.lower() == "without"
        return self._labels(), without

    def _selector(self, name: str, position: int) -> Selector:
        matchers: list[Matcher] = []
        if self._is("{"):
            self._take()
            while not self._is("}"):
                matchers.append(self._matcher())
                if not self._is("}"):
                    self._expect(",", "or `}` after a label's condition")
            self._take()
        named = [matcher for matcher in matchers if matcher.label == NAME]
        if name and named:
            raise PromqlError(f"the name is given twice: {name} and {named[0].value}", position)
        if not name and all(matcher.matches("") for matcher in matchers):
            raise PromqlError("a selector needs a name, or a label that must not be empty", position)
        if not name and len(named) == 1 and named[0].match is Match.EQUAL:
            return Selector(named[0].value, tuple(one for one in matchers if one.label != NAME), position)
        return Selector(name, tuple(matchers), position)

    def _matcher(self) -> Matcher:
        label = self._expect_a(Lexeme.NAME, "of a label")
        if not self._is("=", "!=", "=~", "!~"):
            raise PromqlError(f"expected = != =~ or !~ after a label, found {self._token.shown}", self._token.position)
        match = Match(self._take().text)
        token = self._expect_a(Lexeme.STRING, "to compare a label with")
        value = lexer.string(token)
        if match in {Match.REGEX, Match.NOT_REGEX}:
            try:
                compiled(value)
            except PromqlError as error:
                raise PromqlError(error.message, token.position) from error
        return Matcher(label.text, match, value)


def _unknown(name: str) -> str:
    if name in ELSEWHERE:
        return f"{name} is not among the functions that are built in here; ask Prometheus itself"
    near = difflib.get_close_matches(name, (*SIGNATURES, *AGGREGATIONS), n=1)
    return f"there is no function {name}" + (f"; did you mean {near[0]}?" if near else "")


def _binary(op: Token, left: Expr, right: Expr, matching: Matching, *, as_bool: bool) -> Binary:
    name = op.text.lower()
    kinds = {left.kind, right.kind}
    for side in (left, right):
        if side.kind not in {Kind.SCALAR, Kind.VECTOR}:
            raise PromqlError(f"`{name}` takes scalars and instant vectors, not a {side.kind}", side.position)
    if as_bool and name not in COMPARISONS:
        raise PromqlError("bool comes after a comparison only", op.position)
    if name in COMPARISONS and not as_bool and kinds == {Kind.SCALAR}:
        raise PromqlError(f"between two scalars write `{name} bool`", op.position)
    if name in SETS and Kind.SCALAR in kinds:
        raise PromqlError(f"`{name}` is between instant vectors only", op.position)
    if name in SETS and matching.many is not Side.NEITHER:
        raise PromqlError(f"`{name}` knows no {matching.many}", op.position)
    if Kind.SCALAR in kinds and matching.labels:
        raise PromqlError("labels can be matched between instant vectors only", op.position)
    both = set(matching.labels) & set(matching.include)
    if matching.on and both:
        raise PromqlError(f"the label {min(both)} stands in on and in {matching.many}", op.position)
    return Binary(name, left, right, matching, as_bool, op.position)
