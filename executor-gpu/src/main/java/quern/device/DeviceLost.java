package quern.device;

/**
 * A device that this process cannot use any more: all that it held is gone and every further call fails with the same reason. Only
 * another process, perhaps on another machine, can go on.
 */
public final class DeviceLost extends DeviceException {
    public DeviceLost(String message) {
        super(message);
    }
}
