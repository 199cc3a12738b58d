package quern.scheme;

import java.io.Serializable;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import quern.QuernException;

/**
 * What to do with a model. Read from YAML (see {@code conf/recipes}) or from the plain options; every default stands
 * here and nowhere else.
 *
 * @param method a name in {@code Methods}; empty leaves it to the format
 * @param format a name in {@code Formats}
 * @param bits 1, 2, 3, 4 or 8; {@link #UNSAID} leaves it to the format
 * @param groupSize inputs that share a scale; -1 for the whole row, {@link #UNSAID} leaves it to the format
 * @param symmetric whether zero points are fixed in the middle
 * @param ternary whether only three codes are used (2 bits)
 * @param actOrder the order of columns
 * @param scales how scales are chosen; {@code OPEN} leaves it to the format
 * @param percdamp damping of the sweep, as a fraction of the mean of the Hessian's diagonal; the descent's is 0.2 of the median at least
 * @param trueSequential whether each site of a layer sees the sites before it already quantized
 * @param skip regular expressions over the full names of linears that stay as they are
 * @param overrides what differs for some linears; the first that fits counts
 * @param fixed scales of activations
 * @param transform a name in {@code Transforms}: what is done to the model first
 */
public record Recipe(
        String method,
        String format,
        int bits,
        int groupSize,
        boolean symmetric,
        boolean ternary,
        ColumnOrder actOrder,
        ScaleRule scales,
        double percdamp,
        boolean trueSequential,
        List<String> skip,
        List<LinearOverride> overrides,
        FixedScales fixed,
        String transform)
        implements Serializable {
    /** The transform that is none. */
    public static final String UNCHANGED = "none";

    /** Where a number is left to the format. */
    public static final int UNSAID = Integer.MIN_VALUE;

    public static final Recipe DEFAULT = new Recipe(
            "gptq",
            "gptq",
            4,
            128,
            true,
            false,
            ColumnOrder.STATIC,
            ScaleRule.SALIENCY,
            0.05,
            false,
            List.of(),
            List.of(),
            FixedScales.NONE,
            UNCHANGED);

    /** The same with a zero point for each group. */
    public Recipe asymmetric() {
        return changed(method, bits, groupSize, false, scales, overrides, fixed, transform);
    }

    /** With nothing to say of single linears. */
    public Recipe(
            String method,
            String format,
            int bits,
            int groupSize,
            boolean symmetric,
            boolean ternary,
            ColumnOrder actOrder,
            ScaleRule scales,
            double percdamp,
            boolean trueSequential,
            List<String> skip) {
        this(
                method,
                format,
                bits,
                groupSize,
                symmetric,
                ternary,
                actOrder,
                scales,
                percdamp,
                trueSequential,
                skip,
                List.of(),
                FixedScales.NONE,
                UNCHANGED);
    }

    /** The same with these scales of activations fixed. */
    public Recipe with(FixedScales fixed) {
        return changed(method, bits, groupSize, symmetric, scales, overrides, fixed, transform);
    }

    /** The same of a model to which this is done first. */
    public Recipe with(String transform) {
        return changed(method, bits, groupSize, symmetric, scales, overrides, fixed, transform);
    }

    /** The same with scales by another rule. */
    public Recipe with(ScaleRule scales) {
        return changed(method, bits, groupSize, symmetric, scales, overrides, fixed, transform);
    }

    /** The same with the sites of a layer one after the other. */
    public Recipe siteBySite() {
        return new Recipe(
                method, format, bits, groupSize, symmetric, ternary, actOrder, scales, percdamp, true, skip, overrides,
                fixed, transform);
    }

    /** Whether something is done to the model first. */
    public boolean transforms() {
        return !transform.equals(UNCHANGED);
    }

    /** With other widths. */
    public Recipe with(int bits, List<LinearOverride> overrides) {
        return changed(method, bits, groupSize, symmetric, scales, overrides, fixed, transform);
    }

    /** What it says of one linear. */
    public Recipe of(String linear) {
        for (LinearOverride override : overrides) {
            if (Pattern.compile(override.match()).matcher(linear).find()) {
                LinearOverride whole = override.orElse(bits, groupSize);
                return changed(method, whole.bits(), whole.groupSize(), symmetric, scales, List.of(), fixed, transform);
            }
        }
        return this;
    }

    /**
     * Another width for some linears.
     *
     * @param match a regular expression that is found in their full names
     * @param bits as of a recipe; {@link #UNSAID} leaves them as they are
     * @param groupSize likewise
     */
    public record LinearOverride(String match, int bits, int groupSize) implements Serializable {
        public LinearOverride {
            IntegerGrid.check(bits == UNSAID ? 4 : bits, true, false);
            Scheme.checkGroups(groupSize == UNSAID ? -1 : groupSize);
            checkPattern("override", match);
        }

        private LinearOverride orElse(int bits, int groupSize) {
            return new LinearOverride(
                    match,
                    this.bits == UNSAID ? bits : this.bits,
                    this.groupSize == UNSAID ? groupSize : this.groupSize);
        }
    }

    /** With these where it leaves something open. */
    public Recipe orElse(String method, int bits, int groupSize, ScaleRule scales) {
        int allBits = this.bits == UNSAID ? bits : this.bits;
        int allGroups = this.groupSize == UNSAID ? groupSize : this.groupSize;
        return changed(
                this.method.isEmpty() ? method : this.method,
                allBits,
                allGroups,
                symmetric,
                this.scales == ScaleRule.OPEN ? scales : this.scales,
                overrides.stream().map(o -> o.orElse(allBits, allGroups)).toList(),
                fixed,
                transform);
    }

    /**
     * Likewise where the format's own tools take scales from the largest weights: so does their method, and round-to-nearest, with
     * the bytes that they write; another one searches scales.
     */
    public Recipe orOwn(String own, int bits, int groupSize) {
        boolean plain = method.isEmpty() || method.equals(own) || method.equals("rtn");
        return orElse(own, bits, groupSize, plain ? ScaleRule.MAX : ScaleRule.SALIENCY);
    }

    private Recipe changed(
            String method,
            int bits,
            int groupSize,
            boolean symmetric,
            ScaleRule scales,
            List<LinearOverride> overrides,
            FixedScales fixed,
            String transform) {
        return new Recipe(
                method,
                format,
                bits,
                groupSize,
                symmetric,
                ternary,
                actOrder,
                scales,
                percdamp,
                trueSequential,
                skip,
                overrides,
                fixed,
                transform);
    }

    /** A recipe that says nothing but the most usual format. */
    public static final Recipe OPEN = new Recipe(
            "",
            "gptq",
            UNSAID,
            UNSAID,
            true,
            false,
            ColumnOrder.STATIC,
            ScaleRule.OPEN,
            0.05,
            false,
            List.of(),
            List.of(),
            FixedScales.NONE,
            UNCHANGED);

    public Recipe {
        skip = List.copyOf(skip);
        overrides = List.copyOf(overrides);
        IntegerGrid.check(bits == UNSAID ? 4 : bits, symmetric, ternary);
        Scheme.checkGroups(groupSize == UNSAID ? -1 : groupSize);
        if (!(percdamp > 0 && percdamp < 1)) {
            throw new QuernException(
                    "Cannot damp by " + percdamp
                            + ": percdamp is a fraction of the mean of the Hessian's diagonal, between 0 and 1 (0.01 to 0.1 are usual)");
        }
        skip.forEach(pattern -> checkPattern("skip", pattern));
    }

    private static void checkPattern(String what, String pattern) {
        try {
            Pattern.compile(pattern);
        } catch (PatternSyntaxException e) {
            throw new QuernException(
                    "Cannot " + what + " " + pattern + ": it is not a regular expression, " + e.getDescription()
                            + " (write for example '.*down_proj')",
                    e);
        }
    }
}
