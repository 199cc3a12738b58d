package quern.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A stretch of a model that is one program: a layer, one of its experts, or what stands before or after the layers. Knows what its
 * modules are called in the checkpoint and how large they are.
 */
final class Section {
    /** The layer of what is in none. */
    static final int OUTSIDE = -1;

    private final Model model;
    private final int layer;
    private final int expert; // Site.SHARED for the layer itself
    private final Program program;
    private final Widths widths;

    Section(Model model, int layer, int expert, Program program, Widths widths) {
        this.model = model;
        this.layer = layer;
        this.expert = expert;
        this.program = program;
        this.widths = widths;
    }

    Model model() {
        return model;
    }

    int layer() {
        return layer;
    }

    Program program() {
        return program;
    }

    /** The name of a module within its layer. */
    private String own(String name) {
        return name.replace("{expert}", Integer.toString(expert));
    }

    /** The full name of a module, as the checkpoint has it. */
    String module(String name) {
        return model.stored(layer == OUTSIDE ? name : model.architecture().inLayer(layer, own(name)));
    }

    /** Linears that share one input, in the order of the program. */
    List<List<Linear>> linears() {
        return program.sites().stream()
                .map(steps -> steps.stream().map(step -> linear(step.module())).toList())
                .toList();
    }

    /**
     * Linears that share one input, as sites.
     *
     * @param rank of the first
     */
    List<Site> sites(int rank) {
        List<Site> sites = new ArrayList<>();
        List<List<Step>> steps = program.sites();
        List<List<Linear>> linears = linears();
        for (int i = 0; i < steps.size(); i++) {
            String first = own(steps.get(i).get(0).module());
            int inputs = linears.get(i).get(0).inputs();
            sites.add(new Site(layer, expert, rank + i, first, inputs, linears.get(i)));
        }
        return sites;
    }

    /** Full names of the linears whose outputs are added to what comes out. */
    Stream<String> writers() {
        return program.summands().stream().map(step -> linear(step.module()).name());
    }

    /** By the number of the result of its first step. */
    Map<Integer, Site> sitesByResult() {
        Map<Integer, Site> sites = new HashMap<>();
        if (layer != OUTSIDE) {
            List<Site> known = sites(expert == Site.SHARED ? 0 : model.ownSites(layer));
            List<List<Step>> steps = program.sites();
            for (int i = 0; i < known.size(); i++) {
                sites.put(steps.get(i).get(0).result(), known.get(i));
            }
        }
        return sites;
    }

    /** Of sites with one linear, by the same number: the value that its output is added to, which is there before. */
    Map<Integer, Integer> streamsByResult() {
        Map<Integer, Integer> streams = new HashMap<>();
        for (List<Step> site : program.sites()) {
            Step linear = site.get(0);
            List<Step> readers = program.readers(linear.result());
            if (site.size() > 1 || rows(linear) != null || readers.size() != 1) {
                continue;
            }
            Step reader = readers.get(0);
            int other = reader.operand(0) == linear.result() ? 1 : 0;
            if (reader.operation() == Operation.ADD && program.isBefore(reader.operand(other), linear)) {
                streams.put(linear.result(), reader.operand(other));
            }
        }
        return streams;
    }

    /** Of a layer, the step before which all sites up to a rank have been seen; experts, whose ranks are the last, are seen in theirs. */
    int lastTapped(int rank) {
        List<Step> steps = program.steps();
        List<List<Step>> sites = program.sites();
        int last = 0;
        for (int i = 0; i < steps.size(); i++) {
            Step step = steps.get(i);
            boolean begins = sites.subList(0, Math.min(rank + 1, sites.size())).stream()
                    .anyMatch(site -> site.get(0).equals(step));
            if (begins) {
                last = i;
            } else if (step.operation() == Operation.EXPERTS && rank >= sites.size()) {
                last = i + 1;
            }
        }
        return last;
    }

    /** Of this layer. */
    Section expert(int number) {
        return model.expert(layer, number);
    }

    /** The same of another expert. */
    Section of(int number) {
        return new Section(model, layer, number, program, widths);
    }

    /**
     * The module of an attention whose keys and values a cache keeps: the one that the linear of the keys is in. Null if there is no such,
     * or if keys and values are of different widths: they are made of something smaller then, which is kept in their place.
     */
    @Nullable
    String cache() {
        for (Step step : program.steps()) {
            if (step.operation().attends() && widths.of(step.operand(1)) == widths.of(step.operand(2))) {
                int key = step.operand(1);
                for (Step made = program.making(key); made != null; made = program.making(made.operand(0))) {
                    if (made.operation() == Operation.LINEAR) {
                        return module(made.module().substring(0, made.module().lastIndexOf('.')));
                    }
                }
            }
        }
        return null;
    }

    Linear linear(String module) {
        List<Step> steps = program.of(module);
        Fused fused = model.architecture().fused(module);
        Step first = steps.get(0);
        int outputs = first.operation() == Operation.GATE ? 1 : widths.of(first.result());
        if (fused != null) {
            outputs = Arrays.stream(widths(fused, module)).sum();
        }
        int inputs = widths.of(first.operand(first.operands().size() - 1));
        Architecture.Stacked stacked =
                expert == Site.SHARED ? null : model.architecture().stacked();
        boolean transposed = stacked == null
                ? layer != OUTSIDE && model.architecture().transposed() && first.operation() == Operation.LINEAR
                : stacked.transposed();
        return new Linear(module(module), outputs, inputs, transposed, stacked == null ? Linear.WHOLE : expert);
    }

    /** The tensor of a linear's biases, or that which they are a row of. */
    String bias(Linear linear) {
        Architecture.Stacked stacked = model.architecture().stacked();
        return linear.isSlice() && stacked != null ? linear.weight() + stacked.bias() : linear.bias();
    }

    /** The rows of the part of a fused linear that this step takes; null if it takes all. */
    int @Nullable [] rows(Step step) {
        Fused fused = model.architecture().fused(step.module());
        return fused == null ? null : fused.rows(step.part(), widths(fused, step.module()), model.config());
    }

    /** Rows of each part, in order. */
    private int[] widths(Fused fused, String module) {
        return fused.parts().stream()
                .flatMap(part -> program.of(module).stream()
                        .filter(step -> step.part().equals(part))
                        .limit(1))
                .mapToInt(step -> widths.of(step.result()))
                .toArray();
    }

    /** The weights of a step that is no linear. */
    List<Operation.Stored> weights(Step step) {
        return step.operation().weights(step, widths, model.config());
    }

    boolean hasBias(Step step) {
        return model.hasBias(step);
    }

    float number(String key) {
        return model.number(key);
    }

    /** Refuses a program whose fused linears are not those of the family. */
    void checkParts() {
        for (Step step : program.steps()) {
            Fused fused =
                    step.operation() == Operation.LINEAR ? model.architecture().fused(step.module()) : null;
            List<String> wanted = fused == null ? List.of("") : fused.parts();
            List<String> used = new ArrayList<>();
            if (step.operation() == Operation.LINEAR) {
                program.of(step.module()).forEach(s -> used.add(s.part()));
            }
            if (step.operation() == Operation.LINEAR && !(used.containsAll(wanted) && wanted.containsAll(used))) {
                throw program.refused(
                        step.line(), "the parts of '" + step.module() + "' are " + wanted + ", and used are " + used);
            }
        }
    }

    @Override
    public String toString() {
        return layer == OUTSIDE
                ? "What is outside of the layers"
                : "Layer " + layer + (expert == Site.SHARED ? "" : ", expert " + expert);
    }
}
