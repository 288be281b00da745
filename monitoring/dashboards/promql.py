"""Pieces of PromQL that panels share."""


def rate(metric: str, selector: str, by: str = "") -> str:
    """What a counter gains a second, summed over all series, or by labels."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate({metric}{{{selector}}}[$__rate_interval]))"


def mean(metric: str, selector: str, by: str = "") -> str:
    """The mean of what a histogram observed."""
    return f"{rate(f'{metric}_sum', selector, by)} / {rate(f'{metric}_count', selector, by)}"


def quantile(share: float, metric: str, selector: str, by: str) -> str:
    """The value that a share of what a histogram observed does not pass, by labels."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', selector, f'{by}, le')})"


def distribution(metric: str, selector: str) -> str:
    """How many observations of a histogram fell into each bucket."""
    return f"sum by (le) (increase({metric}_bucket{{{selector}}}[$__rate_interval]))"
