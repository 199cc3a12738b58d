package quern.app;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import quern.plan.ByteCount;
import quern.plan.Plan;
import quern.plan.Propagation;
import quern.scheme.Scheme;

/** A plan as a person reads it. */
final class PlanText {
    private PlanText() {}

    /** Models that are calibrated one after the other, and of each the plans that share its calibration. */
    static List<String> several(List<List<Plan>> models) {
        List<String> lines = new ArrayList<>();
        for (List<Plan> plans : models) {
            if (!lines.isEmpty()) {
                line(lines, "", "after these another calibration, since the transform makes another model:");
            }
            lines.addAll(lines(plans));
        }
        return lines;
    }

    /** The first plan, and what the others that share its calibration do otherwise. */
    static List<String> lines(List<Plan> plans) {
        List<String> lines = new ArrayList<>(lines(plans.get(0)));
        for (Plan plan : plans.subList(1, plans.size())) {
            line(lines, "and, plan", plan.id());
            line(lines, "to", plan.output());
            recipe(plan, lines);
            output(plan, lines);
        }
        return lines;
    }

    private static void recipe(Plan plan, List<String> lines) {
        if (plan.sites().isEmpty()) {
            line(lines, "recipe", "weights as they are, format " + plan.recipe().format());
            return;
        }
        line(
                lines,
                "recipe",
                "%s, %d bits in groups of %s, %s, act-order %s, scales by %s, format %s"
                        .formatted(
                                plan.recipe().method(),
                                plan.schemes().usual().bits(),
                                plan.schemes().usual().groupSize() == -1
                                        ? "a whole row"
                                        : plan.schemes().usual().groupSize(),
                                plan.recipe().ternary()
                                        ? "ternary"
                                        : plan.recipe().symmetric() ? "symmetric" : "asymmetric",
                                lower(plan.recipe().actOrder()),
                                lower(plan.recipe().scales()),
                                plan.recipe().format()));
        if (plan.recipe().transforms()) {
            line(lines, "transform", transform(plan));
        }
        Map<Scheme, List<String>> others = plan.schemes()
                .others(plan.sites().stream()
                        .flatMap(s -> s.linears().stream())
                        .map(Plan.LinearPlan::name)
                        .toList());
        others.forEach((scheme, linears) -> line(
                lines,
                "",
                "%d bits in groups of %s: %d linears, %s"
                        .formatted(
                                scheme.bits(),
                                scheme.groupSize() == -1 ? "a whole row" : scheme.groupSize(),
                                linears.size(),
                                linears.get(0) + (linears.size() == 1 ? "" : " and others"))));
    }

    private static void output(Plan plan, List<String> lines) {
        line(
                lines,
                "output",
                plan.shards().size()
                        + (plan.shards().size() == 1 ? " file, " : " files, ")
                        + ByteCount.text(plan.shards().stream()
                                .mapToLong(Plan.Shard::bytes)
                                .sum()));
    }

    static List<String> lines(Plan plan) {
        List<String> lines = new ArrayList<>();
        long linears = plan.sites().stream().mapToLong(s -> s.linears().size()).sum();
        line(lines, "plan", plan.id());
        line(lines, "from", plan.model());
        if (plan.lossy() != null) {
            line(lines, "", lossy(plan.lossy()));
        }
        line(lines, "to", plan.output());
        recipe(plan, lines);
        line(
                lines,
                "layers",
                plan.layers() + ", "
                        + plan.sites().stream().filter(s -> !s.isCache()).count() + " sites, " + linears + " linears");
        experts(plan, lines);
        kept(plan).forEach(text -> line(lines, "kept as it is", text));
        if (plan.calibration().tokens() > 0) {
            Plan.Calibration c = plan.calibration();
            line(
                    lines,
                    "calibration",
                    "%d x %d tokens of %s (sha256 %s), %d parts"
                            .formatted(
                                    c.sequences(),
                                    c.length(),
                                    c.source(),
                                    c.sha256(),
                                    c.parts().size()));
            if (c.further().sequences() > 0) {
                line(
                        lines,
                        "",
                        "up to %d x %d more for experts that too few of these reach (sha256 %s)"
                                .formatted(
                                        c.further().sequences(),
                                        c.length(),
                                        c.further().sha256()));
            }
            line(lines, "propagation", propagation(plan));
            line(lines, "gives up", givesUp(plan));
        } else {
            line(lines, "calibration", "none: this method reads weights only");
        }
        Plan.Cost cost = plan.cost();
        output(plan, lines);
        line(lines, "reads, writes", ByteCount.text(cost.readBytes()) + ", " + ByteCount.text(cost.writtenBytes()));
        line(lines, "memory of a task", ByteCount.text(cost.memoryBytes()));
        cost.memory().forEach(t -> line(lines, "", "%10s  %s".formatted(ByteCount.text(t.bytes()), t.name())));
        line(lines, "device", plan.deviceType() + ", operands in " + plan.computeType());
        line(
                lines,
                "time",
                !plan.casts()
                        ? ("about %s on %d tasks at a time (assumes that each multiplies matrices at %.0f GFLOP/s, as measured here, "
                                        + "and elsewhere reaches the shares of this that a 135M model reaches, and that no disk is waited for)")
                                .formatted(duration(cost.seconds()), cost.slots(), cost.gflops())
                        : "about %s on %d tasks at a time, file to file (assumes that no disk is waited for)"
                                .formatted(duration(cost.seconds()), cost.slots()));
        return lines;
    }

    /** What is said of a source that was quantized in this way. */
    static String lossy(String how) {
        return "the source was quantized already: " + how + "; errors add up";
    }

    private static String transform(Plan plan) {
        long fitted = plan.sites().stream().filter(Plan.SitePlan::fitted).count();
        return plan.recipe().transform()
                + (fitted == 0
                        ? ", merged into the weights"
                        : ", fitted to the inputs of " + fitted + " of "
                                + plan.sites().size() + " sites, in one more pass over the text");
    }

    private static void experts(Plan plan, List<String> lines) {
        long layers = plan.sites().stream()
                .filter(Plan.SitePlan::ofExpert)
                .map(Plan.SitePlan::layer)
                .distinct()
                .count();
        if (layers > 0) {
            int experts = 1
                    + plan.sites().stream()
                            .mapToInt(Plan.SitePlan::expert)
                            .max()
                            .orElse(0);
            line(lines, "experts", experts + " in each of " + layers + (layers == 1 ? " layer" : " layers"));
        }
    }

    /** The same linear of several layers is one line. */
    private static List<String> kept(Plan plan) {
        Map<Plan.Kept, List<String>> names = new LinkedHashMap<>(); // by the name without the layer's number
        for (Plan.Kept kept : plan.kept()) {
            String any = kept.name().replaceFirst("\\.\\d+\\.", ".N.");
            names.computeIfAbsent(new Plan.Kept(any, kept.reason()), k -> new ArrayList<>())
                    .add(kept.name());
        }
        return names.entrySet().stream()
                .map(e -> (e.getValue().size() == 1
                                ? e.getValue().get(0)
                                : e.getKey().name() + " in " + e.getValue().size() + " layers")
                        + ": " + e.getKey().reason())
                .toList();
    }

    static String propagation(Plan plan) {
        String within = plan.recipe().trueSequential() ? ", the linears of a layer one after the other" : "";
        if (plan.propagation() == Propagation.EXACT) {
            return "exact" + within;
        }
        return "staged, " + plan.stages().size() + " stages" + (plan.layerParallel() ? " (every layer by itself)" : "")
                + within;
    }

    private static String givesUp(Plan plan) {
        if (plan.propagation() == Propagation.EXACT) {
            return "nothing: each layer is calibrated on what the quantized layers before it put out";
        }
        return "layers of different stages do not see each other's quantization error (--propagation exact does, "
                + (plan.layerParallel() ? "for twice the forward passes" : "one layer after the other") + ")";
    }

    private static void line(List<String> lines, String key, String value) {
        lines.add("%-17s %s".formatted(key, value));
    }

    private static String lower(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }

    static String duration(double seconds) {
        return seconds < 90
                ? "%.0f s".formatted(Math.max(1, seconds))
                : seconds < 5400 ? "%.0f min".formatted(seconds / 60) : "%.1f h".formatted(seconds / 3600);
    }
}
