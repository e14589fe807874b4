"""bench/gpu/library_folders.py   the folders of pip's nvidia packages that hold CUDA's libraries, as LD_LIBRARY_PATH has them"""

import glob
import site
import sys

places = site.getsitepackages() + [site.getusersitepackages()] + sys.path
print(":".join(dict.fromkeys(f for p in places if p for f in sorted(glob.glob(p + "/nvidia/*/lib")))))
