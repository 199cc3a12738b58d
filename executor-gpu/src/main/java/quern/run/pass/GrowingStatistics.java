package quern.run.pass;

import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.method.Hessian;
import quern.method.Statistics;
import quern.plan.Gathering;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Statistics of inputs that come batch by batch, on the device. Of the sum of products, the lower triangle. */
final class GrowingStatistics implements AutoCloseable {
    private final Device device;
    private @Nullable DeviceMatrix gram; // inputs x inputs, F32
    private @Nullable DeviceMatrix cross; // inputs x inputs, F32
    private final @Nullable DeviceMatrix largest; // 1 x inputs, F32
    private long tokens;

    private GrowingStatistics(Device device, long tokens, DeviceMatrix largest) {
        this.device = device;
        this.tokens = tokens;
        this.largest = largest;
    }

    GrowingStatistics(Device device, int inputs, Gathering gathering) {
        this.device = device;
        gram = gathering.hessians() ? device.zeros(inputs, inputs, DType.F32) : null;
        cross = gathering.crosses() ? device.zeros(inputs, inputs, DType.F32) : null;
        largest = gathering.magnitudes() ? device.zeros(1, inputs, DType.F32) : null;
    }

    /** @param x tokens x inputs */
    void add(DeviceMatrix x) {
        add(x, null);
    }

    /**
     * @param x tokens x inputs
     * @param full tokens x inputs: what they are in the layer in full precision; none where that is not asked for
     */
    void add(DeviceMatrix x, @Nullable DeviceMatrix full) {
        if (gram != null) {
            device.forward().addGram(x, gram);
        }
        if (cross != null && full != null) {
            device.forward().addProducts(full, x, cross);
        }
        if (largest != null) {
            device.forward().raiseLargest(x, largest);
        }
        tokens += x.rows();
    }

    void add(GrowingStatistics other) {
        gram = sum(gram, other.gram);
        cross = sum(cross, other.cross);
        if (largest != null && other.largest != null) {
            device.forward().raiseLargest(other.largest, largest);
        }
        tokens += other.tokens;
    }

    /** Of both, the first of which is closed. */
    private @Nullable DeviceMatrix sum(@Nullable DeviceMatrix one, @Nullable DeviceMatrix other) {
        if (one == null || other == null) {
            return one;
        }
        try (one) {
            return device.forward().add(one, other);
        }
    }

    /** Of a cache: the largest magnitude of all keys, and of all values. Both are closed. */
    static GrowingStatistics ofCache(GrowingStatistics keys, GrowingStatistics values) {
        try (keys;
                values) {
            float[] both = {keys.onHost().magnitude(), values.onHost().magnitude()};
            return new GrowingStatistics(
                    keys.device, keys.tokens, keys.device.upload(new Matrix(1, 2, both), DType.F32));
        }
    }

    /** As they are now, on the device, as long as this is not closed. Nothing more is to be added. */
    Statistics onDevice() {
        if (gram != null) {
            device.solve().mirrorLower(gram);
        }
        return new Statistics(
                tokens,
                gram == null ? null : new Hessian(gram, cross, device, tokens),
                largest == null ? null : device.download(largest).values());
    }

    /** A copy. Of the sum, the lower triangle. */
    Statistics onHost() {
        return Statistics.of(
                tokens,
                gram == null ? null : device.download(gram),
                cross == null ? null : device.download(cross),
                largest == null ? null : device.download(largest).values());
    }

    @Override
    public void close() {
        if (gram != null) {
            gram.close();
        }
        if (cross != null) {
            cross.close();
        }
        if (largest != null) {
            largest.close();
        }
    }
}
