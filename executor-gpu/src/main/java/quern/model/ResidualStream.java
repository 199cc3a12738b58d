package quern.model;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import quern.QuernException;

/**
 * Who writes to the residual stream and who reads it, found in the programs of a model: what has to change when the stream is turned.
 * With an orthogonal Q the stream x becomes x Q when what is written is, and nobody notices who reads it through an RMSNorm without
 * weights: rows keep their length. The norm's weights go into the linears behind it.
 *
 * @param writers linears whose outputs are added to the stream
 * @param biases tensors that are added to it, 1 x hidden
 * @param rows tables whose rows are: the embedding, learned positions
 * @param readers linears that read it, and the head
 * @param norms the weights that go into what reads through them
 * @param offset what is added to the weight of a norm before it is used
 */
public record ResidualStream(
        List<Linear> writers,
        List<String> biases,
        List<String> rows,
        List<Reader> readers,
        Set<String> norms,
        float offset) {
    /** @param norm the weight of the norm that it reads through, or none; {@code tensor}: of a linear, outputs x hidden */
    public record Reader(String tensor, @Nullable String norm) {}

    /** Of a whole model; {@link QuernException} where a rotation would change what it does. */
    public static ResidualStream of(Model model) {
        return new Search(model).stream();
    }

    private static final class Search {
        private final Model model;
        private final List<Linear> writers = new ArrayList<>();
        private final List<String> biases = new ArrayList<>();
        private final List<String> rows = new ArrayList<>();
        private final Map<String, Reader> readers = new LinkedHashMap<>();
        private final Set<String> norms = new HashSet<>();

        Search(Model model) {
            this.model = model;
        }

        ResidualStream stream() {
            if (model.config().norm().layer()) {
                throw refused("its norms take the mean away, which differs in a rotated stream");
            }
            model.keptOutside().stream().filter(name -> name.endsWith(".*")).forEach(name -> {
                throw refused("what " + name + " puts in place of embeddings is not rotated");
            });
            before();
            for (int layer = 0; layer < model.layers(); layer++) {
                Section section = model.layer(layer);
                section(section, null, Set.of());
            }
            after();
            return new ResidualStream(
                    writers,
                    biases,
                    rows,
                    List.copyOf(readers.values()),
                    norms,
                    model.config().norm().offset());
        }

        private void before() {
            rows.add(model.embedding());
            for (Step step : model.before().program().steps()) {
                if (step.operation() == Operation.POSITIONS) {
                    rows.add(model.before().module(step.module()) + ".weight");
                } else if (step.operation() != Operation.SCALE) {
                    throw refused("'" + step.operation().word() + "' comes between its embedding and its layers");
                }
            }
        }

        private void after() {
            List<Step> steps = model.after().program().steps();
            String norm = null;
            for (Step step : steps) {
                if (step.operation() != Operation.NORM || norm != null) {
                    throw refused("'" + step.operation().word() + "' comes between its layers and its head");
                }
                norm = weight(model.after(), step);
            }
            if (norm != null) {
                norms.add(norm);
            }
            readers.put(model.head(), new Reader(model.head(), norm));
        }

        /**
         * Of a layer, whose value 0 is the stream; or of an expert, whose value 0 has come through a norm.
         *
         * @param norm that norm's weight
         * @param normed the value 0 of an expert
         */
        private void section(Section section, @Nullable String norm, Set<Integer> normed) {
            Program program = section.program();
            Set<Integer> stream = new HashSet<>();
            write(section, program.result(), stream, !normed.isEmpty());
            if (normed.isEmpty()) {
                stream.add(0);
            }
            for (int value : stream) {
                for (Step step : program.readers(value)) {
                    boolean passes = stream.contains(step.result()) && step.operation() != Operation.LINEAR;
                    if (step.operation() == Operation.NORM) {
                        String weight = weight(section, step);
                        if (weight != null) {
                            norms.add(weight);
                        }
                        read(section, step.result(), weight);
                    } else if (!passes) {
                        reader(section, step, null);
                    }
                }
            }
            normed.forEach(value -> read(section, value, norm));
        }

        /** A value that is the stream, or is added to it: goes back to who makes it. */
        private void write(Section section, int value, Set<Integer> stream, boolean ofExpert) {
            Step maker = section.program().maker(value);
            if (maker == null) {
                if (ofExpert) {
                    throw refused("an expert adds what it reads to what it puts out");
                }
                return;
            }
            if (!stream.add(value)) {
                return;
            }
            switch (maker.operation()) {
                case ADD:
                    write(section, maker.operand(0), stream, ofExpert);
                    write(section, maker.operand(1), stream, ofExpert);
                    break;
                case SCALE, GATE:
                    write(section, maker.operand(0), stream, ofExpert);
                    break;
                case EXPERTS: // read and written inside, see reader
                    break;
                case LINEAR:
                    Linear linear = section.linear(maker.module());
                    refuseSlice(linear);
                    if (section.rows(maker) != null || linear.transposed()) {
                        throw refused("of " + linear.name() + " only a part is written to the residual stream");
                    }
                    writers.add(linear);
                    if (section.hasBias(maker)) {
                        biases.add(section.bias(linear));
                    }
                    break;
                case NORM:
                    throw refused("a norm with weights, " + section.module(maker.module())
                            + ", stands between its linears and the residual stream");
                default:
                    throw refused("'" + maker.operation().word() + "' writes to the residual stream");
            }
        }

        /** All that reads a value that has come through a norm. */
        private void read(Section section, int value, @Nullable String norm) {
            section.program().readers(value).forEach(step -> reader(section, step, norm));
        }

        private void reader(Section section, Step step, @Nullable String norm) {
            switch (step.operation()) {
                case EXPERTS:
                    for (int expert = 0; expert < model.experts(section.layer()); expert++) {
                        section(section.expert(expert), norm, Set.of(0));
                    }
                    break;
                case LINEAR, ROUTER, GATE:
                    Linear linear = section.linear(step.module());
                    refuseSlice(linear);
                    Reader reader = new Reader(linear.weight(), norm);
                    Reader before = readers.put(linear.weight(), reader);
                    if (before != null && !before.equals(reader)) {
                        throw refused(linear.name() + " reads through two norms");
                    }
                    break;
                default:
                    throw refused("'" + step.operation().word() + "' reads the residual stream");
            }
        }

        private void refuseSlice(Linear linear) {
            if (linear.isSlice()) {
                throw refused("the weights of all experts are one tensor, " + linear.weight());
            }
        }

        private @Nullable String weight(Section section, Step step) {
            return model.hasNormWeight() ? section.module(step.module()) + ".weight" : null;
        }

        private QuernException refused(String reason) {
            return new QuernException("Cannot rotate " + model.store().location() + ", a "
                    + model.config().modelType() + " model: " + reason + " (use --transform awq, or none)");
        }
    }
}
