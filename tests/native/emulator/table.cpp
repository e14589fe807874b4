// table.cpp: under emulation device memory is the host's, and the backend's table serves as it is.
#include "check.h"

namespace check {

const trm_backend& ops() { return *trm_backend_table(); }
bool product_sizes() { return false; }

}  // namespace check
