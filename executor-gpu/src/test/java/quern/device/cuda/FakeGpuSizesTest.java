package quern.device.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.Seeds;
import quern.device.DeviceMatrix;
import quern.device.FakeGpu;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** What is done in pieces, with more than one piece: the contract's matrices are smaller. */
class FakeGpuSizesTest {
    private final Random random = new Random(Seeds.seed());
    private CudaDevice device;

    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
    }

    @BeforeEach
    void open() {
        device = CudaDevice.open(Gpu.of(0), DType.BF16);
    }

    @AfterEach
    void close() {
        device.close();
    }

    private Matrix random(int rows, int cols) {
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = (float) random.nextGaussian();
        }
        return m;
    }

    @Test
    void matrices_larger_than_a_slot_come_and_go() {
        Matrix m = random(2100, 3001); // 25 MB
        try (DeviceMatrix there = device.upload(m, DType.F32);
                DeviceMatrix rounded = device.upload(m, DType.BF16);
                DeviceMatrix again = device.upload(device.download(rounded), DType.BF16)) {
            assertThat(device.download(there).values()).isEqualTo(m.values());
            assertThat(device.download(again).values())
                    .isEqualTo(device.download(rounded).values());
        }
    }

    /** A slot is filled again while what came before is still on its way. */
    @Test
    void many_matrices_come_before_any_is_looked_at() {
        Matrix[] sources = new Matrix[20];
        DeviceMatrix[] there = new DeviceMatrix[20];
        for (int i = 0; i < there.length; i++) {
            sources[i] = random(7, 13);
            there[i] = device.upload(sources[i], DType.F32);
        }
        for (int i = 0; i < there.length; i++) {
            assertThat(device.download(there[i]).values()).isEqualTo(sources[i].values());
            there[i].close();
        }
    }

    /** Panels of 2048 columns, runs of 8192 tokens. */
    @ParameterizedTest
    @CsvSource({"5, 2100", "8200, 3"})
    void a_gram_of_several_panels_and_runs(int tokens, int inputs) {
        Matrix values = random(tokens, inputs);
        try (DeviceMatrix x = device.upload(values, DType.BF16);
                DeviceMatrix gram = device.zeros(inputs, inputs, DType.F32)) {
            device.forward().addGram(x, gram);
            Matrix held = device.download(x);
            Matrix actual = device.download(gram);
            for (int i = 0; i < inputs; i++) {
                for (int j = 0; j <= i; j += Math.max(1, inputs / 50)) {
                    double sum = 0;
                    for (int t = 0; t < tokens; t++) {
                        sum += (double) held.at(t, i) * held.at(t, j);
                    }
                    assertThat((double) actual.at(i, j)).isCloseTo(sum, within(1e-5 * tokens));
                }
            }
        }
    }

    @Test
    void columns_are_freed_over_several_blocks() {
        int rows = 9;
        int n = 300;
        Matrix original = random(rows, n);
        Matrix working = random(rows, n);
        Matrix factor = random(n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                factor.values()[i * n + j] = j < i ? 0 : 5 + random.nextFloat();
            }
        }
        int from = 4;
        int to = 290;
        try (DeviceMatrix w = device.upload(original, DType.F32);
                DeviceMatrix live = device.upload(working, DType.F32);
                DeviceMatrix f = device.upload(factor, DType.F32);
                DeviceMatrix relaxed = device.solve().relax(w, live, f, from, to)) {
            Matrix actual = device.download(relaxed);
            for (int r = 0; r < rows; r++) {
                double[] free = new double[n];
                for (int j = from; j < to; j++) {
                    free[j] = working.at(r, j);
                    for (int i = from; i < j; i++) {
                        free[j] += (original.at(r, i) - free[i]) * factor.at(i, j) / factor.at(j, j);
                    }
                    assertThat((double) actual.at(r, j - from)).isCloseTo(free[j], within(1e-2));
                }
            }
        }
    }
}
