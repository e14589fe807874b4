"""Writes forms.txt: what numpy.save makes of [[0, 1, 2], [3, 100, 5]], in base64, a line a form: descr order version file.

Booleans are of [[0, 1, 1], [1, 1, 1]]; signed ones have -5 in the place of 5; o, f, s and c are refused.
"""
import base64, io, numpy

VALUES = [[0, 1, 2], [3, 100, 5]]

def line(array, version):
    out = io.BytesIO()
    numpy.lib.format.write_array(out, array, version=version, allow_pickle=True)
    descr = array.dtype.descr[0][1] if array.dtype.names is None else "fields"
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return " ".join([descr, order, "%d" % version[0], base64.b64encode(out.getvalue()).decode()])

lines = []
for kind in ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]:
    for endian in "<>":
        for order in "CF":
            a = numpy.array(VALUES)
            if kind[0] == "i":
                a[1, 2] = -5
            a = numpy.array(a.astype(endian + kind if kind != "?" else "?"), order=order)
            for version in [(1, 0), (2, 0), (3, 0)]:
                if version == (1, 0) or kind == "i4":
                    if endian == "<" or a.dtype.itemsize > 1:
                        lines.append(line(a, version))
for a in [numpy.array(VALUES, dtype="<f4"), numpy.array(VALUES, dtype=object), numpy.array([["a"]]),
          numpy.array([[1j]]), numpy.zeros((2, 3), dtype=[("a", "<i4"), ("b", "<i4")])]:
    lines.append(line(a, (1, 0)))
open("forms.txt", "w").write("\n".join(lines) + "\n")
