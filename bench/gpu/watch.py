"""bench/gpu/watch.py FILE   what the GPU takes while others work: a line of CSV every 100 ms, until it is ended

    seconds,sm_mhz,watts,celsius,joules,reasons

seconds: of the epoch. joules: the board's own counter since its driver was loaded, so that the difference between two lines is
exact however the power changed between them. reasons: NVML's mask of why the clock is not higher, of which 0x4 is the limit of
power. Read through NVML (libnvidia-ml.so.1, part of the driver); a figure that this GPU does not have is left empty. The GPU is
that of GPU_DEVICE, default cuda:0.
"""

import ctypes
import os
import sys
import time

SM_CLOCK, CORE_TEMPERATURE = 1, 0       # NVML_CLOCK_SM, NVML_TEMPERATURE_GPU
INTERVAL = 0.1


class Gpu:
    def __init__(self, index):
        self.nvml = ctypes.CDLL("libnvidia-ml.so.1")
        self.handle = ctypes.c_void_p()
        for name, arguments in (("nvmlInit_v2", ()), ("nvmlDeviceGetHandleByIndex_v2", (index, ctypes.byref(self.handle)))):
            status = getattr(self.nvml, name)(*arguments)
            if status != 0:
                sys.exit("watch.py: %s: NVML error %d" % (name, status))

    def ask(self, kind, names, *arguments):
        """A figure as the first of these functions gives it; None where none does."""
        for name in names:
            value = kind()
            try:
                if getattr(self.nvml, name)(self.handle, *arguments, ctypes.byref(value)) == 0:
                    return value.value
            except AttributeError:
                pass                    # a driver that does not have it yet, or any more
        return None

    def line(self):
        watts = self.ask(ctypes.c_uint, ("nvmlDeviceGetPowerUsage",))
        joules = self.ask(ctypes.c_ulonglong, ("nvmlDeviceGetTotalEnergyConsumption",))
        figures = (time.time(), self.ask(ctypes.c_uint, ("nvmlDeviceGetClockInfo",), SM_CLOCK), watts and watts / 1e3,
                   self.ask(ctypes.c_uint, ("nvmlDeviceGetTemperature",), CORE_TEMPERATURE),
                   None if joules is None else joules / 1e3,
                   self.ask(ctypes.c_ulonglong, ("nvmlDeviceGetCurrentClocksEventReasons",
                                                 "nvmlDeviceGetCurrentClocksThrottleReasons")))
        return ",".join("" if f is None else "%.3f" % f if isinstance(f, float) else str(f) for f in figures)


def main():
    device = os.environ.get("GPU_DEVICE", "cuda:0")
    gpu = Gpu(int(device.partition(":")[2] or 0))
    with open(sys.argv[1], "w", buffering=1) as file:
        file.write("seconds,sm_mhz,watts,celsius,joules,reasons\n")
        while True:
            file.write(gpu.line() + "\n")
            time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
