"""An alert's description: Prometheus' templates, as far as one alert's words need them.

`{{ $labels.topic }}`, `{{ $value }}`, `{{ $value | humanizeDuration }}`, `{{ printf "%.2f" $value }}`.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

TEXT_MAX: Final = 2_000
"""Characters of a template, and of what it gives."""
_ACTION: Final = re.compile(r"(\s*)\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.DOTALL)
_WORD: Final = re.compile(r"\s*(\$labels\.\w+|\.Labels\.\w+|\$value|\.Value|\"(?:[^\"\\]|\\.)*\"|[A-Za-z]\w*|\|)")
_FORMAT: Final = re.compile(r"%(?:%|[-+ 0]*\d{0,2}(?:\.\d{1,2})?[fgeGEsv])")
_UP: Final = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
_UP_1024: Final = ("", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_DOWN: Final = ("", "m", "u", "n", "p", "f", "a", "z", "y")
_PLAIN_FROM: Final = 1e-4
_PLAIN_TO: Final = 1e6
"""Between these Go writes a number without an exponent."""
_THOUSAND: Final = 1000.0

Result: TypeAlias = str | float
Operand: TypeAlias = Callable[[Mapping[str, str], float], Result]


class TemplateError(Exception):
    """The template cannot be read."""


def go_number(value: float) -> str:
    """Write a number as Go does."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    exact = Decimal(repr(value)).normalize()
    if value == 0 or _PLAIN_FROM <= abs(value) < _PLAIN_TO:
        return f"{exact:f}"
    sign, digits, _ = exact.as_tuple()
    rest = "".join(map(str, digits[1:]))
    return f"{'-' * sign}{digits[0]}{'.' if rest else ''}{rest}e{exact.adjusted():+03d}"


def _four(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else go_number(value)


def _number(value: Result) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def humanize(value: Result) -> str:
    """Write a number with a metric prefix."""
    number = _number(value)
    if number == 0 or not math.isfinite(number):
        return _four(number)
    if abs(number) >= 1:
        return _scaled(number, _UP, _THOUSAND)
    return _scaled_down(number)


def humanize1024(value: Result) -> str:
    """Write a number with a binary prefix."""
    number = _number(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return _four(number)
    return _scaled(number, _UP_1024, 1024.0)


def _scaled(number: float, prefixes: tuple[str, ...], step: float) -> str:
    index = 0
    while abs(number) >= step and index + 1 < len(prefixes):
        number /= step
        index += 1
    return _four(number) + prefixes[index]


def _scaled_down(number: float) -> str:
    index = 0
    while abs(number) < 1 and index + 1 < len(_DOWN):
        number *= _THOUSAND
        index += 1
    return _four(number) + _DOWN[index]


def humanize_duration(value: Result) -> str:
    """Write seconds as days, hours, minutes and seconds, or as fractions of one."""
    number = _number(value)
    if not math.isfinite(number):
        return _four(number)
    if abs(number) < 1:
        return (_four(number) if number == 0 else _scaled_down(number)) + "s"
    sign, number = ("-", -number) if number < 0 else ("", number)
    minutes, seconds = divmod(int(number), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{_four(number)}s"


def humanize_percentage(value: Result) -> str:
    """Write a ratio as a percentage."""
    return _four(_number(value) * 100) + "%"


_FUNCTIONS: Final[dict[str, Callable[[Result], str]]] = {
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "toUpper": lambda value: _shown(value).upper(),
    "toLower": lambda value: _shown(value).lower(),
}


def _shown(value: Result) -> str:
    return value if isinstance(value, str) else go_number(value)


@dataclass(frozen=True, slots=True)
class Template:
    """Texts, and what is put between them."""

    parts: tuple[str | Operand, ...]

    def render(self, labels: Mapping[str, str], value: float) -> str:
        texts = (part if isinstance(part, str) else _shown(part(labels, value)) for part in self.parts)
        return "".join(texts)[:TEXT_MAX]


def template(text: str) -> Template:
    """Read a template. Raises `TemplateError`."""
    if len(text) > TEXT_MAX:
        raise TemplateError(f"a template has at most {TEXT_MAX} characters")
    parts: list[str | Operand] = []
    at = 0
    trim = False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()] + ("" if match.group(2) else match.group(1))
        parts.append(before.lstrip() if trim else before)
        parts.append(_pipeline(match.group(3)))
        trim, at = bool(match.group(4)), match.end()
    rest = text[at:].lstrip() if trim else text[at:]
    if "{{" in rest:
        raise TemplateError("a {{ is not closed")
    parts.append(rest)
    return Template(tuple(parts))


def _pipeline(text: str) -> Operand:
    words: list[str] = []
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise TemplateError(f"{text[at : at + 20]!r} is not supported in {{{{ {text} }}}}")
        words.append(match.group(1))
        at = match.end()
    operand: Operand | None = None
    for stage in _stages(words):
        operand = _stage(stage, operand)
    if operand is None:
        raise TemplateError("{{ }} is empty")
    return operand


def _stages(words: list[str]) -> list[list[str]]:
    stages: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    return stages


def _stage(words: list[str], before: Operand | None) -> Operand:
    """Read one function with what it takes; what comes through the pipe is the last of that."""
    if not words:
        raise TemplateError("there is nothing on one side of a | in {{ }}")
    operands = [one for one in map(_operand, words) if one is not None]
    function = words[0] if _operand(words[0]) is None else ""
    operands += [before] if before is not None else []
    if len(operands) != len(words) - bool(function) + (before is not None):
        raise TemplateError(f"{' '.join(words)!r} is not supported in {{{{ }}}}")
    if not function and len(operands) == 1:
        return operands[0]
    if function == "printf" and words[1:] and words[1].startswith('"'):
        return _printf(words[1][1:-1].replace('\\"', '"').replace("\\\\", "\\"), operands[1:])
    made = _FUNCTIONS.get(function)
    if made is None or len(operands) != 1:
        known = ", ".join(sorted([*_FUNCTIONS, "printf"]))
        raise TemplateError(f"{' '.join(words)!r} is not supported in {{{{ }}}}; {known} are, with one value each")
    only = operands[0]
    return lambda labels, value: made(only(labels, value))


def _operand(word: str) -> Operand | None:
    if word in {"$value", ".Value"}:
        return lambda _, value: value
    if word.startswith(("$labels.", ".Labels.")):
        name = word.rpartition(".")[2]
        return lambda labels, _: labels.get(name, "")
    if word.startswith('"'):
        text = word[1:-1]
        return lambda _labels, _value: text
    return None


def _printf(text: str, operands: list[Operand]) -> Operand:
    asked = [one for one in _FORMAT.findall(text) if one != "%%"]
    if "%" in _FORMAT.sub("", text) or len(asked) != len(operands):
        raise TemplateError(f'printf "{text}": %s, %v, %f, %g and %e are supported, one for each value')

    def put(labels: Mapping[str, str], value: float) -> str:
        results = iter([operand(labels, value) for operand in operands])

        def one(match: re.Match[str]) -> str:
            form = match.group()
            if form == "%%":
                return "%"
            result = next(results)
            if form[-1] in "sv":
                return str((form[:-1] + "s") % _shown(result))
            number = _number(result)
            return str(form % number) if math.isfinite(number) else go_number(number)

        return _FORMAT.sub(one, text)

    return put
