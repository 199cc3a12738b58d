package quern.device;

/** The machine failed, not the input: a library that does not load, memory that ran out, a device that was lost. */
public class DeviceException extends RuntimeException {
    public DeviceException(String message) {
        super(message);
    }

    public DeviceException(String message, Throwable cause) {
        super(message, cause);
    }
}
