"""Text from outside, such as a module's name, as each place can hold it: a line, a Markdown table, a CSV or XML file.

JSON needs nothing here: its writers escape by themselves.
"""

from __future__ import annotations

import re

#: The longest word and the longest message that are printed whole, in characters.
_LONGEST_WORD, _LONGEST_MESSAGE = 200, 1500
_QUOTED = 60
_CUT = "…"
#: What has a meaning in a table or paragraph of GitHub's Markdown. An underscore within a word has none.
_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\u00a0": "&nbsp;"}
#: What a spreadsheet reads as the beginning of a formula.
#: Source: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@")
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$",
        "×": r"$\times$", "·": r"$\cdot$", "−": r"$-$", "±": r"$\pm$", "µ": r"$\mu$", "–": "--", "…": r"\dots{}",
        "\u00a0": "~",
    }
)  # fmt: skip
#: Characters that XML 1.0 does not allow, escaped or not.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: How to write in ASCII what the reports are made of.
_ASCII = str.maketrans(
    {"≥": ">=", "≤": "<=", "×": "x", "·": "*", "−": "-", "–": "-", "÷": "/", "±": "+-", "…": "...", "─": "-", "│": "|",
     "╭": "+", "╮": "+", "╰": "+", "╯": "+",
     "µ": "u", "→": "->", "²": "^2", "³": "^3", "✓": "ok", "✗": "X", "’": "'", "“": '"', "”": '"', "Σ": "sum "}
)  # fmt: skip


def plain(text: str) -> str:
    r"""Return *text* for a line of a terminal: control characters, marks of direction and the like as Python's escapes.

    Example:
        >>> print(plain("a\x1b[31mb\n"))
        a\x1b[31mb\n
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plain_lines(text: str) -> str:
    """Return a report of several lines with ``plain`` applied to each."""
    return "\n".join(map(plain, text.split("\n")))


def shorten(text: str, most: int) -> str:
    """Return *text*, with its middle cut out if it has more than *most* characters.

    Example:
        >>> shorten("0123456789", 7)
        '0123…89'
    """
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return text[: most - 1 - end] + _CUT + text[len(text) - end :]


def quoted(value: object, most: int = _QUOTED) -> str:
    """Return a value in quotes for a message, shortened.

    Example:
        >>> quoted("3x22y"), quoted(7)
        ("'3x22y'", "'7'")
    """
    return repr(shorten(str(value), most))


def message_line(text: str) -> str:
    """Return a message as one line, in which long values are shortened."""
    line = plain(" ".join(part.strip() for part in text.splitlines() if part.strip()))
    words = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: shorten(word[0], _LONGEST_WORD), line)
    return shorten(words, _LONGEST_MESSAGE)


def markdown(text: str) -> str:
    r"""Return *text* so that Markdown shows it as it is; a no-break space becomes an entity.

    Example:
        >>> print(markdown("a|b <c>"), markdown("layer_1"), markdown("__init__"))
        a\|b &lt;c&gt; layer_1 \_\_init\_\_
    """
    kept = "\u00a0".join(map(plain, text.split("\u00a0")))
    escaped = _MARKDOWN.sub(lambda match: "\\" + match[0], kept)
    return re.sub("[&<>\u00a0]", lambda match: _ENTITIES[match[0]], escaped)


def csv_cell(text: str) -> str:
    """Return *text* for a cell that spreadsheets open: with ``'`` in front of what they would take for a formula.

    Example:
        >>> csv_cell("=1+1"), csv_cell("layer1.0")
        ("'=1+1", 'layer1.0')
    """
    return plain(f"'{text}" if text.startswith((*_FORMULA, "'", "\t", "\r")) else text)


def latex(text: str) -> str:
    r"""Return *text* for a cell of a LaTeX table.

    Example:
        >>> print(latex("fc_1 ≥ 50 %"))
        fc\_1 $\geq$ 50 \%
    """
    kept = "\u00a0".join(map(plain, text.split("\u00a0")))
    return kept.translate(_LATEX)


def xml(text: str) -> str:
    """Return *text* without the characters that no XML document may hold; the writer of XML escapes the others."""
    return _NO_XML.sub("�", text)


def ascii_text(text: str) -> str:
    r"""Return a report in ASCII, for a terminal without other characters.

    Example:
        >>> print(ascii_text("≥ 3.6 GFLOP, 3×224×224, \u00fc"))
        >= 3.6 GFLOP, 3x224x224, \xfc
    """
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def ascii_json(text: str) -> str:
    r"""Return a JSON text in ASCII.

    Example:
        >>> print(ascii_json('{"name": "\u00fc"}'))
        {"name": "\u00fc"}
    """
    return re.sub("[^\x00-\x7f]", lambda match: _json_escape(match[0]), text)


def _json_escape(character: str) -> str:
    data = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[i]:02x}{data[i + 1]:02x}" for i in range(0, len(data), 2))
