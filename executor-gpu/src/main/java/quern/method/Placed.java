package quern.method;

import java.util.Objects;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * A matrix where it was summed: on the host, where parts came together from several processes, or still on the device, where it
 * stays its maker's to close.
 */
record Placed(
        @Nullable Matrix onHost,
        @Nullable DeviceMatrix onDevice,
        @Nullable Device device) {
    static Placed of(Matrix matrix) {
        return new Placed(matrix, null, null);
    }

    /** @param matrix F32 */
    static Placed of(DeviceMatrix matrix, Device device) {
        return new Placed(null, matrix, device);
    }

    int rows() {
        return onHost != null ? onHost.rows() : Objects.requireNonNull(onDevice).rows();
    }

    /** A copy where it lies on a device. */
    Matrix matrix() {
        return onHost != null ? onHost : Objects.requireNonNull(device).download(Objects.requireNonNull(onDevice));
    }

    /** Of a square one. */
    float[] diagonal() {
        if (onHost == null) {
            return Objects.requireNonNull(device).solve().diagonal(Objects.requireNonNull(onDevice));
        }
        float[] diagonal = new float[onHost.rows()];
        for (int i = 0; i < diagonal.length; i++) {
            diagonal[i] = onHost.at(i, i);
        }
        return diagonal;
    }

    /** What comes of it on a device, F32, which is lent for that. */
    <R> R on(Device onIt, Function<DeviceMatrix, R> use) {
        if (onDevice != null) {
            return use.apply(onDevice);
        }
        try (DeviceMatrix uploaded = onIt.upload(Objects.requireNonNull(onHost), DType.F32)) {
            return use.apply(uploaded);
        }
    }
}
