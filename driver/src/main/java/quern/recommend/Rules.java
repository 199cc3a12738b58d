package quern.recommend;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;

/** The file {@code conf/recommend.yaml}. */
record Rules(List<Gpu> gpus, List<Server> servers, Measured measured, List<Choice> choices) {
    private static final YAMLMapper YAML = new YAMLMapper();

    /**
     * @param gigabytes of 10^9 bytes
     * @param compute its compute capability
     */
    record Gpu(String name, double gigabytes, double compute) {
        long memory() {
            return (long) (gigabytes * 1e9);
        }
    }

    /**
     * @param program its name among the readers of a format
     * @param usable the share of a GPU's memory that it takes
     * @param source where that stands
     */
    record Server(String name, String program, double usable, String source) {}

    /** How the losses of the choices were measured. */
    record Measured(String model, String how) {}

    /**
     * @param recipe keys and values of a recipe
     * @param kl mean KL divergence from full precision, nats a token; null where it was not measured
     */
    record Choice(Map<String, Object> recipe, @Nullable Double kl) {
        private static final Map<String, String> OPTIONS =
                Map.of("format", "--format", "method", "--method", "bits", "--bits", "group-size", "--group-size");

        Recipe asRecipe() {
            try {
                return RecipeReader.read(YAML.writeValueAsString(recipe), "conf/recommend.yaml");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** The same as options of {@code quantize}. */
        String options() {
            return new LinkedHashMap<>(recipe)
                    .entrySet().stream()
                            .map(e -> e.getKey().equals("symmetric")
                                    ? Boolean.TRUE.equals(e.getValue()) ? "--sym" : "--asym"
                                    : OPTIONS.get(e.getKey()) + " " + e.getValue())
                            .collect(Collectors.joining(" "));
        }
    }

    static Rules read() {
        try (InputStream in = Rules.class.getResourceAsStream("recommend.yaml")) {
            if (in == null) {
                throw new IllegalStateException("This build of Quern lacks conf/recommend.yaml");
            }
            return YAML.readValue(in, new TypeReference<>() {});
        } catch (IOException e) {
            throw new UncheckedIOException("conf/recommend.yaml: " + e.getMessage(), e);
        }
    }

    Gpu gpu(String name) {
        return gpus.stream()
                .filter(g -> plain(g.name()).equals(plain(name)))
                .findFirst()
                .orElseThrow(() -> new QuernException(
                        "Cannot use GPU %s: it is unknown, nearest is %s (use one of %s, give --memory, or add it to conf/recommend.yaml)"
                                .formatted(
                                        name,
                                        gpus.stream()
                                                .min(Comparator.comparingInt(
                                                        g -> LevenshteinDistance.getDefaultInstance()
                                                                .apply(plain(g.name()), plain(name))))
                                                .orElseThrow()
                                                .name(),
                                        gpus.stream().map(Gpu::name).collect(Collectors.joining(", ")))));
    }

    Server server(String name) {
        return servers.stream()
                .filter(s -> s.name().equalsIgnoreCase(name))
                .findFirst()
                .orElseThrow(() -> new QuernException("Cannot recommend for server %s: it is unknown (use one of %s)"
                        .formatted(name, servers.stream().map(Server::name).collect(Collectors.joining(", ")))));
    }

    /** {@code NVIDIA GeForce RTX 4090} and {@code rtx-4090} are one. */
    private static String plain(String name) {
        return name.toLowerCase(Locale.ROOT).replaceAll("nvidia|geforce|tesla|[^a-z0-9]", "");
    }
}
