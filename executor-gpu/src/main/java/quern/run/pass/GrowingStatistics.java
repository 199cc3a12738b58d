package quern.run.pass;

import java.util.Objects;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.method.Drift;
import quern.method.Hessian;
import quern.method.Statistics;
import quern.plan.Gathering;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Statistics of inputs that come batch by batch, on the device. Of the sum of products, the lower triangle. */
final class GrowingStatistics implements AutoCloseable {
    private final Device device;
    private @Nullable DeviceMatrix gram; // inputs x inputs, F32
    private @Nullable DeviceMatrix drift; // of inputs: inputs x inputs, F32
    /** Of what outputs are added to, outputs x inputs, F32; none before the first batch. */
    private @Nullable DeviceMatrix streamDrift;

    private final float[] squares = new float[2]; // of either
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
        drift = gathering.drifts() ? device.zeros(inputs, inputs, DType.F32) : null;
        largest = gathering.magnitudes() ? device.zeros(1, inputs, DType.F32) : null;
    }

    /** @param x tokens x inputs */
    void add(DeviceMatrix x) {
        if (gram != null) {
            device.forward().addGram(x, gram);
        }
        if (largest != null) {
            device.forward().raiseLargest(x, largest);
        }
        tokens += x.rows();
    }

    /**
     * How far x of the same batch is from full precision.
     *
     * @param x tokens x inputs
     * @param full what they would be
     */
    void addDrift(DeviceMatrix x, DeviceMatrix full) {
        squares[0] += addDrift(x, full, x, Objects.requireNonNull(drift));
    }

    /**
     * How far what the outputs are added to is from full precision.
     *
     * @param stream tokens x outputs
     * @param full what it would be
     * @param x tokens x inputs
     */
    void addDrift(DeviceMatrix stream, DeviceMatrix full, DeviceMatrix x) {
        if (streamDrift == null) {
            streamDrift = device.zeros(stream.cols(), x.cols(), DType.F32);
        }
        squares[1] += addDrift(stream, full, x, streamDrift);
    }

    /** The sum of the squares of the drift, whose products with x are added to a sum. */
    private float addDrift(DeviceMatrix own, DeviceMatrix full, DeviceMatrix x, DeviceMatrix sum) {
        ForwardKernels kernels = device.forward();
        try (DeviceMatrix far = kernels.subtract(full, own)) {
            kernels.addProducts(far, x, sum);
            return (float) device.solve().loss(far, far, 0)[0];
        }
    }

    void add(GrowingStatistics other) {
        gram = sum(gram, other.gram);
        drift = sum(drift, other.drift);
        streamDrift = sum(streamDrift, other.streamDrift);
        squares[0] += other.squares[0];
        squares[1] += other.squares[1];
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
                gram == null ? null : new Hessian(gram, ofDevice(), device, tokens),
                largest == null ? null : device.download(largest).values());
    }

    private @Nullable Drift ofDevice() {
        return drift == null ? null : Drift.of(drift, streamDrift, squares, device);
    }

    /** A copy. Of the sum, the lower triangle. */
    Statistics onHost() {
        return Statistics.of(
                tokens,
                gram == null ? null : device.download(gram),
                drift == null
                        ? null
                        : Drift.of(
                                device.download(drift),
                                streamDrift == null ? null : device.download(streamDrift),
                                squares),
                largest == null ? null : device.download(largest).values());
    }

    @Override
    public void close() {
        if (gram != null) {
            gram.close();
        }
        if (drift != null) {
            drift.close();
        }
        if (streamDrift != null) {
            streamDrift.close();
        }
        if (largest != null) {
            largest.close();
        }
    }
}
