package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** The kernels of the solve. */
abstract class SolveContract extends DeviceFixture {
    /** A well-conditioned positive definite matrix; what lies above the diagonal is not to be read. */
    private Matrix hessian(int n) {
        double[][] x = Naive.of(random(2 * n, n));
        double[][] h = Naive.product(Naive.transposed(x), x);
        Matrix m = Matrix.zeros(n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                m.values()[i * n + j] = j > i ? Float.NaN : (float) h[i][j] / n;
            }
        }
        return m;
    }

    private static double[][] mirrored(Matrix lower) {
        double[][] h = Naive.of(lower);
        for (int i = 0; i < h.length; i++) {
            for (int j = i + 1; j < h.length; j++) {
                h[i][j] = h[j][i];
            }
        }
        return h;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 63, 64, 65, 200})
    void factor_is_upper_and_its_square_is_the_hessian(int n) {
        Matrix h = hessian(n);
        try (DeviceMatrix r = device.upload(h, DType.F32)) {
            assertThat(device.solve().factor(r)).isTrue();
            double[][] upper = held(device, r);
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < i; j++) {
                    assertThat(upper[i][j]).isZero();
                }
                assertThat(upper[i][i]).isPositive();
            }
            Matrix product = Matrix.zeros(n, n);
            double[][] square = Naive.product(upper, Naive.transposed(upper));
            for (int i = 0; i < n * n; i++) {
                product.values()[i] = (float) square[i / n][i % n];
            }
            assertClose(product, mirrored(h), 1e-5);

            double[][] inverse = Naive.inverse(mirrored(h));
            float[] diagonal = device.solve().inverseDiagonal(r);
            for (int i = 0; i < n; i++) {
                assertThat((double) diagonal[i]).isCloseTo(inverse[i][i], Percentage.withPercentage(0.1));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "3, 2", "50, 31", "7, 64", "200, 130"})
    void rows_are_divided_by_a_hessian(int rows, int n) {
        Matrix h = hessian(n);
        Matrix b = random(rows, n);
        try (DeviceMatrix r = device.upload(h, DType.F32);
                DeviceMatrix divided = device.upload(b, DType.F32)) {
            assertThat(device.solve().factor(r)).isTrue();
            try (DeviceMatrix quotient = device.solve().divide(divided, r)) {
                double[][] expected = Naive.product(Naive.of(b), Naive.inverse(mirrored(h)));
                assertClose(device.download(quotient), expected, 1e-3);
                assertThat(device.download(divided).values()).isEqualTo(b.values());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 31, 64, 65, 200})
    void a_sum_of_products_is_mirrored_and_tells_its_diagonal(int n) {
        Matrix lower = hessian(n);
        try (DeviceMatrix sum = device.upload(lower, DType.F32)) {
            device.solve().mirrorLower(sum);
            float[] diagonal = device.solve().diagonal(sum);
            double[][] whole = mirrored(lower);
            assertThat(held(device, sum)).isDeepEqualTo(whole);
            for (int i = 0; i < n; i++) {
                assertThat((double) diagonal[i]).isEqualTo(whole[i][i]);
            }
        }
    }

    @Test
    void a_hessian_that_is_not_positive_definite_is_reported() {
        for (float bad : new float[] {0, -1, Float.NaN, Float.POSITIVE_INFINITY}) {
            Matrix h = hessian(70);
            h.values()[30 * 70 + 30] = bad;
            try (DeviceMatrix r = device.upload(h, DType.F32)) {
                assertThat(device.solve().factor(r))
                        .as("%s on the diagonal", bad)
                        .isFalse();
            }
        }
    }

    /** One row is where libraries take another way: oneDNN 3.11 wrote beyond its scratch memory there. */
    @ParameterizedTest
    @CsvSource({"1, 2048, 64", "1, 2048, 4096", "5, 300, 70"})
    void a_product_is_added_to_what_is_there(int rows, int inner, int cols) {
        Matrix a = random(rows, inner);
        Matrix b = random(inner + 3, cols);
        Matrix sum = random(rows, cols);
        try (DeviceMatrix left = device.upload(a, DType.F32);
                DeviceMatrix right = device.upload(b, DType.F32);
                DeviceMatrix into = device.upload(sum, DType.F32)) {
            device.solve().addProduct(1, left, right, 2, inner + 2, into);
            double[][] expected = Naive.product(Naive.of(a), Arrays.copyOfRange(Naive.of(b), 2, inner + 2));
            for (int i = 0; i < rows; i++) {
                for (int j = 0; j < cols; j++) {
                    expected[i][j] += sum.at(i, j);
                }
            }
            assertClose(device.download(into), expected, 1e-5);
        }
    }

    @Test
    void a_sweep_reaches_the_codes_of_the_definition() {
        int rows = 300;
        int n = 90;
        Solve solve = new Solve(device, random, rows, n);
        solve.run(0, rows, 32);
        solve.assertMatchesDefinition();
    }

    @Test
    void a_solve_does_not_depend_on_how_rows_are_split() {
        int rows = 600;
        int n = 200;
        Solve solve = new Solve(device, random, rows, n);
        solve.run(0, rows, 128);
        byte[] whole = solve.codes();
        float[] working = solve.working();
        for (int at : new int[] {1, 7, 256, 300, 599}) {
            solve.run(0, at, 128);
            byte[] top = solve.codes();
            float[] topWorking = solve.working();
            solve.run(at, rows, 128);
            assertThat(top).isEqualTo(Arrays.copyOf(whole, at * n));
            assertThat(topWorking).isEqualTo(Arrays.copyOf(working, at * n));
            assertThat(solve.codes()).isEqualTo(Arrays.copyOfRange(whole, at * n, rows * n));
            assertThat(solve.working()).isEqualTo(Arrays.copyOfRange(working, at * n, rows * n));
        }
    }
}
