"""Records what the published loader makes of several folders, several sets and a puzzle without examples: merged.json.

    python record.py CHECKOUT_OF_TinyRecursiveModels          (commit e7b6871; needs numpy and pydantic, no torch)

As in tests/golden/loader/batches.json, a batch is the SHA-256 of its inputs, labels and identifiers as int32.
"""
import hashlib, json, os, shutil, sys, tempfile, types

import numpy as np

for name, members in {"torch": ["from_numpy"], "torch.utils": [], "argdantic": ["ArgParser"],
                      "torch.utils.data": ["IterableDataset", "get_worker_info"], "models": [],
                      "models.losses": []}.items():
    module = sys.modules[name] = types.ModuleType(name)
    for member in members:
        setattr(module, member, type(member, (), {}))
sys.modules["torch"].from_numpy = lambda array: array
sys.modules["torch.utils.data"].get_worker_info = lambda: None
sys.modules["models.losses"].IGNORE_LABEL_ID = -100
sys.path.insert(0, sys.argv[1])
from puzzle_dataset import PuzzleDataset, PuzzleDatasetConfig  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "../../golden/datasets")
TEMP = tempfile.mkdtemp()
SPLITS = ["train", "test"]
FIELDS = ["inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices"]


def golden(name):
    return os.path.join(GOLDEN, name, "expected")


def two_sets(first, second):
    """A folder with the sets all and more, each of a folder."""
    out = tempfile.mkdtemp(dir=TEMP)
    for split in SPLITS:
        os.makedirs(os.path.join(out, split))
        infos = []
        for name, source in (("all", first), ("more", second)):
            infos.append(json.load(open(os.path.join(golden(source), split, "dataset.json"))))
            for field in FIELDS:
                shutil.copy(os.path.join(golden(source), split, "all__%s.npy" % field),
                            os.path.join(out, split, "%s__%s.npy" % (name, field)))
        infos[0]["sets"] = ["all", "more"]
        for key in ("total_groups", "total_puzzles"):
            infos[0][key] += infos[1][key]
        json.dump(infos[0], open(os.path.join(out, split, "dataset.json"), "w"))
    return out


def empty_puzzle(source):
    """A folder with a further puzzle, the second, that has no example."""
    out = os.path.join(TEMP, "empty")
    shutil.copytree(golden(source), out)
    for split in SPLITS:
        path = os.path.join(out, split, "all__%s.npy")
        puzzles, groups, ids = (np.load(path % f) for f in ("puzzle_indices", "group_indices", "puzzle_identifiers"))
        groups[1:] += 1
        np.save(path % "puzzle_indices", np.insert(puzzles, 1, puzzles[1]))
        np.save(path % "group_indices", groups)
        np.save(path % "puzzle_identifiers", np.insert(ids, 1, ids[0]))
    return out


def digest(batch):
    sha = hashlib.sha256()
    for key in ("inputs", "labels", "puzzle_identifiers"):
        sha.update(np.ascontiguousarray(batch[key]).astype("<i4").tobytes())
    return sha.hexdigest()


CASES = {
    "two_folders": [golden("sudoku_tiny"), golden("sudoku_tiny_filter")],
    "folder_twice": [golden("arc_tiny"), golden("arc_tiny")],
    "two_sets": [two_sets("sudoku_tiny", "sudoku_tiny_filter")],
    "two_sets_two_folders": [two_sets("sudoku_tiny", "sudoku_tiny_filter"),
                             two_sets("sudoku_tiny_filter", "sudoku_tiny")],
    "empty_puzzle": [empty_puzzle("arc_tiny")],
}
records = []
for name, paths in CASES.items():
    for split in SPLITS:
        config = dict(seed=3, dataset_paths=paths, global_batch_size=5, test_set_mode=split == "test",
                      epochs_per_iter=2, rank=0, num_replicas=1)
        loader = PuzzleDataset(PuzzleDatasetConfig(**config), split=split)
        np.random.seed(7)
        record = dict(name=name, split=split, seed=3, numpy_global_seed=7, global_batch_size=5, epochs_per_iter=2)
        for key in ("num_puzzle_identifiers", "total_groups", "total_puzzles", "mean_puzzle_examples"):
            record[key] = getattr(loader.metadata, key)
        record["iterations"] = [[{"set": s, "rows": int(n), "sha256": digest(b)} for s, b, n in loader]
                                for _ in range(3 if split == "train" else 1)]
        records.append(record)
with open(os.path.join(HERE, "merged.json"), "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n")
