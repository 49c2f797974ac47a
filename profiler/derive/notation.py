"""Format polynomials as text, LaTeX, Python, sympy expressions and formulas of the formula language."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import sympy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from profiler.derive.polynomials import Monomial, Polynomial
    from profiler.derive.variables import CeilStep, Variable

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Notation:
    """The letters that stand for the variables, and the order of factors in a product."""

    #: Letters by the name of the variable, in the order of factors in a product.
    letters: Mapping[str, str] = field(default_factory=dict)

    def text(self, polynomial: Polynomial) -> str:
        """Format as text, such as ``24·B·S·E² + 4·B·S²·E``."""
        return self._sum(polynomial, self._text_monomial, _text_number, "·")

    def formula(self, polynomial: Polynomial) -> str:
        """Format as a formula that `profiler.expressions.parse` reads, such as ``24*B*S*E**2 + ceil(R/2)``."""
        return self._sum(polynomial, self._formula_monomial, str, "*")

    def latex(self, polynomial: Polynomial) -> str:
        r"""Format as LaTeX, such as ``24\,B\,S\,E^{2}``."""
        return self._sum(polynomial, self._latex_monomial, _latex_number, r"\,")

    def python(self, polynomial: Polynomial) -> str:
        """Format as a Python expression that uses integer arithmetic only."""
        scale = sympy.ilcm(1, *(c.denominator for c in polynomial.values()))
        whole = {m: c * int(scale) for m, c in polynomial.items()}
        text = self._sum(whole, self._python_monomial, str, "*")
        return f"({text}) // {scale}" if scale != 1 else text

    def monomial(self, monomial: Monomial) -> str:
        """Format a monomial as text; "1" if it has no factors."""
        return self._text_monomial(monomial) or "1"

    def expression(self, polynomial: Polynomial) -> sympy.Expr:
        """Return the polynomial as a sympy expression in the letters."""
        return sympy.Add(
            *(
                sympy.Rational(c.numerator, c.denominator) * sympy.Mul(*(self._symbol(s) ** n for s, n in m))
                for m, c in polynomial.items()
            )
        )

    def letter(self, name: str) -> str:
        """Return the letter of a variable, or its name if it has none."""
        return self.letters.get(name) or name

    def describe(self, variable: Variable) -> str:
        """Format a variable with its letter, such as ``B = batch``; the name alone if it has no letter."""
        letter = self.letter(variable.name)
        return variable.name if letter == variable.name else f"{letter} = {variable.name}"

    def _sum(
        self,
        polynomial: Polynomial,
        monomial: Callable[[Monomial], str],
        number: Callable[[Fraction], str],
        sign: str,
    ) -> str:
        """Join formatted terms with their signs."""
        result = ""
        for powers, coefficient in polynomial.items():
            factors, size = monomial(powers), abs(coefficient)
            parts = [*([] if size == 1 and factors else [number(size)]), *([factors] if factors else [])]
            minus, plus = (" - ", " + ") if result else ("-", "")
            result += (minus if coefficient < 0 else plus) + sign.join(parts)
        return result or "0"

    def _ordered(self, monomial: Monomial) -> list[tuple[CeilStep, int]]:
        order = list(self.letters)
        rank = {name: i for i, name in enumerate(order)}
        return sorted(monomial, key=lambda item: (rank.get(item[0].variable, len(order)), item[0]))

    def _text_monomial(self, monomial: Monomial) -> str:
        return "·".join(
            self._step(s, "⌈", "⌉") + (str(n).translate(SUPERSCRIPTS) if n > 1 else "")
            for s, n in self._ordered(monomial)
        )

    def _formula_monomial(self, monomial: Monomial) -> str:
        return "*".join(self._step(s, "ceil(", ")") + (f"**{n}" if n > 1 else "") for s, n in self._ordered(monomial))

    def _python_monomial(self, monomial: Monomial) -> str:
        return "*".join(self._python_step(s) + (f"**{n}" if n > 1 else "") for s, n in self._ordered(monomial))

    def _latex_monomial(self, monomial: Monomial) -> str:
        left, right = r"\left\lceil ", r" \right\rceil"
        factors = [
            self._step(s, left, right, latex=True) + (f"^{{{n}}}" if n > 1 else "") for s, n in self._ordered(monomial)
        ]
        return r"\,".join(factors)

    def _step(self, step: CeilStep, left: str, right: str, *, latex: bool = False) -> str:
        letter = self.letter(step.variable)
        name = rf"\mathrm{{{letter}}}".replace("_", r"\_") if latex and len(letter) > 1 else letter
        if step.is_plain:
            return name
        shifted = f"{name}{step.offset:+}" if step.offset else name
        if latex:
            return rf"{left}\frac{{{shifted}}}{{{step.size}}}{right}"
        return f"{left}{f'({shifted})' if step.offset else shifted}/{step.size}{right}"

    def _python_step(self, step: CeilStep) -> str:
        letter = self.letter(step.variable)
        if step.is_plain:
            return letter
        negative = f"({-step.offset} - {letter})" if step.offset else f"-{letter}"
        return f"(-({negative} // {step.size}))"

    def _symbol(self, step: CeilStep) -> sympy.Expr:
        symbol = sympy.Symbol(self.letter(step.variable), positive=True, integer=True)
        return symbol if step.is_plain else sympy.ceiling((symbol + step.offset) / sympy.Integer(step.size))


def _text_number(number: Fraction) -> str:
    whole = f"{number.numerator:,}"
    return whole if number.denominator == 1 else f"{whole}/{number.denominator}"


def _latex_number(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else rf"\frac{{{number.numerator}}}{{{number.denominator}}}"
