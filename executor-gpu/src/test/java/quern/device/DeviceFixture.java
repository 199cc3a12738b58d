package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import quern.Seeds;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** One device for a test, and what results are compared by. */
abstract class DeviceFixture {
    private static final long SEED = Seeds.seed();

    final Random random = new Random(SEED);
    Device device;
    ForwardKernels forward;
    DType compute;

    abstract Device open();

    @BeforeEach
    void start() {
        device = open();
        forward = device.forward();
        compute = device.computeType();
    }

    @AfterEach
    void stop() {
        device.close();
    }

    /** Relative to the largest value: what rounding of operands (bf16: 2^-9 each) and of sums may cost. */
    double tolerance() {
        return compute == DType.BF16 ? 0x1p-7 : 1e-5;
    }

    Matrix random(int rows, int cols) {
        return random(random, rows, cols);
    }

    static Matrix random(Random random, int rows, int cols) {
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = (float) random.nextGaussian();
        }
        return m;
    }

    /** What the device holds after rounding: the operand that a reference has to start from. */
    static double[][] held(Device device, DeviceMatrix matrix) {
        return Naive.of(device.download(matrix));
    }

    void assertClose(Matrix actual, double[][] expected, double tolerance) {
        double largest = 0;
        for (double[] row : expected) {
            for (double value : row) {
                largest = Math.max(largest, Math.abs(value));
            }
        }
        assertThat(actual.rows()).isEqualTo(expected.length);
        assertThat(actual.cols()).isEqualTo(expected[0].length);
        for (int i = 0; i < actual.rows(); i++) {
            for (int j = 0; j < actual.cols(); j++) {
                double difference = Math.abs(actual.at(i, j) - expected[i][j]);
                assertThat(difference <= tolerance * largest)
                        .as("[%d, %d] is %s, not %s", i, j, actual.at(i, j), expected[i][j])
                        .isTrue();
            }
        }
    }
}
