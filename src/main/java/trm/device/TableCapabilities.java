package trm.device;

import java.util.function.BooleanSupplier;

/** What a backend library says of itself. */
record TableCapabilities(NativeOps.Table table, BooleanSupplier bfloat16) implements Capabilities {
    @Override
    public boolean computes(Dtype dtype) {
        return dtype != Dtype.BF16 || bfloat16.getAsBoolean();
    }

    @Override
    public boolean fuses(Fusion fusion) {
        int answer;
        if (fusion instanceof Fusion.PositionMlp f) {
            answer = table.fuses_position_mlp(
                    f.positions(),
                    f.inner(),
                    f.width(),
                    f.normed() ? 1 : 0,
                    f.dtype().code());
        } else if (fusion instanceof Fusion.ChannelMlp f) {
            answer = table.fuses_channel_mlp(
                    f.inner(), f.width(), f.normed() ? 1 : 0, f.dtype().code());
        } else if (fusion instanceof Fusion.LinearSwiglu f) {
            answer = table.fuses_linear_swiglu(
                    f.inner(), f.in(), f.normed() ? 1 : 0, f.dtype().code());
        } else if (fusion instanceof Fusion.LinearAddRmsNorm f) {
            answer = table.fuses_linear_add_rms_norm(
                    f.out(), f.in(), f.normed() ? 1 : 0, f.dtype().code());
        } else {
            throw new IllegalArgumentException("no such fusion: " + fusion);
        }
        return answer != 0;
    }

    @Override
    public long positionMlpWork(long lanes, int positions, int inner, int width, Dtype dtype, boolean backward) {
        return table.position_mlp_work(lanes, positions, inner, width, dtype.code(), backward ? 1 : 0);
    }
}
