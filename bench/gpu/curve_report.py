"""bench/gpu/curve_report.py OURS.csv PEER.csv PAGE   what `bench/gpu.sh curve` recorded, as PAGE.csv, PAGE.svg and a table

OURS.csv is a run's metrics.csv, PEER.csv what gpu_curve.py wrote. The table goes to standard output, for PAGE.md.
"""

import csv
import sys


TICKS = (1, 5, 25, 100, 250, 500, 1000, 2500, 5000, 10000, 25000)


def read(file):
    with open(file) as f:
        return {int(r["step"]): r for r in csv.DictReader(f) if r["lm_loss"]}


def number(row, column):
    text = row.get(column, "") if row else ""
    return None if text in ("", "nan") else float(text)


def line(points, colour, left, top, width, height, x_most, y_least, y_most):
    at = ["%.1f,%.1f" % (left + width * x / x_most, top + height * (y_most - y) / (y_most - y_least)) for x, y in points]
    return '<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>' % (colour, " ".join(at))


def panel(rows, column, title, left, y_least, y_most, ticks):
    """Ours and the reference's over the step."""
    width, height, top = 380, 220, 40
    steps = max(1, max(max(r) for r in rows))
    out = ['<text x="%d" y="24">%s</text>' % (left, title),
           '<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#888"/>' % (left, top, width, height)]
    for tick in ticks:
        y = top + height * (y_most - tick) / (y_most - y_least)
        out.append('<text x="%d" y="%.0f" text-anchor="end">%.3g</text>' % (left - 5, y + 4, tick))
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>' % (left, left + width, y, y))
    for step in range(0, steps + 1, next(t for t in TICKS if steps <= 8 * t)):
        out.append('<text x="%.0f" y="%d" text-anchor="middle">%d</text>' % (left + width * step / steps, top + height + 16, step))
    for r, colour in zip(rows, ("#1f6fd0", "#e07b00")):
        points = [(s, number(r[s], column)) for s in sorted(r) if number(r[s], column) is not None]
        out.append(line(points, colour, left, top, width, height, steps, y_least, y_most))
    return out


def numbered(rows, column):
    """Rows of a metrics.csv that have a column, by their step."""
    return {int(r["step"]): r for r in rows if r.get(column)}


def drawing(width, height, parts):
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">'
            '<rect width="%d" height="%d" fill="white"/>\n%s\n</svg>\n' % (width, height, width, height, "\n".join(parts)))


def of_run(rows):
    """A run alone, as SVG: its loss, and the exact accuracy of its evaluations."""
    losses, evaluated = numbered(rows, "lm_loss"), numbered(rows, "eval_exact_accuracy")
    most = max([number(r, "lm_loss") for r in losses.values()], default=1) * 1.05
    parts = panel((losses or {0: {}},), "lm_loss", "token loss", 50, 0, most, [most * i / 4 for i in range(5)])
    parts += panel((evaluated or {0: {}},), "eval_exact_accuracy", "exact accuracy of unseen puzzles", 490, 0, 1,
                   (0, 0.25, 0.5, 0.75, 1))
    return drawing(890, 290, parts)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    ours, peer = read(sys.argv[1]), read(sys.argv[2])
    columns = ("lm_loss", "accuracy", "exact_accuracy")
    with open(sys.argv[3] + ".csv", "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["step"] + ["%s_%s" % (c, w) for c in columns for w in ("trm_cuda", "pytorch")])
        for s in sorted(ours):
            out.writerow([s] + ["" if v is None else "%.6g" % v for c in columns
                                for v in (number(ours[s], c), number(peer.get(s), c))])
    with open(sys.argv[3] + ".svg", "w") as f:
        parts = panel((ours, peer), "lm_loss", "token loss", 50, 1.0, 2.6, (1.0, 1.4, 1.8, 2.2, 2.6))
        parts += panel((ours, peer), "accuracy", "cell accuracy of puzzles that halt", 490, 0.0, 0.6, (0.0, 0.2, 0.4, 0.6))
        parts += ['<text x="60" y="300" fill="#1f6fd0">trm-cuda</text>', '<text x="140" y="300" fill="#e07b00">PyTorch reference</text>']
        f.write(drawing(890, 310, parts))
    print("| step | token loss, ours | PyTorch | cell accuracy, ours | PyTorch |\n| --- | --- | --- | --- | --- |")
    for s in sorted(ours):
        if s % 100 == 0 or s == max(peer):
            values = [number(r.get(s), c) for c in columns[:2] for r in (ours, peer)]
            print("| %d | %s |" % (s, " | ".join("" if v is None else "%.4f" % v for v in values)))


if __name__ == "__main__":
    main()
