package quern.bench;

import java.util.Random;
import quern.method.Hessian;
import quern.tensor.Matrix;

/** What benchmarks of a solve solve. */
final class SolveSample {
    private static final int TOKENS = 64;

    private SolveSample() {}

    static Matrix normal(int rows, int cols, Random random) {
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = (float) random.nextGaussian();
        }
        return m;
    }

    /** Of few tokens, which are quickly added up, and a diagonal. */
    static Hessian hessian(int n, Random random) {
        Matrix x = normal(TOKENS, n, random);
        Matrix sum = Matrix.zeros(n, n);
        float[] h = sum.values();
        for (int i = 0; i < n; i++) {
            h[i * (n + 1)] = TOKENS;
        }
        for (int t = 0; t < TOKENS; t++) {
            for (int i = 0; i < n; i++) {
                float a = x.at(t, i);
                for (int j = 0; j < n; j++) {
                    h[i * n + j] += a * x.at(t, j);
                }
            }
        }
        return new Hessian(sum, TOKENS);
    }
}
