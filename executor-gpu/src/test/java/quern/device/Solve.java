package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** A solve by blocks on a device, and the same one column at a time in double precision. */
final class Solve {
    private static final int LOWEST = 0;
    private static final int HIGHEST = 15;
    private static final int GROUP = 24;

    private final Device device;
    private final int n;
    private final int groups;
    private final Matrix original; // rows x n
    private final Matrix factor; // n x n, upper
    private final float[] scales; // rows x groups
    private final float[] zeros; // rows x groups
    private final int[] groupOfColumn;

    private byte[] codes = {};
    private float[] working = {};

    Solve(Device device, Random random, int rows, int n) {
        this.device = device;
        this.n = n;
        groups = (n + GROUP - 1) / GROUP;
        original = DeviceFixture.random(random, rows, n);
        factor = DeviceFixture.random(random, n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                int at = i * n + j;
                factor.values()[at] = j < i ? 0 : j > i ? factor.values()[at] * 0.1f : 1 + random.nextFloat();
            }
        }
        scales = new float[rows * groups];
        zeros = new float[rows * groups];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = 0.2f + 0.2f * random.nextFloat();
            zeros[i] = 4 + random.nextInt(8);
        }
        groupOfColumn = new int[n];
        for (int i = 0; i < n; i++) {
            groupOfColumn[i] = (i * 7) % n / GROUP; // in some order of columns
        }
    }

    byte[] codes() {
        return codes;
    }

    float[] working() {
        return working;
    }

    /** Solves rows [top, bottom) alone. */
    void run(int top, int bottom, int block) {
        int rows = bottom - top;
        Matrix some = new Matrix(rows, n, Arrays.copyOfRange(original.values(), top * n, bottom * n));
        float[] someScales = Arrays.copyOfRange(scales, top * groups, bottom * groups);
        float[] someZeros = Arrays.copyOfRange(zeros, top * groups, bottom * groups);
        CodeValues values = new CodeValues(null, LOWEST, HIGHEST);
        try (DeviceMatrix w = device.upload(some, DType.F32);
                Grids grids = new Grids(
                        values,
                        device.upload(new Matrix(rows, groups, someScales), DType.F32),
                        device.upload(new Matrix(rows, groups, someZeros), DType.F32),
                        null);
                DeviceMatrix chosen = device.zeros(rows, n, DType.U8);
                DeviceMatrix live = device.upload(some, DType.F32);
                DeviceMatrix r = device.upload(factor, DType.F32)) {
            for (int from = 0; from < n; from += block) {
                int to = Math.min(n, from + block);
                int[] group = Arrays.copyOfRange(groupOfColumn, from, to);
                device.solve().sweep(w, live, r, from, to, grids, new int[][] {group}, chosen);
            }
            working = device.download(live).values();
            codes = device.codes(chosen);
        }
    }

    void assertMatchesDefinition() {
        int differing = 0;
        for (int row = 0; row < original.rows(); row++) {
            double[] live = new double[n];
            for (int j = 0; j < n; j++) {
                live[j] = original.at(row, j);
            }
            for (int i = 0; i < n; i++) {
                int g = row * groups + groupOfColumn[i];
                double code = Math.max(LOWEST, Math.min(HIGHEST, Math.rint(live[i] / scales[g]) + zeros[g]));
                double actual = codes[row * n + i];
                if (code != actual) {
                    // Only where the definition itself stands between two codes.
                    double position = live[i] / scales[g] + zeros[g];
                    assertThat(Math.abs(position - (code + actual) / 2)).isLessThan(1e-3);
                    differing++;
                }
                double quantized = scales[g] * (actual - zeros[g]);
                double e = original.at(row, i) - quantized;
                for (int j = i + 1; j < n; j++) {
                    live[j] += e * factor.at(i, j) / factor.at(j, j);
                }
            }
            for (int j = 0; j < n; j++) {
                assertThat(Math.abs(working[row * n + j] - live[j])).isLessThan(1e-4);
            }
        }
        assertThat(differing).isLessThan(10);
    }
}
