package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.scheme.ColumnOrder;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

class LayerTargetTest {
    private static final int INPUTS = 48;
    private static final int OUTPUTS = 24;
    private static final int TOKENS = 400;

    private static final Device JAVA = Devices.open("java");
    private static final Device CPU = Devices.open("cpu", DType.F32);

    private final Random random = Seeds.random();
    private final double[][] full = new double[TOKENS][INPUTS]; // f
    private final double[][] drifted = new double[TOKENS][INPUTS]; // x
    private final double[][] stream = new double[TOKENS][OUTPUTS]; // s - r
    private final Matrix weight = Samples.weight(OUTPUTS, INPUTS, random);
    private final Matrix sum; // of x xT
    private final Matrix inputs; // of (f - x) xT
    private final Matrix streams; // of (s - r) xT
    private final float[] squares = new float[2];

    LayerTargetTest() {
        double[][] mixing = mixing(INPUTS);
        double[][] leaving = mixing(OUTPUTS);
        double[][] far = new double[TOKENS][INPUTS]; // f - x
        for (int t = 0; t < TOKENS; t++) {
            double common = random.nextGaussian();
            for (int i = 0; i < INPUTS; i++) {
                full[t][i] = common + random.nextGaussian();
            }
            for (int i = 0; i < INPUTS; i++) { // part of the drift is a map of f, as of a linear that was quantized
                far[t][i] = -dot(mixing[i], full[t]) - 0.05 * random.nextGaussian();
                drifted[t][i] = full[t][i] - far[t][i];
                squares[0] += far[t][i] * far[t][i];
            }
            for (int i = 0; i < OUTPUTS; i++) {
                stream[t][i] = dot(leaving[i], full[t]) + 0.05 * random.nextGaussian();
                squares[1] += stream[t][i] * stream[t][i];
            }
        }
        sum = products(drifted, drifted);
        inputs = products(far, drifted);
        streams = products(stream, drifted);
    }

    private double[][] mixing(int rows) {
        double[][] mixing = new double[rows][INPUTS];
        for (double[] row : mixing) {
            Arrays.setAll(row, i -> 0.1 * random.nextGaussian() / Math.sqrt(INPUTS));
        }
        return mixing;
    }

    @AfterAll
    static void close() {
        JAVA.close();
        CPU.close();
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    private static Matrix products(double[][] a, double[][] b) {
        double[][] products = new double[a[0].length][b[0].length];
        for (int t = 0; t < TOKENS; t++) {
            for (int i = 0; i < a[0].length; i++) {
                for (int j = 0; j < b[0].length; j++) {
                    products[i][j] += a[t][i] * b[t][j];
                }
            }
        }
        return Samples.matrix(products);
    }

    private Hessian hessian(boolean added) {
        return new Hessian(sum, Drift.of(inputs, added ? streams : null, squares), TOKENS);
    }

    /** |S - R + W F - Q X|^2 / tokens, token by token. */
    private double loss(Matrix quantized, boolean added) {
        double loss = 0;
        for (int t = 0; t < TOKENS; t++) {
            for (int r = 0; r < OUTPUTS; r++) {
                double error = added ? stream[t][r] : 0;
                for (int i = 0; i < INPUTS; i++) {
                    error += weight.at(r, i) * full[t][i] - quantized.at(r, i) * drifted[t][i];
                }
                loss += error * error;
            }
        }
        return loss / TOKENS;
    }

    /** The part of |p|^2 that (3) keeps, where p is what least squares explain of a drift, token by token. */
    private double share(double[][] drift, double[][] map) {
        double explained = 0;
        double rest = 0;
        for (int t = 0; t < TOKENS; t++) {
            for (int r = 0; r < map.length; r++) {
                double told = dot(map[r], drifted[t]);
                explained += told * told;
                rest += Math.pow(drift[t][r] - told, 2);
            }
        }
        double ratio = (double) INPUTS / TOKENS;
        return 1 - 2 * ratio * rest / (1 - ratio) / explained;
    }

    /** Rows of (products / tokens) inv(H) by Gauss and Jordan, H with lambda of 0.01 of the mean of its diagonal. */
    private double[][] divided(Matrix products) {
        double[][] left = new double[INPUTS][INPUTS + products.rows()];
        double mean = 0;
        for (int i = 0; i < INPUTS; i++) {
            mean += sum.at(i, i) / INPUTS;
        }
        for (int i = 0; i < INPUTS; i++) {
            for (int j = 0; j < INPUTS; j++) {
                left[i][j] = sum.at(i, j) + (i == j ? 0.01 * mean : 0);
            }
            for (int r = 0; r < products.rows(); r++) {
                left[i][INPUTS + r] = products.at(r, i);
            }
        }
        for (int p = 0; p < INPUTS; p++) {
            double pivot = left[p][p];
            for (int j = 0; j < left[p].length; j++) {
                left[p][j] /= pivot;
            }
            for (int i = 0; i < INPUTS; i++) {
                double factor = i == p ? 0 : left[i][p];
                for (int j = 0; factor != 0 && j < left[i].length; j++) {
                    left[i][j] -= factor * left[p][j];
                }
            }
        }
        double[][] map = new double[products.rows()][INPUTS];
        for (int r = 0; r < map.length; r++) {
            for (int i = 0; i < INPUTS; i++) {
                map[r][i] = left[i][INPUTS + r];
            }
        }
        return map;
    }

    /** Equations (2) and (3), naively. */
    @ParameterizedTest
    @EnumSource(ColumnOrder.class)
    void the_target_is_what_the_equations_say(ColumnOrder order) {
        double[][] shift = divided(inputs);
        double[][] constant = divided(streams);
        double[][] far = new double[TOKENS][INPUTS];
        for (int t = 0; t < TOKENS; t++) {
            for (int i = 0; i < INPUTS; i++) {
                far[t][i] = full[t][i] - drifted[t][i];
            }
        }
        double a = share(far, shift);
        double b = share(stream, constant);
        assertThat(List.of(a, b)).allSatisfy(share -> assertThat(share).isBetween(0.5, 0.99));
        Scheme scheme = Samples.scheme(3, 16, true, order);
        for (boolean added : new boolean[] {false, true}) {
            for (Device device : new Device[] {JAVA, CPU}) {
                Hessian hessian = hessian(added);
                GptqSolver solver = new GptqSolver(Samples.recipe(scheme, ScaleRule.SALIENCY), hessian, device, 0);
                try (Inputs factored = solver.factor(scheme).inputs();
                        LayerTarget target = LayerTarget.of(hessian, factored, device)) {
                    Matrix wanted = target.of(weight);
                    for (int r = 0; r < OUTPUTS; r++) {
                        for (int j = 0; j < INPUTS; j++) {
                            double expected = weight.at(r, j) + (added ? b * constant[r][j] : 0);
                            for (int i = 0; i < INPUTS; i++) {
                                expected += a * weight.at(r, i) * shift[i][j];
                            }
                            assertThat((double) wanted.at(r, j)).isCloseTo(expected, within(2e-4));
                        }
                    }
                }
            }
        }
    }

    @Test
    void what_tokens_cannot_tell_is_left() {
        assertThat(LayerTarget.share(0.5, 1, 0.1)).isCloseTo(1 - 0.2 * 0.5 / 0.9 / 0.5, within(1e-12));
        assertThat(LayerTarget.share(1, 1, 0.5)).isEqualTo(1); // all is explained
        assertThat(LayerTarget.share(0.1, 1, 0.1)).isZero(); // as much as of noise
        assertThat(LayerTarget.share(1, 1, 1)).isZero(); // no more tokens than inputs
        assertThat(LayerTarget.share(0, 0, 0.1)).isZero(); // nothing has drifted
    }

    /** A drift that is none but noise: what was left is told. */
    @Test
    void a_drift_that_cannot_be_told_is_a_note() {
        Scheme scheme = Samples.scheme(3, 16, true, ColumnOrder.STATIC);
        float[] large = {100 * squares[0], squares[1]};
        assertThat(notes(scheme, new Hessian(sum, Drift.of(inputs, null, large), TOKENS)))
                .containsExactly(
                        "the drift of its inputs cannot be told from noise with 400 tokens; it is left as it is"
                                + " (calibrate with more text)");
        assertThat(notes(scheme, hessian(true))).isEmpty();
        Drift none = Drift.of(Matrix.zeros(INPUTS, INPUTS), null, new float[2]);
        assertThat(notes(scheme, new Hessian(sum, none, TOKENS))).isEmpty();
        assertThat(notes(scheme, new Hessian(sum, TOKENS))).isEmpty();
    }

    private List<String> notes(Scheme scheme, Hessian hessian) {
        try (Method.Solver solver = new Gptq().solver(Samples.recipe(scheme, ScaleRule.SALIENCY), hessian, JAVA)) {
            return solver.quantize("linear", weight, scheme).notes();
        }
    }

    @ParameterizedTest
    @EnumSource(ColumnOrder.class)
    void codes_make_up_for_the_drift(ColumnOrder order) {
        Scheme scheme = Samples.scheme(3, 16, true, order);
        for (Device device : new Device[] {JAVA, CPU}) {
            Matrix own = quantized(scheme, new Hessian(sum, TOKENS), device);
            Matrix made = quantized(scheme, hessian(false), device);
            Matrix both = quantized(scheme, hessian(true), device);
            assertThat(loss(made, false)).isLessThan(0.8 * loss(own, false));
            assertThat(loss(both, true)).isLessThan(0.9 * loss(made, true));
        }
    }

    private Matrix quantized(Scheme scheme, Hessian hessian, Device device) {
        try (Method.Solver solver = new Gptq().solver(Samples.recipe(scheme, ScaleRule.SALIENCY), hessian, device)) {
            return solver.quantize("linear", weight, scheme).quantized().dequantize();
        }
    }
}
