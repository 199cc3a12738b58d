package quern.device;

/** A device has no memory left for a matrix. What it held before it still holds: the device goes on working. */
public final class DeviceOutOfMemory extends DeviceException {
    public DeviceOutOfMemory(String message) {
        super(message);
    }
}
