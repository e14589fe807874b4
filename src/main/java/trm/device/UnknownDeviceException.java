package trm.device;

/** A name that is no device's: wrong usage, unlike a device that this machine lacks. */
public final class UnknownDeviceException extends DeviceException {
    private static final long serialVersionUID = 1L;

    public UnknownDeviceException(String name) {
        super("device '" + name + "' is unknown, expected auto, cpu or cuda:N");
    }
}
