package quern.method;

import java.util.Arrays;
import quern.device.CodeValues;
import quern.device.Device;
import quern.device.Grids;
import quern.scheme.Blocks;
import quern.scheme.QuantizedLinear.Units;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * The grids of some rows: scale and zero of each group.
 *
 * @param groups groups of a row
 * @param scales rows x groups
 * @param zeros rows x groups
 * @param units rows x blocks, where the scheme has nested ones
 */
record Scales(int groups, float[] scales, float[] zeros, Units units) {
    static Scales of(int rows, int groups) {
        return new Scales(groups, new float[rows * groups], new float[rows * groups], Units.NONE);
    }

    /** For rows of {@code inputs}. */
    static Scales of(int rows, Scheme scheme, int inputs) {
        int groups = scheme.groups(inputs);
        Blocks blocks = scheme.blocks();
        return new Scales(
                groups,
                new float[rows * groups],
                new float[rows * groups],
                blocks == null || !blocks.nested() ? Units.NONE : Units.of(blocks, rows * blocks.count(groups)));
    }

    /** Gives every so many rows the largest of their scales; -1 for all. */
    void share(int rowsOfScale) {
        int together = rowsOfScale == -1 ? rows() : rowsOfScale;
        for (int row = 0; row < rows() && together > 1; row += together) {
            int end = Math.min(rows(), row + together);
            for (int g = 0; g < groups; g++) {
                float largest = 0;
                for (int r = row; r < end; r++) {
                    largest = Math.max(largest, scales[r * groups + g]);
                }
                for (int r = row; r < end; r++) {
                    scales[r * groups + g] = largest;
                }
            }
        }
    }

    /**
     * A number of each group of a row for each of its columns.
     *
     * @param ofGroups of all rows
     * @param from where those of the row begin
     * @param length of a group
     */
    static void spread(float[] ofGroups, int from, int length, float[] into) {
        for (int column = 0, group = from; column < into.length; column += length, group++) {
            Arrays.fill(into, column, Math.min(into.length, column + length), ofGroups[group]);
        }
    }

    /** Those of some rows, in a device's memory. */
    Grids on(CodeValues values, int row, int count, Device device) {
        float[] scale = Arrays.copyOfRange(scales, row * groups, (row + count) * groups);
        float[] zero = Arrays.copyOfRange(zeros, row * groups, (row + count) * groups);
        return new Grids(
                values,
                device.upload(new Matrix(count, groups, scale), DType.F32),
                device.upload(new Matrix(count, groups, zero), DType.F32),
                null);
    }

    int rows() {
        return scales.length / groups;
    }
}
