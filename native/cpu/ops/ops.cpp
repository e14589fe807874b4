// ops.cpp: enters the operations of one instruction set into the table.
#include "ops.h"

#define TRM_PASTE2(a, b) a##b
#define TRM_PASTE(a, b) TRM_PASTE2(a, b)

namespace trm {
namespace TRM_ISA {

static void enter(trm_backend* table) {
    TRM_OPERATIONS(TRM_ENTER)
    TRM_FUSED_POSITIONS(TRM_ENTER)
    TRM_FUSED_CHANNELS(TRM_ENTER)
}

}  // namespace TRM_ISA

void TRM_PASTE(fill_ops_, TRM_ISA)(trm_backend* table) { TRM_ISA::enter(table); }

}  // namespace trm
