package quern.model;

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceMatrix;

/**
 * The building blocks of a layer: each is an operation that an architecture file can name. It says what it knows of the
 * widths (columns) of its values, which weight it needs, and how a device computes it.
 */
enum Operation {
    /** {@code y = norm(x, module)}: whole rows by the family's norm. */
    NORM(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        List<Long> weightShape(Step step, Widths widths, ModelConfig config) {
            return List.of((long) widths.of(step.operand(0)));
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.norm(call.operand(0).cols());
        }
    },

    /** {@code y = head_norm(x, module)}: each head by itself, one weight for all. */
    HEAD_NORM(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        List<Long> weightShape(Step step, Widths widths, ModelConfig config) {
            return List.of((long) config.headDim());
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.norm(call.config().headDim());
        }
    },

    /** {@code y = linear(x, module)}: x wT, and the bias where the family has one. */
    LINEAR(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            // Both widths come from the neighbours: that is what makes a wrong weight show.
        }

        @Override
        List<Long> weightShape(Step step, Widths widths, ModelConfig config) {
            return List.of((long) widths.of(step.result()), (long) widths.of(step.operand(0)));
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.kernels().linear(call.operand(0), call.weight(), call.bias(), call.to());
        }
    },

    /** {@code y = rotary(x)}: rotary positions, in the layers that have them. */
    ROTARY(1, 1, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        DeviceMatrix compute(Call call) {
            RotaryTables tables = call.tables();
            return call.kernels()
                    .rotary(
                            call.operand(0),
                            tables.cos(),
                            tables.sin(),
                            call.config().headDim(),
                            false,
                            call.to());
        }
    },

    /** {@code y = attention(q, k, v)}: causal, within the layer's window. */
    ATTENTION(3, 3, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.bind(step.operand(0), config.heads() * config.headDim());
            widths.bind(step.operand(1), config.kvHeads() * config.headDim());
            widths.bind(step.operand(2), config.kvHeads() * config.headDim());
            widths.bind(step.result(), config.heads() * config.headDim());
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.kernels()
                    .attention(call.operand(0), call.operand(1), call.operand(2), call.attention(), call.to());
        }
    },

    /** {@code y = activate(gate, up)} or {@code y = activate(x)}: the family's activation, times up. */
    ACTIVATE(1, 2, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            for (int operand : step.operands()) {
                widths.bind(operand, config.intermediateSize());
            }
            widths.bind(step.result(), config.intermediateSize());
        }

        @Override
        DeviceMatrix compute(Call call) {
            DeviceMatrix up = call.step().operands().size() == 2 ? call.operand(1) : null;
            return call.kernels().activate(call.config().activation(), call.operand(0), up, call.to());
        }
    },

    /** {@code y = add(a, b)}: what the residual stream gains. */
    ADD(2, 2, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.operand(1));
            widths.same(step.operand(0), step.result());
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.kernels().add(call.operand(0), call.operand(1));
        }
    };

    private final int fewest;
    private final int most;
    private final boolean module;

    Operation(int fewest, int most, boolean module) {
        this.fewest = fewest;
        this.most = most;
        this.module = module;
    }

    /** Tells the widths of values that this step decides or ties to each other. */
    abstract void bind(Step step, Widths widths, ModelConfig config);

    /** The shape of the module's {@code weight}; only asked of operations with a module. */
    List<Long> weightShape(Step step, Widths widths, ModelConfig config) {
        throw new IllegalStateException(this + " has no weight");
    }

    abstract DeviceMatrix compute(Call call);

    /** Whether its last argument is the name of a module with tensors. */
    boolean takesModule() {
        return module;
    }

    /** What is wrong with this number of values, or null. */
    @Nullable
    String refuses(int values) {
        if (values >= fewest && values <= most) {
            return null;
        }
        return "'" + word() + "' takes " + (fewest == most ? fewest : fewest + " to " + most) + " value(s)"
                + (module ? " and a module" : "") + ", not " + values;
    }

    /** Its name in architecture files. */
    String word() {
        return name().toLowerCase(Locale.ROOT);
    }
}
