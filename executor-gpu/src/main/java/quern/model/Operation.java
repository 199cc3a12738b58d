package quern.model;

import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.DeviceMatrix;
import quern.tensor.DType;

/**
 * The building blocks of a program: each is an operation that an architecture file can name. It says what it knows of the
 * widths (columns) of its values, which weights it needs, and how a device computes it.
 */
enum Operation {
    /** {@code y = norm(x, module)}: whole rows by the family's norm. */
    NORM(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        List<Stored> weights(Step step, Widths widths, ModelConfig config) {
            return List.of(new Stored(step.module(), List.of((long) widths.of(step.operand(0)))));
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
        List<Stored> weights(Step step, Widths widths, ModelConfig config) {
            return List.of(new Stored(step.module(), List.of((long) config.headDim())));
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.norm(call.config().headDim());
        }
    },

    /**
     * {@code y = each_head_norm(x, module)}: each head by itself with a weight of its own; one tensor, heads x head_dim, or one
     * for each head where the module's name has <code>{head}</code>.
     */
    EACH_HEAD_NORM(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        List<Stored> weights(Step step, Widths widths, ModelConfig config) {
            int heads = widths.of(step.operand(0)) / config.headDim();
            if (!step.module().contains("{head}")) {
                return List.of(new Stored(step.module(), List.of((long) heads, (long) config.headDim())));
            }
            return IntStream.range(0, heads)
                    .mapToObj(head -> new Stored(
                            step.module().replace("{head}", Integer.toString(head)), List.of((long) config.headDim())))
                    .toList();
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.norm(call.config().headDim());
        }
    },

    /** {@code y = linear(x, module)} or {@code y = linear(x, module[part])}: x wT, and the bias where the family has one. */
    LINEAR(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            // Both widths come from the neighbours: that is what makes a wrong weight show.
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.kernels().linear(call.operand(0), call.weight(), call.bias(), call.to());
        }
    },

    /**
     * {@code y = router(x, module)}: for each token what the outputs of experts weigh, 0 for those that it does not go to. Its linear
     * is kept as it is, and its sums are F32.
     */
    ROUTER(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.bind(step.result(), config.experts().experts());
        }

        @Override
        List<Stored> weights(Step step, Widths widths, ModelConfig config) {
            Routing routing = config.experts();
            return routing.correction() == null
                    ? List.of()
                    : List.of(new Stored(step.module(), "." + routing.correction(), List.of((long) routing.experts())));
        }

        @Override
        DeviceMatrix compute(Call call) {
            Routing routing = call.config().experts();
            try (DeviceMatrix logits = call.kernels().linear(call.operand(0), call.weight(), call.bias(), DType.F32)) {
                float[] corrections = routing.correction() == null ? new float[routing.experts()] : call.numbers();
                return call.device().upload(routing.weights(call.device().download(logits), corrections), DType.F32);
            }
        }
    },

    /**
     * {@code y = experts(x, r)}: the sum over experts of the expert's program on the rows of x that r sends to it, times what r weighs
     * it. {@link LayerRun} carries it out.
     */
    EXPERTS(2, 2, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
            widths.bind(step.operand(1), config.experts().experts());
        }

        @Override
        DeviceMatrix compute(Call call) {
            throw new IllegalStateException("Experts are run one by one");
        }
    },

    /** {@code y = gate(a, x, module)}: each row of a times the sigmoid of x wT, a number; its linear is kept as it is. */
    GATE(2, 2, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        DeviceMatrix compute(Call call) {
            DeviceMatrix gated = call.operand(0);
            try (DeviceMatrix logits = call.kernels().linear(call.operand(1), call.weight(), call.bias(), DType.F32)) {
                float[] factors = call.device().download(logits).values();
                for (int i = 0; i < factors.length; i++) {
                    factors[i] = (float) (1 / (1 + Math.exp(-factors[i])));
                }
                DeviceMatrix result = call.device().zeros(gated.rows(), gated.cols(), DType.F32);
                int[] all = IntStream.range(0, gated.rows()).toArray();
                call.kernels().addRows(gated, 0, factors, all, result);
                return result;
            }
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
                            call.config().rotaryDim(),
                            call.config().interleaved(),
                            call.to());
        }
    },

    /** {@code y = positions(x, module)}: x and the learned row of each position, from a table. */
    POSITIONS(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        List<Stored> weights(Step step, Widths widths, ModelConfig config) {
            long rows = (long) config.maxPositions() + config.positionOffset();
            return List.of(new Stored(step.module(), List.of(rows, (long) widths.of(step.operand(0)))));
        }

        @Override
        DeviceMatrix compute(Call call) {
            int most = call.config().maxPositions();
            if (call.length() > most) {
                throw new QuernException("Cannot run a sequence of " + call.length() + " tokens: the model has " + most
                        + " positions (use shorter sequences)");
            }
            int offset = call.config().positionOffset();
            int[] rows = IntStream.range(0, call.operand(0).rows())
                    .map(row -> row % call.length() + offset)
                    .toArray();
            try (DeviceMatrix positions = call.kernels().rows(call.weight(), rows)) {
                return call.kernels().add(call.operand(0), positions);
            }
        }
    },

    /** {@code y = attention(q, k, v)}: causal, within the layer's window. */
    ATTENTION(3, 3, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.bind(step.operand(0), config.heads() * config.headDim());
            widths.bind(step.operand(1), config.kvHeads() * config.headDim());
            widths.bind(step.operand(2), config.kvHeads() * config.valueDim());
            widths.bind(step.result(), config.heads() * config.valueDim());
        }

        @Override
        DeviceMatrix compute(Call call) {
            return attend(call, null);
        }
    },

    /** {@code y = sink_attention(q, k, v, module)}: the same with one more score for each head, from a tensor. */
    SINK_ATTENTION(3, 3, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            ATTENTION.bind(step, widths, config);
        }

        @Override
        List<Stored> weights(Step step, Widths widths, ModelConfig config) {
            return List.of(new Stored(step.module(), "", List.of((long) config.heads())));
        }

        @Override
        DeviceMatrix compute(Call call) {
            return attend(call, call.weight());
        }
    },

    /**
     * {@code y = join(a, b)}: for each head the columns of a, then those of b, which are as many as {@code rotary} is given. b may
     * have them once for all heads.
     */
    JOIN(2, 2, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            int apart = config.headDim() - config.rotaryDim();
            if (widths.knows(step.result())) {
                widths.bind(step.operand(0), widths.of(step.result()) / config.headDim() * apart);
            }
        }

        @Override
        void assume(Step step, Widths widths, ModelConfig config) {
            if (!widths.knows(step.operand(1)) && widths.knows(step.result())) {
                widths.bind(step.operand(1), widths.of(step.result()) / config.headDim() * config.rotaryDim());
            }
        }

        @Override
        DeviceMatrix compute(Call call) {
            int turned = call.config().rotaryDim();
            return call.kernels().join(call.operand(0), call.config().headDim() - turned, call.operand(1), turned);
        }
    },

    /** {@code y = activate(gate, up)} or {@code y = activate(x)}: the family's activation, times up. */
    ACTIVATE(1, 2, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            step.operands().forEach(operand -> widths.same(operand, step.result()));
        }

        @Override
        void assume(Step step, Widths widths, ModelConfig config) {
            if (!widths.knows(step.result())) {
                widths.bind(step.result(), config.intermediateSize());
            }
        }

        @Override
        DeviceMatrix compute(Call call) {
            DeviceMatrix up = call.step().operands().size() == 2 ? call.operand(1) : null;
            return call.kernels().activate(call.config().activation(), call.operand(0), up, call.to());
        }
    },

    /** {@code y = clamped_gate(gate, up)}: by the keys {@code swiglu_alpha} and {@code swiglu_limit}. */
    CLAMPED_GATE(2, 2, false) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            ACTIVATE.bind(step, widths, config);
        }

        @Override
        void assume(Step step, Widths widths, ModelConfig config) {
            ACTIVATE.assume(step, widths, config);
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.kernels()
                    .clampedGate(
                            call.operand(0),
                            call.operand(1),
                            call.number("swiglu_alpha"),
                            call.number("swiglu_limit"),
                            call.to());
        }
    },

    /** {@code y = scale(x, key)}: times the number that the config has there. */
    SCALE(1, 1, true) {
        @Override
        void bind(Step step, Widths widths, ModelConfig config) {
            widths.same(step.operand(0), step.result());
        }

        @Override
        DeviceMatrix compute(Call call) {
            return call.kernels().scale(call.operand(0), call.number(call.step().module()), call.to());
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

    /**
     * A tensor as it must stand in the checkpoint.
     *
     * @param suffix what follows the module's name
     */
    record Stored(String module, String suffix, List<Long> shape) {
        /** The weight of a module. */
        Stored(String module, List<Long> shape) {
            this(module, ".weight", shape);
        }
    }

    /** Tells the widths of values that this step decides or ties to each other. */
    abstract void bind(Step step, Widths widths, ModelConfig config);

    /** Tells widths of values that nothing has decided. */
    void assume(Step step, Widths widths, ModelConfig config) {}

    /** The tensors that it needs, one after the other; those of linears are found from their neighbours. */
    List<Stored> weights(Step step, Widths widths, ModelConfig config) {
        return List.of();
    }

    abstract DeviceMatrix compute(Call call);

    /** Whether it is given queries, keys and values. */
    boolean attends() {
        return this == ATTENTION || this == SINK_ATTENTION;
    }

    private static DeviceMatrix attend(Call call, @Nullable DeviceMatrix sinks) {
        return call.kernels()
                .attention(
                        call.operand(0),
                        call.operand(1),
                        call.operand(2),
                        call.scoreBias(),
                        sinks,
                        call.attention(),
                        call.to());
    }

    /** Whether it has a linear that is no one's to quantize. */
    boolean isKept() {
        return this == ROUTER || this == GATE;
    }

    /** Whether its module is a linear. */
    boolean isLinear() {
        return this == LINEAR || isKept();
    }

    /** Whether it is one of the norms. */
    boolean isNorm() {
        return this == NORM || this == HEAD_NORM || this == EACH_HEAD_NORM;
    }

    /** Whether its last argument is the name of a module with tensors, or of a key. */
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
