package quern.recommend;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.format.Reader;
import quern.format.Readers;
import quern.format.Traits;
import quern.model.Model;
import quern.plan.Planner;
import quern.scheme.Recipe;

/** What fits: every choice of the rules, weighed for one model, one GPU and one server. */
public final class Recommendation {
    /**
     * @param name what a person calls the model
     * @param gpu a name in the rules; none where only {@code memory} is known
     * @param memory bytes; of the GPU where it is 0
     * @param server a name in the rules
     * @param mostKl take the smallest whose measured KL is at most this, rather than the one with the least KL; null for that
     * @param context tokens of the one sequence that is served
     */
    public record Request(
            String name,
            @Nullable String gpu,
            long memory,
            String server,
            @Nullable Double mostKl,
            int context) {}

    /**
     * A choice, weighed.
     *
     * @param bytes of its weights as the server holds them; 0 where it cannot be written
     * @param bitsOfWeight of quantized ones, on average
     * @param reader who would read it
     * @param refusal why it is out of the question, apart from its size; null where it is not
     */
    record Weighed(
            Rules.Choice choice,
            Recipe recipe,
            long bytes,
            double bitsOfWeight,
            @Nullable Reader reader,
            @Nullable String refusal) {}

    private final Rules rules;
    private final Model model;
    private final Request request;
    private final Rules.Server server;
    private final @Nullable Double compute;
    private final long memory;

    private Recommendation(Rules rules, Model model, Request request, long memory, @Nullable Double compute) {
        this.rules = rules;
        this.model = model;
        this.request = request;
        this.server = rules.server(request.server());
        this.memory = memory;
        this.compute = compute;
    }

    /** The lines for a person, which end with what to run. {@link QuernException} where nothing fits. */
    public static List<String> of(Model model, Request request) {
        Rules rules = Rules.read();
        rules.server(request.server());
        Rules.Gpu gpu = request.gpu() == null ? null : rules.gpu(request.gpu());
        long memory = gpu == null ? request.memory() : gpu.memory();
        Recommendation all =
                new Recommendation(rules, model, request, memory, gpu == null ? null : (Double) gpu.compute());
        return all.lines(gpu);
    }

    private List<String> lines(Rules.@Nullable Gpu gpu) {
        Footprint footprint = Footprint.of(model, request.context());
        long beside = footprint.cache() + footprint.activations();
        long room = (long) (memory * server.usable());
        List<Weighed> weighed = rules.choices().stream().map(this::weigh).toList();
        List<Weighed> read = weighed.stream().filter(w -> w.refusal() == null).toList();
        if (read.isEmpty()) {
            throw new QuernException("Cannot recommend a format of %s for %s: it reads none of them here (%s)"
                    .formatted(request.name(), server.program(), reasons(weighed)));
        }
        Weighed taken = pick(read, room - beside, footprint);
        RecommendationText text = new RecommendationText(rules, model, request, server, footprint, memory, room);
        List<String> lines = new ArrayList<>(text.head(gpu));
        lines.addAll(text.precisions());
        lines.addAll(text.formats(weighed, taken));
        lines.addAll(text.command(taken));
        return lines;
    }

    private static String reasons(List<Weighed> weighed) {
        return weighed.stream()
                .map(Weighed::refusal)
                .filter(Objects::nonNull)
                .distinct()
                .findFirst()
                .orElse("")
                .replaceFirst("\\.$", "");
    }

    private Weighed weigh(Rules.Choice choice) {
        Recipe asked = choice.asRecipe();
        Format format = Formats.named(asked.format());
        Recipe recipe = format.settled(asked);
        Planner.Layout layout;
        try {
            layout = Planner.layout(model, recipe);
        } catch (QuernException e) {
            return new Weighed(choice, recipe, 0, 0, null, String.valueOf(e.getMessage()));
        }
        List<Traits.Linear> linears = layout.sites().stream()
                .flatMap(site -> site.linears().stream()
                        .map(l -> new Traits.Linear(
                                l.name(),
                                l.inputs(),
                                l.scheme().bits(),
                                l.scheme().groupSize(),
                                site.ofExpert())))
                .toList();
        long codes = layout.sites().stream()
                .flatMap(site -> site.linears().stream())
                .mapToLong(l -> (long) l.outputs() * l.inputs())
                .sum();
        long packed = layout.shards().stream()
                .flatMap(shard -> shard.tensors().stream())
                .filter(t -> !t.linear().isEmpty())
                .mapToLong(t -> t.spec().bytes())
                .sum();
        double bits = 8.0 * packed / codes;
        Optional<Reader> reader = Readers.of(format).stream()
                .filter(r -> r.program().equals(server.program()) && r.proof() != null)
                .findFirst();
        if (reader.isEmpty()) {
            return new Weighed(
                    choice,
                    recipe,
                    layout.bytes(),
                    bits,
                    null,
                    server.program() + " is not known to read this format.");
        }
        Traits traits = new Traits(recipe, model.config().modelType(), linears);
        String refusal = reader.get().answer(traits).refuses();
        Double needed = reader.get().gpu();
        if (refusal == null && compute != null && needed != null && compute < needed) {
            refusal = "%s needs compute capability %s for this format, this GPU has %s."
                    .formatted(server.program(), needed, compute);
        }
        long held = Boolean.TRUE.equals(reader.get().unpacks())
                ? Footprint.of(model, request.context()).unquantized()
                : layout.bytes();
        return new Weighed(choice, recipe, held, bits, reader.get(), refusal);
    }

    /** @param room for weights */
    private Weighed pick(List<Weighed> read, long room, Footprint footprint) {
        Weighed smallest =
                read.stream().min(Comparator.comparingLong(Weighed::bytes)).orElseThrow();
        List<Weighed> fitting = read.stream().filter(w -> w.bytes() <= room).toList();
        if (fitting.isEmpty()) {
            throw new QuernException(
                    ("Cannot fit %s into %s for %s: the smallest that it reads, %s, has weights of %s, and with KV cache and "
                                    + "activations of %s it is %s too large (use a larger or several GPUs, or a smaller --context than %d)")
                            .formatted(
                                    request.name(),
                                    RecommendationText.size(memory),
                                    server.program(),
                                    RecommendationText.label(smallest),
                                    RecommendationText.size(smallest.bytes()),
                                    RecommendationText.size(footprint.cache() + footprint.activations()),
                                    RecommendationText.size(smallest.bytes() - room),
                                    request.context()));
        }
        Comparator<Weighed> byKl = Comparator.comparingDouble(Recommendation::kl);
        Comparator<Weighed> bySize = Comparator.comparingLong(Weighed::bytes);
        Double most = request.mostKl();
        if (most == null) {
            return fitting.stream().min(byKl.thenComparing(bySize)).orElseThrow();
        }
        return fitting.stream()
                .filter(w -> kl(w) <= most)
                .min(bySize.thenComparing(byKl))
                .orElseThrow(() -> new QuernException(
                        "Cannot stay within a KL of %s: of what fits, %s has the least, %s (allow more with --quality, or a larger GPU)"
                                .formatted(
                                        most,
                                        RecommendationText.label(
                                                fitting.stream().min(byKl).orElseThrow()),
                                        kl(fitting.stream().min(byKl).orElseThrow()))));
    }

    private static double kl(Weighed weighed) {
        Double kl = weighed.choice().kl();
        return kl == null ? Double.MAX_VALUE : kl;
    }
}
