package quern.model;

import quern.device.DeviceMatrix;

/** Cosines and sines of {@link Rope} on a device, each length x half, F32. */
record RotaryTables(DeviceMatrix cos, DeviceMatrix sin) implements AutoCloseable {
    @Override
    public void close() {
        cos.close();
        sin.close();
    }
}
