package quern.device.cuda;

import jcuda.Pointer;
import org.jspecify.annotations.Nullable;
import quern.device.BlockSearch;
import quern.device.CodeValues;
import quern.device.GridSearch;
import quern.device.StoredScale;
import quern.tensor.DType;

/** What the kernels of a solve take by value: the structures of {@code kernels.h}, field by field. */
final class GridShapes {
    /**
     * A grid of levels on the GPU; both 0 for whole numbers.
     *
     * @param values address of 256 floats, those of the grid first
     * @param thresholds address of as many
     */
    record Tables(long values, long thresholds) {}

    /**
     * {@code struct Multiples}, and the units.
     *
     * @param units rows x blocks
     * @param groups of a block
     */
    record Multiples(CudaMatrix units, int groups, int lowest, int highest) {}

    private GridShapes() {}

    /** {@code struct GridShape}, of a grid whose zeros stand in a matrix. */
    static Pointer grid(CodeValues values) {
        return grid(values, false, 0, 0, 0, 0);
    }

    static Pointer grid(GridSearch search) {
        return grid(
                search.values(),
                search.symmetric(),
                search.middle(),
                search.lowestZero(),
                search.highestZero(),
                search.reach());
    }

    private static Pointer grid(
            CodeValues values, boolean symmetric, int middle, int lowestZero, int highestZero, float span) {
        return Pointer.to(new int[] {
            levels(values),
            bits(values.lowest()),
            bits(values.highest()),
            symmetric ? 1 : 0,
            bits(middle),
            bits(lowestZero),
            bits(highestZero),
            bits(span)
        });
    }

    /** {@code struct SearchShape}. */
    static Pointer search(GridSearch search) {
        return search(rule(search.measure()), search.factors().length, search.zeros(), search.stored());
    }

    /** Where a scale is not searched, but stored all the same. */
    static Pointer search(@Nullable StoredScale stored) {
        StoredScale any = new StoredScale(DType.F32, 1, Float.MIN_NORMAL, Float.MAX_VALUE, false);
        return search(0, 0, 1, stored == null ? any : stored);
    }

    private static Pointer search(int rule, int factors, int zeros, StoredScale stored) {
        return Pointer.to(new int[] {
            rule,
            factors,
            zeros,
            scaleType(stored.type()),
            bits(stored.divisor()),
            bits(stored.smallest()),
            bits(stored.largest()),
            stored.signed() ? 1 : 0
        });
    }

    /** {@code struct BlockShape}. */
    static Pointer blocks(BlockSearch search) {
        return Pointer.to(new int[] {
            levels(search.values()),
            search.values().highest(),
            search.half(),
            search.length(),
            search.groups(),
            search.lowest(),
            search.highest(),
            search.minima() ? 1 : 0
        });
    }

    private static int levels(CodeValues values) {
        return values.levels() == null ? 0 : values.levels().values().length;
    }

    static Pointer multiples(@Nullable Multiples multiples) {
        return Pointer.to(
                multiples == null
                        ? new int[] {1, 1, 0, 0}
                        : new int[] {
                            multiples.groups(),
                            multiples.units().cols(),
                            bits(multiples.lowest()),
                            bits(multiples.highest())
                        });
    }

    private static int bits(float value) {
        return Float.floatToRawIntBits(value);
    }

    private static int scaleType(DType type) {
        switch (type) {
            case F32:
                return 0;
            case F16:
                return 1;
            case BF16:
                return 2;
            case F8_E4M3:
                return 3;
            case F8_E8M0:
                return 4;
            default:
                throw new IllegalArgumentException("No scale is stored as " + type);
        }
    }

    private static int rule(GridSearch.Measure measure) {
        switch (measure) {
            case NONE:
                return 0;
            case SQUARES:
                return 1;
            case POWERS:
                return 2;
        }
        throw new IllegalArgumentException("No measure " + measure);
    }
}
