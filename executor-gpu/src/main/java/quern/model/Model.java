package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.source.Source;
import quern.store.BlobStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * A model in Hugging Face layout: its config, its family, and its tensors, which are known to be there in the shapes that the
 * config calls for. No tensor has been read yet.
 */
public final class Model {
    /** The key of whether the head is the embedding. */
    public static final String TIED = "tie_word_embeddings";

    private final Source source;
    private final Fields fields;
    private final Architecture architecture;
    private final ModelConfig config;
    private final TensorSource tensors;
    private final Naming naming;
    private final Architecture.Programs outside;
    private final List<Section> layers = new ArrayList<>();
    private final List<Section> experts = new ArrayList<>(); // of each layer the first
    private final Map<Integer, List<Site>> sites = new ConcurrentHashMap<>();
    private final boolean untied;

    private Model(Source source, Fields fields, Architecture architecture, ModelConfig config, boolean untied) {
        this.untied = untied;
        this.source = source;
        this.fields = fields;
        this.architecture = architecture;
        this.config = config;
        this.tensors = source.tensors();
        this.naming = Naming.of(architecture.names().embedding(), tensors.names());
        this.outside = architecture.programs(fields, Section.OUTSIDE);
        Function<Step, @Nullable Integer> outputs = step -> architecture.outputs(step, fields);
        int hidden = config.hiddenSize();
        for (int layer = 0; layer < config.layers(); layer++) {
            Architecture.Programs there = architecture.programs(fields, layer);
            boolean turns = config.ropes().get(layer) != Rope.NONE;
            Program program = turns ? there.layer() : there.layer().without(Operation.ROTARY);
            Widths widths = Widths.of(program, config, outputs, hidden, hidden);
            layers.add(new Section(this, layer, Site.SHARED, program, widths));
            Program expert = program.has(Operation.EXPERTS) ? there.expert() : Program.none(architecture.file());
            experts.add(new Section(this, layer, 0, expert, Widths.of(expert, config, outputs, hidden, hidden)));
        }
    }

    /**
     * Opens a model. Of one that is quantized the tensors are what it stands for, and {@link Source#lossy} says so.
     * {@link QuernException} if it cannot be used.
     */
    public static Model open(BlobStore store) throws IOException {
        BlobStore files = Source.files(store);
        Fields given = Fields.read(files);
        Architecture architecture = Architectures.of(given, files);
        Fields fields = given.of(architecture);
        ModelConfig config = ModelConfig.of(fields, architecture);
        Source source = Source.open(files, config.quantization(), architecture.transposed());
        Model model = new Model(source, fields, architecture, config, false);
        model.check();
        return model;
    }

    /**
     * The same model with other numbers.
     *
     * @param tensors of the same names, types and shapes; with a head of its own beside the embedding if it is to be untied
     * @param untie whether a head that was the embedding is a tensor of its own now
     */
    public Model with(TensorSource tensors, boolean untie) {
        Source edited = new Source(source.store(), source.stored(), tensors, source.lossy());
        Fields fields = untie ? this.fields.with(TIED, BooleanNode.FALSE) : this.fields;
        ModelConfig config = untie ? ModelConfig.of(fields, architecture) : this.config;
        Model model = new Model(edited, fields, architecture, config, untied || untie);
        model.check();
        return model;
    }

    /** Whether its head is a tensor of its own, and the {@code config.json} that it was read from says otherwise. */
    public boolean untied() {
        return untied;
    }

    private void check() {
        need(embedding(), List.of((long) config.vocabulary(), (long) config.embeddingSize()));
        check(before());
        check(after());
        need(head(), List.of((long) config.vocabulary(), (long) config.embeddingSize()));
        String bias = headBias();
        if (bias != null) {
            need(bias, List.of((long) config.vocabulary()));
        }
        for (int layer = 0; layer < config.layers(); layer++) {
            check(layer(layer));
            for (int expert = 0; expert < experts(layer); expert++) {
                check(expert(layer, expert));
            }
        }
    }

    private void check(Section section) {
        section.checkParts();
        for (Step step : section.program().steps()) {
            if (step.operation().isLinear()) {
                check(section, section.linear(step.module()), hasBias(step));
            }
            if (step.operation() == Operation.SCALE) {
                number(step.module());
            } else {
                check(section, step);
            }
        }
    }

    private void check(Section section, Step step) {
        boolean weighted = !step.operation().isNorm() || hasNormWeight();
        for (Operation.Stored stored : section.weights(step)) {
            String module = section.module(stored.module());
            if (weighted) {
                need(module + stored.suffix(), stored.shape());
            }
            if (step.operation().isNorm() && hasBias(step)) {
                need(module + ".bias", stored.shape());
            }
        }
    }

    private void check(Section section, Linear linear, boolean biased) {
        long outputs = linear.outputs();
        long inputs = linear.inputs();
        List<Long> each = linear.isSlice() ? List.of((long) config.experts().experts()) : List.of();
        need(linear.weight(), joined(each, linear.transposed() ? List.of(inputs, outputs) : List.of(outputs, inputs)));
        String bias = section.bias(linear);
        boolean stored = tensors.names().contains(bias);
        if (biased) {
            need(bias, joined(each, List.of(outputs)));
        } else if (stored && source.lossy() == null) { // quantizers write biases of zeros
            throw refused(
                    "there is a tensor '" + bias + "', and config.json says that this linear has no bias",
                    "mend config.json or remove the tensor");
        }
    }

    private static List<Long> joined(List<Long> a, List<Long> b) {
        return Stream.concat(a.stream(), b.stream()).toList();
    }

    private void need(String name, List<Long> shape) {
        if (!tensors.names().contains(name)) {
            throw refused("tensor '" + name + "' is missing", "download the model again");
        }
        TensorSpec spec = tensors.spec(name);
        if (!spec.shape().equals(shape)) {
            String leftOut = String.join(", ", fields.sizesLeftOut());
            throw refused(
                    "tensor '" + name + "' is " + shown(spec.shape()) + ", and config.json"
                            + (leftOut.isEmpty() ? "" : ", which leaves out " + leftOut + ",") + " calls for "
                            + shown(shape),
                    "use the config.json that belongs to the weights");
        }
        if (!StoredTensors.isWeightType(spec.dtype())) {
            throw refused("tensor '" + name + "' is stored as " + spec.dtype(), "use a model in F32, F16 or BF16");
        }
        // Embedding and head are read by rows, experts one by one; another linear of such a size is in no model that we
        // know.
        boolean inParts = name.equals(embedding()) || name.equals(head()) || shape.size() > 2;
        if (spec.bytes() > Integer.MAX_VALUE && !inParts) {
            throw refused("tensor '" + name + "' has " + spec.bytes() + " bytes", "store it in BF16");
        }
    }

    private QuernException refused(String reason, String remedy) {
        return new QuernException(
                "Cannot open the model " + source.store().location() + ": " + reason + " (" + remedy + ")");
    }

    private static String shown(List<Long> shape) {
        return shape.stream().map(String::valueOf).collect(Collectors.joining(" x "));
    }

    public ModelConfig config() {
        return config;
    }

    public Architecture architecture() {
        return architecture;
    }

    public TensorSource tensors() {
        return tensors;
    }

    public BlobStore store() {
        return source.store();
    }

    /** Where all of it comes from. */
    public Source source() {
        return source;
    }

    public int layers() {
        return config.layers();
    }

    public int hiddenSize() {
        return config.hiddenSize();
    }

    public int maxPositions() {
        return config.maxPositions();
    }

    public int vocabulary() {
        return config.vocabulary();
    }

    public boolean tied() {
        return config.tied();
    }

    /** The type that weights are stored as; of a quantized model, that of what is not quantized. */
    public DType weightType() {
        String first = sites(0).get(0).linears().get(0).weight();
        return StoredTensors.type(tensors, source.lossy() == null ? first : embedding());
    }

    /**
     * The type of operands that it is calibrated with: F32 if it is stored so, as other programs do it, since with BF16 its KL at 2 and 3
     * bits is some percent larger; null leaves it to the device.
     */
    public @Nullable DType operands() {
        return source.lossy() == null && weightType() == DType.F32 ? DType.F32 : null;
    }

    /** The sites of a layer in the order of the forward pass, those of experts behind the layer's own. */
    public List<Site> sites(int layer) {
        return sites.computeIfAbsent(layer, l -> {
            List<Site> all = new ArrayList<>(layer(l).sites(0));
            int own = all.size();
            for (int expert = 0; expert < experts(l); expert++) {
                all.addAll(expert(l, expert).sites(own));
            }
            return List.copyOf(all);
        });
    }

    /** The full name of the module whose keys and values a cache keeps; null where it would keep something else. */
    public @Nullable String cache(int layer) {
        return layer(layer).cache();
    }

    /** What makes the inputs of a layer's sites, where that takes factors; in the order of the sites. */
    public List<Absorber> absorbers(int layer) {
        return Absorbers.of(this, layer);
    }

    /** How many sites of a layer every token passes. */
    int ownSites(int layer) {
        return layer(layer).program().sites().size();
    }

    /** Full names of a layer's linears whose outputs are added to the residual stream, those of experts included. */
    public Set<String> writers(int layer) {
        Stream<String> ofExperts = IntStream.range(0, experts(layer))
                .boxed()
                .flatMap(expert -> expert(layer, expert).writers());
        return Stream.concat(layer(layer).writers(), ofExperts).collect(Collectors.toSet());
    }

    /** How many experts a layer has; 0 for one without. */
    public int experts(int layer) {
        return layer(layer).program().has(Operation.EXPERTS) ? config.experts().experts() : 0;
    }

    /** To how many experts a token goes; 0 in a family without. */
    public int expertsOfToken() {
        return config.routing() == null ? 0 : config.experts().chosen();
    }

    /** Linears of a layer that decide or weigh, and are no one's to quantize: routers, gates of shared experts. */
    public List<Linear> kept(int layer) {
        return layer(layer).program().kept().stream()
                .map(step -> layer(layer).linear(step.module()))
                .toList();
    }

    /**
     * What is not in the layers and is kept as it is, though a loader might take it for a linear to replace: the head and
     * projections by their full names, and for what stands beside the language model, such as an image encoder, {@code name.*}.
     */
    public List<String> keptOutside() {
        Set<String> kept = new LinkedHashSet<>();
        for (Section section : List.of(before(), after())) {
            section.linears().forEach(site -> site.forEach(linear -> kept.add(linear.name())));
        }
        if (!config.tied()) {
            kept.add(stored(architecture.names().head()));
        }
        String inside = root(stored(architecture.names().layer()));
        tensors.names().stream()
                .filter(name -> !name.startsWith(inside) && name.endsWith(".weight") && !name.equals(head()))
                .filter(name -> tensors.spec(name).shape().size() == 2)
                .map(name -> name.substring(0, name.length() - ".weight".length()))
                .map(module -> module.replaceFirst("^model\\.", ""))
                .map(module -> module.replaceFirst("\\..*", ".*"))
                .sorted()
                .forEach(kept::add);
        return List.copyOf(kept);
    }

    /** What the names of the language model begin with: all before its layers. */
    private static String root(String layers) {
        String list = layers.replace(".{layer}", "");
        return list.substring(0, list.lastIndexOf('.') + 1);
    }

    /** The weight of a linear as the checkpoint's values stand for it, outputs x inputs. */
    public Matrix weight(Linear linear) throws IOException {
        DType type = StoredTensors.type(tensors, linear.weight());
        int bytes = Math.toIntExact((long) linear.outputs() * linear.inputs() * type.bytes());
        return StoredTensors.weight(tensors.read(linear.weight(), linear.first() * type.bytes(), bytes), type, linear);
    }

    /**
     * Some rows of the weight of a linear that is not {@linkplain Linear#transposed() transposed}.
     *
     * @param scratch of at least {@link #rowBytes} times {@code rows}; direct, or it is copied once more
     * @param values takes them, rows x inputs
     */
    public Matrix weight(Linear linear, int from, int rows, ByteBuffer scratch, float[] values) throws IOException {
        DType type = StoredTensors.type(tensors, linear.weight());
        long row = rowBytes(linear);
        ByteBuffer bytes = scratch.clear().limit(Math.toIntExact(rows * row));
        tensors.read(linear.weight(), linear.first() * type.bytes() + from * row, bytes);
        HalfFloats.toFloats(bytes.flip(), type, values, 0, values.length);
        return new Matrix(rows, linear.inputs(), values);
    }

    /** Bytes of a row of a linear's weight as it is stored. */
    public long rowBytes(Linear linear) {
        return (long) linear.inputs()
                * StoredTensors.type(tensors, linear.weight()).bytes();
    }

    /** The linear of a layer that has this name. */
    public Linear linear(int layer, String name) {
        return sites(layer).stream()
                .flatMap(site -> site.linears().stream())
                .filter(linear -> linear.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("Layer " + layer + " has no linear " + name));
    }

    Section layer(int layer) {
        return layers.get(layer);
    }

    Section expert(int layer, int number) {
        return experts.get(layer).of(number);
    }

    /** From the rows of the embedding to what enters the first layer. */
    Section before() {
        return outside(outside.before(), config.embeddingSize(), config.hiddenSize());
    }

    /** From what leaves the last layer to what the head reads. */
    Section after() {
        return outside(outside.after(), config.hiddenSize(), config.embeddingSize());
    }

    private Section outside(Program program, int from, int to) {
        return new Section(
                this, Section.OUTSIDE, Site.SHARED, program, Widths.of(program, config, step -> null, from, to));
    }

    /** A module's name as the checkpoint has it. */
    String stored(String module) {
        return naming.stored(module);
    }

    boolean hasBias(Step step) {
        return architecture.hasBias(step.module(), step.operation(), fields);
    }

    boolean hasNormWeight() {
        return architecture.hasNormWeight(fields);
    }

    float number(String key) {
        return (float) fields.positive(key);
    }

    /** What the config says of a key, or the family where that says nothing; null where neither does. */
    public @Nullable JsonNode said(String key) {
        return fields.find(key);
    }

    /** The tensor of the token embedding, vocabulary x its columns. */
    public String embedding() {
        return stored(architecture.names().embedding()) + ".weight";
    }

    /** The tensor of the head, shaped like the embedding; the embedding itself if tied. */
    public String head() {
        return config.tied() ? embedding() : ownHead();
    }

    /** The name that the tensor of the head has where it is not the embedding. */
    public String ownHead() {
        return stored(architecture.names().head()) + ".weight";
    }

    /** The tensor of the head's bias, or null where it has none. */
    @Nullable
    String headBias() {
        String head = architecture.names().head();
        return architecture.hasBias(head, Operation.LINEAR, fields) ? stored(head) + ".bias" : null;
    }
}
