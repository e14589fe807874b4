// ops.cuh: the operations of this backend, each with the type that trm_ops.h gives its entry of the table.
#pragma once

#include "common.cuh"

namespace trm {
namespace ops {

TRM_OPERATIONS(TRM_DECLARE)
TRM_FUSED_POSITIONS(TRM_DECLARE)
TRM_FUSED_PRODUCTS(TRM_DECLARE)

}  // namespace ops
}  // namespace trm
