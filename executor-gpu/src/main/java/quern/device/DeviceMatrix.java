package quern.device;

import quern.tensor.DType;

/**
 * A row-major matrix in a device's memory. Only the device that made it can read it; whoever made it closes it.
 */
public interface DeviceMatrix extends AutoCloseable {
    int rows();

    int cols();

    /** F32, the device's {@link Device#computeType()}, or U8 for codes. */
    DType dtype();

    @Override
    void close();
}
