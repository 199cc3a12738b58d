package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
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
    private final Matrix weight = Samples.weight(OUTPUTS, INPUTS, random);
    private final Matrix sum; // of x xT
    private final Matrix cross; // of f xT

    LayerTargetTest() {
        double[][] mixing = new double[INPUTS][INPUTS];
        for (double[] row : mixing) {
            Arrays.setAll(row, i -> 0.1 * random.nextGaussian() / Math.sqrt(INPUTS));
        }
        for (int t = 0; t < TOKENS; t++) {
            double common = random.nextGaussian();
            for (int i = 0; i < INPUTS; i++) {
                full[t][i] = common + random.nextGaussian();
            }
            for (int i = 0; i < INPUTS; i++) { // part of the drift is a map of f, as of a linear that was quantized
                drifted[t][i] = full[t][i] + dot(mixing[i], full[t]) + 0.05 * random.nextGaussian();
            }
        }
        sum = products(drifted, drifted);
        cross = products(full, drifted);
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
        double[][] products = new double[INPUTS][INPUTS];
        for (int t = 0; t < TOKENS; t++) {
            for (int i = 0; i < INPUTS; i++) {
                for (int j = 0; j < INPUTS; j++) {
                    products[i][j] += a[t][i] * b[t][j];
                }
            }
        }
        return Samples.matrix(products);
    }

    /** |W F - Q X|^2 / tokens, token by token. */
    private double loss(Matrix quantized) {
        double loss = 0;
        for (int t = 0; t < TOKENS; t++) {
            for (int r = 0; r < OUTPUTS; r++) {
                double error = 0;
                for (int i = 0; i < INPUTS; i++) {
                    error += weight.at(r, i) * full[t][i] - quantized.at(r, i) * drifted[t][i];
                }
                loss += error * error;
            }
        }
        return loss / TOKENS;
    }

    /** Equation (2) as the normal equations of least squares with lambda: (W* - W) H = W D, checked by a product. */
    @ParameterizedTest
    @EnumSource(ColumnOrder.class)
    void the_target_solves_the_normal_equations(ColumnOrder order) {
        Scheme scheme = Samples.scheme(3, 16, true, order);
        Hessian hessian = new Hessian(sum, cross, TOKENS);
        for (Device device : new Device[] {JAVA, CPU}) {
            GptqSolver solver = new GptqSolver(Samples.recipe(scheme, ScaleRule.SALIENCY), hessian, device, 0);
            try (Inputs inputs = solver.factor(scheme).inputs();
                    LayerTarget target = LayerTarget.of(hessian, inputs, device)) {
                Matrix wanted = target.of(weight);
                double lambda = 0;
                for (int i = 0; i < INPUTS; i++) {
                    lambda += 0.01 * sum.at(i, i) / TOKENS / INPUTS;
                }
                for (int r = 0; r < OUTPUTS; r++) {
                    for (int j = 0; j < INPUTS; j++) {
                        double left = lambda * (wanted.at(r, j) - weight.at(r, j));
                        double right = 0;
                        for (int i = 0; i < INPUTS; i++) {
                            left += ((double) wanted.at(r, i) - weight.at(r, i)) * sum.at(i, j) / TOKENS;
                            right += (double) weight.at(r, i) * (cross.at(i, j) - sum.at(i, j)) / TOKENS;
                        }
                        assertThat(left).isCloseTo(right, within(2e-6));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(ColumnOrder.class)
    void codes_make_up_for_the_drift(ColumnOrder order) {
        Scheme scheme = Samples.scheme(3, 16, true, order);
        for (Device device : new Device[] {JAVA, CPU}) {
            double own = loss(quantized(scheme, new Hessian(sum, TOKENS), device));
            double made = loss(quantized(scheme, new Hessian(sum, cross, TOKENS), device));
            assertThat(made).isLessThan(0.8 * own);
        }
    }

    private Matrix quantized(Scheme scheme, Hessian hessian, Device device) {
        try (Method.Solver solver = new Gptq().solver(Samples.recipe(scheme, ScaleRule.SALIENCY), hessian, device)) {
            return solver.quantize("linear", weight, scheme).quantized().dequantize();
        }
    }
}
