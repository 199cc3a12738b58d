package quern.format;

import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.scheme.ColumnOrder;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/**
 * The same codes and scales in another format: w = scale * (value of the code - zero) stays as it is, but for what the target's type
 * rounds scales by. Whatever would need another choice of codes is refused.
 *
 * @param from the format that a checkpoint is in
 * @param to the one that it becomes
 */
public record Conversion(Format from, Format to) {
    /** What scales are divided by where whole numbers are kept as parts of 127. */
    private static final int PARTS = 127;

    /**
     * What the codes mean in the target: the same grid, or one that has all of its values.
     *
     * @param source of a linear, with scales of the type that they are stored in
     * @throws QuernException where the target has no such grid
     */
    public Scheme scheme(Scheme source, String linear, int outputs, int inputs) {
        if (!to.keepsScales()) {
            throw refused(linear, "format %s would quantize its scales again".formatted(to.name()));
        }
        String reason = null;
        for (int bits : widths(source)) {
            for (int group : groups(source, inputs)) {
                for (boolean symmetric : source.symmetric() ? new boolean[] {true, false} : new boolean[] {false}) {
                    Scheme target;
                    try {
                        target = to.scheme(
                                to.settled(recipe(bits, group, symmetric, source.order())), source.scaleType());
                    } catch (QuernException e) {
                        reason = reason == null ? inner(e) : reason;
                        continue;
                    }
                    String refusal = target.groupSize() == group && target.bits() == bits && holds(target, source)
                            ? to.refuses(target, outputs, inputs)
                            : "format %s has no codes that stand for the same values".formatted(to.name());
                    if (refusal == null) {
                        return target;
                    }
                    reason = reason == null ? refusal : reason;
                }
            }
        }
        throw refused(linear, reason == null ? "format %s has no such codes".formatted(to.name()) : reason);
    }

    /** The widths that may hold the codes, narrowest first. */
    private static List<Integer> widths(Scheme source) {
        return List.of(1, 2, 3, 4, 8).stream().filter(b -> b >= source.bits()).toList();
    }

    /** The group size as it is, or shorter ones that have its scale several times. */
    private static Set<Integer> groups(Scheme source, int inputs) {
        Set<Integer> groups = new LinkedHashSet<>(List.of(source.groupSize()));
        if (source.order() != ColumnOrder.FULL && source.rowsOfScale() == 1) {
            for (int shorter : List.of(128, 64, 32)) {
                if (source.groupLength(inputs) % shorter == 0 && inputs % shorter == 0) {
                    groups.add(shorter);
                }
            }
        }
        return groups;
    }

    /** What asks the target for such codes. */
    public Recipe recipe(int bits, int group, boolean symmetric, ColumnOrder order) {
        return Recipe.OPEN
                .edit()
                .method("converted")
                .format(to.name())
                .bits(bits)
                .groupSize(group)
                .symmetric(symmetric)
                .actOrder(order)
                .scales(ScaleRule.MAX)
                .percdamp(0.01)
                .recipe();
    }

    private static boolean holds(Scheme target, Scheme source) {
        if (target.rowsOfScale() != source.rowsOfScale() || target.dividesScales() != source.dividesScales()) {
            return false;
        }
        if (source.order() == ColumnOrder.FULL && target.order() != ColumnOrder.FULL) {
            return false;
        }
        if (target.grid() instanceof IntegerGrid) {
            return (source.grid() instanceof IntegerGrid && (source.symmetric() || !target.symmetric()))
                    || (source.grid() == LevelGrid.INT8 && target.bits() == 8);
        }
        return target.grid().equals(source.grid())
                || (target.grid() == LevelGrid.INT8
                        && source.grid() instanceof IntegerGrid
                        && source.bits() == 8
                        && source.symmetric());
    }

    /**
     * By how much a weight may differ, as a share of it; 0 if it is the very same.
     *
     * @param source of a linear, with scales of the type that they are stored in
     */
    public static double bound(Scheme source, Scheme target) {
        boolean scaled = (source.grid() == LevelGrid.INT8) != (target.grid() == LevelGrid.INT8);
        // A few roundings of a float where parts of 127 become whole numbers, or the other way round.
        return (scaled ? 0x1p-21 : 0) + rounding(source.scaleType(), target.scaleType(), scaled);
    }

    /** Half of the distance of neighbours; none where the values of one type are among those of the other. */
    private static double rounding(DType from, DType to, boolean scaled) {
        // What BF16 has and F16 has not is below or beyond its range, and refused.
        if (!scaled && (from == to || to == DType.F32 || (from == DType.BF16 && to == DType.F16))) {
            return 0;
        }
        return switch (to) {
            case F16 -> 0x1p-11;
            case BF16 -> 0x1p-8;
            default -> 0x1p-24;
        };
    }

    /**
     * The linear in the target's scheme.
     *
     * @param target of {@link #scheme}
     * @throws QuernException where its zero points, scales or groups have no place there
     */
    public QuantizedLinear of(String linear, QuantizedLinear q, Scheme target) {
        Scheme source = q.scheme();
        boolean runs =
                Arrays.equals(q.groupOfColumn(), QuantizedLinear.runs(q.inputs(), source.groupLength(q.inputs())));
        if (!runs && target.order() != ColumnOrder.FULL) {
            throw refused(
                    linear,
                    "its columns are in groups by importance, of which format %s has no index".formatted(to.name()));
        }
        int copies = target.groups(q.inputs()) / q.groups();
        byte[] codes = codes(linear, q, target);
        float[] zeros = repeated(zeros(linear, q, target), copies);
        float[] scales = repeated(scales(linear, q, target), copies);
        if (source.blocks() != null) {
            codes = withBlankBlocks(q, codes, zeros, copies);
        }
        return new QuantizedLinear(
                target,
                q.outputs(),
                q.inputs(),
                codes,
                scales,
                zeros,
                copies == 1 ? q.groupOfColumn() : QuantizedLinear.runs(q.inputs(), target.groupLength(q.inputs())),
                q.divisor());
    }

    /** A block of zeros has no scale at all in ggml, whatever its codes are; others have one, and the code of zero. */
    private static byte[] withBlankBlocks(QuantizedLinear q, byte[] codes, float[] zeros, int copies) {
        byte[] all = codes.clone();
        for (int i = 0; i < all.length; i++) {
            int group = i / q.inputs() * q.groups() + q.groupOfColumn()[i % q.inputs()];
            if (q.scales()[group] == 0) {
                all[i] = (byte) zeros[group * copies];
            }
        }
        return all;
    }

    private byte[] codes(String linear, QuantizedLinear q, Scheme target) {
        int shift = shift(q.scheme(), target);
        if (shift == 0) {
            return q.codes();
        }
        byte[] codes = new byte[q.codes().length];
        for (int i = 0; i < codes.length; i++) {
            int code = (q.codes()[i] & 0xff) + shift;
            if (code < 0) {
                throw refused(linear, "it has the code -128, for which format %s has no place".formatted(to.name()));
            }
            codes[i] = (byte) code;
        }
        return codes;
    }

    /** What is added to a code: symmetric grids have their zero in the middle. */
    private static int shift(Scheme source, Scheme target) {
        if (source.grid() == LevelGrid.INT8 && target.grid() instanceof IntegerGrid) {
            return 1; // places count from -127, codes from -128
        }
        if (source.grid() instanceof IntegerGrid && target.grid() == LevelGrid.INT8) {
            return -1;
        }
        boolean both = source.grid() instanceof IntegerGrid && target.grid() instanceof IntegerGrid;
        return both && target.symmetric() ? target.middle() - source.middle() : 0;
    }

    private float[] zeros(String linear, QuantizedLinear q, Scheme target) {
        float[] zeros = q.zeros().clone();
        if (!(target.grid() instanceof IntegerGrid)) {
            Arrays.fill(zeros, 0);
            return zeros;
        }
        if (target.symmetric() || q.scheme().grid() == LevelGrid.INT8) {
            Arrays.fill(zeros, 1 << (target.bits() - 1));
            return zeros;
        }
        if (to.holdsFractionalZeros()) {
            for (float zero : zeros) {
                if (HalfFloats.round(zero, target.scaleType()) != zero) {
                    throw refused(
                            linear,
                            "it has a zero point of %s, which has no place among numbers of type %s"
                                    .formatted(zero, target.scaleType()));
                }
            }
            return zeros;
        }
        for (float zero : zeros) {
            if (zero != Math.rint(zero) || zero > target.highestCode() || zero < to.lowestZero()) {
                throw refused(
                        linear,
                        "it has a zero point of %s, for which format %s has no place%s"
                                .formatted(
                                        zero == Math.rint(zero) ? String.valueOf((int) zero) : String.valueOf(zero),
                                        to.name(),
                                        to.name().equals("gptq") && zero == 0 ? ", gptq_v2 has" : ""));
            }
        }
        return zeros;
    }

    private float[] scales(String linear, QuantizedLinear q, Scheme target) {
        float[] scales = new float[q.scales().length];
        boolean toInteger = q.scheme().grid() == LevelGrid.INT8 && target.grid() != LevelGrid.INT8;
        boolean toParts = q.scheme().grid() != LevelGrid.INT8 && target.grid() == LevelGrid.INT8;
        for (int i = 0; i < scales.length; i++) {
            boolean blank = q.scheme().blocks() != null && q.scales()[i] == 0;
            float scale = blank ? 1 : q.scales()[i];
            float same = toInteger ? scale / PARTS : toParts ? scale * PARTS : scale;
            scales[i] = target.dividesScales() ? same : HalfFloats.round(same, target.scaleType());
            // What is so small that it loses more than its last bit would go beyond the bound.
            if (!Float.isFinite(scales[i]) || Math.abs(scales[i] - same) > bound(q.scheme(), target) * Math.abs(same)) {
                throw refused(
                        linear,
                        "its scale %s has no place among numbers of type %s".formatted(same, target.scaleType()));
            }
        }
        return scales;
    }

    private static float[] repeated(float[] values, int copies) {
        if (copies == 1) {
            return values;
        }
        float[] repeated = new float[values.length * copies];
        for (int i = 0; i < repeated.length; i++) {
            repeated[i] = values[i / copies];
        }
        return repeated;
    }

    /** The reason within a sentence of the form <em>Cannot X: reason (remedy)</em>. */
    private static String inner(QuernException e) {
        return String.valueOf(e.getMessage())
                .replaceFirst("^Cannot [^:]*: ", "")
                .replaceFirst(" \\([^()]*\\)$", "");
    }

    private QuernException refused(@Nullable String linear, String reason) {
        return new QuernException(
                "Cannot convert %s from %s to %s: %s (quern quantize MODEL --format %s chooses codes anew, of the original model if you have it)"
                        .formatted(linear, from.name(), to.name(), reason, to.name()));
    }
}
