package quern.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * A model in Hugging Face layout: its config, its family, and its tensors, which are known to be there in the shapes that the
 * config calls for. No tensor has been read yet.
 */
public final class Model {
    private final BlobStore store;
    private final Fields fields;
    private final Architecture architecture;
    private final ModelConfig config;
    private final TensorSource tensors;
    private final Widths widths;

    private Model(BlobStore store, Fields fields, Architecture architecture, ModelConfig config, TensorSource tensors) {
        this.store = store;
        this.fields = fields;
        this.architecture = architecture;
        this.config = config;
        this.tensors = tensors;
        this.widths = Widths.of(architecture.program(), config);
    }

    /** Opens a model to quantize: every weight is there in full precision. {@link QuernException} if it cannot be used. */
    public static Model open(BlobStore store) throws IOException {
        Model model = unchecked(store);
        if (model.config.quantization() != null) {
            Object by = model.config.quantization().get("quant_method");
            throw new QuernException("Cannot quantize " + store.location() + ": it is quantized already"
                    + (by == null ? "" : ", by " + Fields.abbreviated(by.toString())) + " (use the original model)");
        }
        model.check(false);
        return model;
    }

    /** Opens a model to evaluate: of a quantized one the linears' weights may be stored in other tensors. */
    public static Model openToEvaluate(BlobStore store) throws IOException {
        Model model = unchecked(store);
        model.check(model.config.quantization() != null);
        return model;
    }

    private static Model unchecked(BlobStore store) throws IOException {
        Fields given = Fields.read(store);
        Architecture architecture = Architectures.of(given);
        Fields fields = given.withDefaults(architecture.defaults());
        ModelConfig config = ModelConfig.of(fields, architecture);
        return new Model(store, fields, architecture, config, Checkpoint.open(store));
    }

    private void check(boolean weightsElsewhere) {
        need(embedding(), List.of((long) config.vocabulary(), (long) config.hiddenSize()));
        need(finalNorm(), List.of((long) config.hiddenSize()));
        need(head(), List.of((long) config.vocabulary(), (long) config.hiddenSize()));
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Step step : architecture.program().steps()) {
                if (!step.module().isEmpty()) {
                    check(layer, step, weightsElsewhere);
                }
            }
        }
    }

    private void check(int layer, Step step, boolean weightsElsewhere) {
        String module = architecture.inLayer(layer, step.module());
        List<Long> shape = step.operation().weightShape(step, widths, config);
        if (step.operation() != Operation.LINEAR) {
            need(module + ".weight", shape);
            return;
        }
        Linear linear = linear(layer, step);
        if (!weightsElsewhere || tensors.names().contains(linear.weight())) {
            need(linear.weight(), shape);
        }
        boolean stored = tensors.names().contains(linear.bias());
        if (hasBias(step)) {
            need(linear.bias(), List.of(shape.get(0)));
        } else if (stored && !weightsElsewhere) {
            throw refused(
                    "there is a tensor '" + linear.bias() + "', and config.json says that this linear has no bias",
                    "mend config.json or remove the tensor");
        }
    }

    private void need(String name, List<Long> shape) {
        if (!tensors.names().contains(name)) {
            throw refused("tensor '" + name + "' is missing", "download the model again");
        }
        TensorSpec spec = tensors.spec(name);
        if (!spec.shape().equals(shape)) {
            throw refused(
                    "tensor '" + name + "' is " + shown(spec.shape()) + ", and config.json calls for " + shown(shape),
                    "use the config.json that belongs to the weights");
        }
        if (!StoredTensors.isWeightType(spec.dtype())) {
            throw refused("tensor '" + name + "' is stored as " + spec.dtype(), "use a model in F32, F16 or BF16");
        }
        // Embedding and head are read by rows; a linear of such a size is in no model that we know.
        if (spec.bytes() > Integer.MAX_VALUE && !name.equals(embedding()) && !name.equals(head())) {
            throw refused("tensor '" + name + "' has " + spec.bytes() + " bytes", "store it in BF16");
        }
    }

    private QuernException refused(String reason, String remedy) {
        return new QuernException("Cannot open the model " + store.location() + ": " + reason + " (" + remedy + ")");
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
        return store;
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
        return StoredTensors.type(tensors, tensors.names().contains(first) ? first : embedding());
    }

    /** The sites of a layer in the order of the forward pass. */
    public List<Site> sites(int layer) {
        List<Site> sites = new ArrayList<>();
        for (List<Step> steps : architecture.program().sites()) {
            sites.add(new Site(
                    layer,
                    steps.get(0).module(),
                    widths.of(steps.get(0).operand(0)),
                    steps.stream().map(step -> linear(layer, step)).toList()));
        }
        return sites;
    }

    /** The bias tensor of a linear, or null where the family or the config has none. */
    public @Nullable String biasOf(Linear linear) {
        // Not by the tensors: a quantized checkpoint may store a bias of zeros where the model has none.
        for (Step step : architecture.program().steps()) {
            if (step.operation() == Operation.LINEAR && linear.name().endsWith("." + step.module()) && hasBias(step)) {
                return linear.bias();
            }
        }
        return null;
    }

    boolean hasBias(Step step) {
        return architecture.hasBias(step.module(), fields);
    }

    Linear linear(int layer, Step step) {
        return new Linear(
                architecture.inLayer(layer, step.module()), widths.of(step.result()), widths.of(step.operand(0)));
    }

    /** The tensor of the token embedding, vocabulary x hidden. */
    public String embedding() {
        return architecture.names().embedding() + ".weight";
    }

    /** The tensor of the norm before the head, hidden. */
    public String finalNorm() {
        return architecture.names().norm() + ".weight";
    }

    /** The tensor of the head, vocabulary x hidden; the embedding's if tied. */
    public String head() {
        return config.tied() ? embedding() : architecture.names().head() + ".weight";
    }
}
