package quern.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Finds in a layer's program what makes the input of each site, and whether it takes factors: the weight of a norm; the rows of the
 * linear of values, through attention, which only averages them; the rows of the linear that an activation's gate is multiplied by.
 */
final class Absorbers {
    private final Section section;
    private final Program program;

    private Absorbers(Section section) {
        this.section = section;
        this.program = section.program();
    }

    /** Of a layer and its experts, in the order of its sites; sites whose input takes no factors are left out. */
    static List<Absorber> of(Model model, int layer) {
        List<Site> sites = model.sites(layer);
        List<Absorber> all = new ArrayList<>(new Absorbers(model.layer(layer)).all(sites, 0));
        int first = model.ownSites(layer);
        for (int expert = 0; expert < model.experts(layer); expert++) {
            Absorbers inside = new Absorbers(model.expert(layer, expert));
            all.addAll(inside.all(sites, first));
            first += inside.program.sites().size();
        }
        return all;
    }

    private List<Absorber> all(List<Site> sites, int first) {
        List<Absorber> found = new ArrayList<>();
        List<List<Step>> steps = program.sites();
        for (int i = 0; i < steps.size(); i++) {
            int input = steps.get(i).get(0).operand(0);
            Absorber absorber = of(sites.get(first + i), first + i, input);
            if (absorber != null) {
                found.add(absorber);
            }
        }
        return found;
    }

    private @Nullable Absorber of(Site site, int index, int input) {
        Map<String, Linear> readers = new LinkedHashMap<>();
        if (input == program.result()) {
            return null;
        }
        for (Step reader : program.readers(input)) {
            boolean gated = reader.operation() == Operation.GATE && reader.operand(0) != input;
            if (reader.operation() != Operation.LINEAR && reader.operation() != Operation.ROUTER && !gated) {
                return null;
            }
            readers.put(reader.module(), section.linear(reader.module()));
        }
        Step maker = program.maker(input);
        if (maker == null || readers.values().stream().anyMatch(Linear::isSlice)) {
            return null;
        }
        int[] own = IntStream.range(0, site.inputs()).toArray();
        List<Linear> all = List.copyOf(readers.values());
        switch (maker.operation()) {
            case NORM:
                List<Absorber.Given> norm = norm(maker, own);
                return norm.isEmpty() ? null : new Absorber(site, index, true, own.length, own, 0, norm, all);
            case ACTIVATE:
                if (maker.operands().size() < 2) {
                    return null;
                }
                List<Absorber.Given> up = linear(maker.operand(1));
                return up.isEmpty() ? null : new Absorber(site, index, false, own.length, own, 0, up, all);
            case ATTENTION, SINK_ATTENTION:
                List<Absorber.Given> values = linear(maker.operand(2));
                int headDim = section.model().config().valueDim();
                int channels = section.model().config().kvHeads() * headDim;
                return values.isEmpty()
                        ? null
                        : new Absorber(site, index, false, channels, valueOfInput(), headDim, values, all);
            default:
                return null;
        }
    }

    /** For each column of what attention puts out the column of values that it is an average of. */
    private int[] valueOfInput() {
        ModelConfig config = section.model().config();
        int headDim = config.valueDim();
        int heads = config.heads() / config.kvHeads(); // that share a head of values
        int[] values = new int[config.heads() * headDim];
        Arrays.setAll(values, i -> i / headDim / heads * headDim + i % headDim);
        return values;
    }

    private List<Absorber.Given> norm(Step step, int[] places) {
        Model model = section.model();
        if (!model.hasNormWeight() || program.of(step.module()).size() > 1) {
            return List.of();
        }
        ModelConfig.Norm norm = model.config().norm();
        String module = section.module(step.module());
        List<Absorber.Given> given = new ArrayList<>();
        given.add(new Absorber.Given(module + ".weight", true, places, norm.layer() ? 0 : norm.offset()));
        if (section.hasBias(step)) {
            given.add(new Absorber.Given(module + ".bias", true, places, 0));
        }
        return given;
    }

    /** The rows of the linear that makes a value which one step alone reads; none where it is made otherwise. */
    private List<Absorber.Given> linear(int value) {
        Step maker = program.maker(value);
        if (maker == null
                || maker.operation() != Operation.LINEAR
                || value == program.result()
                || program.readers(value).size() > 1) {
            return List.of();
        }
        Linear linear = section.linear(maker.module());
        if (linear.isSlice()) {
            return List.of();
        }
        int[] part = section.rows(maker);
        int[] rows = part == null ? IntStream.range(0, linear.outputs()).toArray() : part;
        List<Absorber.Given> given = new ArrayList<>();
        given.add(new Absorber.Given(linear.weight(), linear.transposed(), rows, 0));
        if (section.hasBias(maker)) {
            given.add(new Absorber.Given(section.bias(linear), true, rows, 0));
        }
        return given;
    }
}
