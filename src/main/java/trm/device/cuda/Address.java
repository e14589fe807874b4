package trm.device.cuda;

import org.bytedeco.javacpp.Pointer;

/** A pointer that is set anew for each call, so that calls allocate nothing. Owns nothing. */
final class Address extends Pointer {
    Address at(long value) {
        address = value;
        return this;
    }
}
