package quern.method;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;

/**
 * A site's Hessian on the device, as the descent gets it, and as the sweep does: the factor R. Or those of k sites, one below the other.
 *
 * <p>What the directions that few tokens take weigh is known badly. The sweep is damped as it is asked to be, H = sum / tokens +
 * lambda I. The descent fits what is left to the text, so it is damped by {@link #DESCENT} at least: it then gains less on the
 * calibration text and more on other text. That is a share of the median, for where a few inputs are huge the mean is theirs: beside it all others
 * would weigh nothing, and the descent would undo what makes up for the errors of those few.
 *
 * @param hessian (k * n) x n, F32, in the order of groups, with the descent's damping
 * @param factor (k * n) x n upper triangular, F32, H = R RT, in the order of the sweep
 * @param lambda k: what was added to the diagonal of {@code hessian}
 * @param notes of a single one, each time that the damping had to be raised
 */
record DampedHessian(DeviceMatrix hessian, DeviceMatrix factor, double[] lambda, List<String> notes)
        implements AutoCloseable {
    /** Of the median of the diagonal; some 0.1 of the mean where no input stands out. */
    static final double DESCENT = 0.2;

    /** What damping is multiplied by while the factorization fails, up to the mean of the diagonal itself. */
    private static final double RAISE = 10;

    private static final double FIRST_RAISE = 1e-4;
    private static final double LARGEST = 1;

    /**
     * Damps and factors; null if even the largest damping does not make the matrix positive definite.
     *
     * @param diagonal n, of sum / tokens
     * @param dead columns without any input: they get the mean of the others' diagonal, and stay alone
     */
    static @Nullable DampedHessian factor(
            Hessian sum, float[] diagonal, boolean[] dead, Columns columns, double percdamp, Device device) {
        double mean = mean(diagonal, dead);
        List<String> notes = new ArrayList<>();
        return sum.on(device, sums -> {
            for (double damping = percdamp; ; damping = raise(damping)) {
                double lambda = damping * mean;
                float[] damped = damped(diagonal, dead, mean, lambda);
                DeviceMatrix factor = ordered(sums, sum.tokens(), columns.sweepToNatural(), damped, device);
                if (device.solve().factor(factor)) {
                    double descent = Math.max(lambda, DESCENT * median(diagonal, dead));
                    float[] further = damped(diagonal, dead, mean, descent);
                    DeviceMatrix grouped = ordered(sums, sum.tokens(), columns.natural(), further, device);
                    return new DampedHessian(grouped, factor, new double[] {descent}, List.copyOf(notes));
                }
                factor.close();
                if (damping >= LARGEST) {
                    return null;
                }
                notes.add("its Hessian could not be factored with a damping of " + (float) damping + "; raised to "
                        + (float) raise(damping));
            }
        });
    }

    /** Copies of several as one. */
    static DampedHessian stack(List<DampedHessian> members, Device device) {
        DeviceMatrix hessians = device.solve()
                .stack(members.stream().map(DampedHessian::hessian).toList());
        try {
            DeviceMatrix factors = device.solve()
                    .stack(members.stream().map(DampedHessian::factor).toList());
            double[] lambda = members.stream().mapToDouble(m -> m.lambda()[0]).toArray();
            return new DampedHessian(hessians, factors, lambda, List.of());
        } catch (RuntimeException e) {
            hessians.close();
            throw e;
        }
    }

    private static double raise(double damping) {
        return Math.min(LARGEST, Math.max(damping * RAISE, FIRST_RAISE));
    }

    /** H with its columns and rows in the given order. */
    private static DeviceMatrix ordered(DeviceMatrix sum, long tokens, int[] order, float[] diagonal, Device device) {
        float[] inOrder = new float[order.length];
        for (int i = 0; i < order.length; i++) {
            inOrder[i] = diagonal[order[i]];
        }
        return device.solve().hessian(sum, tokens, order, inOrder);
    }

    /** The diagonal of H, natural order. */
    private static float[] damped(float[] diagonal, boolean[] dead, double mean, double lambda) {
        float[] damped = new float[diagonal.length];
        for (int i = 0; i < damped.length; i++) {
            damped[i] = (float) ((dead[i] ? mean : diagonal[i]) + lambda);
        }
        return damped;
    }

    static double mean(float[] diagonal, boolean[] dead) {
        double sum = 0;
        int living = 0;
        for (int i = 0; i < diagonal.length; i++) {
            if (!dead[i]) {
                sum += diagonal[i];
                living++;
            }
        }
        return sum / living;
    }

    private static double median(float[] diagonal, boolean[] dead) {
        double[] living = IntStream.range(0, diagonal.length)
                .filter(i -> !dead[i])
                .mapToDouble(i -> diagonal[i])
                .sorted()
                .toArray();
        return living[living.length / 2];
    }

    /** E H, (k * rows) x n, for E of this size in the order of groups. */
    DeviceMatrix product(DeviceMatrix error, Device device) {
        return product(error, hessian, device);
    }

    /**
     * E H.
     *
     * @param error E, (k * rows) x n, F32
     * @param hessian H, (k * n) x n, F32
     * @return (k * rows) x n
     */
    static DeviceMatrix product(DeviceMatrix error, DeviceMatrix hessian, Device device) {
        DeviceMatrix product = device.zeros(error.rows(), error.cols(), DType.F32);
        try {
            int members = hessian.rows() / hessian.cols();
            device.solve().addProduct(members, error, hessian, 0, error.cols(), product);
            return product;
        } catch (RuntimeException e) {
            product.close();
            throw e;
        }
    }

    @Override
    public void close() {
        hessian.close();
        factor.close();
    }
}
