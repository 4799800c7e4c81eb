"""Colours and drawings that the chapters on theory share; nothing is computed here.

A quantity has the same colour in every chapter, and that of its method elsewhere in the book.
"""

from ugradsl_core.figures import COLOURS, INK

THEORY_COLOURS = {
    "retrain": COLOURS["retrain"],  # θ_r*, Δθ_r
    "ga": COLOURS["ga"],  # θ_f*, Δθ_f, ascent with α = 0
    "nls": COLOURS["ugradsl"],  # Δθ_n, ascent with α < 0
    "pls": COLOURS["ft"],  # α > 0
    "one-hot": INK,  # α = 0, as a label
    "formula": INK,  # what the paper's equation says
    "measured": COLOURS["ugradsl+"],  # what was counted or computed, beside a formula
    "bound": "#a9791f",  # an upper bound, Eq. (31)
}
