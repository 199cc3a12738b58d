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

    /** A recipe that says nothing but the most usual format. */
    public static final Recipe OPEN = DEFAULT.edit()
            .method("")
            .bits(UNSAID)
            .groupSize(UNSAID)
            .scales(ScaleRule.OPEN)
            .recipe();

    /** Whether something is done to the model first. */
    public boolean transforms() {
        return !transform.equals(UNCHANGED);
    }

    /** What makes another recipe of this one. */
    public Edit edit() {
        return new Edit(this);
    }

    /** The same with these scales of activations fixed. */
    public Recipe with(FixedScales fixed) {
        return edit().fixed(fixed).recipe();
    }

    /** What it says of one linear. */
    public Recipe of(String linear) {
        for (LinearOverride override : overrides) {
            if (Pattern.compile(override.match()).matcher(linear).find()) {
                LinearOverride whole = override.orElse(bits, groupSize);
                return edit().bits(whole.bits())
                        .groupSize(whole.groupSize())
                        .overrides(List.of())
                        .recipe();
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
        return edit().method(this.method.isEmpty() ? method : this.method)
                .bits(allBits)
                .groupSize(allGroups)
                .scales(this.scales == ScaleRule.OPEN ? scales : this.scales)
                .overrides(overrides.stream()
                        .map(o -> o.orElse(allBits, allGroups))
                        .toList())
                .recipe();
    }

    /**
     * Likewise where the format's own tools take scales from the largest weights: so does their method, and round-to-nearest, with
     * the bytes that they write; another one searches scales.
     */
    public Recipe orOwn(String own, int bits, int groupSize) {
        boolean plain = method.isEmpty() || method.equals(own) || method.equals("rtn");
        return orElse(own, bits, groupSize, plain ? ScaleRule.MAX : ScaleRule.SALIENCY);
    }

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

    /**
     * A recipe in the making: what is not said stays as in the one that it began from.
     *
     * <pre>{@code
     * Recipe.OPEN.edit().format("awq").groupSize(32).recipe()
     * }</pre>
     */
    public static final class Edit {
        private String method;
        private String format;
        private int bits;
        private int groupSize;
        private boolean symmetric;
        private boolean ternary;
        private ColumnOrder actOrder;
        private ScaleRule scales;
        private double percdamp;
        private boolean trueSequential;
        private List<String> skip;
        private List<LinearOverride> overrides;
        private FixedScales fixed;
        private String transform;

        private Edit(Recipe recipe) {
            method = recipe.method;
            format = recipe.format;
            bits = recipe.bits;
            groupSize = recipe.groupSize;
            symmetric = recipe.symmetric;
            ternary = recipe.ternary;
            actOrder = recipe.actOrder;
            scales = recipe.scales;
            percdamp = recipe.percdamp;
            trueSequential = recipe.trueSequential;
            skip = recipe.skip;
            overrides = recipe.overrides;
            fixed = recipe.fixed;
            transform = recipe.transform;
        }

        public Edit method(String method) {
            this.method = method;
            return this;
        }

        public Edit format(String format) {
            this.format = format;
            return this;
        }

        public Edit bits(int bits) {
            this.bits = bits;
            return this;
        }

        public Edit groupSize(int groupSize) {
            this.groupSize = groupSize;
            return this;
        }

        public Edit symmetric(boolean symmetric) {
            this.symmetric = symmetric;
            return this;
        }

        public Edit ternary(boolean ternary) {
            this.ternary = ternary;
            return this;
        }

        public Edit actOrder(ColumnOrder actOrder) {
            this.actOrder = actOrder;
            return this;
        }

        public Edit scales(ScaleRule scales) {
            this.scales = scales;
            return this;
        }

        public Edit percdamp(double percdamp) {
            this.percdamp = percdamp;
            return this;
        }

        public Edit trueSequential(boolean trueSequential) {
            this.trueSequential = trueSequential;
            return this;
        }

        public Edit skip(List<String> skip) {
            this.skip = skip;
            return this;
        }

        public Edit overrides(List<LinearOverride> overrides) {
            this.overrides = overrides;
            return this;
        }

        public Edit fixed(FixedScales fixed) {
            this.fixed = fixed;
            return this;
        }

        public Edit transform(String transform) {
            this.transform = transform;
            return this;
        }

        public Recipe recipe() {
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
    }
}
