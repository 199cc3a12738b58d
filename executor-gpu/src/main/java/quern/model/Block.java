package quern.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * A program with its weights on a device: the interpreter. What is added to the residual stream is F32; values between are of
 * the device's compute type. {@link #run} may be called by several threads.
 */
final class Block implements AutoCloseable {
    private final Section section;
    private final Model model;
    private final Device device;
    private final Program program;
    private final int[] lastUses;
    /** By the number of the step's result. */
    private final DType[] types;
    /** By the number of the step's result: the site that begins there. */
    private final Map<Integer, Site> sites;
    /** By the same number: the value that the output of the site's only linear is added to. */
    private final Map<Integer, Integer> streams;
    /** By {@link Step#key}, ready for use. */
    private final Map<String, DeviceMatrix> weights = new HashMap<>();

    private final Map<String, DeviceMatrix> biases = new HashMap<>();
    private final Map<String, float[]> numbers = new HashMap<>();
    private final Map<Integer, RotaryTables> tables = new ConcurrentHashMap<>();
    private final Map<Integer, DeviceMatrix> scoreBiases = new ConcurrentHashMap<>();

    private Block(Section section, DType result, Device device) {
        this.section = section;
        this.model = section.model();
        this.device = device;
        this.program = section.program();
        this.lastUses = program.lastUses();
        this.types = new DType[program.values()];
        for (Step step : program.steps()) {
            types[step.result()] = program.isAdded(step.result()) ? DType.F32 : device.computeType();
        }
        types[program.result()] = result;
        this.sites = section.sitesByResult();
        this.streams = section.streamsByResult();
    }

    /**
     * Reads the tensors of a program and makes them ready.
     *
     * @param weights where linears come from; all else is the checkpoint's
     * @param result the type of what leaves
     */
    static Block load(Section section, Weights weights, DType result, Device device) throws IOException {
        Block loaded = new Block(section, result, device);
        boolean complete = false;
        try {
            for (Step step : loaded.program.steps()) {
                if (step.operation().isLinear()) {
                    loaded.loadLinear(step, weights);
                }
                if (step.operation() != Operation.LINEAR && step.operation().takesModule()) {
                    loaded.loadOther(step);
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

    /** The rows of a fused linear's parts are taken apart here, so that nothing has to be copied in the forward pass. */
    private void loadLinear(Step first, Weights source) throws IOException {
        if (weights.containsKey(first.key())) {
            return;
        }
        Linear linear = section.linear(first.module());
        boolean biased = section.hasBias(first);
        float[] bias = biased ? bias(linear) : new float[0];
        try (DeviceMatrix weight = source.weight(linear, device)) {
            for (Step step : program.of(first.module())) {
                int[] rows = section.rows(step);
                if (rows == null) {
                    weights.put(step.key(), device.forward().prepare(weight));
                } else {
                    try (DeviceMatrix own = device.forward().rows(weight, rows)) {
                        weights.put(step.key(), device.forward().prepare(own));
                    }
                }
                if (biased) {
                    biases.put(step.key(), vector(rows == null ? bias : picked(bias, rows)));
                }
            }
        }
    }

    private float[] bias(Linear linear) throws IOException {
        int row = linear.isSlice() ? linear.slice() : 0;
        return StoredTensors.floats(model.tensors(), section.bias(linear), row, linear.outputs());
    }

    private static float[] picked(float[] values, int[] index) {
        float[] picked = new float[index.length];
        for (int i = 0; i < index.length; i++) {
            picked[i] = values[index[i]];
        }
        return picked;
    }

    private void loadOther(Step step) throws IOException {
        List<Operation.Stored> stored = section.weights(step);
        if (stored.isEmpty()) {
            return;
        }
        if (step.operation() == Operation.POSITIONS) {
            List<Long> shape = stored.get(0).shape();
            String name = section.module(step.module()) + ".weight";
            weights.put(
                    step.key(),
                    StoredTensors.matrix(
                            model.tensors(),
                            name,
                            Math.toIntExact(shape.get(0)),
                            Math.toIntExact(shape.get(1)),
                            device));
            return;
        }
        if (step.operation() == Operation.ROUTER) {
            numbers.put(step.key(), joined(stored, "", true));
            return;
        }
        weights.put(step.key(), vector(joined(stored, "", !step.operation().isNorm() || model.hasNormWeight())));
        if (section.hasBias(step)) {
            biases.put(step.key(), vector(joined(stored, ".bias", true)));
        }
    }

    /**
     * One after the other; ones where there is no tensor.
     *
     * @param suffix of the tensor in the place of the weight's, or empty
     */
    private float[] joined(List<Operation.Stored> stored, String suffix, boolean there) throws IOException {
        float[] all = new float[0];
        for (Operation.Stored tensor : stored) {
            long elements = tensor.shape().stream().reduce(1L, (a, b) -> a * b);
            float[] more = new float[Math.toIntExact(elements)];
            Arrays.fill(more, 1);
            if (there) {
                more = StoredTensors.floats(
                        model.tensors(),
                        section.module(tensor.module()) + (suffix.isEmpty() ? tensor.suffix() : suffix));
            }
            int before = all.length;
            all = Arrays.copyOf(all, before + more.length);
            System.arraycopy(more, 0, all, before, more.length);
        }
        return all;
    }

    private DeviceMatrix vector(float[] values) {
        return device.upload(new Matrix(1, values.length, values), DType.F32);
    }

    /**
     * Of a program without experts.
     *
     * @param x (sequences * length) x columns, F32; not closed
     * @param length tokens of a sequence
     * @param tap sees the inputs of the sites, or none
     * @return the caller closes it
     */
    DeviceMatrix run(DeviceMatrix x, int length, @Nullable Tap tap) {
        try (Values values = values(x, length)) {
            values.run(0, program.steps().size(), tap);
            return values.takeResult();
        }
    }

    Program program() {
        return program;
    }

    Section section() {
        return section;
    }

    Device device() {
        return device;
    }

    /** The values of a run over one batch. */
    Values values(DeviceMatrix x, int length) {
        return new Values(x, length);
    }

    /** What the steps of one run have computed so far. */
    final class Values implements AutoCloseable {
        private final @Nullable DeviceMatrix[] values = new DeviceMatrix[program.values()];
        private final int length;

        private Values(DeviceMatrix x, int length) {
            this.values[0] = x;
            this.length = length;
        }

        /** Steps [from, to), none of them experts. */
        void run(int from, int to, @Nullable Tap tap) {
            for (int i = from; i < to; i++) {
                tap(i, tap);
                Step step = program.steps().get(i);
                put(i, step.operation().compute(new BlockCall(step, this)));
            }
        }

        /** Lets a tap see what this step is about to read. */
        void tap(int index, @Nullable Tap tap) {
            Step step = program.steps().get(index);
            Site site = sites.get(step.result());
            if (tap != null && site != null) {
                Integer stream = streams.get(step.result());
                tap.input(site, of(step.operand(0)), stream == null ? null : of(stream));
            }
            if (tap != null && step.operation().attends()) {
                tap.cached(section.layer(), of(step.operand(1)), of(step.operand(2)));
            }
        }

        /** A value that has been computed and not been let go. */
        DeviceMatrix of(int value) {
            return Objects.requireNonNull(values[value]);
        }

        /** Gives a step its result, and lets go what no later one reads. */
        void put(int index, DeviceMatrix result) {
            Step step = program.steps().get(index);
            values[step.result()] = result;
            for (int operand : step.operands()) {
                if (lastUses[operand] == index) {
                    release(operand);
                }
            }
        }

        /** The caller's from now on. */
        DeviceMatrix takeResult() {
            DeviceMatrix result = of(program.result());
            values[program.result()] = null;
            return result;
        }

        /** Closes a value unless it is the caller's or closed already. */
        private void release(int value) {
            DeviceMatrix matrix = values[value];
            if (value != 0 && matrix != null) {
                matrix.close();
                values[value] = null;
            }
        }

        @Override
        public void close() {
            for (int value = 0; value < values.length; value++) {
                release(value);
            }
        }
    }

    private RotaryTables tables(int length) {
        return tables.computeIfAbsent(length, tokens -> {
            Rope rope = model.config().ropes().get(section.layer());
            Matrix cos = rope.cosines(tokens);
            Matrix sin = rope.sines(tokens);
            return new RotaryTables(device.upload(cos, DType.F32), device.upload(sin, DType.F32));
        });
    }

    private @Nullable DeviceMatrix scoreBias(int length) {
        Alibi alibi = model.config().alibi();
        return alibi == null
                ? null
                : scoreBiases.computeIfAbsent(length, tokens -> device.upload(alibi.bias(tokens), DType.F32));
    }

    /** Bytes that its weights take on the device. */
    long deviceBytes() {
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
        scoreBiases.values().forEach(DeviceMatrix::close);
        weights.clear();
        biases.clear();
        tables.clear();
        scoreBiases.clear();
    }

    /** A step in one run. */
    private final class BlockCall implements Call {
        private final Step step;
        private final Values values;
        private final int length;

        BlockCall(Step step, Values values) {
            this.step = step;
            this.values = values;
            this.length = values.length;
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
        public Device device() {
            return device;
        }

        @Override
        public DeviceMatrix operand(int i) {
            return values.of(step.operand(i));
        }

        @Override
        public DeviceMatrix weight() {
            DeviceMatrix weight = weights.get(step.key());
            if (weight == null) {
                throw new IllegalStateException(section + " is closed");
            }
            return weight;
        }

        @Override
        public @Nullable DeviceMatrix bias() {
            return biases.get(step.key());
        }

        @Override
        public float number(String key) {
            return section.number(key);
        }

        @Override
        public float[] numbers() {
            return Objects.requireNonNull(numbers.get(step.key()));
        }

        @Override
        public int length() {
            return length;
        }

        @Override
        public RotaryTables tables() {
            return Block.this.tables(length);
        }

        @Override
        public AttentionShape attention() {
            ModelConfig c = model.config();
            return new AttentionShape(
                    length,
                    c.heads(),
                    c.kvHeads(),
                    c.headDim(),
                    c.valueDim(),
                    c.attentionScale(section.layer()),
                    c.windows().get(section.layer()),
                    c.attentionCap());
        }

        @Override
        public @Nullable DeviceMatrix scoreBias() {
            return Block.this.scoreBias(length);
        }

        @Override
        public DType to() {
            return types[step.result()];
        }
    }
}
