package quern.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * One decoder layer with its weights on a device: interprets the family's program. The residual stream and what is added to it
 * are F32; all values between are of the device's compute type. {@link #forward} may be called by several threads.
 */
public final class DecoderLayer implements AutoCloseable {
    private final Model model;
    private final int layer;
    private final Device device;
    private final Program program;
    private final int[] lastUses;
    /** By the number of the step's result. */
    private final DType[] types;
    /** By the number of the step's result: the site that begins there. */
    private final Map<Integer, Site> sites = new HashMap<>();
    /** By module name within the layer, ready for use. */
    private final Map<String, DeviceMatrix> weights = new HashMap<>();

    private final Map<String, DeviceMatrix> biases = new HashMap<>();
    private final Map<Integer, RotaryTables> tables = new ConcurrentHashMap<>();

    private DecoderLayer(Model model, int layer, Device device) {
        this.model = model;
        this.layer = layer;
        this.device = device;
        Program whole = model.architecture().program();
        boolean turns = model.config().ropes().get(layer) != Rope.NONE;
        this.program = turns ? whole : whole.without(Operation.ROTARY);
        this.lastUses = program.lastUses();
        this.types = new DType[program.values()];
        for (Step step : program.steps()) {
            boolean stays = step.result() == program.result() || program.isAdded(step.result());
            types[step.result()] = stays ? DType.F32 : device.computeType();
        }
        List<Site> known = model.sites(layer);
        List<List<Step>> steps = program.sites();
        for (int i = 0; i < known.size(); i++) {
            sites.put(steps.get(i).get(0).result(), known.get(i));
        }
    }

    /**
     * Reads a layer's tensors and makes them ready.
     *
     * @param weights where linears come from; norms and biases are the checkpoint's
     */
    public static DecoderLayer load(Model model, int layer, Weights weights, Device device) throws IOException {
        DecoderLayer loaded = new DecoderLayer(model, layer, device);
        boolean complete = false;
        try {
            for (Step step : loaded.program.steps()) {
                if (!step.module().isEmpty()) {
                    loaded.load(step, weights);
                }
            }
            complete = true;
            return loaded;
        } finally {
            if (!complete) {
                loaded.close();
            }
        }
    }

    private void load(Step step, Weights source) throws IOException {
        String module = step.module();
        if (step.operation() != Operation.LINEAR) {
            String name = model.architecture().inLayer(layer, module) + ".weight";
            weights.put(module, vector(name));
            return;
        }
        Linear linear = model.linear(layer, step);
        try (DeviceMatrix weight = source.weight(linear, device)) {
            weights.put(module, device.forward().prepare(weight));
        }
        if (model.hasBias(step)) {
            biases.put(module, vector(linear.bias()));
        }
    }

    private DeviceMatrix vector(String name) throws IOException {
        int columns = Math.toIntExact(model.tensors().spec(name).elements());
        return StoredTensors.matrix(model.tensors(), name, 1, columns, device);
    }

    /**
     * @param x (sequences * length) x hidden, F32; not closed
     * @param length tokens of a sequence
     * @param tap sees the inputs of the sites, or none
     * @return (sequences * length) x hidden, F32; the caller closes it
     */
    public DeviceMatrix forward(DeviceMatrix x, int length, @Nullable Tap tap) {
        if (length < 1 || x.rows() % length != 0 || x.cols() != model.hiddenSize()) {
            throw new IllegalArgumentException("A batch of " + x.rows() + " x " + x.cols()
                    + " does not hold sequences of " + length + " tokens of " + model.hiddenSize());
        }
        DeviceMatrix[] values = new DeviceMatrix[program.values()];
        values[0] = x;
        try {
            List<Step> steps = program.steps();
            for (int i = 0; i < steps.size(); i++) {
                Step step = steps.get(i);
                Site site = sites.get(step.result());
                if (tap != null && site != null) {
                    tap.input(site, values[step.operand(0)]);
                }
                values[step.result()] = step.operation().compute(new LayerCall(step, values, length));
                for (int operand : step.operands()) {
                    if (lastUses[operand] == i) {
                        release(values, operand);
                    }
                }
            }
            DeviceMatrix result = values[program.result()];
            values[program.result()] = null;
            return result;
        } finally {
            for (int value = 0; value < values.length; value++) {
                release(values, value);
            }
        }
    }

    /** Closes a value unless it is the caller's or closed already. */
    private static void release(@Nullable DeviceMatrix[] values, int value) {
        DeviceMatrix matrix = values[value];
        if (value != 0 && matrix != null) {
            matrix.close();
            values[value] = null;
        }
    }

    private RotaryTables tables(int length) {
        return tables.computeIfAbsent(length, tokens -> {
            Rope rope = model.config().ropes().get(layer);
            Matrix cos = rope.cosines(tokens);
            Matrix sin = rope.sines(tokens);
            return new RotaryTables(device.upload(cos, DType.F32), device.upload(sin, DType.F32));
        });
    }

    /** Bytes that its weights take on the device. */
    public long deviceBytes() {
        List<DeviceMatrix> held = new ArrayList<>(weights.values());
        held.addAll(biases.values());
        return held.stream()
                .mapToLong(m -> (long) m.rows() * m.cols() * m.dtype().bytes())
                .sum();
    }

    @Override
    public void close() {
        weights.values().forEach(DeviceMatrix::close);
        biases.values().forEach(DeviceMatrix::close);
        tables.values().forEach(RotaryTables::close);
        weights.clear();
        biases.clear();
        tables.clear();
    }

    /** A step of this layer in one forward pass. */
    private final class LayerCall implements Call {
        private final Step step;
        private final DeviceMatrix[] values;
        private final int length;

        LayerCall(Step step, DeviceMatrix[] values, int length) {
            this.step = step;
            this.values = values;
            this.length = length;
        }

        @Override
        public Step step() {
            return step;
        }

        @Override
        public ModelConfig config() {
            return model.config();
        }

        @Override
        public ForwardKernels kernels() {
            return device.forward();
        }

        @Override
        public DeviceMatrix operand(int i) {
            return values[step.operand(i)];
        }

        @Override
        public DeviceMatrix weight() {
            DeviceMatrix weight = weights.get(step.module());
            if (weight == null) {
                throw new IllegalStateException("Layer " + layer + " is closed");
            }
            return weight;
        }

        @Override
        public @Nullable DeviceMatrix bias() {
            return biases.get(step.module());
        }

        @Override
        public RotaryTables tables() {
            return DecoderLayer.this.tables(length);
        }

        @Override
        public AttentionShape attention() {
            ModelConfig c = model.config();
            return new AttentionShape(
                    length,
                    c.heads(),
                    c.kvHeads(),
                    c.headDim(),
                    c.headDim(),
                    c.attentionScale(),
                    c.windows().get(layer));
        }

        @Override
        public DType to() {
            return types[step.result()];
        }
    }
}
