package trm.device;

/** A backend refused or failed an operation; the message names the operation, its shapes and the library's text. */
public class DeviceException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public DeviceException(String message) {
        super(message);
    }
}
