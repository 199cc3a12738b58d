package quern.device;

import org.jspecify.annotations.Nullable;
import quern.tensor.DType;

/**
 * The grids of some rows, in the device's memory: w = scale * (value of the code - zero), with a scale and a zero for each
 * group of a row.
 *
 * @param values what codes stand for
 * @param scales rows x groups, F32
 * @param zeros rows x groups, F32; whole numbers but where minima are stored in their place
 * @param multiples where the scales of a block of groups are multiples of a unit, else null
 */
public record Grids(
        CodeValues values,
        DeviceMatrix scales,
        DeviceMatrix zeros,
        @Nullable Multiples multiples) implements AutoCloseable {
    /**
     * Scales that are unit * k, k a whole number from {@code lowest} to {@code highest} and not 0.
     *
     * @param units rows x blocks, F32
     * @param minima rows x blocks, F32, what minima are multiples of; null where there are none
     * @param groups of a block
     */
    public record Multiples(DeviceMatrix units, @Nullable DeviceMatrix minima, int groups, int lowest, int highest)
            implements AutoCloseable {
        /** The scale nearest to {@code value} in a block with this unit. */
        public float nearest(float value, float unit) {
            int k = Math.max(lowest, Math.min(highest, (int) Math.rint(value / unit)));
            return unit * (k == 0 ? 1 : k);
        }

        @Override
        public void close() {
            units.close();
            if (minima != null) {
                minima.close();
            }
        }
    }

    /** To be chosen. */
    public static Grids of(CodeValues values, int rows, int groups, Device device) {
        return new Grids(values, device.zeros(rows, groups, DType.F32), device.zeros(rows, groups, DType.F32), null);
    }

    /** To be chosen by a search, for rows of {@code inputs}. */
    public static Grids of(BlockSearch search, int rows, int inputs, Device device) {
        int groups = inputs / search.length();
        int blocks = groups / search.groups();
        return new Grids(
                search.values(),
                device.zeros(rows, groups, DType.F32),
                device.zeros(rows, groups, DType.F32),
                search.nested()
                        ? new Multiples(
                                device.zeros(rows, blocks, DType.F32),
                                search.minima() ? device.zeros(rows, blocks, DType.F32) : null,
                                search.groups(),
                                search.lowest(),
                                search.highest())
                        : null);
    }

    public int groups() {
        return scales.cols();
    }

    @Override
    public void close() {
        scales.close();
        zeros.close();
        if (multiples != null) {
            multiples.close();
        }
    }
}
