package trm.device.cuda;

/** cuDNN is not there, is too old, or does not take what it is asked for: kernels of our own serve. */
final class CudnnException extends Exception {
    CudnnException(String message) {
        super(message);
    }
}
