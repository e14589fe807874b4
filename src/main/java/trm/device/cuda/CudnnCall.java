package trm.device.cuda;

import trm.device.Dtype;
import trm.device.Operations;

/** Operands of a call of attention in bfloat16 by address, 0 where there is none. One object serves all calls. */
final class CudnnCall {
    private static final int BF16 = 1; // TRM_BF16

    long qkv;
    long cos;
    long sin;
    long o;
    long lse;
    long dO; // 0 forward, as dqkv
    long dqkv;
    long stream;

    /** All of it by kernels of our own, in one direction; their status. */
    int byOwn(Operations own, CudnnSdpa x) {
        return x.backward()
                ? own.attention_bwd(qkv, cos, sin, o, lse, dO, dqkv, x.lanes(), x.s(), x.heads(), x.d(), BF16, stream)
                : own.attention(qkv, cos, sin, o, lse, x.lanes(), x.s(), x.heads(), x.d(), BF16, stream);
    }

    /** Rotates q and k of qkv at an address into qk; the status. */
    int rotate(Operations own, CudnnSdpa x, long fromQkv, long qk) {
        return own.rotary(fromQkv, cos, sin, qk, x.lanes(), x.s(), x.heads(), x.d(), BF16, stream);
    }

    /** Rotates the gradients of q and k in dqkv at an address back; the status. */
    int rotateBack(Operations own, CudnnSdpa x, long inDqkv) {
        return own.rotary_bwd(inDqkv, cos, sin, x.lanes(), x.s(), x.heads(), x.d(), BF16, stream);
    }

    static boolean isBf16(int dtype) {
        return dtype == BF16;
    }

    /** Bytes of one position's q, k or v. */
    static long rowBytes(CudnnSdpa x) {
        return (long) x.heads() * x.d() * Dtype.BF16.bytes();
    }
}
