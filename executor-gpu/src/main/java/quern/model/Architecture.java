package quern.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A model family as data: one file {@code quern/architectures/<family>.yaml}. See the package documentation for what its
 * fields mean.
 */
public final class Architecture {
    private static final ObjectMapper YAML =
            new ObjectMapper(new YAMLFactory()).enable(DeserializationFeature.ACCEPT_SINGLE_VALUE_AS_ARRAY);
    private static final Pattern LAST_ARGUMENT = Pattern.compile(",\\s*([\\w.]+)(\\[\\w+])?\\s*\\)");
    private static final Set<Operation> ALONE =
            Set.of(Operation.NORM, Operation.LINEAR, Operation.SCALE, Operation.POSITIONS);

    private final String file;
    private final String source;
    private final Content content;
    private final Map<String, List<Formula>> derived = new LinkedHashMap<>();
    private final List<Condition> refused;

    /** The fields of the file; one that is not here is refused by the reader. */
    record Content(
            @JsonProperty(value = "model_types", required = true)
            List<String> modelTypes,

            @JsonProperty(required = true) Names names,
            @Nullable Map<String, List<String>> keys,
            @Nullable Map<String, JsonNode> defaults,
            @Nullable Map<String, List<String>> derived,
            @Nullable List<String> refused,
            @Nullable Norm norm,
            @Nullable Attention attention,
            @Nullable Logits logits,
            @Nullable Positions positions,
            @Nullable Sliding sliding,
            @Nullable Rotary rotary,
            @Nullable Map<String, JsonNode> biases,
            @Nullable Map<String, String> outputs,
            @Nullable Map<String, Fused> fused,
            boolean transposed,
            @Nullable Routing routing,
            @Nullable Stacked stacked,
            @Nullable String before,
            @JsonProperty(required = true) String layer,
            @Nullable String expert,
            @Nullable String after) {}

    /** Module names; {@code {layer}} stands for the layer's number. */
    record Names(
            @JsonProperty(required = true) String embedding,
            @JsonProperty(required = true) String layer,
            @JsonProperty(required = true) String head) {}

    /**
     * @param layer whether the mean is taken away first: LayerNorm rather than RMSNorm
     * @param eps the key of epsilon
     * @param offset 1 where stored norm weights are offsets from one
     * @param weight whether norms have a weight; true if left out
     * @param bias whether norms of whole rows have a bias
     * @param fixed for norms that have an epsilon of their own, whatever the config says, that
     */
    record Norm(
            boolean layer,
            @Nullable String eps,
            float offset,
            @Nullable JsonNode weight,
            @Nullable JsonNode bias,
            @Nullable Map<String, Float> fixed) {}

    /**
     * @param scale the key of what scores are multiplied by; 1 / sqrt(head_dim) if left out
     * @param byLayer whether that is divided by the layer's number, from 1
     * @param cap the key of what scores are capped at
     * @param alibi whether a key's position times a slope is added
     * @param alibiScaled whether the scale holds for that, too
     * @param alibiRounded whether it is rounded to bf16
     * @param valueDim the key of the columns of a head of v; head_dim if left out
     * @param mscale whether a scaling of rotary positions scales the scores, too
     */
    record Attention(
            @Nullable String scale,
            @JsonProperty("by_layer") @Nullable JsonNode byLayer,
            @Nullable String cap,
            @Nullable JsonNode alibi,
            @JsonProperty("alibi_scaled") boolean alibiScaled,
            @JsonProperty("alibi_rounded") boolean alibiRounded,
            @JsonProperty("value_dim") @Nullable String valueDim,
            boolean mscale) {}

    /** Keys of what logits are multiplied by, divided by and capped at. */
    record Logits(
            @Nullable String scale,
            @Nullable String divisor,
            @Nullable String cap) {}

    /** @param offset rows of the table of learned positions before that of the first */
    record Positions(int offset) {}

    /**
     * Which layers have a window, where {@code layer_types} does not say it.
     *
     * @param size the key of the window's size
     * @param condition a key that must be true, or none
     * @param from the key of the first layer that slides
     * @param to the key of the first layer behind those that slide
     * @param pattern the key of a number n: all slide but each nth. With neither, all slide
     */
    record Sliding(
            @JsonProperty(required = true) String size,
            @JsonProperty("if") @Nullable String condition,
            @Nullable String from,
            @Nullable String to,
            @Nullable String pattern) {}

    /**
     * Rotary positions: which layers have them, all where nothing is said, and how.
     *
     * @param flags the key of a list with 1 for each layer that has them, 0 for each that has not
     * @param interval where that list is absent, the key of a number n: all have them but each nth
     * @param onlySliding whether only sliding layers have them
     * @param interleaved whether neighbours are a pair, rather than columns half a head apart
     * @param columns the key of how many columns of a head turn; else it is partial_rotary_factor of them
     * @param head the key of how wide the heads are that turn, where they are apart from others; else it is head_dim
     * @param slidingTheta the key of the base in layers that slide; scaling is for the others then
     * @param types other names of scalings
     */
    record Rotary(
            @Nullable String flags,
            @Nullable String interval,
            @JsonProperty("only_sliding") @Nullable JsonNode onlySliding,
            @Nullable JsonNode interleaved,
            @Nullable String columns,
            @Nullable String head,
            @JsonProperty("sliding_theta") @Nullable String slidingTheta,
            @Nullable Map<String, String> types) {}

    /**
     * How a router chooses.
     *
     * @param experts the key of how many there are
     * @param chosen the key of how many a token goes to
     * @param scores what becomes of the router's logits
     * @param normalized whether the weights of the chosen are divided by their sum
     * @param correction the tensor beside the router's that is added to scores to choose, not to weigh
     * @param groups the key of how many groups experts are chosen from
     * @param chosenGroups the key of how many of these count for a token
     * @param factor the key of what weights are multiplied by
     */
    record Routing(
            @JsonProperty(required = true) String experts,
            @JsonProperty(required = true) String chosen,
            @JsonProperty(required = true) quern.model.Routing.Scores scores,
            @Nullable JsonNode normalized,
            @Nullable String correction,
            @Nullable String groups,
            @JsonProperty("chosen_groups") @Nullable String chosenGroups,
            @Nullable String factor) {}

    /**
     * Experts whose weights are one tensor, the first dimension the expert.
     *
     * @param transposed whether each is stored inputs x outputs
     * @param bias what the name of the biases' tensor ends with
     */
    record Stacked(
            boolean transposed,
            @JsonProperty(required = true) String bias) {}

    private Architecture(String file, String source, Content content) {
        this.file = file;
        this.source = source;
        this.content = content;
        if (content.derived() != null) {
            content.derived()
                    .forEach((key, formulas) -> derived.put(
                            key, formulas.stream().map(Formula::parse).toList()));
        }
        refused = content.refused() == null
                ? List.of()
                : content.refused().stream().map(Condition::parse).toList();
    }

    /** Reads the resource of this family. */
    static Architecture load(String family) {
        String file = family + ".yaml";
        try (InputStream in = Architecture.class.getResourceAsStream("/quern/architectures/" + file)) {
            if (in == null) {
                throw new IllegalArgumentException("There is no resource quern/architectures/" + file);
            }
            return parse(file, new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A mistake in the text is an {@link IllegalArgumentException} that names the file and the line. */
    static Architecture parse(String file, String text) {
        Content content;
        try {
            content = YAML.readValue(text, Content.class);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(
                    file + ":" + (e.getLocation() == null ? 1 : e.getLocation().getLineNr()) + ": "
                            + e.getOriginalMessage(),
                    e);
        }
        Architecture architecture = new Architecture(file, text, content);
        // A slip should show when the file is read, not when a config first comes that way.
        for (boolean way : new boolean[] {true, false}) {
            architecture.programs(condition -> Condition.parse(condition) != null && way);
        }
        return architecture;
    }

    /** What is done to tokens before the first layer, in a layer, in each of its experts, and before the head. */
    record Programs(Program before, Program layer, Program expert, Program after) {}

    Programs programs(Predicate<String> holds) {
        Programs programs = new Programs(
                program("before", content.before(), holds),
                program("layer", content.layer(), holds),
                program("expert", content.expert(), holds),
                program("after", content.after(), holds));
        for (Step step : programs.layer().steps()) {
            if (step.operation() == Operation.EXPERTS && (content.expert() == null || content.routing() == null)) {
                throw programs.layer().refused(step.line(), "experts need an 'expert' program and a 'routing'");
            }
        }
        for (Program outside : List.of(programs.before(), programs.after())) {
            outside.steps().stream()
                    .filter(step -> !ALONE.contains(step.operation()))
                    .forEach(step -> {
                        throw outside.refused(
                                step.line(), "'" + step.operation().word() + "' is for layers only");
                    });
        }
        return programs;
    }

    /** Those of a layer, or with {@link Section#OUTSIDE} of what is around the layers. */
    Programs programs(Fields config, int layer) {
        Fields there = layer == Section.OUTSIDE ? config : config.inLayer(layer);
        return programs(condition -> Condition.parse(condition).holds(there));
    }

    private Program program(String field, @Nullable String text, Predicate<String> holds) {
        String chosen = text == null ? "" : Branches.chosen(text, holds);
        if (chosen.isBlank() && !field.equals("layer")) {
            return Program.none(file);
        }
        // A literal block begins on the line after its key and keeps its lines.
        List<String> lines = source.lines().toList();
        int key = lines.stream()
                .map(line -> line.startsWith(field + ":"))
                .toList()
                .indexOf(true);
        boolean block = lines.get(key).endsWith("|");
        return Program.parse(file, key + (block ? 2 : 1), chosen);
    }

    /** The file it was read from. */
    public String file() {
        return file;
    }

    /** The {@code model_type}s it describes. */
    public List<String> modelTypes() {
        return content.modelTypes();
    }

    Names names() {
        return content.names();
    }

    /** For a key that Quern asks for, the names that it has in the family's configs. */
    Map<String, List<String>> keys() {
        return content.keys() == null ? Map.of() : content.keys();
    }

    Map<String, JsonNode> defaults() {
        return content.defaults() == null ? Map.of() : content.defaults();
    }

    /** For a key what it follows from: the first formula whose condition holds. */
    Map<String, List<Formula>> derived() {
        return derived;
    }

    /** What a config must not say. */
    List<Condition> refused() {
        return refused;
    }

    Norm norm() {
        return content.norm() == null ? new Norm(false, null, 0, null, null, null) : content.norm();
    }

    Attention attention() {
        return content.attention() == null
                ? new Attention(null, null, null, null, false, false, null, false)
                : content.attention();
    }

    Logits logits() {
        return content.logits() == null ? new Logits(null, null, null) : content.logits();
    }

    int positionOffset() {
        return content.positions() == null ? 0 : content.positions().offset();
    }

    @Nullable
    Sliding sliding() {
        return content.sliding();
    }

    @Nullable
    Rotary rotary() {
        return content.rotary();
    }

    @Nullable
    Routing routing() {
        return content.routing();
    }

    @Nullable
    Stacked stacked() {
        return content.stacked();
    }

    /** Outputs of a linear, or of a part of one, that nothing else tells; null for all others. */
    @Nullable
    Integer outputs(Step step, Fields config) {
        String formula = content.outputs() == null ? null : content.outputs().get(step.key());
        return formula == null ? null : (int) Formula.parse(formula).number(config);
    }

    @Nullable
    Fused fused(String module) {
        return content.fused() == null ? null : content.fused().get(module);
    }

    /** Whether the linears of layers are stored inputs x outputs. */
    boolean transposed() {
        return content.transposed();
    }

    /** The full name of a module of a layer. */
    String inLayer(int layer, String module) {
        return content.names().layer().replace("{layer}", Integer.toString(layer)) + "." + module;
    }

    /** The modules that a layer of the family may have. */
    Set<String> modules() {
        Set<String> modules = new TreeSet<>();
        Matcher argument = LAST_ARGUMENT.matcher(
                content.expert() == null
                        ? content.layer()
                        : content.layer() + content.expert().replace("{expert}", "0"));
        while (argument.find()) {
            modules.add(argument.group(1));
        }
        return modules;
    }

    /**
     * Whether this module has a bias: a linear by the longest prefix of its name that {@code biases} has, a norm by its whole name,
     * else as all norms of whole rows.
     */
    boolean hasBias(String module, Operation operation, Fields config) {
        Map<String, JsonNode> biases = content.biases() == null ? Map.of() : content.biases();
        if (!operation.isLinear()) {
            JsonNode rule = biases.get(module);
            return Condition.holds(rule == null && operation == Operation.NORM ? norm().bias() : rule, config);
        }
        for (String prefix = module; ; prefix = prefix.substring(0, prefix.lastIndexOf('.'))) {
            JsonNode rule = biases.get(prefix);
            if (rule != null || prefix.indexOf('.') < 0) {
                return Condition.holds(rule, config);
            }
        }
    }

    /** Whether norms have a weight. */
    boolean hasNormWeight(Fields config) {
        JsonNode rule = norm().weight();
        return rule == null || Condition.holds(rule, config);
    }
}
