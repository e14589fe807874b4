"""What an operation of `trm bench --json` costs: FLOP, bytes, and its shortest time at given rates.

Used by gpu_report.py and gpu_predict.py. Bytes count each operand once, in bfloat16 with float32 weight gradients.
"""

import math

H100_FLOPS, H100_BYTES = 798e12, 3.0e12     # 8192^3 product and device copy, measured on one H100 80GB HBM3
COPIES = {"H100": H100_BYTES, "H200": 4.3e12}   # by what a board's name holds; the H200's memory is faster, its chip the same


def copy_rate(name):
    """Bytes per second of a device copy on a board of this name; the H100's for others, which the page says."""
    return next((rate for chip, rate in COPIES.items() if chip in name), H100_BYTES)


def product_bytes(name, batch, m, n, k):
    """Bytes of `batch` products [m, k] x [k, n] as the entries of trm_ops.h have them."""
    if name in ("mix", "mix_bwd_x"):
        return 2 * (m * k + batch * k * n + batch * m * n)              # one matrix of weights for all
    if name == "mix_bwd_w":
        return 3 * 2 * batch * (m * k + k * n) + 8 * m * n              # operands are permuted first; dw is added to
    if name == "linear_bwd_w":
        return 2 * (m * k + k * n) + 8 * m * n
    if name == "attention":                                             # two products a head; q, k, v, o
        return 2 * 4 * (batch // 2) * m * k
    if name == "attention_bwd":                                         # counted as four; q, k, v, o, do, dq, dk, dv
        return 2 * 8 * (batch // 4) * m * k
    if name == "linear_swiglu":                                         # gate and up are kept in one cycle of three
        return 2 * (m * k + k * n + m * n // 2) + 2 * m * n // 3
    if name == "linear_add_rms_norm":                                   # after the last of two blocks with injection
        return 2 * (m * k + k * n + 2 * m * n) + (2 * m * n if k > n else 0)
    if name == "position_mlp":                                          # h, y
        return 2 * 2 * m * k + 2 * n * k
    if name == "position_mlp_bwd":                                      # h, y, d twice; p, dg, du written and read
        return 2 * 4 * m * k + 2 * 6 * m * n // 3 + 10 * n * k
    return 2 * batch * (m * k + k * n + m * n)


def cost(operation):
    """(FLOP, bytes) of all calls of one line of a step's table; bytes are 0 where the table does not tell them."""
    name, shape, calls = operation["operation"], operation.get("shape"), operation.get("calls", 0)
    if not shape:
        return 0.0, operation["bytes"] if "bytes" in operation else operation.get("gb_per_s", 0.0) * operation["ms"] * 1e6
    batch, m, n, k = shape
    flop = 2.0 * batch * m * n * k * calls
    if name == "attention_bwd":
        flop *= 5 / 4                                                   # five products: the scores are computed again
    if name == "position_mlp_bwd":
        flop *= 3 / 2                                                   # so are gate and up
    return flop, float(product_bytes(name, batch, m, n, k)) * calls


def shortest(flop, moved, flops, bandwidth):
    """Milliseconds, and what bounds them."""
    by_flop, by_bytes = flop / flops * 1e3, moved / bandwidth * 1e3
    return (by_flop, "FLOP") if by_flop >= by_bytes else (by_bytes, "bytes")


def label(operation):
    """As trm bench prints it: m x k x n after the number of products in a call."""
    shape = operation.get("shape")
    if not shape:
        return "`%s`" % operation["operation"]
    batch, m, n, k = shape
    return "`%s` %s%d x %d x %d" % (operation["operation"], "%d * " % batch if batch > 1 else "", m, k, n)


def figure(value, digits=3):
    """A number with some significant digits, without an exponent; nothing for None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return "%.*f" % (places, value)


def table(titles, rows):
    """A Markdown table; cells are text or numbers, in each row as many as titles."""
    for row in rows:
        if len(row) != len(titles):
            raise ValueError("%d cells for %d titles: %s" % (len(row), len(titles), row))
    cells = [[c if isinstance(c, str) else figure(c) for c in row] for row in rows]
    return "\n".join(["| " + " | ".join(titles) + " |", "| " + " | ".join("---" for _ in titles) + " |"] +
                     ["| " + " | ".join(row) + " |" for row in cells]) + "\n"
