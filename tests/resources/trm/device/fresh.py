"""Boards that fresh augmentation makes of one board, by lane and step: fresh.json.

    python fresh.py                      (needs numpy)

Written from the contract of admit_fresh in native/include/trm_ops.h, with arrays and integers of any size. Philox4x32-10 is checked
against the known answers of its authors (Random123, kat_vectors).
"""
import json, os

import numpy as np

M32 = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & M32, (a >> 32) ^ c[3] ^ k[1], a & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return c


assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
assert philox([M32] * 4, [M32] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def choices(seed, lane, step):
    """one_of(n), each call the next choice."""
    number = 0

    def one_of(n):
        nonlocal number
        word = philox([number // 4, lane, step & M32, M32], [seed & M32, seed >> 32 & M32])[number % 4]
        number += 1
        return word * n >> 32

    return one_of


def permutation(one_of, n):
    p = np.arange(n)
    for i in range(n - 1, 0, -1):
        j = one_of(i + 1)
        p[[i, j]] = p[[j, i]]
    return p


def lines(one_of, side, box):
    if box == 0:
        return np.arange(side)[::-1] if one_of(2) else np.arange(side)
    bands = permutation(one_of, side // box)
    return np.concatenate([np.arange(side).reshape(-1, box)[band][permutation(one_of, box)] for band in bands])


def changed(board, one_of, transposes, box_rows, box_columns, first_token, vocabulary):
    side = int(len(board) ** 0.5)
    transposed = transposes and one_of(2) == 1
    rows = lines(one_of, side, box_rows)
    columns = lines(one_of, side, box_columns)
    names = np.concatenate([np.arange(first_token), first_token + permutation(one_of, vocabulary - first_token)])
    square = np.array(board).reshape(side, side)
    square = square.T if transposed else square
    return names[square[rows][:, columns]].ravel().tolist()


def case(side, vocabulary, first_token, transposes, box_rows, box_columns, seed, step, first_lane, lanes=4):
    draw = np.random.default_rng(side)
    board = {name: draw.integers(low, vocabulary, side * side).tolist() for name, low in (("input", 1), ("label", 1))}
    law = (transposes, box_rows, box_columns, first_token, vocabulary)
    out = {name + "s": [changed(board[name], choices(seed, first_lane + b, step), *law) for b in range(lanes)]
           for name in board}
    return dict(vocabulary=vocabulary, first_token=first_token, transposes=transposes, box_rows=box_rows,
                box_columns=box_columns, seed=seed, step=step, first_lane=first_lane, **board, **out)


cases = [
    case(9, 11, 2, True, 3, 3, 0, 1, 0),
    case(9, 11, 2, True, 3, 3, 0xFFFFFFFF, 5000000002, 763),
    case(6, 8, 2, False, 2, 3, 42, 77, 3),
    case(4, 6, 2, True, 2, 2, 1, 9, 0),
    case(5, 6, 6, True, 0, 0, 7, 3, 1),
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "fresh.json"), "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
