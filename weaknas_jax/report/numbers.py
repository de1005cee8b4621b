"""Numbers as they are printed."""


def number(value: float, percent: bool) -> str:
    """Three places of a percent; six digits of anything else.

    >>> number(93.12345, True), number(0.000123456789, False)
    ('93.123', '0.000123457')
    """
    return f"{value:.3f}" if percent else f"{value:.6g}"


def cost(value: float) -> str:
    """A cost: whole numbers in full, others in four digits.

    >>> cost(1073466), cost(0.020223533734679222)
    ('1,073,466', '0.02022')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
