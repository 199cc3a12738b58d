package quern.recommend;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Formats;
import quern.format.Reader;
import quern.format.Traits;
import quern.model.Model;
import quern.plan.Planner;
import quern.recommend.Recommendation.Weighed;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;

/** A recommendation for a person. GB are 10^9 bytes, as on data sheets. */
record RecommendationText(
        Rules rules,
        Model model,
        Recommendation.Request request,
        Rules.Server server,
        Footprint footprint,
        long memory,
        long room) {
    private static final List<Integer> WIDTHS = List.of(8, 4, 3, 2);

    static String size(long bytes) {
        return bytes >= 1e8
                ? String.format(Locale.ROOT, "%.1f GB", bytes / 1e9)
                : String.format(Locale.ROOT, "%.2f MB", bytes / 1e6);
    }

    /** {@code gptq, 4 bits in groups of 128}; the name alone says it of a format that has widths of its own. */
    static String label(Weighed weighed) {
        Recipe recipe = weighed.recipe();
        String method = weighed.choice().asRecipe().method();
        return recipe.format()
                + (recipe.bits() == Recipe.UNSAID ? "" : ", %d bits".formatted(recipe.bits()))
                + (recipe.groupSize() == Recipe.UNSAID || recipe.groupSize() == -1
                        ? ""
                        : " in groups of " + recipe.groupSize())
                + (recipe.symmetric() ? "" : ", zero points")
                + (method.isEmpty() ? "" : ", by " + method);
    }

    private long beside() {
        return footprint.cache() + footprint.activations();
    }

    List<String> head(Rules.@Nullable Gpu gpu) {
        List<String> lines = new ArrayList<>();
        String lossy = model.source().lossy();
        lines.add("model       %s: %s, %d layers, %.2f billion parameters%s"
                .formatted(
                        request.name(),
                        model.config().modelType(),
                        model.layers(),
                        footprint.parameters() / 1e9,
                        lossy == null ? "" : "; quantized already (" + lossy + "), so errors add up"));
        lines.add("memory      "
                + (gpu == null
                        ? size(memory)
                        : "%s of %s, compute capability %s".formatted(size(memory), gpu.name(), gpu.compute()))
                + (server.usable() == 1
                        ? ""
                        : "; %s takes %.0f %%, %s".formatted(server.program(), 100 * server.usable(), size(room))));
        lines.add("beside      for one sequence of %d tokens a KV cache of %s; activations of at most %s"
                .formatted(request.context(), size(footprint.cache()), size(footprint.activations())));
        if (model.config().modelType().equals("deepseek_v3")) {
            lines.add("            (programs that keep the latents of keys and values need far less cache)");
        }
        return lines;
    }

    /** Memory by width, whatever the server reads. */
    List<String> precisions() {
        List<String> lines = new ArrayList<>(List.of("", "precision          weights  with cache and activations"));
        lines.add(row("16 bits, as it is", footprint.unquantized()));
        for (int bits : WIDTHS) {
            long bytes = compressed(bits, 128);
            lines.add(bytes > 0 ? row(bits + " bits", bytes) : row(bits + " bits, whole rows", compressed(bits, -1)));
        }
        lines.add("(integers in groups of 128; embedding, head, norms and biases as they are)");
        return lines;
    }

    private String row(String label, long weights) {
        return "%-18s %8s %9s  %s"
                .formatted(
                        label,
                        size(weights),
                        size(weights + beside()),
                        weights + beside() <= room ? "fits" : size(weights + beside() - room) + " too large");
    }

    /** 0 where a layer has inputs that do not fall into such groups. */
    private long compressed(int bits, int group) {
        try {
            return Planner.layout(
                            model,
                            RecipeReader.read(
                                    "{method: rtn, format: compressed-tensors, bits: %d, group-size: %d}"
                                            .formatted(bits, group),
                                    "recommend"))
                    .bytes();
        } catch (QuernException e) {
            if (group == -1) {
                throw e;
            }
            return 0;
        }
    }

    List<String> formats(List<Weighed> weighed, Weighed taken) {
        List<String> lines = new ArrayList<>();
        lines.add("");
        lines.add("what %s reads, by the KL divergence from full precision that was measured on %s"
                .formatted(server.program(), rules.measured().model()));
        Comparator<Weighed> byKl = Comparator.comparingDouble(
                w -> w.choice().kl() == null ? Double.MAX_VALUE : w.choice().kl());
        weighed.stream().filter(w -> w.refusal() == null).sorted(byKl).forEach(w -> {
            Double kl = w.choice().kl();
            lines.add("%s %-58s KL %-7s %5.2f bits a weight, %8s, %s; %s"
                    .formatted(
                            w == taken ? ">" : " ",
                            label(w),
                            kl == null ? "unknown" : String.format(Locale.ROOT, "%.4f", kl),
                            w.bitsOfWeight(),
                            size(w.bytes() + beside()),
                            w.bytes() + beside() <= room ? "fits" : "too large",
                            known(Objects.requireNonNull(w.reader()))));
        });
        lines.add("");
        lines.add("what it does not");
        weighed.stream()
                .filter(w -> w.refusal() != null)
                .forEach(w -> lines.add("  %s: %s".formatted(label(w), w.refusal())));
        return lines;
    }

    /** How it is known that a program reads it. */
    static String known(Reader reader) {
        return reader.proof() == Reader.Proof.RUN
                ? "loaded by %s %s on a CPU".formatted(reader.program(), reader.version())
                : "as %s says".formatted(reader.source());
    }

    List<String> command(Weighed taken) {
        Reader reader = Objects.requireNonNull(taken.reader());
        String out = request.name().replaceAll("/+$", "").replaceFirst(".*/", "") + "-"
                + taken.recipe().format()
                + (taken.recipe().bits() == 4 || taken.recipe().bits() == Recipe.UNSAID
                        ? ""
                        : "-w" + taken.recipe().bits());
        List<String> lines = new ArrayList<>();
        if (Formats.named(taken.recipe().format()).quantizesActivations()) {
            lines.add("");
            lines.add("note: loaders of %s quantize the inputs of linears, too, which the measured loss does not have"
                    .formatted(taken.recipe().format()));
        }
        lines.add("");
        lines.add("take %s: %s"
                .formatted(
                        label(taken),
                        request.mostKl() == null
                                ? "the least measured loss of what fits"
                                : "the smallest whose measured loss is within " + request.mostKl()));
        String remark = reader.answer(new Traits(taken.recipe(), model.config().modelType(), List.of()))
                .remark();
        if (!remark.isEmpty()) {
            lines.add(remark.replace("{path}", out));
        }
        lines.add("");
        lines.add("  quern quantize %s --out %s %s"
                .formatted(request.name(), out, taken.choice().options()));
        return lines;
    }
}
