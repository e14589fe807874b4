"""tests/gpu/libraries.py FILE.json   versions of CUDA's libraries and of PyTorch, or why one is missing"""

import ctypes
import json
import sys

found = {}


def version(key, library, call):
    try:
        found[key] = call(ctypes.CDLL(library))
    except (OSError, AttributeError) as e:
        found[key] = "missing: %s" % e


def size_t(function):
    function.restype = ctypes.c_size_t
    return function()


def by_pointer(function):
    value = ctypes.c_int()
    function(ctypes.byref(value))
    return value.value


version("cudart", "libcudart.so.13", lambda l: by_pointer(l.cudaRuntimeGetVersion))
version("cublaslt", "libcublasLt.so.13", lambda l: size_t(l.cublasLtGetVersion))
version("cudnn", "libcudnn.so.9", lambda l: size_t(l.cudnnGetVersion))
version("nccl", "libnccl.so.2", lambda l: by_pointer(l.ncclGetVersion))
try:
    import torch
    found["torch"] = torch.__version__
except ImportError as e:
    found["torch"] = "missing: %s" % e
with open(sys.argv[1], "w") as f:
    json.dump(found, f)
print(found)
