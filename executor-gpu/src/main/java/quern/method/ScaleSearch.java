package quern.method;

import java.util.Arrays;
import java.util.Objects;
import quern.device.BlockSearch;
import quern.device.CodeValues;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.StoredScale;
import quern.scheme.Blocks;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * How the grids of a scheme are chosen by a {@link ScaleRule}: what a {@link GridSearch} tries. The range of a symmetric grid
 * is always -max|w| .. max|w|. The classic tool starts at 0 in rows without negative weights and then clips half of their
 * range, since its zero point stays in the middle.
 *
 * <p>A symmetric grid of whole numbers reaches one code further down than up, and a negative scale turns it round: with few
 * bits a group gains much by its last code where its largest weight is, as AutoRound's symmetric grids have it.
 *
 * @param scheme with blocks whose units are chosen by a {@link BlockSearch}, of this the rounding of single scales alone counts
 * @param divisor of the weight, see {@link #divisor(Scheme, Matrix, float)}
 */
record ScaleSearch(Scheme scheme, ScaleRule rule, float divisor) {
    /** What the classic tool tries: 80 hundredths down from the full range. */
    private static final int MSE_STEPS = 80;

    private static final int STEPS = 48;

    /**
     * Whether scales are fitted to the codes that the sweep chose. What is named by its scales, the largest weight or the classic search, keeps
     * these, and so do rows that share them.
     */
    boolean refits() {
        return switch (rule) {
            case OPEN, MAX, MSE -> false;
            case DIAGONAL, SALIENCY -> !scheme.sharesRows();
        };
    }

    /**
     * What the scales of a weight are divided by: where E4M3 stores them, so that the largest of them is its largest value; else 1.
     *
     * @param largest magnitude of the weights that it shares the divisor with, or 0 where it is by itself
     */
    static float divisor(Scheme scheme, Matrix weight, float largest) {
        if (!scheme.dividesScales()) {
            return 1;
        }
        float reached = largest > 0 ? largest : weight.largest();
        return reached == 0 ? 1 : scheme.largestScale() * scheme.grid().reach() / reached;
    }

    static CodeValues values(Scheme scheme) {
        return new CodeValues(
                scheme.grid() instanceof LevelGrid levels ? levels.steps() : null,
                scheme.lowestCode(),
                scheme.highestCode());
    }

    /** What is tried where the scheme has blocks, whatever the rule. */
    static BlockSearch blocks(Scheme scheme) {
        Blocks blocks = Objects.requireNonNull(scheme.blocks());
        return new BlockSearch(
                values(scheme),
                blocks.minima() || scheme.grid() instanceof LevelGrid ? 0 : scheme.middle(),
                scheme.groupSize(),
                blocks.groups(),
                blocks.lowest(),
                blocks.highest(),
                blocks.minima());
    }

    StoredScale stored() {
        float smallest = switch (scheme.scaleType()) {
            case F16 -> 0x1p-24f;
            case F8_E4M3 -> 0x1p-9f;
            default -> Float.MIN_NORMAL;
        };
        boolean signed = scheme.blocks() != null || turns();
        return new StoredScale(scheme.scaleType(), divisor, smallest, scheme.largestScale(), signed);
    }

    /** Whether negative scales are tried. With 8 bits they gain nothing, and the classic tool's rules have none. */
    private boolean turns() {
        return refits()
                && scheme.grid() instanceof IntegerGrid grid
                && grid.symmetric()
                && !grid.ternary()
                && grid.bits() <= 4
                && scheme.blocks() == null;
    }

    GridSearch search() {
        return new GridSearch(
                values(scheme),
                scheme.symmetric(),
                reach(),
                scheme.middle(),
                scheme.grid().lowestZero(),
                scheme.grid().highestZero(),
                stored(),
                measure(),
                factors(),
                zerosTried());
    }

    /** What the width of a range, or half of it, is divided by. */
    private float reach() {
        if (scheme.grid() instanceof IntegerGrid grid && !grid.symmetric()) {
            return grid.maxCode();
        }
        // A scale that is a power of two leaves the largest weight between one of them and the next.
        float reach = scheme.grid().reach();
        return scheme.scaleType() == DType.F8_E8M0 ? Math.scalb(1f, Math.getExponent(reach)) : reach;
    }

    /** The classic tool knows no levels, so with its rule their errors are squared too; importance is 1 then. */
    private Measure measure() {
        if (rule == ScaleRule.MAX) {
            return Measure.NONE;
        }
        return rule == ScaleRule.MSE && !(scheme.grid() instanceof LevelGrid) ? Measure.POWERS : Measure.SQUARES;
    }

    private float[] factors() {
        if (scheme.scaleType() == DType.F8_E8M0 && rule != ScaleRule.MAX) {
            return new float[] {1, 2, 0.5f};
        }
        if (scheme.grid() == LevelGrid.E4M3 && rule != ScaleRule.MAX) {
            return octave();
        }
        if (scheme.grid() instanceof LevelGrid grid && rule != ScaleRule.MAX) {
            // E2M1 gains where the largest weight meets 4 instead of 6: its steps are wide up there.
            float top = grid == LevelGrid.E2M1 ? 1.55f : 1.1f;
            return steps(top, grid.bits() == 8 ? 0.8f : 0.6f);
        }
        return switch (rule) {
            case OPEN, MAX -> new float[] {1};
            case MSE -> {
                float[] shrunk = new float[MSE_STEPS];
                for (int i = 0; i < MSE_STEPS; i++) {
                    shrunk[i] = 1 - i / 100f;
                }
                yield shrunk;
            }
            case DIAGONAL, SALIENCY -> {
                // Up to where the largest weight meets the largest code, which lies half a step inside the range.
                int middle = scheme.middle();
                float top = scheme.grid().reach() == 1 ? 1f : scheme.grid().reach() / (middle - 1);
                float bottom = scheme.bits() == 2 ? 0.2f : scheme.bits() == 8 ? 0.8f : 0.4f;
                yield turns() ? bothSigns(steps(top, bottom, STEPS / 2)) : steps(top, bottom);
            }
        };
    }

    /**
     * Floats have steps of a width that goes with their magnitude, so twice the scale has all values but the smallest again, and
     * none in between clips: what a scale decides is where weights lie between two powers of two.
     */
    private static float[] octave() {
        float[] tried = new float[STEPS];
        for (int i = 0; i < STEPS; i++) {
            tried[i] = (float) Math.pow(2, (double) i / STEPS);
        }
        return tried;
    }

    private static float[] steps(float from, float to) {
        return steps(from, to, STEPS);
    }

    private static float[] steps(float from, float to, int count) {
        float[] tried = new float[count];
        for (int i = 0; i < count; i++) {
            tried[i] = from + (to - from) * i / (count - 1);
        }
        return tried;
    }

    private static float[] bothSigns(float[] factors) {
        float[] both = Arrays.copyOf(factors, 2 * factors.length);
        for (int i = 0; i < factors.length; i++) {
            both[factors.length + i] = -factors[i];
        }
        return both;
    }

    /** Asymmetric searches also try the zero points beside the one that the range implies. */
    private int zerosTried() {
        return scheme.symmetric() || rule == ScaleRule.MAX || rule == ScaleRule.MSE ? 1 : 3;
    }
}
