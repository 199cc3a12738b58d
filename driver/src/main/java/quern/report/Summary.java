package quern.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.scheme.Recipe;

/** What the terminal shows at the end of a run. */
public final class Summary {
    private Summary() {}

    /** A few aligned lines, with a line break after each. */
    public static String of(Report report) {
        List<Map.Entry<String, String>> rows = new ArrayList<>();
        if (report.lossy() != null) {
            rows.add(Map.entry("source", report.lossy()));
        }
        rows.add(Map.entry("recipe", recipe(report.recipe())));
        rows.add(Map.entry("perplexity", quality(report.evaluation())));
        rows.add(Map.entry("size", size(report.size())));
        rows.add(Map.entry("time", time(report)));
        long uncovered = report.linears().stream()
                .filter(linear -> linear.expert() >= 0 && linear.tokens() < linear.inputs())
                .count();
        if (report.linears().stream().anyMatch(linear -> linear.expert() >= 0) && report.calibration() != null) {
            rows.add(Map.entry(
                    "experts",
                    uncovered == 0
                            ? "all were reached by as many tokens as they have inputs"
                            : uncovered + " of their linears were reached by fewer tokens than they have inputs"));
        }
        rows.add(Map.entry("notes", notes(report)));
        rows.add(Map.entry("checkpoint", report.output()));
        rows.add(Map.entry("report", report.output() + "/report.html"));
        next(report).forEach(line -> rows.add(Map.entry("next", line)));
        StringBuilder text = new StringBuilder("\n" + report.model() + "\n");
        String before = "";
        for (Map.Entry<String, String> row : rows) {
            String label = row.getKey().equals(before) ? "" : row.getKey();
            text.append(String.format(Locale.ROOT, "  %-12s%s%n", label, row.getValue()));
            before = row.getKey();
        }
        return text.toString();
    }

    private static String recipe(Recipe recipe) {
        if (recipe.bits() == Recipe.UNSAID) { // the format has widths of its own
            return recipe.method() + ", " + recipe.format() + " format";
        }
        return (recipe.ternary() ? "ternary" : recipe.bits() + "-bit") + " " + recipe.method()
                + (recipe.groupSize() == -1 ? ", one scale a row" : ", groups of " + recipe.groupSize())
                + (recipe.symmetric() ? ", symmetric" : ", asymmetric") + ", " + recipe.format() + " format";
    }

    private static String quality(Report.@Nullable Evaluation quality) {
        if (quality == null) {
            return "not measured (quern eval measures it)";
        }
        return String.format(
                Locale.ROOT,
                "%s -> %s (%+.2f %%), KL %s, same first choice %.1f %%",
                figures(quality.perplexityBefore(), 4),
                figures(quality.perplexityAfter(), 4),
                100 * (quality.perplexityAfter() / quality.perplexityBefore() - 1),
                figures(quality.kl(), 3),
                100 * quality.top1());
    }

    private static String size(Report.Size size) {
        boolean smaller = size.after() <= size.before();
        return String.format(
                Locale.ROOT,
                "%s -> %s (%.1f x %s)%s",
                bytes(size.before()),
                bytes(size.after()),
                smaller ? (double) size.before() / size.after() : (double) size.after() / size.before(),
                smaller ? "smaller" : "larger", // a source of few bits made one of more
                size.bitsPerWeight() == 0
                        ? ", no weight quantized"
                        : ", " + figures(size.bitsPerWeight(), 3) + " bits per quantized weight");
    }

    private static String time(Report report) {
        double work = report.seconds().values().stream().mapToDouble(s -> s).sum();
        String split = report.seconds().entrySet().stream()
                .map(phase -> phase.getKey() + " " + Math.round(100 * phase.getValue() / Math.max(work, 1e-9)) + " %")
                .collect(Collectors.joining(", "));
        return duration(report.wallSeconds()) + (split.isEmpty() ? "" : ": " + split);
    }

    private static String notes(Report report) {
        long noted = report.linears().stream()
                .filter(linear -> !linear.notes().isEmpty())
                .count();
        List<String> notes = new ArrayList<>();
        if (noted > 0) {
            notes.add(noted + " of " + report.linears().size() + " linears have one: see the report");
        }
        if (!report.memory().squeezed().isEmpty()) {
            notes.add("the GPU's memory ran out: "
                    + String.join(", ", report.memory().squeezed()));
        }
        return notes.isEmpty() ? "none" : String.join("; ", notes);
    }

    private static List<String> next(Report report) {
        List<String> lines = new ArrayList<>();
        lines.add("look at report.html: every linear's error, and how to load the model in other programs");
        if (report.evaluation() == null) {
            lines.add("quern eval " + report.output() + " --against " + report.source());
        }
        Recipe recipe = report.recipe();
        if (recipe.method().equals("gptq") && recipe.bits() != Recipe.UNSAID && recipe.bits() <= 3) {
            lines.add("--method gptaq: with so few bits the model loses less, and layers wait for each other");
        }
        lines.add(
                report.model().equals("demo")
                        ? "quern quantize owner/model --out DIR: a model of the Hub, or a folder"
                        : "quern verify " + report.output());
        return lines;
    }

    private static String bytes(double bytes) {
        String[] units = {"B", "kB", "MB", "GB", "TB"};
        int unit = 0;
        while (bytes >= 1000 && unit < units.length - 1) {
            bytes /= 1000;
            unit++;
        }
        return figures(bytes, 3) + " " + units[unit];
    }

    private static String duration(double seconds) {
        if (seconds < 100) {
            return figures(seconds, 3) + " s";
        }
        long minutes = Math.round(seconds / 60);
        return minutes < 100 ? minutes + " min" : minutes / 60 + " h " + minutes % 60 + " min";
    }

    /** A number with this many significant digits, zeros at the end included, and no exponent. */
    private static String figures(double value, int digits) {
        if (value == 0 || !Double.isFinite(value)) {
            return value == 0 ? "0" : String.valueOf(value);
        }
        BigDecimal rounded = new BigDecimal(value).round(new MathContext(digits));
        int decimals = digits - rounded.precision() + rounded.scale();
        return rounded.setScale(Math.max(0, decimals)).toPlainString();
    }
}
